"""Predictions for the data of the fit and for new rows, with standard errors and intervals."""

from __future__ import annotations

import math
import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import raphson as rp


@pytest.fixture(scope="module")
def frame(sample):
    return pd.DataFrame(
        {
            "binary": sample.binary,
            "count": sample.count,
            "positive": sample.positive,
            "normal": sample.normal,
            "level": np.array(["low", "mid", "top"])[sample.category.astype(int)],
            "x": sample.x,
            "z": sample.z,
            "town": np.array(["ash", "elm", "oak"])[sample.group % 3],
            "shift": sample.offset,
        },
        index=[f"row{i}" for i in range(sample.n)],
    )


@pytest.fixture(scope="module")
def logistic(frame):
    return rp.glm("binary ~ x + town", frame, family="binomial")


@pytest.fixture(scope="module")
def linear(frame):
    return rp.glm("normal ~ x + z", frame)


@pytest.fixture(scope="module")
def rate(frame):
    return rp.glm("count ~ x + offset(shift)", frame, family="poisson")


@pytest.fixture(scope="module")
def levels(frame):
    return rp.glm("level ~ x", frame, family="multinomial")


def design(frame):
    town = frame["town"]
    return np.column_stack([np.ones(len(frame)), frame["x"], town == "elm", town == "oak"]).astype(float)


def test_the_data_of_the_fit(logistic, frame):
    for predicted in (logistic.predict(), logistic.predict(frame)):
        pd.testing.assert_series_equal(predicted, logistic.fittedvalues, check_names=False)


def test_means_and_linear_predictors(logistic, frame):
    new = frame.iloc[[5, 0, 9]]
    eta = design(new) @ logistic.params
    np.testing.assert_allclose(logistic.predict(new, kind="link"), eta, rtol=1e-12)
    np.testing.assert_allclose(logistic.predict(new), special.expit(eta), rtol=1e-12)
    assert list(logistic.predict(new).index) == ["row5", "row0", "row9"]


def test_one_row_and_the_other_columns_do_not_matter(logistic, frame):
    one = logistic.predict(pd.DataFrame({"town": ["oak"], "x": [0.5]}))
    assert one.iloc[0] == pytest.approx(special.expit(np.array([1, 0.5, 0, 1]) @ logistic.params))
    assert logistic.predict({"x": [0.5], "town": ["oak"]}).iloc[0] == one.iloc[0]


def test_standard_errors(logistic, frame):
    X, V = design(frame), logistic.cov_params().to_numpy()
    se = np.sqrt(np.einsum("ij,jk,ik->i", X, V, X))
    link = logistic.predict(frame, se=True, kind="link")
    assert list(link) == ["fit", "se"]
    np.testing.assert_allclose(link["se"], se, rtol=1e-9)
    mu = logistic.fittedvalues
    np.testing.assert_allclose(logistic.predict(frame, se=True)["se"], se * mu * (1 - mu), rtol=1e-9)


def test_confidence_intervals_are_made_on_the_link(logistic, frame):
    link = logistic.predict(frame, se=True, interval="confidence", level=0.9, kind="link")
    mean = logistic.predict(frame, interval="confidence", level=0.9)
    reach = stats.norm.ppf(0.95)
    np.testing.assert_allclose(link["upper"] - link["fit"], reach * link["se"], rtol=1e-9)
    np.testing.assert_allclose(mean["lower"], special.expit(link["lower"]), rtol=1e-10)
    np.testing.assert_allclose(mean["upper"], special.expit(link["upper"]), rtol=1e-10)
    assert list(mean) == ["fit", "lower", "upper"]


def test_a_decreasing_link_keeps_the_ends_in_order(sample):
    fit = rp.glm(sample.positive, np.ones((60, 1)), family="gamma")
    table = fit.predict(np.ones((2, 1)), interval="confidence")
    assert (table["lower"] < table["fit"]).all() and (table["fit"] < table["upper"]).all()


def test_an_end_outside_the_domain_is_no_number(sample):
    # η − t·se is negative: the mean 1/η has no upper bound.
    fit = rp.glm([0.1, 0.2, 9.0], np.ones((3, 1)), family="gamma")
    table = fit.predict(np.ones((1, 1)), interval="confidence", level=0.999)
    assert np.isfinite(table["fit"].iloc[0]) and table[["lower", "upper"]].isna().any(axis=None)


def test_a_linear_model_by_the_textbook(linear, frame, sample):
    new = pd.DataFrame({"x": [0.0, 3.0], "z": [0.0, -1.0]})
    X = np.array([[1.0, 0, 0], [1, 3, -1]])
    fit, s2 = X @ linear.params, linear.dispersion
    h = np.einsum("ij,jk,ik->i", X, np.linalg.inv(sample.X.T @ sample.X), X)
    t = stats.t.ppf(0.975, 57)
    for interval, width in (("confidence", np.sqrt(s2 * h)), ("prediction", np.sqrt(s2 * (1 + h)))):
        table = linear.predict(new, interval=interval)
        np.testing.assert_allclose(table["lower"], fit - t * width, rtol=1e-9)
        np.testing.assert_allclose(table["upper"], fit + t * width, rtol=1e-9)


