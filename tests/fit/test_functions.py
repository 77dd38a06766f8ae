"""Profiles and the delta method as a user holds them."""

from __future__ import annotations

import math
import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

import raphson as rp


@pytest.fixture(scope="module")
def logistic():
    return rp.glm("low ~ lwt + smoke + C(race)", rp.datasets.load("births"), family="binomial")


@pytest.fixture(scope="module")
def curve():
    x = np.linspace(1.0, 8.0, 20)
    return x, 5.0 * (1 - np.exp(-0.4 * x)) + 0.2 * np.sin(7 * x)


def test_a_quadratic_likelihood_has_wald_intervals(linear):
    np.testing.assert_allclose(linear.conf_int(0.9, kind="profile"), linear.conf_int(0.9), rtol=1e-10)
    trace = linear.profile("x").trace
    slope = (trace["value"] - linear.params["x"]) / linear.bse["x"]
    np.testing.assert_allclose(trace["zeta"], slope, atol=1e-7)


def test_least_squares_profiles_are_f_ratios(curve):
    x, y = curve
    fit = rp.nls("y ~ a*(1 - exp(-b*x))", {"x": x, "y": y}, start={"a": 4.0, "b": 0.5})
    cut = stats.f.ppf(0.95, 1, 18)

    def ratio(b):
        shape = 1 - np.exp(-b * x)
        a = (shape @ y) / (shape @ shape)
        return (np.sum((y - a * shape) ** 2) - fit.rss) / (fit.rss / 18) - cut

    b, se = fit.params["b"], fit.bse["b"]
    ends = [optimize.brentq(ratio, b, b + side * 6 * se, xtol=1e-14) for side in (-1, 1)]
    np.testing.assert_allclose(fit.profile("b").interval(), ends, rtol=1e-9)
    np.testing.assert_allclose(fit.conf_int(kind="profile").loc["b"], ends, rtol=1e-9)
    assert abs(ends[1] - b) > abs(ends[0] - b)


def test_the_trace(logistic):
    profile = logistic.profile("smoke")
    trace = profile.trace
    assert list(trace) == ["value", "zeta", "llf_drop", *logistic.names]
    np.testing.assert_allclose(trace["smoke"], trace["value"], atol=1e-10)
    assert trace["zeta"].is_monotonic_increasing and len(trace) == 17
    reach = stats.norm.ppf(0.995)
    np.testing.assert_allclose(trace["zeta"].iloc[[0, -1]], [-reach, reach], rtol=1e-8)
    np.testing.assert_array_equal(profile.values, trace["value"])
    np.testing.assert_allclose(profile.zeta**2 / 2, trace["llf_drop"])
    assert profile.better is None and profile.estimate == pytest.approx(logistic.params["smoke"])
    assert profile.se == pytest.approx(logistic.bse["smoke"]) and "95% interval" in repr(profile)
    assert "90%" in profile.plot(0.9).get_title(loc="left")


def test_profiles_of_one_parameter_however_written(logistic):
    name = "C(race)[T.other]"
    expected = logistic.profile(name).interval()
    row = {name: 1.0}
    for form in (name + " = 0", row, lambda p: p[name]):
        np.testing.assert_allclose(logistic.profile(form).interval(), expected, rtol=1e-9)


def test_all_parameters_are_maximised_over(sample):
    fit = rp.glm(sample.spread, sample.X[:, :2], family="negative_binomial", names=["one", "x"])

    y = sample.spread

    def drop(x):
        def loss(v):
            mean, size = np.exp(v[0] + x * sample.x), np.exp(v[1])
            shape = special.gammaln(y + size) - special.gammaln(size) - special.gammaln(y + 1)
            return -np.sum(shape + size * np.log(size / (size + mean)) + y * np.log(mean / (size + mean)))

        best = optimize.minimize(loss, [fit.params["one"], math.log(fit.theta)], tol=1e-12).fun
        return 2 * (best + fit.llf) - stats.chi2.ppf(0.95, 1)

    lower, upper = fit.profile("x").interval()
    assert abs(drop(lower)) < 1e-6 and abs(drop(upper)) < 1e-6


def test_separation_leaves_one_end(sample):
    x = np.array([1.0, 2, 3, 4, 5, 6])
    X = np.column_stack([np.ones(6), x])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = rp.glm((x > 3) * 1.0, X, names=["one", "x"], family="binomial")
    with pytest.raises(rp.ModelError, match="kind: expected one of wald, profile; got 'bayes'"):
        fit.conf_int(kind="bayes")
    interval = fit.conf_int(kind="profile")
    assert interval.loc["x", "upper"] == math.inf and interval.loc["one", "lower"] == -math.inf
    # At the lower end twice the log-likelihood is below its supremum 0 by the quantile of χ².
    end = interval.loc["x", "lower"]
    best = optimize.minimize_scalar(lambda a: np.logaddexp(0, -(a + end * x) * np.where(x > 3, 1, -1)).sum(), tol=1e-12)
    assert 2 * best.fun == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-8)
    assert np.isnan(fit.conf_int()).all().all()
    assert len(fit.profile("x").trace) > 3
    with pytest.raises(rp.ModelError, match="some estimates are infinite"):
        fit.profile(lambda p: jnp.exp(p["x"]))


