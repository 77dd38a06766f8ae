"""Fits that look well and are not, unless somebody looks twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = 120
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": rng.choice(list("abc"), n), "cl": rng.integers(0, 9, n)})
    frame["bin"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-0.3 - 0.5 * frame.x))).astype(int)
    frame["count"] = rng.poisson(np.exp(1 + 0.3 * frame.x))
    frame["rain"] = [rng.gamma(2, 0.5, size=k).sum() for k in frame["count"]]
    return frame


def test_weights_that_vanish_are_no_aliased_columns(data):
    # √W X is zero there; judged by it, every column would be aliased and the empty model "converged".
    with pytest.warns(rp.ConvergenceWarning, match="step limit|singular"):
        fit = rp.glm("bin ~ x", data, family="binomial", start=[1e10, 0.0])
    assert not fit.converged
    assert fit.params.notna().all()


@pytest.mark.parametrize("far", [37.0, 1000.0])
def test_a_start_far_out_is_climbed_back_from(data, far):
    # At 1000 no row has information left; the outer product of the scores still knows the way.
    fit = rp.glm("bin ~ x", data, family="binomial", start=[far, 0.0])
    usual = rp.glm("bin ~ x", data, family="binomial")
    assert fit.converged
    np.testing.assert_allclose(fit.params, usual.params, rtol=1e-10)


@pytest.mark.parametrize("link", ["logit", "probit", "cauchit", "cloglog"])
def test_a_link_that_cannot_reach_the_responses_is_refused(data, link):
    with pytest.raises(rp.ModelError, match=f"link: the means of the {link} link lie between 0 and 1"):
        rp.glm("count ~ x", data, family=rp.families.Poisson(link=link))


def test_nothing_is_claimed_of_a_mean_at_infinity(data):
    with pytest.warns(rp.SeparationWarning):
        fit = rp.glm("y ~ g", data.assign(y=np.where(data.g == "a", 0, data["count"])), family="poisson")
    new = {"g": ["a", "b"]}
    link = fit.predict(new, kind="link", se=True, interval="confidence")
    assert link["fit"][0] == -np.inf
    assert link.loc[0, ["se", "lower", "upper"]].isna().all()
    assert link.loc[1].notna().all()
    mean = fit.predict(new, se=True, interval="confidence")
    assert mean["fit"][0] == 0
    assert mean.loc[0, ["se", "lower", "upper"]].isna().all()


def test_a_separated_level_tells_nothing_of_the_dispersion(data):
    zeros = data.assign(y=np.where(data.g == "a", 0, data.rain))
    with pytest.warns(rp.SeparationWarning):
        whole = rp.glm("y ~ g", zeros, family="tweedie(1.5)")
    rest = rp.glm("y ~ g", zeros[zeros.g != "a"], family="tweedie(1.5)")
    assert whole.llf == pytest.approx(rest.llf, rel=1e-10)
    assert whole.deviance == pytest.approx(rest.deviance, rel=1e-10)


def test_clusters_by_the_name_of_a_column(data):
    fit = rp.glm("bin ~ x", data, family="binomial")
    by_name, by_values = fit.robust("cluster", groups="cl"), fit.robust("cluster", groups=data.cl)
    np.testing.assert_array_equal(by_name.bse, by_values.bse)
    with pytest.raises(rp.DataError, match=r"groups: expected a column of the data .*; got 'nowhere'"):
        fit.robust("cluster", groups="nowhere")


def test_counts_that_vary_too_little_are_poisson():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=100), "y": rng.binomial(10, 0.5, size=100)})
    fit = rp.glm("y ~ x", data, family="negative_binomial")
    assert fit.theta == np.inf and fit.status.value == "boundary"
    assert "the responses vary no more than poisson ones" in fit.message
    np.testing.assert_allclose(fit.params, rp.glm("y ~ x", data, family="poisson").params, rtol=1e-10)


@pytest.mark.parametrize("argument", ["weights", "offset", "groups"])
def test_rows_in_another_order_are_not_matched_by_position(data, argument):
    shuffled = data["cl"].sample(frac=1, random_state=0)
    with pytest.raises(rp.DataError, match=f"{argument}: its index differs"):
        rp.glm("count ~ x", data, family="poisson", **{argument: shuffled})
    rp.glm("count ~ x", data[data.x > 0], family="poisson", offset=pd.Series(np.zeros((data.x > 0).sum())))


def test_a_response_in_another_order_is_refused(data):
    with pytest.raises(rp.DataError, match="y: its index differs"):
        rp.glm(data["count"], data[["x"]].sample(frac=1, random_state=0), family="poisson")


def test_within_is_refused_rather_than_read_otherwise_than_in_r(data):
    with pytest.raises(rp.FormulaError, match="%in% is not supported; write a:b"):
        rp.glm("count ~ x %in% g", data)


def test_classes_that_are_told_from_the_others_together_keep_their_odds():
    # Where x > 0 all are u; elsewhere v and w are as in the logistic regression of those rows alone.
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=400), "z": rng.normal(size=400)})
    low = np.where(frame["z"] + rng.normal(size=400) > 0, "w", "v")
    frame["level"] = np.where(frame["x"] > 0, "u", low)
    with pytest.warns(rp.SeparationWarning):
        fit = rp.glm("level ~ x + z", frame, family="multinomial")
    rest = frame[frame["x"] <= 0]
    part = rp.glm((rest["level"] == "w").astype(float), rest[["x", "z"]].assign(one=1.0), family="binomial")
    assert fit.status.value == "separated" and fit.distance < 1e-10
    assert fit.llf == pytest.approx(part.llf, rel=1e-13)


# -- where the method's own information leads nowhere ------------------------------------------------------------


@pytest.mark.parametrize("method", ["fisher-scoring", "irls", "newton", "bhhh"])
def test_counts_of_strong_overdispersion(method):
    # θ near 0.02: the first steps are hundreds of standard errors long.
    from scipy.optimize import minimize
    from scipy.stats import nbinom

    y = np.random.default_rng(0).negative_binomial(0.02, 0.02 / (0.02 + 20), size=500)
    fit = rp.glm("y ~ 1", {"y": y}, family="negative_binomial", method=method)
    best = minimize(
        lambda t: -nbinom.logpmf(y, np.exp(t[1]), 1 / (1 + np.exp(t[0] - t[1]))).sum(), [1.0, -3.0], tol=1e-10
    )
    assert fit.converged and abs(fit.llf + best.fun) < 1e-6
    assert fit.theta == pytest.approx(np.exp(best.x[1]), rel=1e-4) and fit.theta_se > 0
    assert "converged" in str(fit.summary()).lower()


@pytest.mark.parametrize("method", ["fisher-scoring", "irls", "bhhh"])
def test_a_link_whose_expected_information_misleads(method):
    rng = np.random.default_rng(37)
    X = np.column_stack([np.ones(12), rng.integers(0, 3, 12), rng.integers(0, 2, 12)]).astype(float)
    y = (rng.uniform(size=12) < 1 / (1 + np.exp(-(X @ [-0.5, 1.2, -1.5])))).astype(float)
    fit = rp.glm(y, X, family=rp.families.Binomial(link="cauchit"), method=method)
    p = 0.5 + np.arctan(X @ fit.params.to_numpy()) / np.pi
    slope = X.T @ ((y - p) / (p * (1 - p)) / np.pi / (1 + np.tan(np.pi * (p - 0.5)) ** 2))
    assert fit.converged and np.abs(slope).max() < 1e-9
    assert "observed" in fit.path["solver"].to_list()


def test_an_iteration_without_success_still_has_its_summary():
    y = np.random.default_rng(0).negative_binomial(0.02, 0.02 / (0.02 + 20), size=500)
    with pytest.warns(rp.ConvergenceWarning):
        fit = rp.glm("y ~ 1", {"y": y}, family="negative_binomial", information="observed", max_iter=1)
    assert "step limit" in str(fit.summary()).lower()


def test_what_is_within_the_tolerance_has_converged_whatever_max_iter_was():
    births = rp.datasets.load("births")
    fit = rp.glm("low ~ age + lwt + race + smoke", births, family="binomial", max_iter=3)
    assert fit.distance <= 1e-8 and fit.converged and fit.n_iter == 3
    with pytest.warns(rp.ConvergenceWarning):
        short = rp.glm("low ~ age + lwt + race + smoke", births, family="binomial", max_iter=2)
    assert short.distance > 1e-8 and not short.converged
