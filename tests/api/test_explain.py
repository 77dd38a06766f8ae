"""An expression is taken apart at a point, under the names that it has."""

from __future__ import annotations

import math

import pytest

from raphson.api.explain import explain
from raphson.errors import FormulaError


def test_steps_values_and_slopes():
    found = explain("log(1 + exp(-y*x))", {"y": 1.0, "x": 0.3})
    assert found.value == pytest.approx(math.log1p(math.exp(-0.3)))
    assert [one.name for one in found.arguments] == ["y", "x"]
    slope = {one.name: float(one.adjoint) for one in found.arguments}
    assert slope["x"] == pytest.approx(-1.0 / (1.0 + math.exp(0.3)))
    assert all(step.source is None for step in found.steps)


@pytest.mark.parametrize(
    ("expression", "at", "message"),
    [
        (" ", {"x": 1.0}, "expression: it is empty"),
        ("1 + 1", {"x": 1.0}, "'1 \\+ 1' has no names"),
        ("log(x) + z", {"x": 1.0}, "at: no value for z .*add z=1"),
        ("log(x)", {"x": 1.0, "z": 2.0}, "at: z does not occur in 'log\\(x\\)'; its names are x"),
        ("x.__class__", {"x": 1.0}, "not allowed"),
    ],
)
def test_what_does_not_fit_together_is_named(expression, at, message):
    with pytest.raises(FormulaError, match=message):
        explain(expression, at)