def test_ends_stop_at_bounds(curve):
    x, y = curve
    data = {"x": x, "y": y}
    free = rp.nls("y ~ a*(1 - exp(-b*x))", data, start={"a": 4.0, "b": 0.5})
    lower, upper = free.conf_int(kind="profile").loc["a"]
    middle = 0.5 * (free.params["a"] + upper)
    held = rp.nls("y ~ a*(1 - exp(-b*x))", data, start={"a": 4.0, "b": 0.5}, bounds={"a": (None, middle)})
    np.testing.assert_allclose(held.conf_int(kind="profile").loc["a"], [lower, middle], rtol=1e-8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smok", "'smok' is not a parameter|is not a parameter"),
        ("lwt, smoke", "a parameter or a function that returns one number; got 2"),
        (lambda p: jnp.stack([p["lwt"], p["smoke"]]), "returns one number; got 2"),
        (lambda p: 1.0, "expected a function of an estimated parameter"),
        (3, "function: expected a matrix"),
    ],
)
def test_what_cannot_be_profiled(logistic, name, message):
    with pytest.raises(rp.ModelError, match=message):
        logistic.profile(name)


def test_aliased_parameters_have_no_interval(sample):
    with pytest.warns(rp.RankWarning):
        fit = rp.glm(sample.count, np.column_stack([sample.X, sample.x]), family="poisson", names=list("abcd"))
    with pytest.raises(rp.ModelError, match="kind: expected one of wald, profile; got 'bayes'"):
        fit.conf_int(kind="bayes")
    interval = fit.conf_int(kind="profile")
    assert np.isnan(interval.loc["d"]).all() and np.isfinite(interval.loc[["a", "b", "c"]]).all().all()
    with pytest.raises(rp.ModelError, match="d depends on fixed or aliased ones"):
        fit.profile("d")


# -- the delta method ------------------------------------------------------------------------------------------


def test_delta_of_each_shape(logistic):
    V, b = logistic.cov_params().to_numpy(), logistic.params
    one = logistic.delta(lambda p: jnp.exp(p["smoke"]))
    assert one.estimate == pytest.approx(math.exp(b["smoke"]))
    assert one.se == pytest.approx(math.exp(b["smoke"]) * logistic.bse["smoke"], rel=1e-12)
    reach = stats.norm.ppf(0.975) * one.se
    np.testing.assert_allclose(one.interval, [one.estimate - reach, one.estimate + reach], rtol=1e-9)
    assert "std. error" in repr(one)
    several = logistic.delta(lambda p: {"odds": jnp.exp(p["smoke"]), "ratio": p["lwt"] / p["smoke"]}, level=0.9)
    assert isinstance(several.se, pd.Series) and several.se["odds"] == pytest.approx(one.se)
    g = np.zeros(5)
    g[1], g[2] = 1 / b["smoke"], -b["lwt"] / b["smoke"] ** 2
    assert several.se["ratio"] == pytest.approx(math.sqrt(g @ V @ g), rel=1e-10)
    assert list(several.interval) == ["lower", "upper"] and several.cov.shape == (2, 2) and "odds" in repr(several)
    words = logistic.delta("lwt - 2*smoke = 0.5")
    contrast = logistic.t_test("lwt - 2*smoke").iloc[0]
    assert words.estimate == pytest.approx(contrast["estimate"] - 0.5) and words.se == pytest.approx(
        contrast["std_error"]
    )


def test_the_second_order_is_exact_for_a_lognormal_mean_to_that_order():
    # For θ̂ ~ N(θ, v), E[θ̂²] = θ² + v and Var[θ̂²] = 4θ²v + 2v²: exact, since θ² has no third derivative.
    rng = np.random.default_rng(0)
    fit = rp.glm(rng.normal(size=30) + 0.5, np.ones((30, 1)), names=["m"])
    v, m = float(fit.bse["m"]) ** 2, float(fit.params["m"])
    second = fit.delta(lambda p: p["m"] ** 2, order=2)
    assert second.estimate == pytest.approx(m**2 - v, rel=1e-12)
    assert second.se == pytest.approx(math.sqrt(4 * m**2 * v + 2 * v**2), rel=1e-12)
    first = fit.delta(lambda p: p["m"] ** 2)
    assert (first.estimate, first.se) == (pytest.approx(m**2), pytest.approx(2 * abs(m) * math.sqrt(v)))


