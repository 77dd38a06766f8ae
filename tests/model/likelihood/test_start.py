"""A density in other units of its response: the same fit, whatever the size of the numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

import raphson as rp

RNG = np.random.default_rng(0)
X = RNG.normal(size=60)
Y = 1 + X + 0.5 * RNG.normal(size=60)
TIMES = RNG.gamma(2.0, size=60) * np.exp(0.3 * X)


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma


def spread(y, mu, sigma):
    return norm.logpdf(y, mu, sigma)


def student(y, mu, log_sigma):
    return -2.5 * jnp.log1p(0.25 * ((y - mu) / jnp.exp(log_sigma)) ** 2) - log_sigma


def exponential(y, log_rate):
    return log_rate - y * jnp.exp(log_rate)


def gamma(y, log_mean, log_shape):
    a = jnp.exp(log_shape)
    return a * (log_shape - log_mean) + (a - 1) * jnp.log(y) - a * y * jnp.exp(-log_mean) - jax.lax.lgamma(a)


def squares(y):
    """Location and log scale of the normal by least squares."""
    design = np.column_stack([np.ones(60), X])
    beta, rss = np.linalg.lstsq(design, y, rcond=None)[:2]
    return np.array([*beta, 0.5 * np.log(rss[0] / 60)])


UNITS = [1e-100, 1e-20, 1e-8, 1e8, 1e20]


@pytest.mark.parametrize("unit", UNITS)
def test_a_normal_density(unit):
    fit = rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ 1"}, {"x": X, "y": unit * Y})
    assert fit.converged and fit.n_iter < 10
    np.testing.assert_allclose(fit.params, squares(unit * Y), rtol=1e-8)


@pytest.mark.parametrize("unit", UNITS[1:4:2])
def test_a_scale_without_a_logarithm(unit):
    fit = rp.mle(spread, {"mu": "y ~ x", "sigma": "~ 1"}, {"x": X, "y": unit * Y})
    want = squares(unit * Y)
    np.testing.assert_allclose(fit.params, [*want[:2], np.exp(want[2])], rtol=1e-8)
    assert fit.converged


@pytest.mark.parametrize("unit", UNITS[1:4:2])
@pytest.mark.parametrize(
    ("density", "y", "parts", "moves"),
    [
        (student, Y, {"mu": "y ~ x", "log_sigma": "~ 1"}, ("times", "times", "plus")),
        ("tobit", np.maximum(Y, 0), {"mean": "y ~ x"}, ("times", "times", "plus")),
        (exponential, TIMES, {"log_rate": "y ~ x"}, ("minus", "same")),
        (gamma, TIMES, {"log_mean": "y ~ x", "log_shape": "~ 1"}, ("plus", "same", "same")),
    ],
)
def test_other_densities(density, y, parts, moves, unit):
    one = rp.mle(density, parts, {"x": X, "y": y})
    fit = rp.mle(density, parts, {"x": X, "y": unit * y})
    move = {"times": lambda v: unit * v, "plus": lambda v: v + np.log(unit), "minus": lambda v: v - np.log(unit)}
    want = [move.get(how, lambda v: v)(v) for how, v in zip(moves, one.params, strict=True)]
    assert fit.converged
    np.testing.assert_allclose(fit.params, want, rtol=1e-8)
    np.testing.assert_allclose(fit.bse / one.bse, [unit if how == "times" else 1.0 for how in moves], rtol=1e-6)


@pytest.mark.parametrize("unit", UNITS[1:4:2])
def test_a_likelihood_with_a_start_of_its_own(unit):
    def loglik(params, row):
        return norm.logpdf(row.y, params["a"] + params["b"] * row.x, jnp.exp(params["s"]))

    fit = rp.mle(loglik, {"x": X, "y": unit * Y}, start={"a": unit, "b": 0.0, "s": float(np.log(unit))})
    assert fit.converged
    np.testing.assert_allclose(fit.params, squares(unit * Y), rtol=1e-8)
