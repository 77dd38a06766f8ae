"""Formulas are read with R's semantics; malformed ones get one line that says where to look."""

from __future__ import annotations

import re

import pytest

from raphson.data import from_formula
from raphson.data.formula import parse_formula
from raphson.errors import DataError, FormulaError

NAMES = ["", "y", "x", "z", "w", "a", "b", "c", "Solar.R", "my col", "class", "log"]


def terms(text):
    formula = parse_formula(text, NAMES)
    return [formula.term_name(term) for term in formula.terms]


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ("x", ["Intercept", "x"]),
        ("1", ["Intercept"]),
        ("x - 1", ["x"]),
        ("0 + x", ["x"]),
        ("-1 + x", ["x"]),
        ("x + 0", ["x"]),
        ("a*b", ["Intercept", "a", "b", "a:b"]),
        ("a:b + b:a", ["Intercept", "a:b"]),
        ("a/b", ["Intercept", "a", "a:b"]),
        ("(a + b + c)^2", ["Intercept", "a", "b", "c", "a:b", "a:c", "b:c"]),
        ("(a + b)**2 - a:b", ["Intercept", "a", "b"]),
        ("a:b + x", ["Intercept", "x", "a:b"]),
        ("a*b*c - a:b:c", ["Intercept", "a", "b", "c", "a:b", "a:c", "b:c"]),
        ("x + x", ["Intercept", "x"]),
        ("Solar.R + log(Solar.R)", ["Intercept", "Solar.R", "log(Solar.R)"]),
        ("`Solar.R` + `my col` + log(`my col`)", ["Intercept", "Solar.R", "`my col`", "log(`my col`)"]),
        ("class + exp(log) + log(log)", ["Intercept", "class", "exp(log)", "log(log)"]),
        ("I(x^2 + 1) + I(x**2+1)", ["Intercept", "I(x ** 2 + 1)"]),
        ("np.log(x)", ["Intercept", "np.log(x)"]),
        ("C(a, contr.treatment(base = \"b\"))", ["Intercept", "C(a, contr.treatment(base='b'))"]),
        ("factor(a, levels=c('q', 'r'))", ["Intercept", "factor(a, levels=c('q', 'r'))"]),
        ("x\n + z", ["Intercept", "x", "z"]),
    ],
)  # fmt: skip
def test_terms(right, expected):
    assert terms(f"y ~ {right}") == expected


def test_dot_is_every_other_column():
    # Neither the response's columns nor one without a name, where R keeps the row names.
    assert terms("cbind(y, w - y) ~ . - class") == [
        "Intercept", "x", "z", "a", "b", "c", "Solar.R", "`my col`", "log",
    ]  # fmt: skip
    formula = parse_formula("y ~ . - x", NAMES, exclude={"w"})
    assert "w" not in formula.dot and "x" in formula.dot


def test_offsets_are_taken_out():
    formula = parse_formula("y ~ x + offset(log(w)) + offset(z)", NAMES)
    assert [offset.text for offset in formula.offsets] == ["log(w)", "z"]
    assert [formula.term_name(term) for term in formula.terms] == ["Intercept", "x"]


