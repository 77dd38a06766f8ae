"""Designs are R's and formulaic's, number by number."""

from __future__ import annotations

import csv
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raphson.data import from_formula, read_table
from raphson.data.evaluate import Evaluator
from raphson.data.factor_design import FactorDesign
from raphson.data.formula import parse_formula
from raphson.data.frames import described, make_plan
from raphson.data.pieced_design import WrittenDesign
from raphson.data.values import Table
from raphson.errors import DataError, FormulaError

REFERENCE = Path(__file__).parents[1] / "reference" / "glm"
CASES = sorted(path.stem for path in REFERENCE.glob("*.json"))


def reference_design(name):
    with (REFERENCE / f"{name}_design.csv").open() as file:
        header, *rows = csv.reader(file)
    return header, np.array(rows, dtype=np.float64)


def in_one_formula(formula, factor_levels):
    """Declare the order of the levels in the formula itself, as on the command line."""
    left, right = formula.split("~")
    for factor, levels in factor_levels.items():
        right = re.sub(rf"\b{factor}\b", f"C({factor}, levels={levels})", right)
    return f"{left}~{right}"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("how", ["categorical", "formula"])
def test_designs_of_r(name, how):
    case = json.loads((REFERENCE / f"{name}.json").read_text())
    levels = case.get("factor_levels", {})
    formula, table = case["formula"], read_table(REFERENCE / f"{name}.csv")
    if how == "formula":
        formula = in_one_formula(formula, levels)
    else:
        table = table.assign(**{f: pd.Categorical(table[f], categories=order) for f, order in levels.items()})
    model = from_formula(formula, table)
    header, expected = reference_design(name)
    assert model.X.shape == expected[:, 3:].shape
    # A logarithm may differ in the last place from one processor to another; the rest is exact.
    np.testing.assert_allclose(model.X, expected[:, 3:], rtol=3e-16, atol=0)
    offset = np.zeros(len(expected)) if model.offset is None else model.offset
    np.testing.assert_allclose(offset, expected[:, 2], rtol=3e-16)
    y = model.response.values
    if y.ndim == 2:
        np.testing.assert_array_equal(y.sum(axis=1), expected[:, 1])
        np.testing.assert_allclose(y[:, 0] / y.sum(axis=1), expected[:, 0], rtol=3e-16)
    else:
        np.testing.assert_array_equal(y, expected[:, 0])
    assert len(header) - 3 == len(model.names)


def test_the_reference_is_there():
    assert len(CASES) >= 16


def test_a_quoted_number_is_a_factor_straight_from_the_file():
    model = from_formula("Claims ~ District", REFERENCE / "insurance_poisson.csv")
    assert model.names == ("Intercept", "District[T.2]", "District[T.3]", "District[T.4]")


def random_frame(n=60):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.uniform(1, 5, n),
            "z": rng.normal(size=n),
            "a": rng.choice(list("abc"), n),
            "b": rng.choice(list("uvwz"), n),
            "k": rng.integers(1, 5, n),
            "g": pd.Categorical(rng.choice(["lo", "mid", "hi"], n), categories=["lo", "mid", "hi"]),
        }
    )


