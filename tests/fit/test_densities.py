"""What a likelihood's fit predicts: means, quantiles, probabilities and functions, with their standard errors."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import raphson as rp

rng = np.random.default_rng(5)
N = 120
FRAME = pd.DataFrame({"x": rng.normal(size=N), "done": 1})
FRAME["y"] = 1.0 + FRAME["x"] + rng.normal(size=N)
FRAME["count"] = rng.poisson(np.exp(0.5 + 0.4 * FRAME["x"])) * (rng.random(N) < 0.7)
FRAME["time"] = rng.weibull(1.5, N) * np.exp(0.3 * FRAME["x"])
FRAME["level"] = np.digitize(FRAME["y"], [0.5, 1.5])
NEW = FRAME[["x", "done"]].head(4)


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma - 0.5 * jnp.log(2 * jnp.pi)


@pytest.fixture(scope="module")
def fit():
    return rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ x"}, FRAME)


@pytest.fixture(scope="module")
def inflated():
    return rp.mle("zero_inflated_poisson", {"log_mean": "count ~ x", "logit_zero": "~ 1"}, FRAME)


def test_a_normal_mean_and_its_quantiles(fit):
    link = fit.predict(NEW, se=True)
    mean = fit.predict(NEW, kind="response", se=True, interval="confidence")
    np.testing.assert_allclose(mean["fit"], link["mu"], rtol=1e-12)
    np.testing.assert_allclose(mean["se"], link["mu_se"], rtol=1e-10)
    np.testing.assert_allclose(mean["upper"], link["mu"] + stats.norm.ppf(0.975) * link["mu_se"], rtol=1e-10)
    ends = fit.predict(NEW, interval="prediction", level=0.9)
    sigma = np.exp(link["log_sigma"])
    np.testing.assert_allclose(ends["lower"], link["mu"] + stats.norm.ppf(0.05) * sigma, rtol=1e-6)
    np.testing.assert_allclose(ends["upper"], link["mu"] + stats.norm.ppf(0.95) * sigma, rtol=1e-6)
    assert fit.predict(kind="response").index.equals(FRAME.index)


def test_a_count_has_the_mean_and_the_quantiles_of_its_density(inflated):
    link = inflated.predict(NEW)
    mean, share = np.exp(link["log_mean"]), 1 / (1 + np.exp(link["logit_zero"]))
    found = inflated.predict(NEW, kind="response", se=True)
    np.testing.assert_allclose(found["fit"], mean * share, rtol=1e-10)
    same = inflated.predict(NEW, function=lambda log_mean, zero: jnp.exp(log_mean) / (1 + jnp.exp(zero)), se=True)
    pd.testing.assert_frame_equal(found, same, rtol=1e-8)
    # by hand: the delta method from the covariance of all parameters
    g = np.column_stack([mean * share, NEW["x"] * mean * share, -mean * share * (1 - share)])
    V = inflated.cov_params().to_numpy()
    np.testing.assert_allclose(found["se"], np.sqrt(np.einsum("ij,jk,ik->i", g, V, g)), rtol=1e-8)
    upper = inflated.predict(NEW, interval="prediction")["upper"]
    for value, m, p in zip(upper, mean, share, strict=True):
        assert 1 - p + p * stats.poisson.cdf(value, m) >= 0.975 > 1 - p + p * stats.poisson.cdf(value - 1, m)


def test_a_survival_time_is_that_of_the_event():
    fit = rp.mle("weibull", {"log_time": "time ~ x"}, FRAME, columns={"event": "done"})
    link = fit.predict(NEW)
    shape, scale = np.exp(-link["log_sigma"]), np.exp(link["log_time"])
    np.testing.assert_allclose(fit.predict(NEW, kind="response"), stats.weibull_min.mean(shape, scale=scale), rtol=1e-9)
    ends = fit.predict(NEW, interval="prediction")
    np.testing.assert_allclose(ends["lower"], stats.weibull_min.ppf(0.025, shape, scale=scale), rtol=1e-5)


def test_a_column_of_the_density_is_read_from_the_new_data():
    def scaled(y, mu, log_sigma, *, width):
        return normal(y, mu * width, log_sigma)

    frame = FRAME.assign(w=np.linspace(1, 2, N))
    fit = rp.mle(scaled, {"mu": "y ~ x", "log_sigma": "~ 1"}, frame, columns={"width": "2*w"})
    new = NEW.assign(w=[1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(fit.predict(new, kind="response"), 2 * new["w"] * fit.predict(new)["mu"], rtol=1e-10)


def test_ordered_levels_have_probabilities():
    fit = rp.mle("ordered_logit", "level ~ x", FRAME)
    p = fit.predict(NEW, kind="response")
    eta, cuts = fit.predict(NEW)["location"].to_numpy(), fit.params.to_numpy()[1:]
    below = 1 / (1 + np.exp(-(cuts - eta[:, None])))
    np.testing.assert_allclose(p, np.diff(np.column_stack([np.zeros(4), below, np.ones(4)])), rtol=1e-9)
    wide = fit.predict(NEW, kind="response", se=True, interval="confidence")
    by_hand = fit.predict(NEW, function=lambda eta, low, high: 1 / (1 + jnp.exp(eta - low)), se=True)
    np.testing.assert_allclose(wide[wide.columns[3]], by_hand["se"], rtol=1e-8)
    with pytest.raises(rp.ModelError, match=r"interval: .* for ordered levels; got 'prediction'"):
        fit.predict(NEW, interval="prediction")


def test_the_general_form_predicts_functions_of_the_row():
    def loglik(params, row):
        return normal(row.y, params["b"][0] + params["b"][1] * row.x, params["s"])

    fit = rp.mle(loglik, FRAME, start={"b": np.zeros(2), "s": 0.0})
    found = fit.predict(NEW, function=lambda params, row: params["b"][0] + params["b"][1] * row.x, se=True)
    linear = rp.glm("y ~ x", FRAME, dispersion=float(np.exp(2 * fit.params["s"])))
    pd.testing.assert_frame_equal(found, linear.predict(NEW, se=True), rtol=1e-6)
    assert len(fit.predict(function=lambda params, row: params["s"] * row.x)) == N


def test_what_cannot_be_predicted(fit, inflated):
    with pytest.raises(rp.ModelError, match="expected one of response, link; got 'mean'"):
        fit.predict(kind="mean")
    with pytest.raises(rp.ModelError, match="interval: expected one of confidence, prediction or None; got 'wide'"):
        fit.predict(interval="wide")
    with pytest.raises(rp.ModelError, match=r"expected lambda mu, log_sigma: \.\.\..* failed with TypeError"):
        fit.predict(function=lambda mu: mu)
    with pytest.raises(rp.ModelError, match="one number for each row"):
        fit.predict(function=lambda mu, s: jnp.stack([mu, s]))
    with pytest.raises(rp.ModelError, match="with function=; got"):
        fit.predict(function=lambda mu, s: mu, interval="prediction")
    tobit = rp.mle("tobit", "y ~ x", FRAME.assign(y=np.maximum(FRAME["y"], 0.0)))
    with pytest.raises(rp.ModelError, match="a mass at one point"):
        tobit.predict(kind="response")


def test_a_row_that_lacks_something_is_predicted_as_far_as_it_can_be(fit, inflated):
    new = NEW.copy()
    new.loc[2, "x"] = np.nan
    link = inflated.predict(new)
    assert np.isnan(link["log_mean"]).tolist() == [False, False, True, False] and link["logit_zero"].notna().all()
    for one in (fit, inflated):
        found, whole = one.predict(new, kind="response", se=True), one.predict(NEW, kind="response", se=True)
        assert found.loc[2].isna().all()
        pd.testing.assert_frame_equal(found.drop(2), whole.drop(2))
    above = fit.predict(new, function=lambda mu, log_sigma: jnp.where(mu > -50, 1.0, 0.0))
    assert above.tolist()[:2] == [1.0, 1.0] and np.isnan(above[2])
    with pytest.warns(rp.MissingDataWarning, match="1 of 4 rows dropped"):
        dropped = inflated.predict(new, kind="response", missing="drop")
    assert dropped.index.tolist() == [0, 1, 3]


def test_a_column_of_the_density_may_be_missing_in_new_rows():
    data = FRAME.assign(floor=-9.0)
    fit = rp.mle(censored, {"mu": "y ~ x", "log_sigma": "~ 1"}, data)
    new = data[["x", "floor"]].head(3).astype({"floor": float})
    new.loc[1, "floor"] = np.nan
    mean = fit.predict(new, kind="response")
    assert np.isnan(mean).tolist() == [False, True, False]
    np.testing.assert_allclose(mean[[0, 2]], fit.predict(new)["mu"][[0, 2]], atol=1e-8)


def censored(y, mu, log_sigma, *, floor):
    """A normal truncated far below everything."""
    return normal(y, mu, log_sigma) + jnp.where(y > floor, 0.0, -jnp.inf)


def test_a_function_of_a_row_with_something_missing_is_missing():
    def loglik(params, row):
        return normal(row.y, params["b"] * row.x, 0.0)

    fit = rp.mle(loglik, FRAME, start={"b": 0.0})
    sign = fit.predict({"x": [1.0, np.nan]}, function=lambda params, row: jnp.where(row.x > 0, 1.0, -1.0))
    assert sign[0] == 1.0 and np.isnan(sign[1])


def test_prediction_intervals_at_a_limit_are_those_of_the_simpler_distribution():
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    data = {"x": x, "y": 1.0 + x + rng.uniform(-1.0, 1.0, 80), "k": rng.poisson(2.0, 80) + 1.0}
    fit = rp.mle("student_t", "y ~ x", data)
    assert fit.params["log_df:Intercept"] == np.inf
    found = fit.predict({"x": [0.0, 1.0]}, se=True, interval="prediction")
    location = fit.params["location:Intercept"] + fit.params["location:x"] * np.array([0.0, 1.0])
    reach = stats.norm.ppf(0.975) * np.exp(fit.params["log_scale:Intercept"])
    np.testing.assert_allclose(found["lower"], location - reach, rtol=1e-5)
    np.testing.assert_allclose(found["upper"], location + reach, rtol=1e-5)
    assert found["se"].isna().all()
    counts = rp.mle("zip", {"mean": "k ~ x", "zero": "~ 1"}, data)
    assert counts.params["logit_zero:Intercept"] == -np.inf
    found = counts.predict({"x": [0.0, 1.0]}, interval="prediction")
    mean = np.exp(counts.params["log_mean:Intercept"] + counts.params["log_mean:x"] * np.array([0.0, 1.0]))
    np.testing.assert_array_equal(found["lower"], stats.poisson.ppf(0.025, mean))
    np.testing.assert_array_equal(found["upper"], stats.poisson.ppf(0.975, mean))
    assert counts.predict({"x": [0.0]}, interval="confidence").filter(like="logit_zero_lower").isna().all(axis=None)
