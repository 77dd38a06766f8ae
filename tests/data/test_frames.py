"""Responses, missing values and what goes with the rows, by formula."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from raphson.data import from_formula
from raphson.errors import DataError, FormulaError, MissingDataWarning, ModelError

NAN, INF = np.nan, np.inf


def table(**columns):
    return {"y": [1.0, 2, 3, 4, 5], "x": [1.0, 2, 3, 4, 6], "g": list("abcab"), **columns}


def quietly(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingDataWarning)
        return from_formula(*args, **options)


@pytest.mark.parametrize(
    ("left", "values", "levels"),
    [
        ("y", [1, 2, 3, 4, 5], None),
        ("log(y)", np.log([1, 2, 3, 4, 5]), None),
        ("I(y/2)", [0.5, 1, 1.5, 2, 2.5], None),
        ("g", [0, 1, 2, 0, 1], ("a", "b", "c")),
        ("flag", [1, 0, 0, 1, 1], ("False", "True")),
        ("y == 1", [1, 0, 0, 0, 0], ("False", "True")),
        ("g != 'a'", [0, 1, 1, 0, 1], ("False", "True")),
        ("y > 9", [0, 0, 0, 0, 0], ("False", "True")),
        ("size", [0, 1, 0, 1, 0], ("small", "large")),
        ("C(g, levels=['c', 'b', 'a'])", [2, 1, 0, 2, 1], ("c", "b", "a")),
        ("cbind(y, 9 - y)", [[1, 8], [2, 7], [3, 6], [4, 5], [5, 4]], None),
    ],
)
def test_responses(left, values, levels):
    size = pd.Categorical(["small", "large"] * 2 + ["small"], categories=["small", "large", "huge"])
    response = from_formula(f"{left} ~ x", table(flag=[True, False, False, True, True], size=size)).response
    np.testing.assert_array_equal(response.values, values)
    assert response.levels == levels and response.values.dtype == np.float64


def test_response_name():
    assert from_formula("cbind(y,x) ~ g", table()).response.name == "cbind(y, x)"


def test_a_formula_without_response():
    with pytest.raises(FormulaError, match="'~ x' has no response"):
        from_formula("~ x", table())


def test_a_response_with_several_columns():
    with pytest.raises(DataError, match="has several columns; expected one, or cbind"):
        from_formula("poly(y, 2) ~ x", table())


def test_missing_values_are_dropped_and_counted():
    data = pd.DataFrame(table(x=[1, NAN, 3, 4, NAN], z=[1, 2, NAN, 4, 5]), index=list("pqrst"))
    with pytest.warns(MissingDataWarning) as caught:
        model = from_formula("y ~ x + log(z)", data)
    assert str(caught[0].message) == "3 of 5 rows dropped for missing values in x, z"
    assert caught[0].filename == __file__
    assert model.index.tolist() == [0, 3] and model.n_dropped == 3 and model.labels.tolist() == list("pqrst")
    np.testing.assert_array_equal(model.X[:, 1], [1, 4])
    assert model.response.values.tolist() == [1, 4]


def test_nothing_is_dropped_without_need():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = from_formula("y ~ x", table(unused=[NAN] * 5))
    assert model.index is None and model.n_dropped == 0 and model.labels is None


@pytest.mark.parametrize(
    ("formula", "columns", "options", "reason", "left"),
    [
        ("y ~ x", {"y": [1, NAN, 3, 4, 5]}, {}, "missing values in y", 4),
        ("y ~ x", {"x": [1, 2, INF, 4, -INF]}, {}, "infinite values in x", 3),
        ("y ~ x", {"x": [1, 2, INF, 4, NAN]}, {}, "missing values in x; infinite values in x", 3),
        ("y ~ I(1/x)", {"x": [1, 2, INF, 4, 5]}, {}, "infinite values in x", 4),
        ("y ~ log(x)", {"x": [1, -2, 3, 4, 0]}, {}, r"values that are not finite in log\(x\)", 3),
        ("y ~ center(log(x) + 1)", {"x": [1, -2, 3, 4, 0]}, {}, r"not finite in log\(x\)", 3),
        ("log(y) ~ x", {"y": [1, -2, 3, 4, 9]}, {}, r"not finite in log\(y\)", 4),
        ("y ~ g", {"g": ["a", None, "b", "a", "b"]}, {}, "missing values in g", 4),
        ("g ~ x", {"g": ["a", None, "b", "a", "b"]}, {}, "missing values in g", 4),
        ("y ~ I(g == 'a')", {"g": ["a", None, "b", "a", "b"]}, {}, "missing values in g", 4),
        ("y ~ I(x > 2)", {"x": [1, NAN, 3, 4, 5]}, {}, "missing values in x", 4),
        ("y ~ I(x^0) + x", {"x": [1, NAN, 3, 4, 5]}, {}, "missing values in x", 4),
        ("y ~ x", {"w": [1, NAN, 3, 4, 5]}, {"weights": "w"}, "missing values in w", 4),
        ("y ~ x", {}, {"weights": [1, NAN, 3, 4, 5]}, "missing values in weights", 4),
        ("y ~ x", {}, {"offset": [1, INF, 3, 4, 5]}, "infinite values in offset", 4),
        ("y ~ x", {}, {"offset": "log(x - 1)"}, r"not finite in log\(x - 1\)", 4),
        ("y ~ x + offset(log(x - 1))", {}, {}, r"not finite in log\(x - 1\)", 4),
        ("y ~ x", {}, {"trials": [9, 9, NAN, 9, 9]}, "missing values in trials", 4),
        ("y ~ x", {}, {"groups": ["u", None, "v", "u", "u"]}, "missing values in groups", 4),
        ("y ~ x", {"h": [1, NAN, 1, 2, 2]}, {"groups": "h"}, "missing values in h", 4),
    ],
)
def test_every_reason_for_dropping_is_named(formula, columns, options, reason, left):
    with pytest.warns(MissingDataWarning, match=f"{5 - left} of 5 rows dropped for .*{reason}"):
        model = from_formula(formula, table(**columns), **options)
    assert len(model.X) == left == len(model.response.values) == len(model.index)
    assert np.isfinite(model.X).all()
    with pytest.raises(DataError, match=f"{reason}.*in {5 - left} of 5 rows; .*missing=.drop"):
        from_formula(formula, table(**columns), missing="raise", **options)


def test_no_row_left():
    with pytest.raises(DataError, match="all 5 rows have missing values in x, so none is left"):
        from_formula("y ~ x", table(x=[NAN] * 5))


def test_a_wrong_word_for_missing():
    with pytest.raises(ModelError, match="missing: expected one of drop, raise; got 'ignore'"):
        from_formula("y ~ x", table(), missing="ignore")


def test_levels_are_those_of_the_kept_rows():
    # R's glm calls model.frame with drop.unused.levels = TRUE.
    declared = pd.Categorical(list("cbacb"), categories=list("dcba"))
    data = table(d=declared, x=[1, 2, NAN, 4, 6], g=list("abcab"))
    assert quietly("y ~ d + x", data).names == ("Intercept", "d[T.b]", "x")
    assert quietly("y ~ g + x", data).names == ("Intercept", "g[T.b]", "x")
    assert quietly("g ~ x", data).response.levels == ("a", "b")


def test_what_a_transform_remembers_comes_from_all_rows_with_its_argument():
    # As in R: model.frame evaluates scale(x) before it leaves out the rows where z is missing.
    model = quietly("y ~ center(x) + z", table(z=[1, 2, 3, NAN, 5]))
    np.testing.assert_allclose(model.X[:, 1], np.array([1, 2, 3, 6]) - 16 / 5)
    model = quietly("y ~ center(x)", table(x=[1, 2, 3, NAN, 6]))
    np.testing.assert_allclose(model.X[:, 1], np.array([1, 2, 3, 6]) - 3)


def test_columns_arrays_and_expressions_go_with_the_rows():
    data = table(w=[1, 2, 3, 4, 5], n=[10, 20, 30, 40, 50])
    model = from_formula("y ~ x + offset(log(n)) + offset(x)", data, weights="w", offset="log(w)",
                         trials="2*n", groups="g")  # fmt: skip
    np.testing.assert_array_equal(model.weights, [1, 2, 3, 4, 5])
    expected = np.log([10, 20, 30, 40, 50]) + np.array(data["x"]) + np.log([1, 2, 3, 4, 5])
    np.testing.assert_allclose(model.offset, expected, rtol=1e-15)
    np.testing.assert_array_equal(model.trials, [20, 40, 60, 80, 100])
    np.testing.assert_array_equal(model.groups, [0, 1, 2, 0, 1])
    assert model.groups.dtype.kind == "i"


def test_arrays_are_as_long_as_the_data_before_dropping():
    model = quietly("y ~ x", table(x=[1, NAN, 3, 4, 5]), weights=pd.Series([1, 2, 3, 4, 5]), groups=list("uvvww"))
    assert model.weights.tolist() == [1, 3, 4, 5] and model.groups.tolist() == [0, 1, 2, 2]


def test_groups_of_any_type():
    for groups in ([3, 1, 3, 1, 2], ["c", "a", "c", "a", "b"], pd.Categorical(["c", "a", "c", "a", "b"]),
                   np.array([3.5, 1, 3.5, 1, 2])):  # fmt: skip
        assert from_formula("y ~ x", table(), groups=groups).groups.tolist() == [2, 0, 2, 0, 1]


def test_a_dot_leaves_out_what_the_arguments_name():
    data = table(w=[1, 2, 3, 4, 5], n=[10, 20, 30, 40, 50])
    assert from_formula("y ~ .", data, weights="w", trials="n").names == (
        "Intercept",
        "x",
        "g[T.b]",
        "g[T.c]",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"weights": [1, -1, 1, -2, 1]},
            r"weights: expected numbers of 0 or more; 2 are negative, in rows 1, 3 .counted from 0",
        ),
        ({"weights": [0] * 5}, "weights: all are 0"),
        ({"weights": [1, 2]}, "weights: expected 5 numbers, one for each row of the data; got shape .2,"),
        ({"offset": [1, 2]}, "offset: expected 5 numbers"),
        ({"trials": [[1, 2]]}, "trials: expected 5 numbers"),
        ({"trials": [1, 1, -1, 1, 1]}, "trials: expected numbers of 0 or more; 1 is negative, in row 2"),
        ({"groups": [1, 2]}, "groups: expected 5 labels"),
        ({"weights": "g"}, "weights: expected numbers in 'g'; got text"),
        ({"weights": list("abcde")}, "weights: expected numbers; got text"),
        ({"offset": [1j] * 5}, "offset: expected numbers; got complex"),
        ({"weights": "2"}, "weights: '2' contains no column"),
        ({"weights": "poly(x, 2)"}, "weights: expected a single column; 'poly.x, 2.' gives several"),
    ],
)
def test_arguments_that_do_not_fit(options, message):
    with pytest.raises((DataError, FormulaError), match=message):
        from_formula("y ~ x", table(), **options)


def test_numbers_with_none_among_them_are_numbers():
    assert quietly("y ~ x", table(), weights=[1, None, 2, 3, 4]).weights.tolist() == [1, 2, 3, 4]
    model = quietly("y ~ x", pd.DataFrame(table(x=[1, None, 3, 4, 5])).astype({"x": object}))
    assert model.X[:, 1].tolist() == [1, 3, 4, 5]


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "string", "category", "float32", "int8"])
def test_types_of_pandas(dtype):
    column = {"boolean": [True, False, True, False, True], "string": list("abcab"), "category": list("abcab")}
    data = pd.DataFrame(table()).assign(v=pd.Series(column.get(dtype, [1, 2, 3, 5, 8])).astype(dtype))
    model = from_formula("y ~ v", data)
    expected = {"boolean": ("v[T.True]",), "string": ("v[T.b]", "v[T.c]"), "category": ("v[T.b]", "v[T.c]")}
    assert model.names[1:] == expected.get(dtype, ("v",))


def test_other_frames():
    polars = pytest.importorskip("polars")
    data = polars.DataFrame(table(v=["u", "v", None, "u", "v"]))
    model = quietly("y ~ x + v", data)
    assert model.names == ("Intercept", "x", "v[T.v]") and model.n_dropped == 1
    enum = data.with_columns(polars.Series("v", ["u", "v", "v", "u", "v"], dtype=polars.Enum(["v", "u"])))
    assert from_formula("y ~ v", enum).names == ("Intercept", "v[T.u]")


def test_importing_the_floor_is_light():
    import subprocess
    import sys

    code = "import sys, raphson.data; print([m for m in ('pandas', 'formulaic', 'narwhals', 'tabmat', 'pyarrow', 'scipy') if m in sys.modules])"  # noqa: E501
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("formula", ["y ~ g", "y ~ C(k)"])
def test_a_factor_of_too_many_levels_is_refused_at_once(formula):
    k = np.tile(np.arange(10_001), 2)
    data = {"y": np.ones(len(k)), "g": [f"g{one}" for one in k], "k": k}
    with pytest.raises(DataError, match=r"has 10001 levels; expected at most 10000, .* would take 0.8 GB"):
        from_formula(formula, data)