FORMULAS = [
    "x", "a", "0 + a", "a*b", "a:b", "0 + a:b", "a + a:b", "b + a:b", "x:a", "0 + x:a", "x*a", "a/b", "a/x",
    "(a+b+x)**2", "(a+b+g)**3", "(a+b)**2 - a", "a:b:g", "x + a:b:g", "a:b + b:g", "0 + a:b + b:g + x:g",
    "C(k)", "C(a, contr.sum)", "C(a, contr.sum)*b", "0 + C(a, contr.sum)", "0 + C(a, contr.helmert)",
    "C(a, contr.helmert)", "C(a, contr.helmert(reverse=False, scale=True))", "C(g, contr.poly)",
    "C(g, contr.diff)", "C(g, contr.diff(backward=False))", "C(g, contr.SAS)",
    "C(a, contr.treatment(base='b'))", "C(a, contr.treatment('b')) * x", "C(a, Treatment('c'))", "C(a, Sum)",
    "C(a, levels=['c', 'a', 'b'])", "C(a, levels=['c', 'a', 'b']):x", "poly(x, 3)", "poly(x, 2, raw=True)",
    "poly(x, degree=2):a", "bs(x, df=5)", "bs(x, df=5, include_intercept=True)",
    "0 + bs(x, df=5, include_intercept=True)", "bs(x, knots=[2, 3])", "bs(x, df=4):a", "0 + cr(x, df=4)",
    "cr(x, df=4, constraints='center')", "0 + cc(x, df=4)", "0 + cs(x, df=4):a",
    "cr(x, df=4):a", "center(x)", "scale(x) + scale(z)",
    "standardize(x)", "scale(x, center=False)", "log(x) + exp(z)", "np.log(x)", "I(x**2) + I(x*z) + I(1/x)",
    "center(log(x))", "center(x):a + z", "poly(x, 2):C(k, contr.sum):a",
]  # fmt: skip


@pytest.mark.parametrize("right", FORMULAS)
def test_designs_of_formulaic(right):
    from formulaic import model_matrix

    frame = random_frame()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = model_matrix(f"y ~ {right}", frame).rhs
    model = from_formula(f"y ~ {right}", frame)
    assert model.names == tuple(expected.columns)
    # NumPy 2.0 rounds x**2 of a pandas column in another way than that of an array.
    np.testing.assert_array_max_ulp(model.X, np.asarray(expected, dtype=float), maxulp=1)
    assert list(model.terms.values()) == [tuple(v) for v in expected.model_spec.term_indices.values()]
    assert model.X.dtype == np.float64 and model.X.flags.c_contiguous


def natural_splines(x, knots):
    """Natural cubic splines by truncated powers: Hastie, Tibshirani and Friedman (2009), equations 5.4 and 5.5."""

    def d(k):
        return (np.maximum(x - knots[k], 0) ** 3 - np.maximum(x - knots[-1], 0) ** 3) / (knots[-1] - knots[k])

    last = len(knots) - 2
    return np.column_stack([np.ones_like(x), x, *(d(k) - d(last) for k in range(last))])


@pytest.mark.parametrize("right", ["cr(x, df=4)", "a + cs(x, df=4)", "a * cr(x, df=4)"])
def test_beside_an_intercept_natural_splines_are_centred_and_span_all_of_them(right):
    frame = random_frame()
    model = from_formula(f"y ~ {right}", frame)
    assert np.linalg.matrix_rank(model.X) == len(model.names)
    x = frame["x"].to_numpy()
    wanted = natural_splines(x, np.quantile(x, [0, 0.25, 0.5, 0.75, 1]))
    fitted = model.X @ np.linalg.lstsq(model.X, wanted, rcond=None)[0]
    np.testing.assert_allclose(fitted, wanted, atol=1e-8 * np.abs(wanted).max())
    own = [number for number, name in enumerate(model.names) if name.startswith("c") and ":" not in name]
    assert len(own) == 4
    np.testing.assert_allclose(model.X[:, own].mean(axis=0), 0, atol=1e-12)
    # New data have the constraint of the fit, and not their own.
    np.testing.assert_allclose(model.schema.design(frame[3:9]).X, model.X[3:9], rtol=1e-12, atol=1e-14)


def test_a_spline_that_one_of_two_formulas_has_without_an_intercept_is_centred_in_neither():
    from raphson.data.evaluate import states_before
    from raphson.data.formula import parse_formula

    with_one, without = (parse_formula(text, ["y", "x"]) for text in ("y ~ cr(x, df=4)", "~ 0 + cr(x, df=4)"))
    assert states_before([with_one]) == {"cr(x, df=4)": {"constraints": "center"}}
    assert states_before([with_one, without]) == {}


