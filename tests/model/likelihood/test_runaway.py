"""Maxima at infinity of likelihoods: what is infinite, the limit, and profiles with one end.

Right values are closed forms, the same model as a GLM, or scipy's maxima over the other parameters with brentq's roots.
"""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.scipy.special import gammaln
from scipy import stats

import raphson as rp
from raphson.model.limits import Limit

CHI2 = stats.chi2.ppf(0.95, 1)


def fitted(*args, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rp.mle(*args, **keywords)


def ends(fit, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit.profile(name).interval()


def negative_binomial(y, log_mean, log_theta):
    """As people write it: at a large θ a difference of large numbers."""
    mean, theta = jnp.exp(log_mean), jnp.exp(log_theta)
    value = gammaln(y + theta) - gammaln(theta) - gammaln(y + 1)
    return value + theta * jnp.log(theta / (theta + mean)) + y * jnp.log(mean / (theta + mean))


def test_a_hurdle_that_every_count_takes():
    k = 1.0 + np.random.default_rng(1).poisson(2, size=100)
    fit = fitted("hurdle_poisson", "k ~ 1", {"k": k})
    name = "logit_positive:Intercept"
    assert np.isposinf(fit.params[name]) and np.isnan(fit.bse[name]) and name in fit.message
    assert fit.status.value == "boundary" and np.isfinite(fit.bse["log_mean:Intercept"])
    # ℓ falls by 100 log(1 + e^−b).
    lower, upper = ends(fit, name)
    assert lower == pytest.approx(-np.log(np.expm1(CHI2 / 200)), abs=1e-7) and np.isposinf(upper)
    # The rest is a Poisson count cut at 0, whose mean μ/(1 − e^−μ) is that of the counts.
    mean = np.exp(fit.params["log_mean:Intercept"])
    assert mean / -np.expm1(-mean) == pytest.approx(k.mean(), rel=1e-10)


def test_theta_of_counts_that_vary_too_little():
    k = np.r_[np.zeros(100), np.random.default_rng(1).binomial(8, 0.5, 200)]
    fit = fitted("zinb", "k ~ 1", {"k": k})
    simpler = fitted("zip", "k ~ 1", {"k": k})
    assert np.isposinf(fit.params["log_theta:Intercept"]) and fit.llf == pytest.approx(simpler.llf, rel=1e-12)
    np.testing.assert_allclose(fit.params.iloc[:2], simpler.params, rtol=1e-8)
    np.testing.assert_allclose(fit.bse.iloc[:2], simpler.bse, rtol=1e-7)
    lower, upper = ends(fit, "log_theta:Intercept")
    assert lower == pytest.approx(4.58438, abs=2e-5) and np.isposinf(upper)
    # As the mean moves away from its estimate θ comes back from infinity: wider than the Poisson's interval.
    np.testing.assert_allclose(ends(fit, "log_mean:Intercept"), [1.3084583, 1.4516787], atol=2e-6)
    assert np.isinf(fit.profile("log_theta:Intercept").estimate)
    assert np.isfinite(fit.profile(lambda p: jnp.exp(p["log_mean:Intercept"])).interval()).all()


def test_a_group_without_zeros():
    g = np.repeat([0, 1], 100)
    r = np.random.default_rng(2)
    k = r.poisson(2, 200) * np.where(g == 0, r.uniform(size=200) > 0.4, 1)
    with pytest.warns(rp.SeparationWarning, match="logit_zero:g"):
        fit = rp.mle("zip", {"mean": "k ~ g", "zero": "~ g"}, {"k": k, "g": g})
    assert np.isneginf(fit.params["logit_zero:g"]) and np.isnan(fit.bse["logit_zero:g"])
    table = fit.conf_int(kind="profile")
    assert np.isneginf(table.loc["logit_zero:g", "lower"])
    assert table.loc["logit_zero:g", "upper"] == pytest.approx(-1.912127, abs=2e-6)
    np.testing.assert_allclose(table.loc["log_mean:g"], [0.0069539, 0.5769707], atol=2e-6)
    again = fit.predict(kind="response")
    assert np.isfinite(again).all()


@pytest.mark.parametrize("scale", ["log", "raw"])
def test_a_users_own_density_whose_rounding_ends_the_search(scale):
    k = np.random.default_rng(3).binomial(5, 0.5, 200).astype(float)
    poisson = rp.glm("k ~ 1", {"k": k}, family="poisson")
    if scale == "log":
        fit = fitted(negative_binomial, {"log_mean": "k ~ 1", "log_theta": "~ 1"}, {"k": k})
        name, value = "log_theta:Intercept", np.exp
    else:

        def general(p, row):
            return negative_binomial(row.k, p["log_mean"], jnp.log(p["theta"]))

        fit = fitted(general, {"k": k}, start={"log_mean": 1.0, "theta": 5.0})
        name, value = "theta", float
    assert np.isposinf(fit.params[name]) and np.isnan(fit.bse[name])
    assert fit.llf == pytest.approx(poisson.llf, abs=1e-4)
    assert fit.params.iloc[0] == pytest.approx(poisson.params["Intercept"], abs=1e-6)
    assert fit.bse.iloc[0] == pytest.approx(poisson.bse["Intercept"], rel=1e-5)
    lower, upper = ends(fit, name)
    assert value(lower) == pytest.approx(77.37, abs=0.02) and np.isposinf(upper)


def test_all_that_a_combination_leaves_alone_is_estimated():
    # The rows at x = 5 are neither: a + 5 b stays finite while both go to infinity.
    data = {"x": [1.0, 2, 3, 4, 5, 5, 5, 5, 6, 7, 8], "y": [0.0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 1]}
    fit = fitted(lambda y, eta: -jnp.logaddexp(0.0, -(2 * y - 1) * eta), {"eta": "y ~ x"}, data)
    assert fit.params.tolist() == [-np.inf, np.inf] and fit.llf == pytest.approx(4 * np.log(0.5), rel=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        glm = rp.glm("y ~ x", data, family="binomial")
        np.testing.assert_allclose(fit.conf_int(kind="profile"), glm.conf_int(kind="profile"), rtol=1e-6)


def test_a_group_without_events():
    x = np.repeat(["a", "b"], 60)
    t = np.random.default_rng(8).weibull(1.5, 120)
    fit = fitted("weibull", "t ~ x", {"t": t, "event": np.where(x == "a", 1, 0), "x": x})
    lower, upper = ends(fit, "log_time:x[T.b]")
    assert fit.status.value == "separated" and np.isposinf(fit.params["log_time:x[T.b]"])
    assert lower == pytest.approx(2.2448783, abs=2e-6) and np.isposinf(upper)


def test_a_maximum_stays_one():
    # Far from a parabola, and flat towards large θ, but finite.
    k = np.random.default_rng(5).negative_binomial(12, 0.75, 300).astype(float)
    fit = fitted(negative_binomial, {"log_mean": "k ~ 1", "log_theta": "~ 1"}, {"k": k})
    glm = rp.glm("k ~ 1", {"k": k}, family="negative_binomial")
    assert fit.converged and np.exp(fit.params.iloc[1]) == pytest.approx(glm.theta, rel=1e-5)


def test_a_negative_binomial_with_a_level_of_zeros_that_is_a_poisson():
    x = np.repeat(["a", "b", "c"], 60)
    k = np.where(x == "c", 0, np.random.default_rng(4).binomial(4, 0.4, 180)).astype(float)
    data = pd.DataFrame({"k": k, "x": x})
    with pytest.warns(rp.SeparationWarning, match=r"poisson.*infinite: x\[T.c\]"):
        fit = rp.glm("k ~ x", data, family="negative_binomial")
    with pytest.warns(rp.SeparationWarning):
        poisson = rp.glm("k ~ x", data, family="poisson")
    np.testing.assert_array_equal(np.isneginf(fit.params), [False, False, True])
    np.testing.assert_allclose(fit.params.iloc[:2], poisson.params.iloc[:2], rtol=1e-10)
    np.testing.assert_allclose(fit.bse, poisson.bse, rtol=1e-8)
    np.testing.assert_allclose(ends(fit, "x[T.c]"), ends(poisson, "x[T.c]"))


def test_limits_of_limits_are_told_together():
    first = Limit("boundary", "m", np.array([0.0, 0, 1]), None, "poisson is its limit")
    joined = first.joined(Limit("separated", "n", np.array([0.0, -1]), np.array([0.0, -9])))
    assert joined.status == "separated" and joined.model == "n"
    np.testing.assert_array_equal(joined.infinite, [0, -1, 1])
    np.testing.assert_array_equal(joined.direction, [0, -9, 0])
    assert "poisson is its limit" in joined.note and "separate" in joined.note
