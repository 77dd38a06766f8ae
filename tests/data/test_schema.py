"""New data get the fit's own columns, also after a journey through JSON; a tampered saving is refused."""

from __future__ import annotations

import copy
import json
import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data import Schema, from_arrays, from_formula
from raphson.errors import DataError, MissingDataWarning, ModelError

NAN = np.nan
RNG = np.random.default_rng(3)
N = 60
FRAME = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.uniform(1, 5, N),
        "z": RNG.normal(size=N),
        "a": RNG.choice(list("abc"), N),
        "k": RNG.integers(1, 5, N),
        "flag": RNG.random(N) < 0.5,
        "g": pd.Categorical(RNG.choice(["lo", "mid", "hi"], N), categories=["lo", "mid", "hi"]),
        "my col": RNG.normal(size=N),
        "Solar.R": RNG.uniform(1, 2, N),
    }
)
FORMULAS = [
    "x + a", "a*g", "0 + a:x", "C(k)", "C(k, contr.sum)", "C(a, contr.helmert(scale=True))",
    "C(g, contr.poly)", "C(g, contr.diff)", "C(a, contr.SAS)", "C(a, contr.treatment(base='b'))*x",
    "C(a, levels=['c', 'b', 'a'])", "relevel(a, 'c')", "flag + I(x > 2)", "I(a == 'b')", "poly(x, 3)",
    "poly(x, 2, raw=True)", "bs(x, df=5)", "bs(x, df=5, include_intercept=True)",
    "bs(x, knots=[2, 3], extrapolation='extend')", "cr(x, df=4)", "cr(x, df=4, constraints='center')",
    "cc(x, df=4)", "cs(x, knots=[2, 3, 4])", "center(x)", "scale(x)", "scale(x, center=False)",
    "standardize(x)", "center(log(x)):a", "scale(poly(x, 2, raw=True)) + x",
    "`my col` + log(Solar.R) + I(Solar.R^2)", ". - y", "(x + z + a)^2", "offset(log(x)) + z",
    "poly(x, 2):a",
]  # fmt: skip
SAVED = [formula for formula in FORMULAS if "scale(poly" not in formula]


def through_json(schema):
    return Schema.from_dict(json.loads(json.dumps(schema.to_dict(), allow_nan=False)))


@pytest.mark.parametrize("right", SAVED)
def test_new_data_get_the_same_columns(right):
    model = from_formula(f"y ~ {right}", FRAME)
    rows = [7, 3, 3, 20]
    for schema in (model.schema, through_json(model.schema)):
        new = schema.design(FRAME.iloc[rows].drop(columns="y"))
        # A centred spline is a BLAS product, which may round otherwise for another number of rows.
        rtol = 1e-13 if right.startswith(("cr(", "cs(", "cc(")) else 0
        np.testing.assert_allclose(new.X, model.X[rows], rtol=rtol, atol=0)
        one = schema.design(FRAME.iloc[[11]])
        np.testing.assert_allclose(one.X, model.X[[11]], rtol=rtol, atol=0)
        assert schema.names == model.names
        if model.offset is not None:
            np.testing.assert_array_equal(new.offset, model.offset[rows])
        assert schema.to_dict() == model.schema.to_dict()


def test_new_data_of_other_types():
    model = from_formula("y ~ x + C(k) + a + flag", FRAME)
    head = FRAME.iloc[:3]
    # The levels of a factor are told by their text: 1, 1.0 and "1" are one level.
    for kind in (str, float):
        new = model.schema.design(head.assign(k=head["k"].astype(kind)))
        np.testing.assert_array_equal(new.X, model.X[:3])
    new = model.schema.design({name: head[name].tolist() for name in ("x", "k", "a", "flag")})
    np.testing.assert_array_equal(new.X, model.X[:3])
    new = model.schema.design({"x": 2.0, "k": 1, "a": "b", "flag": True})
    assert new.X.shape == (1, 8)
    new = model.schema.design(head.assign(a=pd.Categorical(head["a"], categories=list("zcba"))))
    np.testing.assert_array_equal(new.X, model.X[:3])


