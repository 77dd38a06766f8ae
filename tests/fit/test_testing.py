"""Hypotheses about a fit's parameters: three tests, three forms of a constraint, and what they refuse."""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raphson as rp


@pytest.fixture(scope="module")
def logistic(births):
    return rp.glm("low ~ age + lwt + race + smoke", births, family="binomial")


@pytest.fixture(scope="module")
def curve():
    x = np.linspace(1.0, 8.0, 20)
    y = 5.0 * (1 - np.exp(-0.4 * x)) + 0.2 * np.sin(7 * x)
    return rp.nls("y ~ a*(1 - exp(-b*x))", {"x": x, "y": y}, start={"a": 4.0, "b": 0.5})


@pytest.fixture(scope="module")
def counts(sample):
    return rp.glm(sample.spread, sample.X, family="negative_binomial", names=["one", "x", "z"])


def three(fit, constraint):
    return [test(constraint) for test in (fit.wald_test, fit.lr_test, fit.score_test)]


def test_in_a_linear_model_the_three_tests_are_one(linear, sample):
    found = three(linear, "x = z, one + 2*x = 1")
    for test in found:
        assert test.distribution == "F" and (test.df, test.df_resid) == (2, sample.n - 3)
        assert test.statistic == pytest.approx(found[0].statistic, rel=1e-9)
    # By hand: residual sums of squares with and without the restriction θ = (1 − 2b, b, b).
    b_column = sample.X[:, 1] + sample.X[:, 2] - 2 * sample.X[:, 0]
    y = sample.normal - sample.X[:, 0]
    rss0 = np.sum((y - b_column * (b_column @ y) / (b_column @ b_column)) ** 2)
    assert found[0].statistic == pytest.approx((rss0 - linear.rss) / 2 / linear.dispersion, rel=1e-9)


def test_against_formulas(logistic, births):
    V, b = logistic.cov_params().to_numpy(), logistic.params.to_numpy()
    R = np.zeros((2, 6))
    R[0, [3, 4]], R[1, [1, 2]] = (1.0, -1.0), (10.0, 1.0)
    found = logistic.wald_test("race[T.other] = race[T.white], 10*age + lwt = 0")
    assert found.statistic == pytest.approx((R @ b) @ np.linalg.solve(R @ V @ R.T, R @ b), rel=1e-10)
    contrast = logistic.t_test("smoke - 2*lwt = 1").iloc[0]
    c = np.array([0, 0, -2.0, 0, 0, 1])
    se = np.sqrt(c @ V @ c)
    np.testing.assert_allclose(contrast[["estimate", "std_error"]], [c @ b, se], rtol=1e-10)
    np.testing.assert_allclose(contrast["statistic"], (c @ b - 1) / se, rtol=1e-10)
    np.testing.assert_allclose(contrast[["conf_low", "conf_high"]], c @ b + np.array([-1, 1]) * 1.959963985 * se)
    # Rao's statistic is Pearson's for an added 0/1 column: the score's square over its conditional variance.
    null = rp.glm("low ~ age + lwt + race", births, family="binomial")
    X, x, mean = (
        null._reading.state.at.asked.data.X,
        births["smoke"].to_numpy(dtype=float),
        null.fittedvalues.to_numpy(),
    )
    W, u = mean * (1 - mean), births["low"].to_numpy() - mean
    rest = x - X @ np.linalg.solve((X.T * W) @ X, (X.T * W) @ x)
    assert logistic.score_test("smoke = 0").statistic == pytest.approx((x @ u) ** 2 / np.sum(W * rest**2), rel=1e-8)


def test_a_restriction_is_the_model_without_the_column(logistic, births):
    smaller = rp.glm("low ~ age + lwt + race", births, family="binomial")
    test = logistic.lr_test("smoke = 0")
    assert test.statistic == pytest.approx(2 * (logistic.llf - smaller.llf), rel=1e-9)
    assert test.statistic == pytest.approx(logistic.lr_test(smaller).statistic, rel=1e-9)
    np.testing.assert_allclose(test.restricted[list(smaller.names)], smaller.params, rtol=1e-7)
    assert test.restricted["smoke"] == pytest.approx(0.0, abs=1e-12)


