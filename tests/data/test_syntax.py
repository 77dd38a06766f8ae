"""Expressions are read in one way, whoever asks: the same text, the same words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raphson as rp
from raphson.data.curves import parse_curve
from raphson.data.evaluate import Evaluator
from raphson.data.expressions import parse_expression
from raphson.data.functions import numpy_function
from raphson.data.syntax import Walk, operation, parsed, spell, written
from raphson.data.values import Table
from raphson.inference.constraints import linear

X = np.array([0.5, 2.0, -3.0])


def as_term(source):
    evaluator = Evaluator(Table(pd.DataFrame({"x": X})), {}, "argument")
    return evaluator.variable(parse_expression(source, ["x"], "argument")).values


def as_curve(source):
    return parse_curve(source, ["x"], "argument").evaluate({"x": X}, numpy_function)


READERS = [as_term, as_curve, lambda source: linear(source, ["x"], "argument")]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("(x", r"argument: the bracket '\(' in '\(x' is never closed"),
        ("x +", r"argument: cannot read 'x \+'"),
        ("x; x", r"argument: ';' in 'x; x' is not allowed; allowed are"),
        ("x.real + x", r"argument: 'x.real' in 'x.real \+ x' is not allowed"),
        ("x[0]", r"argument: 'x\[0\]' in 'x\[0\]' is not allowed"),
        ("x + 9**9**9", r"'9 \*\* 9 \*\* 9' cannot be computed|'9 \*\* 387420489' cannot be computed"),
        ("x*1e200*(1e200*1e200)", r"'1e\+200 \* 1e\+200' cannot be computed \(not a finite real number\)"),
        ("x + " + "9" * 40, r"argument: the number 99999999999999999999... .* is too large; write 1e30"),
    ],
)
def test_terms_and_curves_say_the_same(source, said):
    for reader in READERS[:2]:
        with pytest.raises(rp.FormulaError, match=said):
            reader(source)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["x", "x", "(", ")", "+", "-", "*", "/", "^", "%", "2", "3.5", "0"]), max_size=12))
def test_arithmetic_is_the_same_for_all(pieces):
    """A term and a curve agree; where a constraint can be read, its line is theirs."""
    source, found = " ".join(pieces), []
    for reader in READERS:
        try:
            with np.errstate(all="ignore"):
                found.append(reader(source))
        except rp.RaphsonError:
            found.append(None)
    term, curve, line = found
    if term is not None and curve is not None:
        np.testing.assert_allclose(term, curve, rtol=1e-14)
    if line is not None and curve is not None:
        np.testing.assert_allclose(line.matrix[0, 0] * X - line.value[0], curve, rtol=1e-12, atol=1e-12)


def test_every_operator_is_python_s():
    walk = Walk("argument")
    for source in ("-2 + 3*4", "2^3^2 - 7 % 4", "7 // 2", "+1 - -1", "2 < 3", "3 <= 2", "2 == 2", "2 != 2", "1 > 0"):
        tree = parsed(source, (), "argument")
        assert walk.value(tree) == eval(source.replace("^", "**")), source
        assert operation(tree)[1]
    with pytest.raises(rp.FormulaError, match=r"argument: 'x' is not allowed"):
        walk.value(parsed("x", (), "argument"))


def test_a_tree_is_written_in_one_spelling():
    assert written(parsed("x^2+ `a b`*Solar.R", ["a b"], "argument")) == "x ** 2 + `a b` * Solar.R"
    assert spell("a b") == "`a b`" and spell("Solar.R") == "Solar.R"