def test_missing_in_new_data():
    model = from_formula("y ~ x + a + offset(log(z + 9))", FRAME)
    new = FRAME.iloc[:4].copy()
    new.index = list("pqrs")
    new.loc["q", "x"] = NAN
    new["a"] = new["a"].where(new.index != "s", None)
    with pytest.warns(MissingDataWarning, match="2 of 4 rows dropped for missing values in x, a"):
        dropped = model.schema.design(new)
    np.testing.assert_array_equal(dropped.X, model.X[[0, 2]])
    np.testing.assert_array_equal(dropped.offset, model.offset[[0, 2]])
    assert dropped.index.tolist() == [0, 2] and dropped.n_dropped == 2 and dropped.labels.tolist() == list("pqrs")
    kept = model.schema.design(new, missing="nan")
    assert kept.index is None and kept.n_dropped == 0 and len(kept.X) == 4
    assert np.isnan(kept.X).all(axis=1).tolist() == [False, True, False, True] == np.isnan(kept.offset).tolist()
    with pytest.raises(DataError, match="in 2 of 4 rows"):
        model.schema.design(new, missing="raise")
    with pytest.raises(ModelError, match="missing: expected one of nan, drop, raise"):
        model.schema.design(new, missing="keep")
    nothing = model.schema.design({"x": [NAN], "a": ["b"], "z": [1.0]}, missing="nan")
    assert np.isnan(nothing.X).all()


def test_a_sparse_design_of_new_data():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"y": rng.normal(size=500), "x": rng.normal(size=500)})
    frame["many"] = rng.choice([f"l{i}" for i in range(80)], 500)
    model = from_formula("y ~ many + x + many:x", frame)
    assert not isinstance(model.X, np.ndarray)
    new = frame.iloc[:20].copy()
    new.loc[new.index[4], "x"] = NAN
    X = through_json(model.schema).design(new, missing="nan").X
    b = rng.normal(size=len(model.names))
    eta = X @ b
    assert np.flatnonzero(np.isnan(eta)).tolist() == [4]
    np.testing.assert_allclose(np.delete(eta, 4), np.delete(model.X[np.arange(20)] @ b, 4), rtol=1e-12)


@pytest.mark.parametrize(
    ("right", "change", "message"),
    [
        ("a", {"a": "q"}, "new data: a: expected the levels 'a', 'b', 'c'; got 'q'"),
        ("C(k, contr.sum)", {"k": 9}, "expected the levels '1', '2', '3', '4'; got '9'"),
        ("C(a, levels=['a', 'b', 'c'])", {"a": "q"}, "lack 'q'; add them"),
        ("flag", {"flag": "maybe"}, "expected the levels 'False', 'True'; got 'maybe'"),
        ("x", {"x": "tall"}, "expected numbers in 'x'; got text .such as 'tall'."),
        ("log(x)", {"x": "tall"}, "expected numbers in 'x'; got text"),
        ("bs(x, df=4)", {"x": 99.0}, "outside the range of the knots; fit with extrapolation="),
        ("cr(x, df=4)", {"x": 99.0}, None),
    ],
)
def test_new_data_that_do_not_fit(right, change, message):
    model = from_formula(f"y ~ {right}", FRAME)
    new = FRAME.iloc[:2].assign(**change)
    if message is None:
        model.schema.design(new)
        return
    with pytest.raises(DataError, match=message):
        model.schema.design(new)


def test_a_column_that_new_data_lack():
    model = from_formula("y ~ x + log(Solar.R)", FRAME)
    with pytest.raises(DataError, match=r"new data: column 'Solar\.R' is not in the data; did you mean 'solar'"):
        model.schema.design({"x": [1.0], "solar": [1.0]})


def test_new_data_need_not_have_every_level():
    model = from_formula("y ~ I(a == 'b') + relevel(a, 'c')", FRAME)
    row = FRAME[FRAME["a"] == "a"].iloc[[0]]
    np.testing.assert_array_equal(model.schema.design(row).X, [[1, 0, 1, 0]])