def test_a_merged_level_is_an_equation(logistic, births):
    merged = births.assign(race=births["race"].replace({"other": "rest", "white": "rest"}))
    smaller = rp.glm("low ~ age + lwt + race + smoke", merged, family="binomial")
    assert logistic.lr_test("race[T.other] = race[T.white]").statistic == pytest.approx(
        logistic.lr_test(smaller).statistic, rel=1e-9
    )


@pytest.mark.parametrize("name", ["logistic", "linear", "curve", "counts"])
def test_forms_of_a_constraint_agree(name, request):
    fit = request.getfixturevalue(name)
    a, b = fit.names[-2:]
    R = np.zeros(len(fit.names))
    R[-2], R[-1] = 2.0, -1.0
    forms = (f"2*{a} = {b} + 0.5", (R, 0.5), lambda p: 2 * p[a] - p[b] - 0.5)
    for test in ("wald_test", "lr_test", "score_test"):
        found = [getattr(fit, test)(form).statistic for form in forms]
        np.testing.assert_allclose(found, found[0], rtol=1e-7)


def test_nonlinear_hypotheses(logistic, curve):
    # The likelihood ratio does not care how a hypothesis is written; Wald's statistic does.
    written = (
        lambda p: p["a"] * p["b"] - 1.9,
        lambda p: jnp.log(p["a"]) + jnp.log(p["b"]) - jnp.log(1.9),
        lambda p: p["a"] - 1.9 / p["b"],
    )
    ratios = [curve.lr_test(h).statistic for h in written]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-7)
    np.testing.assert_allclose([curve.score_test(h).statistic for h in written], curve.score_test(written[0]).statistic)
    walds = [curve.wald_test(h).statistic for h in written]
    assert abs(walds[1] / walds[0] - 1) > 1e-3
    restricted = curve.lr_test(written[0]).restricted
    assert restricted["a"] * restricted["b"] == pytest.approx(1.9, rel=1e-9)
    # The same model, reparametrised by m = a b.
    data = {"x": curve._reading.state.at.asked.data.X[:, 0], "y": curve._reading.state.at.asked.y}
    held = rp.nls("y ~ 1.9/b*(1 - exp(-b*x))", data, start={"b": 0.4})
    assert ratios[0] == pytest.approx((held.rss - curve.rss) / curve.dispersion, rel=1e-8)


def test_auxiliary_parameters_are_maximised_over(counts, sample):
    smaller = rp.glm(sample.spread, sample.X[:, :2], family="negative_binomial", names=["one", "x"])
    assert counts.lr_test("z = 0").statistic == pytest.approx(2 * (counts.llf - smaller.llf), rel=1e-7)
    assert counts.lr_test(smaller).statistic == pytest.approx(2 * (counts.llf - smaller.llf), rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_linear_reparametrisation_changes_nothing(sample, seed):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(3, 3)) + 3 * np.eye(3)
    fit = rp.glm(sample.count, sample.X, family="poisson")
    turned = rp.glm(sample.count, sample.X @ A, family="poisson")
    R, r = rng.normal(size=(2, 3)), rng.normal(size=2)
    # θ = A γ, so Rθ = r is (RA)γ = r.
    for test in ("wald_test", "lr_test", "score_test"):
        one, other = getattr(fit, test)((R, r)), getattr(turned, test)((R @ A, r))
        assert one.statistic == pytest.approx(other.statistic, rel=1e-6)
    # Nor does it matter how the equations are combined.
    B = rng.normal(size=(2, 2)) + 2 * np.eye(2)
    assert fit.wald_test((B @ R, B @ r)).statistic == pytest.approx(fit.wald_test((R, r)).statistic, rel=1e-7)
    assert fit.lr_test((B @ R, B @ r)).statistic == pytest.approx(fit.lr_test((R, r)).statistic, rel=1e-7)