def test_delta_follows_the_covariance_and_the_reference(linear):
    robust = linear.robust("HC1")
    assert robust.delta(lambda p: p["x"]).se == pytest.approx(robust.bse["x"])
    np.testing.assert_allclose(linear.delta(lambda p: p["x"]).interval, linear.conf_int().loc["x"], rtol=1e-9)


def test_delta_refuses(linear, sample):
    with pytest.raises(rp.ModelError, match="order: expected 1 or 2; got 3"):
        linear.delta(lambda p: p["x"], order=3)
    with pytest.raises(rp.ModelError, match="level: expected"):
        linear.delta(lambda p: p["x"], level=95)
    with pytest.warns(rp.RankWarning):
        fit = rp.glm(sample.count, np.column_stack([sample.X, sample.x]), family="poisson", names=list("abcd"))
    with pytest.raises(rp.ModelError, match=r"d has none .aliased"):
        fit.delta(lambda p: p["d"] ** 2)
    assert fit.delta(lambda p: p["b"]).se == pytest.approx(fit.bse["b"])


def test_every_profile_of_an_awkward_likelihood_ends_in_a_number_or_infinity():
    y = [5, 11, 21, 31, 46, 75, 98, 122, 145, 165, 195, 224, 245, 293, 321, 330, 350, 420.0]

    def extended_weibull(p, row):
        a, b = jnp.exp(p["la"]), jnp.exp(p["lb"])
        r = (row.y / a) ** b
        return p["ll"] + p["lb"] + (b - 1) * jnp.log(row.y / a) + r - jnp.exp(p["ll"]) * a * jnp.expm1(r)

    fit = rp.mle(extended_weibull, {"y": np.array(y)}, start={"ll": -5.0, "la": 5.0, "lb": -0.3})
    # Towards small shapes exp(la) leaves the numbers before the likelihood has fallen far enough.
    with pytest.warns(rp.ConvergenceWarning, match="could be traced only to") as caught:
        table = fit.conf_int(kind="profile")
    told = " ".join(str(one.message) for one in caught)
    # By scipy, over the other two.
    np.testing.assert_allclose(table.loc["ll"], [-6.9097807, np.inf], atol=2e-6)
    assert table.loc["lb", "upper"] == pytest.approx(0.3616397, abs=2e-6)
    assert table.isna().to_numpy().tolist()[0] == [False, False]
    for name, (lower, upper) in table.iterrows():
        assert not np.isnan(upper) and (not np.isnan(lower) or f"profile of {name}: the lower end" in told)


def test_a_function_that_is_linear_is_profiled_as_words_are_also_at_infinity():
    data = {"y": [0, 0, 0, 1, 1, 1, 0, 1], "x": [1.0, 2, 3, 4, 5, 6, 2.5, 4.5], "z": [0.0, 1, 0, 1, 0, 1, 1, 0]}
    with pytest.warns(rp.SeparationWarning):
        fit = rp.glm("y ~ x + z", data, family="binomial")
    by_words = fit.profile("x - z").interval()
    np.testing.assert_allclose(fit.profile(lambda p: p["x"] - p["z"]).interval(), by_words, rtol=1e-12)
    with pytest.raises(
        rp.ModelError, match="expected a parameter or a linear combination, as some estimates are infinite"
    ):
        fit.profile(lambda p: p["x"] * p["z"])


def test_an_expression_in_words_is_the_function_that_it_says(curve, logistic):
    x, y = curve
    fit = rp.nls("y ~ a*(1 - exp(-b*x))", {"x": x, "y": y}, start={"a": 4.0, "b": 0.5})
    half, by_function = fit.delta("log(2)/b"), fit.delta(lambda p: jnp.log(2.0) / p["b"])
    assert (half.estimate, half.se) == pytest.approx((by_function.estimate, by_function.se), rel=1e-14)
    wanted = np.log(2.0) / fit.profile("b").interval()[::-1]
    np.testing.assert_allclose(fit.profile("log(2)/b").interval(), wanted, rtol=1e-6)
    last = logistic.names[-1]
    ratio = logistic.params[last] / logistic.params["lwt"]
    assert "[T." in last and logistic.delta(f"{last}/lwt").estimate == pytest.approx(ratio, rel=1e-14)
    for wrong in ("log(2)/k", "log(lwt)/nope", "fit(lwt)"):
        with pytest.raises(rp.ModelError, match="is not a parameter; the parameters are Intercept, lwt"):
            logistic.delta(wrong)