def test_offsets_of_new_data():
    new = {"x": [1.0, 2.0], "z": [0.0, 1.0]}
    named = from_formula("y ~ x + offset(z)", FRAME, offset="log(x)")
    np.testing.assert_allclose(named.schema.design(new).offset, [0.0, np.log(2) + 1])
    np.testing.assert_allclose(through_json(named.schema).design(new).offset, [0.0, np.log(2) + 1])
    np.testing.assert_allclose(named.schema.design(new, offset=[5, 6]).offset, [5, 7])
    np.testing.assert_allclose(named.schema.design(new, offset="2*x").offset, [2, 5])
    given = from_formula("y ~ x", FRAME, offset=np.ones(N))
    for schema in (given.schema, through_json(given.schema)):
        assert schema.needs_offset
        with pytest.raises(DataError, match="offset: the fit had one, given as an array"):
            schema.design(new)
        np.testing.assert_array_equal(schema.design(new, offset=2.0).offset, [2, 2])
    with pytest.raises(DataError, match="offset: expected 2 numbers"):
        given.schema.design(new, offset=[1.0, 2, 3])
    assert from_formula("y ~ x", FRAME).schema.design(new).offset is None


def damage(saved, path, value):
    at = saved
    for step in path[:-1]:
        at = at[step]
    if value is KeyError:
        del at[path[-1]]
    else:
        at[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["kind"], "pickle"),
        (["kind"], KeyError),
        (["formula"], "y ~ __import__('os').system('true')"),
        (["formula"], "y ~ x + a"),
        (["formula"], 3),
        (["formula"], None),
        (["columns"], ["y"]),
        (["columns"], "yxa"),
        (["columns"], [1]),
        (["dot"], [["x"]]),
        (["names"], ["Intercept"]),
        (["names"], None),
        (["factors"], []),
        (["factors"], {}),
        (["factors", 0], "x"),
        (["factors", 0, "text"], "eval(x)"),
        (["factors", 0, "categorical"], 1),
        (["factors", 1, "labels"], None),
        (["factors", 1, "labels"], ["a"]),
        (["factors", 1, "labels"], ["a", "a", "b"]),
        (["factors", 1, "labels"], ["a", "b", {"c": 1}]),
        (["factors", 0, "spans_intercept"], "yes"),
        (["states"], []),
        (["states"], {"poly(x, 2)": 3}),
        (["states"], {"poly(x, 2)": {"alpha": "import os"}}),
        (["states"], {"poly(x, 2)": {"alpha": {"run": 1}}}),
        (["states"], {"poly(x, 2)": {"alpha": {"array": ["a"]}}}),
        (["states"], {"poly(x, 2)": {"alpha": {"items": [[1]]}}}),
        (["states"], {"poly(x, 2)": {"alpha": float("nan")}}),
        (["offset"], ["log(x)"]),
        (["offset"], "os.system('true')"),
        (["offset_given"], "no"),
        (["offset_given"], KeyError),
    ],
)
def test_a_tampered_saving_is_refused(path, value):
    saved = from_formula("y ~ poly(x, 2) + C(a, contr.sum)", FRAME, offset="log(x)").schema.to_dict()
    damage(saved, path, copy.deepcopy(value))
    with pytest.raises(DataError, match="saved model: its description of the data is damaged") as caught:
        Schema.from_dict(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "state",
    [{}, {"alpha": {"items": [[0, 1.0]]}}, {"alpha": 1.0, "norms2": 2.0}, {"alpha": None, "norms2": None}],
)
def test_a_state_that_lacks_something_is_refused(state):
    saved = from_formula("y ~ poly(x, 2)", FRAME).schema.to_dict()
    saved["states"]["poly(x, 2)"] = state
    with pytest.raises(DataError):
        Schema.from_dict(saved).design(FRAME.iloc[:5])


@pytest.mark.parametrize(
    ("call", "key", "value"),
    [
        ("bs(x, df=4)", "knots", []),
        ("bs(x, df=4)", "knots", [1.0, None]),
        ("bs(x, df=4)", "lower_bound", None),
        ("cr(x, df=4)", "constraints", {"array": 1.0}),
        ("cr(x, df=4)", "cyclic", 3),
        ("poly(x, 2)", "alpha", {"items": [[0, None], [1, 1.0]]}),
        ("poly(x, 2)", "norms2", {"items": [[0, {"array": [10**400]}]]}),
        ("scale(x)", "center", True),
        ("scale(x)", "scale", {"array": [[1.0]]}),
    ],
)
def test_a_state_of_other_values_is_refused(call, key, value):
    saved = from_formula(f"y ~ {call}", FRAME).schema.to_dict()
    saved["states"][call][key] = value
    with pytest.raises(DataError, match="damaged"):
        Schema.from_dict(saved)


