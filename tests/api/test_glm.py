"""The front door: what it accepts, what it refuses with one clear message, what it warns of."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.status import Status

METHODS = ("fisher-scoring", "newton", "irls", "bhhh", "newton-cg", "gradient-descent")


@pytest.fixture
def frame(sample):
    return pd.DataFrame(
        {
            "count": sample.count,
            "binary": sample.binary,
            "positive": sample.positive,
            "normal": sample.normal,
            "age": sample.x,
            "weight": sample.weights,
            "shift": sample.offset,
            "town": np.array(["ash", "elm", "oak"])[sample.group % 3],
        },
        index=[f"row{i}" for i in range(sample.n)],
    )


def poisson(frame, formula="count ~ age", **keywords):
    return rp.glm(formula, frame, family="poisson", **keywords)


# -- doors -----------------------------------------------------------------------------------------------------


def test_formula_and_arrays_are_one_model(frame, sample):
    by_formula = poisson(frame, "count ~ age")
    by_arrays = rp.glm(sample.count, sample.X[:, :2], family="poisson", names=["Intercept", "age"])
    pd.testing.assert_series_equal(by_formula.params, by_arrays.params)
    assert by_formula.formula == "count ~ age" and by_arrays.formula is None


def test_other_frames_and_files(frame, tmp_path):
    import polars

    path = tmp_path / "data.csv"
    frame.to_csv(path, index=False)
    expected = poisson(frame, "count ~ age + town").params
    for data in (polars.from_pandas(frame), frame.to_dict("list"), path, str(path)):
        pd.testing.assert_series_equal(poisson(data, "count ~ age + town").params, expected, rtol=1e-12)


def test_offsets_by_every_way(frame):
    expected = poisson(frame, offset=frame["shift"].to_numpy()).params
    for fit in (
        poisson(frame, offset="shift"),
        poisson(frame, "count ~ age + offset(shift)"),
        poisson(frame, "count ~ age + offset(shift / 2)", offset="shift / 2"),
    ):
        np.testing.assert_allclose(fit.params, expected, rtol=1e-12)


def test_importing_is_light():
    import subprocess
    import sys

    code = "import sys, raphson; print([m for m in ('jax', 'pandas', 'formulaic', 'tabmat') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_default_method_is_fisher_scoring_with_expected_information(frame):
    fit = poisson(frame)
    assert (fit.method, fit.information_kind, fit.cov_kind) == ("fisher-scoring", "expected", "model")


def test_defaults_of_the_covariance(frame, sample):
    assert poisson(frame, weights="weight", weights_kind="sampling").cov_kind == "HC0"
    assert poisson(frame, groups=sample.group).cov_kind == "cluster"
    assert poisson(frame, groups=sample.group, cov="HC1").cov_kind == "HC1"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("option", [{"damping": 0.5}, {"learning_rate": 0.3}, {"start": [0.1, 0.1]}, {"tol": 1e-5}])
def test_options_of_the_iteration_leave_the_maximum_where_it_is(frame, method, option):
    fit = poisson(frame, method=method, **option)
    assert fit.converged
    np.testing.assert_allclose(fit.params, poisson(frame).params, rtol=1e-9)


def test_every_step_is_shown(frame):
    seen = []
    fit = poisson(frame, progress=lambda **step: seen.append(step))
    assert [step["iteration"] for step in seen] == fit.path["iteration"].tolist()
    np.testing.assert_array_equal([step["distance"] for step in seen], fit.path["distance"])


def test_the_step_limit(frame, caught):
    fit, messages = caught(lambda: poisson(frame, max_iter=1))
    assert fit.status is Status.STEP_LIMIT and not fit.converged and fit.n_iter == 1
    assert [m.category for m in messages] == [rp.ConvergenceWarning]
    assert "max_iter" in str(messages[0].message) and "max_iter" in fit.message
    # The estimates are still there, and so is how far they are.
    assert np.isfinite(fit.params).all() and fit.distance > 1e-8 and fit.digits.max() < 12


def test_a_good_fit_warns_of_nothing(frame):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = poisson(frame, "count ~ age + town", weights="weight", offset="shift")
        fit.summary(), fit.glance(), fit.augment()


# -- refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "keywords", "error", "words"),
    [
        ("count ~ agee", {}, rp.DataError, "column 'agee' is not in the data; did you mean 'age'"),
        ("conut ~ age", {}, rp.DataError, "did you mean 'count'"),
        ("count ~ age", {"weights": "wieght"}, rp.DataError, "did you mean 'weight'"),
        ("count ~ age", {"weights": "town"}, rp.DataError, "weights: expected numbers in 'town'"),
        ("count ~ age", {"offset": "town"}, rp.DataError, "offset"),
        ("town ~ age", {}, rp.DataError, "expects numbers; got the levels 'ash', 'elm', 'oak'"),
        ("normal ~ age", {}, rp.DataError, r"counts of 0 or more.*in row \d+ \(\d+ of 60 rows"),
        ("count ~ age", {"family": "gamma"}, rp.DataError, r"positive numbers.*of 60 rows"),
        ("count ~ age", {"family": "binomial"}, rp.DataError, "trials="),
        ("count ~ age", {"family": "binomial", "trials": [1.0] * 60}, rp.DataError, "no more successes than trials"),
        ("count ~ age", {"family": "poison"}, rp.ModelError, "Did you mean 'poisson'"),
        ("count ~ age", {"method": "newtn"}, rp.ModelError, "Did you mean 'newton'"),
        ("count ~ age", {"tol": 0}, rp.ModelError, "tol: expected a positive number"),
        ("count ~ age", {"tol": "small"}, rp.ModelError, "tol: expected a positive number"),
        ("count ~ age", {"tol": float("nan")}, rp.ModelError, "tol: expected a positive number"),
        ("count ~ age", {"max_iter": -1}, rp.ModelError, "max_iter: expected a whole number"),
        ("count ~ age", {"max_iter": 2.5}, rp.ModelError, "max_iter: expected a whole number"),
        ("count ~ age", {"damping": -0.1}, rp.ModelError, "damping: expected a number, 0 or more"),
        ("count ~ age", {"learning_rate": 0}, rp.ModelError, "learning_rate: expected a positive number"),
        ("count ~ age", {"start": [1.0]}, rp.ModelError, r"start: expected 2 finite numbers.*got shape \(1,\)"),
        ("count ~ age", {"start": [1.0, np.nan]}, rp.ModelError, "start: expected 2 finite numbers"),
        ("count ~ age", {"start": "here"}, rp.ModelError, "start: expected 2 numbers"),
        ("count ~ age", {"information": "fisher"}, rp.ModelError, "information: expected one of expected, observed"),
        ("count ~ age", {"cov": "HC9"}, rp.ModelError, "cov: expected one of model, HC0"),
        ("count ~ age", {"cov": "cluster"}, rp.ModelError, "groups: expected the cluster of each row"),
        (
            "count ~ age",
            {"dispersion": "guess"},
            rp.ModelError,
            "dispersion: expected pearson, deviance, ml or a number",
        ),
        ("count ~ age", {"dispersion": 2.0}, rp.ModelError, "quasipoisson"),
        ("count ~ age", {"dispersion": -1.0}, rp.ModelError, "dispersion: expected a positive number"),
        ("count ~ age", {"weights_kind": "w"}, rp.ModelError, "weights_kind: expected one of"),
        ("count ~ age", {"penalty": -1.0}, rp.ModelError, "penalty: expected no negative eigenvalue"),
        ("count ~ age", {"names": ["a", "b"]}, rp.ModelError, "names: a formula names its own columns"),
        ("count ~ age", {"trials": "weight"}, rp.DataError, "trials"),
        ("count ~ age", {"missing": "ignore"}, rp.ModelError, "missing: expected one of drop, raise"),
        ("count ~ age", {"offset": [1.0, 2.0]}, rp.DataError, "offset: expected 60 numbers"),
        ("count ~ age", {"weights": [1.0, 2.0]}, rp.DataError, "weights: expected 60 numbers"),
        ("count ~ age", {"groups": [1, 2]}, rp.DataError, "groups: expected 60 labels"),
        ("count ~ age", {"executor": 3}, rp.ModelError, "executor: expected"),
        ("count ~ age", {"progress": 3}, rp.ModelError, "progress: expected"),
        ("count ~ 0", {}, rp.FormulaError, "no columns"),
        ("count", {}, rp.FormulaError, "expected one '~'"),
        ("count ~ age ~ town", {}, rp.FormulaError, "expected one '~'"),
    ],
)
def test_one_clear_error(frame, formula, keywords, error, words):
    with pytest.raises(error, match=words) as caught:
        rp.glm(formula, frame, **{"family": "poisson", **keywords})
    assert isinstance(caught.value, rp.RaphsonError) and len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "formula",
    [
        'count ~ __import__("os").system("true")',
        "count ~ age.__class__",
        "count ~ (lambda: 1)()",
        "count ~ eval('age')",
        "count ~ exec('age')",
        "count ~ open('/etc/hostname')",
        "count ~ I(age.values)",
        "count ~ [x for x in age]",
        'count ~ f"{age}"',
        "count ~ age if age else age",
        "count ~ C(age, __import__)",
    ],
)
def test_a_formula_reaches_nothing_but_the_data(frame, formula, monkeypatch):
    import os

    monkeypatch.setattr(os, "system", lambda command: pytest.fail("it was run"))
    with pytest.raises(rp.RaphsonError):
        poisson(frame, formula)


@pytest.mark.parametrize("argument", ["weights", "offset"])
def test_an_argument_reaches_nothing_but_the_data(frame, argument):
    with pytest.raises(rp.RaphsonError):
        poisson(frame, **{argument: "__import__('os').system('true')"})


@pytest.mark.parametrize("column", ["count", "age", "weight", "shift"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_missing_and_infinite_values(frame, column, value, caught):
    frame.loc["row7", column] = value
    options = {"weights": "weight", "offset": "shift"}
    fit, messages = caught(lambda: poisson(frame, **options))
    assert [m.category for m in messages] == [rp.MissingDataWarning]
    assert "1 of 60 rows" in str(messages[0].message) and column in str(messages[0].message)
    assert fit.n_dropped == 1 and fit.nobs == 59 and "row7" not in fit.fittedvalues.index
    np.testing.assert_allclose(fit.params, poisson(frame.drop("row7"), **options).params, rtol=1e-12)
    with pytest.raises(rp.DataError, match=rf"{column}.*1 of 60 rows"):
        poisson(frame, missing="raise", **options)


def test_missing_values_in_arrays(sample, caught):
    y, X = sample.count.copy(), sample.X.copy()
    y[3], X[5, 1] = np.nan, np.inf
    fit, messages = caught(lambda: rp.glm(y, X, family="poisson"))
    assert fit.n_dropped == 2 and [m.category for m in messages] == [rp.MissingDataWarning]
    assert list(fit.fittedvalues.index) == [i for i in range(60) if i not in (3, 5)]


def test_negative_and_all_zero_weights(frame):
    with pytest.raises(rp.DataError, match=r"weights: expected numbers of 0 or more; 1 is negative, in row 2"):
        poisson(frame, weights=np.where(np.arange(60) == 2, -1.0, 1.0))
    with pytest.raises(rp.DataError, match="weights: all are 0"):
        poisson(frame, weights=np.zeros(60))


def test_text_among_the_numbers(frame):
    mixed = frame.assign(age=frame["age"].astype(object))
    mixed.loc["row3", "age"] = "unknown"
    with pytest.raises(rp.DataError, match=r"column 'age' contains numbers and text \('unknown'\)"):
        poisson(mixed)
    with pytest.raises(rp.DataError, match="X: expected real numbers"):
        rp.glm([0.0, 1.0], np.array([["a"], ["b"]]))


def test_empty_tables(frame):
    with pytest.raises(rp.DataError, match="no rows"):
        poisson(frame.iloc[:0])
    with pytest.raises(rp.DataError, match="X: expected a matrix of shape"):
        rp.glm(np.zeros(0), np.zeros((0, 2)))


def test_every_row_dropped(frame):
    with pytest.raises(rp.DataError, match="row"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        poisson(frame.assign(age=np.nan))


def test_duplicate_columns(frame, sample):
    with pytest.raises(rp.DataError, match="more than one column is called 'age'"):
        poisson(pd.concat([frame, frame[["age"]]], axis=1))
    with pytest.raises(rp.DataError, match="more than one column is called 'a'"):
        rp.glm(sample.count, sample.X, names=["a", "b", "a"])


def test_fewer_rows_than_coefficients(frame):
    with pytest.raises(rp.DataError, match=r"2 rows and 3 coefficients.*penalty="):
        poisson(frame.iloc[:2], "count ~ age + shift")


def test_arrays_that_do_not_fit_together(sample):
    with pytest.raises(rp.DataError, match="expected 60 values"):
        rp.glm(sample.count[:5], sample.X)
    with pytest.raises(rp.DataError, match="names: expected 3"):
        rp.glm(sample.count, sample.X, names=["a"])
    with pytest.raises(rp.DataError):
        rp.glm(sample.count)


def test_a_start_outside_the_domain(sample):
    family = rp.families.Poisson(link="identity")
    with pytest.raises(rp.ConvergenceError, match="start: expected parameters with a finite log-likelihood"):
        rp.glm(sample.count, sample.X, family=family, start=[-5.0, 0.0, 0.0])


# -- the maximum is not where one looks for it -----------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_a_constant_response(sample, caught, value):
    fit, messages = caught(lambda: rp.glm(np.full(60, value), sample.X, family="poisson"))
    assert "all 60 values are equal" in str(messages[0].message)
    if value:
        assert fit.converged and len(messages) == 1
        np.testing.assert_allclose(fit.params, [np.log(2.0), 0, 0], atol=1e-10)
    else:
        assert fit.status is Status.SEPARATED and fit.llf == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_complete_separation(sample, caught, method):
    y = (sample.x > 0).astype(float)
    fit, messages = caught(lambda: rp.glm(y, sample.X, family="binomial", method=method, names=["one", "x", "z"]))
    assert fit.status is Status.SEPARATED and not fit.converged
    assert [m.category for m in messages] == [rp.SeparationWarning]
    assert "infinite: " in str(messages[0].message) and "x" in str(messages[0].message).split("infinite: ")[1]
    assert fit.params["x"] == np.inf and fit.bse.isna().all() and fit.llf == 0.0 and fit.deviance == 0.0
    np.testing.assert_array_equal(fit.fittedvalues, y)
    assert fit.tvalues.isna().all() and fit.conf_int().isna().all(axis=None)


@pytest.mark.parametrize("method", METHODS)
def test_quasi_complete_separation(sample, caught, method):
    g = (sample.group == 3).astype(float)
    y = np.where(g == 1, 1.0, sample.binary)
    names = ["one", "g", "z"]
    fit, messages = caught(
        lambda: rp.glm(y, np.column_stack([np.ones(60), g, sample.z]), family="binomial", method=method, names=names)
    )
    assert [m.category for m in messages] == [rp.SeparationWarning]
    assert str(messages[0].message).endswith("infinite: g") and fit.status is Status.SEPARATED
    assert fit.params["g"] == np.inf and np.isnan(fit.bse["g"])
    # The others are those of the problem without the separated rows, and so are their standard errors.
    rest = rp.glm(y[g == 0], sample.X[g == 0][:, [0, 2]], family="binomial")
    np.testing.assert_allclose(fit.params[["one", "z"]], rest.params, rtol=1e-9)
    np.testing.assert_allclose(fit.bse[["one", "z"]], rest.bse, rtol=1e-9)
    np.testing.assert_allclose(fit.robust("HC0").bse[["one", "z"]], rest.robust("HC0").bse, rtol=1e-9)
    assert fit.llf == pytest.approx(rest.llf, rel=1e-12)
    assert fit.df_resid == rest.df_resid


def test_separation_by_a_difference(sample, caught):
    # Every response at g = 0 is 0: intercept and g run apart, their sum stays.
    g = (sample.group > 1).astype(float)
    y = np.where(g == 1, sample.binary, 0.0)
    fit, _ = caught(lambda: rp.glm(y, np.column_stack([np.ones(60), g]), family="binomial", names=["one", "g"]))
    assert fit.params["one"] == -np.inf and fit.params["g"] == np.inf
    mean = sample.binary[g == 1].mean()
    np.testing.assert_allclose(fit.fittedvalues, np.where(g == 1, mean, 0.0), rtol=1e-9, atol=1e-12)
    at = np.array([[1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(fit.predict(at), [0.0, mean], rtol=1e-9, atol=1e-12)
    link = fit.predict(at, kind="link", se=True)
    n = (g == 1).sum()
    assert link["fit"].iloc[1] == pytest.approx(np.log(mean / (1 - mean)))
    assert link["se"].iloc[1] == pytest.approx(1 / np.sqrt(n * mean * (1 - mean)), rel=1e-8)


def test_separation_of_counts(sample, caught):
    g = (sample.group == 3).astype(float)
    y = np.where(g == 1, 0.0, sample.count)
    X = np.column_stack([np.ones(60), g, sample.z])
    fit, messages = caught(lambda: rp.glm(y, X, family="poisson"))
    assert [m.category for m in messages] == [rp.SeparationWarning] and fit.params["x2"] == -np.inf
    rest = rp.glm(y[g == 0], X[g == 0][:, [0, 2]], family="poisson")
    np.testing.assert_allclose(fit.params[["x1", "x3"]], rest.params, rtol=1e-9)
    assert fit.llf == pytest.approx(rest.llf, rel=1e-12)
    # The negative binomial looks for θ on the way.
    spread = np.where(g == 1, 0.0, sample.spread)
    fit, messages = caught(lambda: rp.glm(spread, X, family="negative_binomial"))
    assert rp.SeparationWarning in [m.category for m in messages] and fit.params["x2"] == -np.inf
    rest = rp.glm(spread[g == 0], X[g == 0][:, [0, 2]], family="negative_binomial")
    np.testing.assert_allclose(fit.params[["x1", "x3"]], rest.params, rtol=1e-8)
    assert fit.theta == pytest.approx(rest.theta, rel=1e-8) and fit.llf == pytest.approx(rest.llf, rel=1e-10)
    assert fit.residuals("quantile").notna().all() and np.isfinite(fit.theta_se)
    assert fit.predict(np.array([[1.0, 1.0, 0.0]])).iloc[0] == 0.0


def test_separation_of_levels(sample, caught):
    # Level 2 never occurs where g is 1; no row is ever fitted with certainty.
    g = (sample.group == 3).astype(float)
    y = np.where((g == 1) & (sample.category == 2), 1.0, sample.category)
    fit, messages = caught(lambda: rp.glm(y, np.column_stack([np.ones(60), g]), family="multinomial"))
    assert [m.category for m in messages] == [rp.SeparationWarning]
    assert "infinite: 2:x2" in str(messages[0].message)
    assert fit.params["2:x2"] == -np.inf and np.isnan(fit.bse["2:x2"]) and np.isfinite(fit.bse.drop("2:x2")).all()
    # Saturated in g: the fitted means are the shares.
    for value in (0.0, 1.0):
        shares = [(y[g == value] == level).mean() for level in (0, 1, 2)]
        np.testing.assert_allclose(fit.fittedvalues[g == value].iloc[0], shares, rtol=1e-9, atol=1e-12)
    share = fit.fittedvalues.to_numpy()[np.arange(60), y.astype(int)]
    assert fit.llf == pytest.approx(np.log(share).sum(), rel=1e-10)


def test_a_penalty_keeps_separated_coefficients_finite(sample):
    y = (sample.x > 0).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = rp.glm(y, sample.X, family="binomial", penalty=0.5)
    assert fit.converged and np.isfinite(fit.params).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("position", [0, 1, 3])
def test_aliased_columns(sample, caught, method, position):
    columns = {"one": np.ones(60), "x": sample.x, "z": sample.z}
    names = list(columns)
    names.insert(position, "twin")
    X = np.column_stack([{**columns, "twin": 2 * sample.x - 3}[name] for name in names])
    fit, messages = caught(lambda: rp.glm(sample.count, X, family="poisson", method=method, names=names))
    # Of columns that depend on one another the last in order goes.
    gone = max(("one", "x", "twin"), key=names.index)
    assert [m.category for m in messages] == [rp.RankWarning]
    # It opens with what is wrong, and not with how the iteration ended.
    assert str(messages[0].message).startswith(f"rank: aliased (linear combinations of earlier columns): {gone}; the")
    assert gone in fit.message and fit.converged and fit.df_resid == 57
    np.testing.assert_array_equal(fit.params.isna(), [name == gone for name in names])
    np.testing.assert_array_equal(fit.bse.isna(), [name == gone for name in names])
    reduced = [i for i, name in enumerate(names) if name != gone]
    rest = rp.glm(sample.count, X[:, reduced], family="poisson")
    np.testing.assert_allclose(fit.params.iloc[reduced], rest.params, rtol=1e-8)
    np.testing.assert_allclose(fit.bse.iloc[reduced], rest.bse, rtol=1e-8)
    np.testing.assert_allclose(fit.robust("HC3").bse.iloc[reduced], rest.robust("HC3").bse, rtol=1e-8)
    assert fit.llf == pytest.approx(rest.llf, rel=1e-12) and fit.aic == pytest.approx(rest.aic, rel=1e-12)
    np.testing.assert_allclose(fit.predict(X[:3]), rest.fittedvalues[:3], rtol=1e-8)
    assert fit.leverage.sum() == pytest.approx(3.0)


def test_a_column_of_zeros(sample, caught):
    X = np.column_stack([sample.X, np.zeros(60)])
    fit, messages = caught(lambda: rp.glm(sample.normal, X))
    assert [m.category for m in messages] == [rp.RankWarning] and np.isnan(fit.params["x4"])


@pytest.mark.parametrize("slope", [2.0, -1 / 7, 1e-3])
def test_a_fit_without_error_says_so_and_has_no_infinite_statistics(slope, caught):
    x = np.arange(8.0)
    fit, messages = caught(lambda: rp.glm("y ~ x", {"x": x, "y": 3 + slope * x}))
    assert not messages and fit.converged
    np.testing.assert_allclose(fit.params, [3, slope], rtol=1e-12)
    assert "fits without error" in fit.message and "fits without error" in str(fit.summary()).replace("\n    ", " ")
    assert not np.isinf(fit.tvalues).any() and (fit.tvalues.isna() == (fit.bse == 0)).all()
    assert (fit.pvalues.isna() == fit.tvalues.isna()).all()
    noisy = rp.glm("y ~ x", {"x": x, "y": 3 + slope * x + 1e-9 * np.cos(9 * x)})
    assert "without error" not in noisy.message and np.isfinite(noisy.tvalues).all()


def test_a_saturated_model(caught):
    X, y = np.array([[1.0, 0, 0], [1, 1, 0], [1, 0, 1]]), np.array([1.0, 2.0, 4.0])
    fit, messages = caught(lambda: rp.glm(y, X))
    assert [m.category for m in messages] == [rp.RankWarning] and str(messages[0].message).startswith(
        "saturated: as many"
    )
    np.testing.assert_allclose(fit.fittedvalues, y, rtol=1e-12)
    assert fit.df_resid == 0 and fit.bse.isna().all() and np.isnan(fit.dispersion) and np.isnan(fit.residual_sd)
    fit, messages = caught(lambda: rp.glm(y, X, family="poisson"))
    assert not messages and fit.deviance == pytest.approx(0, abs=1e-12) and np.isfinite(fit.bse).all()


def test_counts_without_spread_are_poisson_ones(caught):
    y = np.tile([2.0, 3.0, 4.0], 20)
    X = np.column_stack([np.ones(60), np.linspace(-1, 1, 60)])
    fit, messages = caught(lambda: rp.glm(y, X, family="negative_binomial"))
    assert fit.status is Status.BOUNDARY and fit.converged and fit.theta == np.inf and fit.theta_se is None
    assert not messages and "poisson" in fit.message
    limit = rp.glm(y, X, family="poisson")
    np.testing.assert_allclose(fit.params, limit.params, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.bse, limit.bse, rtol=1e-9)
    assert fit.llf == pytest.approx(limit.llf, rel=1e-12)


def test_an_unseen_level_and_a_missing_column_at_prediction(frame):
    fit = poisson(frame, "count ~ age + town")
    with pytest.raises(rp.DataError, match="expected the levels 'ash', 'elm', 'oak'; got 'yew'"):
        fit.predict(pd.DataFrame({"age": [1.0], "town": ["yew"]}))
    with pytest.raises(rp.DataError, match="column 'town' is not in the data"):
        fit.predict(pd.DataFrame({"age": [1.0]}))


def test_a_number_of_trials_is_that_of_every_row():
    data = {"x": [0, 1, 2, 3, 4, 5], "s": [1, 2, 4, 5, 7, 9]}
    each = rp.glm("s ~ x", data, family="binomial", trials=np.full(6, 10)).params
    np.testing.assert_array_equal(rp.glm("s ~ x", data, family="binomial", trials=10).params, each)
    X = np.column_stack([np.ones(6), data["x"]])
    np.testing.assert_array_equal(rp.glm(np.array(data["s"]), X, family="binomial", trials=10).params, each)


@pytest.mark.parametrize(
    ("family", "lost"), [("gaussian", ", and the dispersion cannot"), ("poisson", "; if the weights are not counts")]
)
@pytest.mark.filterwarnings("ignore::raphson.RankWarning")
def test_frequency_weights_below_the_number_of_coefficients(family, lost):
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=50), "y": rng.poisson(2, 50), "w": np.full(50, 0.03)}
    fit = rp.glm("y ~ x", data, family=family, weights="w", weights_kind="frequency")
    text = "the frequency weights of 50 rows add up to 1.5 observations, no more than there are coefficients (2)"
    assert text + lost in fit.message and "as many coefficients as rows" not in fit.message
    assert "frequency weights" not in rp.glm("y ~ x", data, family=family, weights="w").message


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"cov": np.eye(3)}, "cov: expected one of model, HC0"),
        ({"weights_kind": np.ones(2)}, "weights_kind: expected one of precision"),
        ({"dispersion": np.ones(2)}, "dispersion: expected pearson, deviance, ml or a number"),
        ({"information": ["expected"]}, "information: expected one of expected"),
        ({"names": 3}, "names: expected 2 names, one for each column of X; got 3"),
        ({"executor": 3}, r"executor: expected rp.execute.threads\(n\)"),
    ],
)
def test_an_argument_of_another_kind_is_named(keywords, says):
    X, y = np.column_stack([np.ones(9), np.arange(9.0)]), np.cos(np.arange(9.0))
    with pytest.raises(rp.RaphsonError, match=says) as caught:
        rp.glm(y, X, **keywords)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_groups_in_memory_have_no_checkpoint(tmp_path):
    data = {"y": [0.0, 1.0, 2.0, 4.0], "g": ["a", "a", "b", "b"]}
    with pytest.raises(rp.ModelError, match="checkpoint: passes over data in memory are not kept"):
        rp.glm("y ~ 1", data, by="g", checkpoint=tmp_path / "fit.ckpt")