@pytest.mark.parametrize(
    ("response", "family", "quantile"),
    [
        ("count", "poisson", lambda p, mu, fit: stats.poisson.ppf(p, mu)),
        ("count", rp.families.NegativeBinomial(theta=2.0), lambda p, mu, fit: stats.nbinom.ppf(p, 2, 2 / (2 + mu))),
        (
            "positive",
            rp.families.Gamma(link="log"),
            lambda p, mu, fit: stats.gamma.ppf(p, 1 / fit.dispersion, scale=mu * fit.dispersion),
        ),
        ("binary", "binomial", lambda p, mu, fit: stats.bernoulli.ppf(p, mu)),
    ],
)
def test_prediction_intervals_are_quantiles_of_the_fitted_distribution(frame, response, family, quantile):
    fit = rp.glm(f"{response} ~ x", frame, family=family)
    table = fit.predict(frame, interval="prediction", level=0.8)
    np.testing.assert_allclose(table["lower"], quantile(0.1, table["fit"], fit), rtol=1e-6)
    np.testing.assert_allclose(table["upper"], quantile(0.9, table["fit"], fit), rtol=1e-6)


def test_the_sandwich_reaches_the_predictions(logistic, frame):
    robust = logistic.robust("HC3")
    X, V = design(frame), robust.cov_params().to_numpy()
    se = np.sqrt(np.einsum("ij,jk,ik->i", X, V, X))
    np.testing.assert_allclose(robust.predict(frame, se=True, kind="link")["se"], se, rtol=1e-9)


# -- offsets ---------------------------------------------------------------------------------------------------


def test_an_offset_by_formula_is_evaluated_again(rate, frame):
    new = pd.DataFrame({"x": [0.3, 0.3], "shift": [0.0, math.log(2.0)]})
    one, two = rate.predict(new)
    assert two == pytest.approx(2 * one)
    with pytest.raises(rp.DataError, match="shift"):
        rate.predict(new[["x"]])


def test_an_offset_by_array_must_be_given_again(frame, sample):
    fit = rp.glm("count ~ x", frame, family="poisson", offset=sample.offset)
    new = frame.iloc[:2]
    with pytest.raises(rp.DataError, match="offset: the fit had one"):
        fit.predict(new)
    expected = np.exp(fit.params.iloc[0] + fit.params.iloc[1] * new["x"] + [0.5, 0.0])
    np.testing.assert_allclose(fit.predict(new, offset=[0.5, 0.0]), expected, rtol=1e-12)
    with pytest.raises(rp.DataError, match="offset: expected 2"):
        fit.predict(new, offset=[1.0])


# -- new data that are not as they should be -------------------------------------------------------------------


def test_missing_values(logistic, frame, caught):
    new = frame.iloc[:4].copy()
    new.loc["row1", "x"] = np.nan
    full = logistic.predict(frame.iloc[:4])
    dropped, messages = caught(lambda: logistic.predict(new, missing="drop"))
    assert [m.category for m in messages] == [rp.MissingDataWarning]
    assert list(dropped.index) == ["row0", "row2", "row3"]
    kept, messages = caught(lambda: logistic.predict(new, interval="confidence"))
    assert not messages and list(kept.index) == list(new.index) and kept.loc["row1"].isna().all()
    np.testing.assert_allclose(kept["fit"].dropna(), full[["row0", "row2", "row3"]], rtol=1e-14)
    with pytest.raises(rp.DataError, match="x"):
        logistic.predict(new, missing="raise")
    with pytest.raises(rp.ModelError, match="missing: expected one of nan, drop, raise"):
        logistic.predict(new, missing="keep")


@pytest.fixture(scope="module")
def whole():
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"x": rng.normal(size=60), "y": rng.poisson(3, 60)})
    table["letter"], table["many"] = np.repeat(list("abc"), 20), [f"m{i}" for i in rng.integers(0, 3, 60)]
    return table


KINDS = {
    "glm": lambda d: rp.glm("y ~ x + many", d, family="poisson"),
    "multinomial": lambda d: rp.glm("letter ~ x", d, family="multinomial"),
    # Comparisons with a missing x are false, and must not choose a number.
    "expression": lambda d: rp.nls("y ~ a*where(x > 0, exp(b*x), 1)", d, start={"a": 1.0, "b": 0.1}),
    "function": lambda d: rp.nls(lambda p, x: p[0] + p[1] * jnp.where(x > 0, x, 0), (d["x"], d["y"]), start=np.ones(2)),
    "network": lambda d: rp.network("y ~ x + letter", d, hidden=(3,), epochs=2),
    "density": lambda d: rp.mle("student_t", {"location": "y ~ x", "log_scale": "~ 1"}, d),
}