@pytest.mark.parametrize("saved", [None, [], "x", 3, {}, {"kind": "arrays"}, {"kind": "arrays", "names": [], "offset_given": False}])  # noqa: E501  # fmt: skip
def test_what_is_no_saving_at_all(saved):
    with pytest.raises(DataError, match="damaged"):
        Schema.from_dict(saved)


def test_arrays():
    X = np.array([[1.0, 2, 3], [4, 5, 6]])
    schema = through_json(from_arrays([0.0, 1], X, names=["a", "b", "c"]).schema)
    np.testing.assert_array_equal(schema.design(X[:1]).X, X[:1])
    frame = pd.DataFrame({"c": [3.0], "z": [0.0], "a": [1.0], "b": [2.0]}, index=["row"])
    new = schema.design(frame)
    np.testing.assert_array_equal(new.X, X[:1])
    assert new.labels.tolist() == ["row"]
    np.testing.assert_array_equal(schema.design({"a": 1, "b": 2, "c": 3}).X, X[:1])
    np.testing.assert_array_equal(schema.design([1, 2, 3]).X, X[:1])
    with pytest.raises(DataError, match=r"expected the fit's 3 columns .a, b, c.; got 2"):
        schema.design(X[:, :2])
    with pytest.raises(DataError, match="column 'b' is not in the data"):
        schema.design(frame.drop(columns="b"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = schema.design([[1, NAN, 3], [4, 5, 6]], missing="nan")
    assert len(kept.X) == 2 and kept.n_dropped == 0
    with pytest.warns(MissingDataWarning, match="1 of 2 rows dropped for missing values in b"):
        assert schema.design([[1, NAN, 3], [4, 5, 6]]).index.tolist() == [1]


def test_an_array_offset_is_asked_for_again():
    schema = through_json(from_arrays([0.0, 1], np.eye(2), offset=[1, 2]).schema)
    with pytest.raises(DataError, match="offset: the fit had one"):
        schema.design(np.eye(2))
    np.testing.assert_array_equal(schema.design(np.eye(2), offset=[3, 4]).offset, [3, 4])


def test_one_row_may_be_flat_but_a_column_is_not_taken_for_it() -> None:
    schema = from_arrays([1.0, 2.0, 4.0], [[1.0, 0.0], [1.0, 1.0], [1.0, 3.0]]).schema
    assert schema.design([1.0, 0.5]).X.tolist() == [[1.0, 0.5]]
    with pytest.raises(DataError, match=r"expected the fit's 2 columns \(x1, x2\); got 1"):
        schema.design(np.array([[1.0], [0.5]]))


def test_reference_levels_are_those_of_factors_with_a_column_less():
    births = rp.datasets.load("births")
    assert rp.glm("low ~ age + race", births, family="binomial").reference_levels == {"race": "black"}
    assert rp.glm("low ~ 0 + race", births, family="binomial").reference_levels == {}
    assert rp.glm(births["low"], births[["age"]], family="binomial").reference_levels == {}
    made = rp.mle("tobit", {"mean": "lwt ~ race", "sigma": "~ 1"}, births)
    assert made.reference_levels == {"race": "black"}


def test_the_widest_factor_is_the_one_with_half_of_the_columns_or_more():
    """A date in text becomes a factor with a level each day, which a message then names."""
    days = pd.DataFrame({"y": [1.0, 3.0, 2.0, 5.0], "x": [0.5, 1.5, 2.0, 4.0], "sex": ["f", "m", "m", "f"]})
    days["date"] = [f"2024-01-0{day}" for day in range(1, 5)]
    for formula, coefficients in (("y ~ x + date", 5), ("y ~ x*date", 8), ("y ~ sex + date", 5)):
        said = f"4 rows and {coefficients} coefficients: date is a factor of 4 levels. Drop it or make it a number, add"
        with pytest.raises(rp.DataError, match=said):
            rp.glm(formula, days)
    with pytest.raises(rp.DataError, match=r"3 rows and 4 coefficients\. Drop terms, add"):
        rp.glm("y ~ x + I(x**2) + sex", days[:3])