def test_the_robust_score_test_is_the_sandwich_at_the_restriction(logistic, births):
    smaller = rp.glm("low ~ age + lwt + race", births, family="binomial")
    # For one added column x: U² / Σ (x̃_i u_i)², x̃ the residual of x on the others in the metric of W.
    mean = smaller.fittedvalues.to_numpy()
    W, u = mean * (1 - mean), births["low"].to_numpy() - mean
    X, x = smaller._reading.state.at.asked.data.X, births["smoke"].to_numpy(dtype=float)
    rest = x - X @ np.linalg.solve((X.T * W) @ X, (X.T * W) @ x)
    expected = (rest @ u) ** 2 / np.sum((rest * u) ** 2)
    assert logistic.robust("HC0").score_test("smoke = 0").statistic == pytest.approx(expected, rel=1e-7)


def test_separated_estimates():
    x = np.array([1.0, 2, 3, 4, 5, 6])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = rp.glm((x > 3) * 1.0, np.column_stack([np.ones(6), x]), names=["one", "x"], family="binomial")
    # The likelihood reaches its supremum 1, so the ratio is that of the null deviance.
    assert fit.lr_test("x = 0").statistic == pytest.approx(12 * np.log(2), rel=1e-9)
    assert 0 < fit.score_test("x = 0").p_value < 0.05
    with pytest.raises(rp.ModelError, match=r"x has none .*lr_test"):
        fit.wald_test("x = 0")


def test_what_has_no_likelihood_ratio(sample):
    weighted = rp.glm(sample.count, sample.X, family="poisson", weights=sample.weights, weights_kind="sampling")
    for call in (lambda: weighted.lr_test("x1 = 0"), weighted.drop1):
        with pytest.raises(rp.ModelError, match="pseudo-likelihood"):
            call()
    assert weighted.score_test("x2 = 0").p_value < 1 and weighted.wald_test("x2 = 0").p_value < 1
    with pytest.raises(rp.ModelError, match="profile: not available with sampling weights"):
        weighted.profile("x1")
    shrunk = rp.glm(sample.count, sample.X, family="poisson", penalty=1.0)
    with pytest.raises(rp.ModelError, match="not available with penalty="):
        shrunk.lr_test("x1 = 0")
    # A quasi family has deviances: its F test is that of an estimated dispersion.
    quasi = rp.glm(sample.count, sample.X, family="quasipoisson")
    plain = rp.glm(sample.count, sample.X, family="poisson")
    test = quasi.lr_test("x2 = 0")
    assert test.distribution == "F"
    assert test.statistic == pytest.approx(plain.lr_test("x2 = 0").statistic / quasi.dispersion, rel=1e-9)


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ("nobody = 0", "constraint: 'nobody' in 'nobody = 0' is not a parameter; the parameters are one, x, z"),
        ("x = 0, 2*x = 0", "linearly independent equations"),
        (np.eye(4), r"columns \(for one, x, z\)"),
        (lambda p: p["w"], "'w' is not a parameter"),
    ],
)
@pytest.mark.parametrize("test", ["wald_test", "lr_test", "score_test"])
def test_constraints_that_cannot_be_read(linear, test, constraint, message):
    with pytest.raises(rp.ModelError, match=message):
        getattr(linear, test)(constraint)


def test_aliased_parameters_cannot_be_tested(sample):
    with pytest.warns(rp.RankWarning):
        fit = rp.glm(
            sample.count, np.column_stack([sample.X, sample.x]), family="poisson", names=["one", "x", "z", "again"]
        )
    for test in (fit.wald_test, fit.lr_test):
        with pytest.raises(rp.ModelError, match=r"again .*aliased"):
            test("again = 0")
    assert fit.wald_test("x = z").statistic == pytest.approx(
        rp.glm(sample.count, sample.X, family="poisson", names=["one", "x", "z"]).wald_test("x = z").statistic
    )


def test_information_matrix_test(logistic, curve, counts, sample):
    test = logistic.information_matrix_test()
    assert list(test.table) == ["expected", "observed", "opg", "sandwich"]
    np.testing.assert_allclose(test.table["expected"], logistic.bse)
    np.testing.assert_allclose(test.table["sandwich"], logistic.robust("HC0").bse)
    # White's heteroskedasticity test where there is one covariate: x, x² on the squared residuals, here by nR².
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(400), rng.normal(size=400)])
    y = X @ [1.0, 1.0] + rng.normal(size=400) * np.exp(0.5 * X[:, 1])
    assert rp.glm(y, X).information_matrix_test().p_value == 1 / 200  # none of 199 draws is as far off
    assert rp.glm(X @ [1.0, 1.0] + rng.normal(size=400), X).information_matrix_test().p_value > 1e-3
    assert curve.information_matrix_test().df > 0 and counts.information_matrix_test().df > 0