@pytest.mark.parametrize("rows", [slice(0, 6), slice(1, 2)], ids=["one of six", "the only row"])
@pytest.mark.parametrize("options", [{}, {"se": True}, {"interval": "confidence"}, {"interval": "prediction"}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_every_row_has_its_prediction(kind, options, rows, whole):
    if options.get("interval") == "prediction" and kind == "multinomial":
        pytest.skip("no prediction intervals of several levels")
    fit, there = KINDS[kind](whole), whole.iloc[rows]
    lacking = there.assign(x=there["x"].where(there.index != 1))
    if kind == "function":
        there, lacking = there["x"], lacking["x"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = np.asarray(fit.predict(lacking, kind="response", **options), dtype=float)
    want = np.array(fit.predict(there, kind="response", **options), dtype=float)
    assert np.isfinite(want).all()
    want[0 if rows.start else 1] = np.nan
    np.testing.assert_allclose(found, want, rtol=1e-12)


def test_a_missing_level_is_missing_and_an_unseen_one_an_error(whole):
    fit = rp.glm("y ~ letter", whole)
    assert np.isnan(fit.predict({"letter": ["a", None, "c"]})).tolist() == [False, True, False]
    with pytest.raises(rp.DataError, match=r"expected the levels .* got 'd'"):
        fit.predict({"letter": ["a", "d"]})


def test_matrices(sample):
    fit = rp.glm(sample.normal, sample.X)
    np.testing.assert_allclose(fit.predict(sample.X[:4]), fit.fittedvalues[:4], rtol=1e-12)
    with pytest.raises(rp.DataError, match="3"):
        fit.predict(sample.X[:, :2])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "mean"}, "kind: expected one of response, link"),
        ({"interval": "tolerance"}, "interval: expected one of confidence, prediction or None"),
        ({"interval": "confidence", "level": 95}, r"Did you mean level=0\.95"),
        ({"interval": "prediction", "kind": "link"}, "expected kind='response'"),
    ],
)
def test_options_that_are_none(logistic, frame, options, words):
    with pytest.raises(rp.ModelError, match=words):
        logistic.predict(frame, **options)


def test_no_prediction_interval_without_a_distribution(frame):
    fit = rp.glm("count ~ x", frame, family="quasipoisson")
    with pytest.raises(rp.ModelError, match="interval"):
        fit.predict(frame, interval="prediction")


# -- several levels --------------------------------------------------------------------------------------------


def test_levels(levels, frame):
    table = levels.predict(frame)
    assert list(table) == ["low", "mid", "top"] and table.index.equals(frame.index)
    eta = levels.predict(frame, kind="link")
    assert list(eta) == ["mid", "top"]
    p = special.softmax(np.column_stack([np.zeros(60), eta]), axis=1)
    np.testing.assert_allclose(table, p, rtol=1e-10)


def test_two_levels_have_a_column_each_and_are_those_of_a_logistic_model(frame):
    two = frame.assign(level=np.where(frame["level"] == frame["level"].iloc[0], "a", "b"))
    fit, logistic = (rp.glm("level ~ x", two, family=family) for family in ("multinomial", "binomial"))
    assert [list(fit.predict(two, kind=kind).columns) for kind in ("response", "link")] == [["a", "b"], ["b"]]
    assert list(fit.fittedvalues.columns) == ["a", "b"]
    ours, theirs = (one.predict(two, interval="confidence") for one in (fit, logistic))
    for what in ("fit", "lower", "upper"):
        np.testing.assert_allclose(ours[f"{what}_b"], theirs[what], rtol=1e-6)
    with pytest.raises(AttributeError, match="several levels has no single residual"):
        fit.residuals()


def test_standard_errors_of_levels_by_differences(levels, frame):
    new = frame.iloc[:3]
    table = levels.predict(new, se=True, interval="confidence")
    X, theta, V = np.column_stack([np.ones(3), new["x"]]), levels.params.to_numpy(), levels.cov_params().to_numpy()

    def means(t):
        return special.softmax(np.column_stack([np.zeros(3), X @ t[:2], X @ t[2:]]), axis=1)

    h = 1e-6
    G = np.stack([(means(theta + h * e) - means(theta - h * e)) / (2 * h) for e in np.eye(4)])
    se = np.sqrt(np.einsum("ick,ij,jck->ck", G, V, G))
    for k, level in enumerate(("low", "mid", "top")):
        np.testing.assert_allclose(table[f"se_{level}"], se[:, k], rtol=1e-6)
        assert (table[f"lower_{level}"] < table[f"fit_{level}"]).all()
        assert (table[f"upper_{level}"] < 1).all() and (table[f"lower_{level}"] > 0).all()


def test_a_mean_that_no_response_has_is_told():
    rng = np.random.default_rng(0)
    data = {"y": np.repeat([0.0, 1.0], 30), "x": np.r_[rng.normal(size=30), rng.normal(0.7, size=30)]}
    fit = rp.glm("y ~ x", data, family=rp.families.Binomial(link="log"))
    with pytest.warns(rp.ConvergenceWarning, match="1 of 2 rows have a mean that the binomial family does not have"):
        assert fit.predict({"x": [0.0, 8.0]}).iloc[1] > 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit.predict({"x": [0.0, 8.0]}, kind="link")
        fit.predict(data)
