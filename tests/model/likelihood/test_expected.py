"""Expected information: closed forms, for densities however narrow, wide, or far from the others."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from scipy.special import polygamma

import raphson as rp


def normal(y, mu, log_sigma):
    return norm.logpdf(y, mu, jnp.exp(log_sigma))


def student_2(y, mu, log_sigma):
    z = (y - mu) / jnp.exp(log_sigma)
    return -1.5 * jnp.log1p(z * z / 2) - log_sigma - 1.5 * jnp.log(2.0)


def cauchy(y, mu, log_sigma):
    z = (y - mu) / jnp.exp(log_sigma)
    return -jnp.log(jnp.pi) - log_sigma - jnp.log1p(z * z)


def laplace(y, mu, log_sigma):
    return -jnp.abs(y - mu) / jnp.exp(log_sigma) - log_sigma - jnp.log(2.0)


def negative_binomial(y, log_mean, log_theta):
    t, g, both = jnp.exp(log_theta), jax.lax.lgamma, jnp.logaddexp(log_theta, log_mean)
    return g(y + t) - g(t) - g(y + 1.0) + t * (log_theta - both) + y * (log_mean - both)


def rows_of(density, parts, data, theta):
    """E[W] (K, K, n) of a density at given parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = rp.mle(density, parts, data, start=np.asarray(theta, float), max_iter=0)
    model, theta = fit._reading.state.at.asked, np.asarray(theta, float)
    parts = [model.family.expected(block, model.predictor.eta(block, theta)) for block in model.blocks]
    return np.concatenate(parts, axis=-1)


@pytest.mark.parametrize(
    ("density", "location", "scale"),
    [(normal, 1.0, 2.0), (student_2, 3 / 5, 4 / 5), (cauchy, 0.5, 0.5), (laplace, 1, 1)],
)
@pytest.mark.parametrize("sigma", [1e-6, 0.1, 300.0])
def test_each_row_has_its_own_place(density, location, scale, sigma):
    x = np.linspace(0, 1, 9)
    y = 5 * x + sigma * np.sin(40 * x)
    W = rows_of(density, {"mu": "y ~ x", "log_sigma": "~ 1"}, {"x": x, "y": y}, [0.0, 5.0, np.log(sigma)])
    np.testing.assert_allclose(W[0, 0] * sigma**2, location, rtol=1e-8)
    np.testing.assert_allclose(W[1, 1], scale, rtol=1e-8)
    np.testing.assert_allclose(W[0, 1] * sigma, 0.0, atol=1e-8)


@pytest.mark.parametrize("precision", [3.0, 440.0, 1e5])
def test_narrow_shares(precision):
    x = np.linspace(-3, 0, 9)
    mu = 1 / (1 + np.exp(-x))
    data = {"x": x, "y": np.clip(mu, 0.01, 0.99)}
    W = rows_of("beta", {"mean": "y ~ x"}, data, [0.0, 1.0, np.log(precision)])
    want = (precision * mu * (1 - mu)) ** 2 * (polygamma(1, mu * precision) + polygamma(1, (1 - mu) * precision))
    np.testing.assert_allclose(W[0, 0], want, rtol=1e-8)


@pytest.mark.parametrize("mean", [0.5, 300.0, 1e6])
def test_counts_of_any_size(mean):
    y = np.unique(np.round(mean * np.array([0.1, 0.4, 0.9, 1.3, 2.5])))
    theta = 2.0
    W = rows_of(negative_binomial, {"log_mean": "y ~ 1", "log_theta": "~ 1"}, {"y": y}, np.log([mean, theta]))
    np.testing.assert_allclose(W[0, 0], mean / (1 + mean / theta), rtol=1e-7)
    np.testing.assert_allclose(W[0, 1], 0.0, atol=1e-7)
    # Var ∂ log f/∂ log θ by a sum over 0 .. 20,000 with scipy
    if mean < 1e3:
        from scipy.special import digamma
        from scipy.stats import nbinom

        k = np.arange(20_000.0)
        u = theta * (digamma(k + theta) - digamma(theta) + np.log(theta / (theta + mean)) + (mean - k) / (theta + mean))
        square = np.sum(nbinom.pmf(k, theta, theta / (theta + mean)) * u**2)
        np.testing.assert_allclose(W[1, 1], square, rtol=1e-8)