@pytest.mark.parametrize(
    ("right", "expected"),
    [("x", True), ("0 + x", False), ("0 + a", True), ("0 + a:b", True), ("0 + x:a", False),
     ("0 + bs(x, df=5, include_intercept=True)", True), ("0 + a:x + b", True)],
)  # fmt: skip
def test_has_intercept(right, expected):
    model = from_formula(f"y ~ {right}", random_frame())
    assert model.has_intercept is expected
    ones = np.ones(len(model.X))
    fitted = model.X @ np.linalg.lstsq(model.X, ones, rcond=None)[0]
    assert bool(np.abs(fitted - ones).max() < 1e-8) is expected


def test_designs_with_many_levels_are_sparse_and_equal():
    from formulaic import model_matrix

    rng, frame = np.random.default_rng(1), random_frame(400)
    frame["many"] = rng.choice([f"l{i}" for i in range(90)], 400)
    formula = "y ~ many + x + many:x + b:many + poly(z, 2):b + poly(z, 2):many"
    model = from_formula(formula, frame)
    assert isinstance(model.X, FactorDesign)
    expected = model_matrix(formula, frame).rhs
    assert model.names == tuple(expected.columns)
    np.testing.assert_allclose(model.X.toarray(), np.asarray(expected, float), rtol=3e-16, atol=0)
    np.testing.assert_array_equal(model.X[100:150].toarray(), model.X.toarray()[100:150])


@pytest.mark.parametrize("kept", [None, np.arange(1, 5_000, 2)], ids=["all rows", "some rows"])
def test_a_design_that_is_written_where_it_is_read_has_the_same_entries(kept):
    """Columns of numbers, which are copied by themselves, beside products, splines and factors, which are not."""
    frame = random_frame(5_000)
    formula = parse_formula("y ~ x + z + x:z + a + x:a + poly(z, 2)", list(frame))
    evaluator = Evaluator(Table(frame), {})
    variables = [evaluator.variable(one) for one in formula.factors]
    plan = make_plan(formula, list(described(formula, variables, len(frame))))
    n = len(frame) if kept is None else len(kept)
    there = plan.written(variables, kept, n)
    assert isinstance(there, WrittenDesign)
    X = plan.build(variables, kept, n)
    np.testing.assert_array_equal(there.toarray(), X)
    space = np.full((512, X.shape[1]), np.nan, order="F")
    np.testing.assert_array_equal(there.piece(100, 612, space), X[100:612])
    assert not isinstance(plan.written(variables, None if kept is None else kept[:900], 900), WrittenDesign)


def test_powers_are_exact():
    x = np.array([3.0, 2000.0, -7.0, 0.1])
    X = from_formula("y ~ 0 + I(x^5) + I(x**2) + x", {"y": x, "x": x}).X
    np.testing.assert_array_equal(X[:, 0], x**5)
    whole = np.array([3.0, 1999.0, -7.0])
    X = from_formula("y ~ 0 + I(x^4)", {"y": whole, "x": whole}).X
    assert [int(v) for v in X[:, 0]] == [3**4, 1999**4, 7**4]
    # Where a whole number outgrows what a double can hold, nothing wraps around.
    X = from_formula("y ~ 0 + I(x^8)", {"y": [1, 2], "x": [2000, 3]}).X
    assert X[0, 0] == 2000.0**8


def test_booleans_and_comparisons_are_factors():
    table = {"y": [1.0, 2, 3, 4], "flag": [True, False, True, False], "x": [1.0, 2, 3, 4], "g": list("abca")}
    model = from_formula("y ~ flag + I(x > 2) + I(g == 'a') + I(2 * flag)", table)
    assert model.names[1:] == ("flag[T.True]", "I(x > 2)[T.True]", "I(g == 'a')[T.True]", "I(2 * flag)")
    np.testing.assert_array_equal(model.X[:, 1:], [[1, 0, 1, 2], [0, 0, 0, 0], [1, 1, 0, 2], [0, 1, 1, 0]])