def test_what_a_loaded_fit_can_do(linear, tmp_path):
    linear.save(tmp_path / "fit.json")
    loaded = rp.load(tmp_path / "fit.json")
    assert loaded.wald_test("x = z") == linear.wald_test("x = z")
    assert loaded.t_test("x - z").equals(linear.t_test("x - z"))
    assert loaded.delta(lambda p: p["x"] / p["z"]).se == linear.delta(lambda p: p["x"] / p["z"]).se
    for call in (
        lambda: loaded.lr_test("x = 0"),
        lambda: loaded.score_test("x = 0"),
        lambda: loaded.profile("x"),
        lambda: loaded.conf_int(kind="profile"),
        loaded.drop1,
        loaded.vif,
        loaded.information_matrix_test,
        loaded.loo,
    ):
        with pytest.raises(rp.DataError, match="a loaded fit lacks its data"):
            call()


# -- likelihoods of one's own ------------------------------------------------------------------------------------


def scaled(params, row):
    mean = params["a"] * jnp.exp(-params["b"] * row.x)
    return -0.5 * ((row.y - mean) / jnp.exp(params["s"])) ** 2 - params["s"]


@pytest.fixture(scope="module")
def decay():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 2, 80)
    return {"x": x, "y": 2 * np.exp(-0.7 * x) + 0.2 * rng.normal(size=80), "g": np.arange(80) % 8}


@pytest.fixture(scope="module")
def general(decay):
    return rp.mle(scaled, decay, start={"a": 1.0, "b": 1.0, "s": 0.0})


def test_parameters_by_position_are_those_by_name(logistic, general):
    for fit in (logistic, general):
        a = fit.names[0]
        for test in (fit.wald_test, fit.lr_test, fit.score_test):
            one, two = test(lambda p: p[0] * p[-1] - 0.1), test(lambda p, a=a, z=fit.names[-1]: p[a] * p[z] - 0.1)
            assert one.statistic == pytest.approx(two.statistic, rel=1e-10)
        assert fit.delta(lambda p: p[:2]).se[0] == pytest.approx(fit.bse[a])
        with pytest.raises(rp.ModelError, match=r"expected a parameter number from 0 to \d; got 99"):
            fit.wald_test(lambda p: p[99])


def test_where_the_observed_information_is_no_covariance_another_is_taken(general):
    # Far below the estimate the likelihood of the mean's scale is not concave.
    with pytest.warns(rp.ConvergenceWarning, match="the observed information is not positive definite .* used the opg"):
        found = general.score_test("a = b")
    scores = general.lr_test("a = b")
    assert found.p_value < 1e-10 and scores.p_value < 1e-10


def test_the_score_test_has_no_distribution_where_parameters_vanish(decay):
    fit = rp.nls("y ~ a*exp(-b*x)", decay, start={"a": 1.0, "b": 1.0})
    with pytest.raises(rp.ModelError, match="do not determine all other parameters"):
        fit.score_test("a = 0")


def test_clusters_of_a_general_likelihood_may_be_a_column(general, decay):
    by_name, by_array = general.robust("cluster", groups="g"), general.robust("cluster", groups=decay["g"])
    np.testing.assert_array_equal(by_name.bse, by_array.bse)
    assert not np.allclose(by_name.bse, general.bse)
    with pytest.raises(rp.DataError, match=r"groups: expected a column of the data .*; got 'h'"):
        general.robust("cluster", groups="h")


def test_a_term_in_place_of_its_parameters_is_told_of(births):
    fit = rp.glm("low ~ age + race", births, family="binomial")
    with pytest.raises(
        rp.ModelError, match=r"of the whole term write \['race\[T.other\]', 'race\[T.white\]'\], or use"
    ):
        fit.wald_test("race")