def test_two_narrow_components_far_apart():
    def mixture(y, mu):
        return jnp.logaddexp(norm.logpdf(y, mu, 0.1), norm.logpdf(y, mu + 5, 1e-3)) - jnp.log(2.0)

    y = np.concatenate([0.1 * np.sin(np.arange(20.0)), 5 + 1e-3 * np.sin(np.arange(20.0))])
    W = rows_of(mixture, {"mu": "y ~ 1"}, {"y": y}, [0.001])
    np.testing.assert_allclose(W[0, 0], 0.5 * 1e2 + 0.5 * 1e6, rtol=1e-8)


def test_a_point_with_a_probability_of_its_own():
    """A normal response below 0 is seen as 0: Amemiya's information (1973, equation 3.14), with z = μ/σ."""
    from scipy.stats import norm as gauss

    y = np.maximum(np.linspace(-1, 3, 30), 0)
    z = 0.5 / 1.2
    W = rows_of("tobit", {"mean": "y ~ 1"}, {"y": y}, [0.5, np.log(1.2)])
    phi, Phi = gauss.pdf(z), gauss.cdf(z)
    np.testing.assert_allclose(W[0, 0], -(z * phi - phi**2 / (1 - Phi) - Phi) / 1.2**2, rtol=1e-9)


def test_fisher_scoring_and_the_information():
    x = np.linspace(0, 1, 60)
    y = 5 * x + 0.1 * np.random.default_rng(0).normal(size=60)
    fit = rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ 1"}, {"x": x, "y": y}, method="fisher-scoring")
    sigma = np.exp(fit.params["log_sigma:Intercept"])
    X = np.column_stack([np.ones(60), x])
    assert fit.converged
    np.testing.assert_allclose(fit.information("expected").iloc[:2, :2], X.T @ X / sigma**2, rtol=1e-9)
    assert fit.information("expected").iloc[2, 2] == pytest.approx(120, rel=1e-9)
    # What the table of predictions is made of stands on the row's own place too.
    interval = fit.predict(interval="prediction", kind="response")
    np.testing.assert_allclose(interval["upper"] - interval["fit"], 1.959964 * sigma, rtol=1e-6)


@pytest.mark.parametrize(
    ("density", "y", "theta", "message"),
    [
        (lambda y, mu: -0.5 * (y - jnp.sinh(mu)) ** 2, [0.5, 1.5, 2.5], [1.0], "does not integrate to 1"),
        # The range depends on the parameter, so that the score's mean is not 0.
        (
            lambda y, start: jnp.where(
                (y > start) & (y < start + 1),
                jnp.log(3.0) + 2 * jnp.log(jnp.where(y > start, y - start, 1.0)),
                -jnp.inf,
            ),
            [0.5, 0.7, 0.9],
            [0.2],
            "the mean of its score is not 0",
        ),
    ],
)
def test_what_cannot_be_expected(density, y, theta, message):
    name = "mu" if "does not integrate to 1" in message else "start"
    with pytest.raises(rp.ModelError, match=message):
        rows_of(density, {name: "y ~ 1"}, {"y": np.array(y)}, theta)


def test_rows_that_do_not_add_up_are_named():
    # In row 1 the density is that of half a normal.
    def density(y, mu, *, z):
        return norm.logpdf(y, jnp.sinh(mu), 1.0) + jnp.where(z > 0, jnp.log(0.5), 0.0)

    with pytest.raises(rp.ModelError, match=r"1 of 40 rows \(1, counted from 0\): in row 1 it adds up to 0.5"):
        y = np.linspace(-2, 2, 40)
        rows_of(density, {"mu": "y ~ 1"}, {"y": y, "z": 1.0 * (np.arange(40) == 1)}, [0.3])