def test_spellings_of_r():
    table = {"y": [1.0, 2, 3, 4], "g": list("abca"), "k": [1, 2, 3, 1], "t": [0.0, 1, 2, 3]}
    names = from_formula("y ~ relevel(g, ref='b') + I(sin(2*pi*t/12))", table).names
    assert names[1:3] == ("relevel(g, ref='b')[T.a]", "relevel(g, ref='b')[T.c]")
    model = from_formula("y ~ factor(k, levels=c(3, 1, 2))", table)
    assert model.names[1:] == ("factor(k, levels=c(3, 1, 2))[T.1]", "factor(k, levels=c(3, 1, 2))[T.2]")
    assert from_formula("y ~ as.factor(k)", table).names[1] == "as.factor(k)[T.2]"
    assert from_formula("y ~ C(g, contr.treatment(base='b'))", table).names[1].endswith("[T.a]")


@pytest.mark.parametrize(
    ("right", "error", "message"),
    [
        ("log(a)", DataError, "expected numbers in 'a'; got text .such as 'a', 'b', 'c'."),
        ("I(g + 1)", DataError, "expected numbers in 'g'; got a factor"),
        ("poly(a, 2)", DataError, "expected numbers in 'a'; got text"),
        ("C(a, levels=['a', 'b'])", DataError, "lack 'c'; add them"),
        ("C(a, levels=['a', 'a', 'b', 'c'])", FormulaError, "expected a list of different levels"),
        ("C(a, contr.treatment(base='q'))", DataError, "cannot be coded: .*'q'"),
        ("C(a, 3)", FormulaError, r"expected a coding such as contr.sum"),
        ("relevel(a, ref='q')", DataError, "names a level 'q' that does not occur; the levels are 'a', 'b', 'c'"),
        ("I(a == 'q')", DataError, "names a level 'q' that does not occur"),
        ("I(a < 'b')", DataError, "compares text"),
        ("bs(x, df=1)", DataError, "cannot be evaluated: Invalid value for `df`"),
        ("bs(x, df=4, knots=[2])", DataError, "both `df` and `knots`"),
        ("poly(k, 4)", DataError, "needs more than 4 different values; got 4"),
        ("poly(x, 2) * I(poly(x, 2) + 1)", FormulaError, "several columns"),
        ("C(poly(x, 2))", DataError, "several columns cannot be a factor"),
        ("I(c(1, 2) + x)", FormulaError, "expected a number or a numeric column; got 'c.1, 2.'"),
        ("x - x - 1", FormulaError, "the design has no columns"),
        ("cbind(x, z)", FormulaError, "write it by itself on the left"),
    ],
)
def test_what_cannot_be_evaluated(right, error, message):
    with pytest.raises(error, match=message) as caught:
        from_formula(f"y ~ {right}", random_frame())
    assert "\n" not in str(caught.value)


def test_columns_of_no_use():
    table = random_frame().assign(
        day=pd.date_range("2020", periods=60), one="k", id=[f"row {i}" for i in range(60)],
        mixed=[1, "a"] * 30, complex=1j, Intercept=1.5,
    )  # fmt: skip
    for name, message in [
        ("day", "column 'day' has type datetime64.*turn dates and times into numbers"),
        ("one", "the factor 'one' has only one level .'k'."),
        (
            "id",
            "'id' is text with 60 different values in 60 rows .*an identifier, or convert it",
        ),
        ("mixed", "column 'mixed' contains numbers and text"),
        ("complex", "column 'complex' contains complex numbers"),
    ]:
        with pytest.raises(DataError, match=message):
            from_formula(f"y ~ {name}", table)
        # A column that is not used is nobody's business.
        from_formula("y ~ x", table)
    with pytest.raises(FormulaError, match="two columns of the design are named 'Intercept'"):
        from_formula("y ~ Intercept", table)