def test_responses():
    assert parse_formula("log(y) ~ x", NAMES).response_name == "log(y)"
    formula = parse_formula("cbind(y, w-y) ~ x", NAMES)
    assert [part.text for part in formula.response] == ["y", "w - y"]
    assert formula.response_name == "cbind(y, w - y)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y", "expected one '~'.* got 0"),
        ("y ~ x ~ z", "expected one '~'.* got 2"),
        ("", "expected one '~'"),
        ("y ~", "the right side of '~' is empty"),
        ("y ~ x +", "cannot read 'y ~ x [+]'"),
        ("y ~ x z", "cannot read"),
        ("y ~ *x", "cannot read"),
        ("y ~ (x", r"the bracket '\(' in '.*' is never closed"),
        ("y ~ x)", r"the bracket '\)' in '.*' has no opening bracket"),
        ("y ~ I(x]", "has no opening bracket"),
        ("y ~ C(a, 'b)", "quotation mark ' in .* is never closed"),
        ("y ~ `x", "quotation mark ` in"),
        ("y ~ 2*x", r"the number '2' is not a term; write I\(2\*x\)"),
        ("y ~ x:1", "a number is part of an interaction"),
        ("y ~ x^1.5", "the number '1.5' is not a term"),
        ("y ~ x > 3", r"'>' in .* is not allowed.*write I\(...\) around a comparison"),
        ("y ~ offset(x):a", "an offset is part of an interaction"),
        ("y ~ log()", r"log\(\) needs a column"),
        ("y ~ log(x, z)", r"log\(\) takes at most 1 arguments; got 2"),
        ("y ~ poly(x, 2, power=3)", "has no option 'power'; its options are degree, raw"),
        ("y ~ scale(x, center=z)", r"expected a constant for the option center of scale"),
        ("y ~ log", None),
        ("y ~ exp", r"'exp' in 'exp' is a function; write exp\(x\)"),
        ("y ~ pi", "'pi' is not a column"),
        ("y ~ contr.sum", "'contr.sum' is not a column"),
        ("y ~ contr.sum()", "cannot be a term"),
        ("y ~ I(2)", "contains no column"),
        ("y ~ I()", "needs a column"),
        ("cbind(y, x, z) ~ w", r"cbind\(\) takes at most 2 arguments"),
        ("cbind(y) ~ w", "expected two columns"),
        ("y ~ I(x = 3)", "needs a column"),
        ("y ~ a(x)", r"'a' in 'a\(x\)' is a column, not a function"),
        (3, "expected text such as"),
    ],
)
def test_malformed_formulas(text, message):
    if message is None:  # a column may share a function's name
        parse_formula(text, NAMES)
        return
    with pytest.raises(FormulaError, match=message) as caught:
        parse_formula(text, NAMES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y ~ X", "column 'X' is not in the data; did you mean 'x'"),
        ("y ~ log(Solar.r)", "column 'Solar.r' is not in the data; did you mean 'Solar.R'"),
        ("y ~ `my cool`", "did you mean 'my col'"),
        ("Y ~ x", "did you mean 'y'"),
        ("y ~ offset(zz)", "column 'zz' is not in the data; did you mean 'z'"),
        ("y ~ quite_else", "its columns are y, x, z, w, a, b, c, Solar.R and 3 more"),
    ],
)
def test_unknown_columns(text, message):
    with pytest.raises(DataError, match=message):
        parse_formula(text, NAMES)


def test_a_dot_that_stands_for_nothing():
    with pytest.raises(FormulaError, match=r"'\.' stands for the other columns, but there are none"):
        parse_formula("y ~ .", ["y"])


@pytest.mark.parametrize("formula", ["y ~ y", "y ~ x + y", "log(y) ~ log(y)", "y ~ x:y", "cbind(y, x) ~ x"])
def test_a_response_on_both_sides_is_refused(formula):
    with pytest.raises(FormulaError, match=r"formula: the response '.*' is also on the right side"):
        from_formula(formula, {"y": [1.0, 2, 4], "x": [1.0, 2, 3]})


@pytest.mark.parametrize("formula", ["y ~ log(y)", "log(y) ~ y", "y ~ x + I(y)", "y ~ offset(y)"])
def test_a_function_of_the_response_on_the_right_is_told_of(formula):
    with pytest.warns(UserWarning, match="are computed from the same column, 'y'"):
        from_formula(formula, {"y": [1.0, 2, 4], "x": [1.0, 2, 3]})


def test_a_change_may_be_explained_by_its_baseline(recwarn):
    from_formula("I(y - x) ~ x", {"y": [1.0, 2, 4], "x": [1.0, 2, 3]})
    from_formula("y ~ . - y", {"y": [1.0, 2, 4], "x": [1.0, 2, 3]})
    assert not recwarn.list


def test_names_that_are_not_plain_are_told_in_backticks() -> None:
    names = ["Died?", "Body Weight (kg)", "age", "log(x)", "x"]
    for text, said in (
        ("Died? ~ age", "`Died?` ~ age"),
        ("age ~ Body Weight (kg) + `Died?`", "age ~ `Body Weight (kg)` + `Died?`"),
    ):
        with pytest.raises(FormulaError, match=re.escape(f"in backticks, as in {said!r}")):
            parse_formula(text, names)
    with pytest.raises(DataError, match="'zz' is not in the data"):  # which backticks do not mend
        parse_formula("age ~ log(x) + zz", names)
