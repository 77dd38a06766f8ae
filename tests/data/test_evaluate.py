"""Expressions over columns have the values that R gives them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raphson.data.evaluate import Evaluator
from raphson.data.expressions import parse_expression
from raphson.data.values import Levels, Table
from raphson.errors import DataError, FormulaError

TABLE = Table(pd.DataFrame({"x": [1.0, 2.0, -4.0], "k": [2, 3, 4], "g": ["b", "a", "b"], "t": [True, False, True]}))


def value(text):
    return Evaluator(TABLE, {}).variable(parse_expression(text, TABLE.known, "formula"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I(x + 2*k)", [5.0, 8.0, 4.0]),
        ("I(-x^2)", [-1.0, -4.0, -16.0]),  # the power binds first
        ("I(x ** 2 / k)", [0.5, 4 / 3, 4.0]),
        ("I(k %% 2)", [0.0, 1.0, 0.0]),
        ("abs(x)", [1.0, 2.0, 4.0]),
        ("np.exp(x)", np.exp([1.0, 2.0, -4.0])),
        ("I(x / 2 + pi)", np.array([1.0, 2.0, -4.0]) / 2 + np.pi),
    ],
)
def test_arithmetic(text, expected):
    if "%%" in text:
        text = text.replace("%%", "%")
    np.testing.assert_allclose(value(text).values, expected, rtol=1e-15)


def test_comparisons_are_factors_of_truth():
    found = value("x > 0")
    assert found.boolean and found.values.tolist() == [1.0, 1.0, 0.0]
    assert value("g == 'a'").values.tolist() == [0.0, 1.0, 0.0]


def test_factors_have_the_levels_that_are_declared():
    found = value("C(g, levels=['b', 'a'])")
    assert isinstance(found, Levels) and found.labels == ("b", "a") and found.codes.tolist() == [0, 1, 0]
    assert value("relevel(g, ref='b')").labels == ("b", "a")
    assert value("factor(k)").labels == ("2", "3", "4")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("log(g)", (DataError, FormulaError), "g"),
        ("I(g + 1)", (DataError, FormulaError), "g"),
        ("g == 'c'", (DataError, FormulaError), "c"),
    ],
)
def test_text_is_no_number(text, error, message):
    with pytest.raises(error, match=message):
        value(text)


def test_what_spoils_a_value_is_found_where_it_is_made():
    expression = parse_expression("I(1 + log(x))", TABLE.known, "formula")
    evaluator = Evaluator(TABLE, {})
    numbers = evaluator.numbers(expression)
    rows = np.isnan(numbers.values)
    assert rows.tolist() == [False, False, True] and "log(x)" in evaluator.origin_of(expression.tree, rows)
