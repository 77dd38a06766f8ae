"""What is called a maximum: inflections, local maxima, corners and singular starts; the right values are scipy's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from scipy.optimize import minimize
from scipy.stats import skewnorm

import raphson as rp


def skew_normal(y, m, ls, al):
    z = (y - m) / jnp.exp(ls)
    return jnp.log(2.0) + norm.logpdf(z) - ls + norm.logcdf(al * z)


def skewed(sign):
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    return {"x": x, "y": 1 + 0.5 * x + 0.3 * rng.normal(size=400) + sign * 0.6 * np.abs(rng.normal(size=400))}


@pytest.mark.parametrize("sign", [1, -1])
def test_a_skewness_of_zero_is_an_inflection_and_left(sign):
    data = skewed(sign)
    best = minimize(
        lambda t: -skewnorm.logpdf(data["y"], t[3], t[0] + t[1] * data["x"], np.exp(t[2])).sum(),
        [1.0, 0.5, -0.5, 2.0 * sign],
        method="Nelder-Mead",
        options={"maxiter": 10_000, "maxfev": 10_000, "xatol": 1e-9, "fatol": 1e-11},
    )
    fit = rp.mle(skew_normal, {"m": "y ~ x", "ls": "~ 1", "al": "~ 1"}, data)
    assert fit.converged and fit.llf == pytest.approx(-best.fun, abs=1e-6)
    assert fit.params["al:Intercept"] == pytest.approx(best.x[3], rel=1e-3)
    assert np.isfinite(fit.bse.to_numpy()).all()
    assert sign > 0 or "left a stationary point" in fit.message  # the other is not on the way of the first start


def weibull(p, row):
    z, k = row.t - p["g"], jnp.exp(p["lk"])
    inside = jnp.where(z > 0, z, 1.0)
    value = p["lk"] - k * p["ll"] + (k - 1) * jnp.log(inside) - (inside / jnp.exp(p["ll"])) ** k
    return jnp.where(z > 0, value, -jnp.inf)


def test_a_second_derivative_that_vanishes_at_the_start_is_no_corner():
    # At shape 1 the density is exponential: its logarithm is a straight line in the threshold.
    data = {"t": 50 + 80 * np.random.default_rng(0).weibull(2.0, size=150)}
    one, other = (rp.mle(weibull, data, start={"g": 40.0, "lk": lk, "ll": 4.0}) for lk in (0.0, 0.1))
    assert one.converged and one.llf == pytest.approx(other.llf, abs=1e-8)
    np.testing.assert_allclose(one.params, other.params, rtol=1e-6)


def mixture(y, lp, m1, s1, m2, s2):
    first, second = norm.logpdf(y, m1, jnp.exp(s1)), norm.logpdf(y, m2, jnp.exp(s2))
    return jnp.logaddexp(jax.nn.log_sigmoid(lp) + first, jax.nn.log_sigmoid(-lp) + second)


@pytest.mark.filterwarnings("ignore::raphson.errors.ConvergenceWarning")
def test_a_component_that_begins_on_one_row_ends_in_a_status():
    # So narrow that second derivatives overflow in the other rows.
    y = np.r_[np.random.default_rng(3).normal(0, 1, 60), np.random.default_rng(4).normal(4, 0.5, 40)]
    formulas = {"m1": "y ~ 1", "lp": "~ 1", "s1": "~ 1", "m2": "~ 1", "s2": "~ 1"}
    fit = rp.mle(mixture, formulas, {"y": y}, start={"m1:Intercept": y[0], "s1:Intercept": -8.0})
    assert not fit.converged and "unbounded" in fit.message
    assert str(fit.summary())


def test_only_a_concave_likelihood_has_the_maximum():
    rng = np.random.default_rng(2)
    data = {"x": rng.normal(size=50)}
    data["y"] = rng.gamma(3.0, np.exp(0.5 + 0.3 * data["x"]) / 3.0)
    said = {
        link: rp.glm("y ~ x", data, family=rp.families.Gamma(link=link)).message
        for link in ("log", "inverse", "identity")
    }
    assert "at the maximum" in said["log"] and "at the maximum" in said["inverse"]
    assert "at a maximum" in said["identity"]
    data["y"] = rng.negative_binomial(0.7, 0.3, size=50)
    assert "at a maximum" in rp.glm("y ~ x", data, family="negative_binomial").message


@pytest.mark.parametrize("method", ["fisher-scoring", "irls", "newton"])
def test_a_second_maximum_is_looked_for_where_the_link_allows_one(method):
    # Two maxima, at -308.468 and -307.685 (by scipy's minimize from many starts).
    rng = np.random.RandomState(87342)
    X = rng.normal(size=(100, 3))
    X[:, 0] = 1
    mu = np.clip(20 + 5 * X.sum(axis=1), 1e-4, np.inf)
    # Inverse Gaussian draws of shape 1 (Michael, Schucany and Haas 1976), as scipy's invgauss makes them
    y = np.clip(np.random.RandomState(872).wald(mu, 1.0), 1e-4, None)
    family = rp.families.InverseGaussian(link="identity")
    fit = rp.glm(y, X, family=family, method=method)

    def lost(b):
        eta = X @ b
        return np.sum((y - eta) ** 2 / (y * eta**2)) if (eta > 0).all() else np.inf

    starts = [[level, 0.0, 0.0] for level in np.quantile(y, np.linspace(0.1, 0.9, 9))]
    best = min(minimize(lost, start, method="Nelder-Mead", options={"maxiter": 5000}).fun for start in starts)
    assert fit.converged and fit.deviance <= best * (1 + 1e-6)
    assert "at a maximum" in fit.message and "other" in fit.message
