"""Which derivatives of an expression come from NumPy, and which from compiled code."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from raphson.data.curves import parse_curve
from raphson.model.curve import written
from raphson.model.curve.written import curve_derivatives

X = np.array([[0.0, 0.5, 1.0, 2.0, 3.0]])
THETA = np.array([2.0, 0.7])
U = np.array([1.0, -0.5, 0.0, 2.0, 0.3])


def derivatives(source):
    return curve_derivatives(parse_curve(source, ["x"], "formula"), ("x",), ("a", "b"))


@pytest.mark.parametrize(
    "source", ["a*exp(-b*x)", "a*exp(-(x/b)^0.4)", "a/(1 + (x/b)^-1.5)", "a*x*sinc(b*x)", "a*log(b*(x + 1))"]
)
@pytest.mark.parametrize("few", [4096, 4])
def test_few_and_many_rows_have_the_same_derivatives(source, few, monkeypatch):
    made = derivatives(source)
    monkeypatch.setattr(written, "NUMPY_ROWS", few)
    close = {"rtol": 1e-12, "atol": 1e-14}
    points = np.stack([THETA, THETA + 0.1])
    for name, more in (("value", ()), ("tangents", ()), ("second", ()), ("second_order", (U,))):
        want = getattr(made.compiled, name)(THETA, X, *more)
        np.testing.assert_allclose(getattr(made, name)(THETA, X, *more), want, **close)
    np.testing.assert_allclose(made.many(points, X), made.compiled.many(points, X), **close)
    root, y = np.sqrt(np.array([0.0, 1.0, 2.0, 0.0, 1.0])), np.arange(5.0)
    for one, want in zip(made.solved(THETA, X, y, root, 0), made.compiled.solved(THETA, X, y, root, 0), strict=True):
        np.testing.assert_allclose(one, want, **close)


def test_compiled_code_is_made_only_where_it_is_needed():
    made = derivatives("a*exp(-(x/b)^0.4)")
    made.tangents(THETA, X[:, 1:]), made.second_order(THETA, X[:, 1:], U[1:]), made.rounding(THETA[None], X)
    made.kink_gaps(THETA, X)
    assert "compiled" not in vars(made)
    made.tangents(THETA, X)  # at x = 0 the derivative of the power is infinite, and that of the curve 0
    assert "compiled" in vars(made)


def test_points_in_pieces_are_those_at_once(monkeypatch):
    made, points = derivatives("a*exp(-b*x)"), np.stack([THETA * k for k in range(1, 8)])
    whole = made.many(points, X)
    monkeypatch.setattr(written, "TOGETHER", 12)
    np.testing.assert_array_equal(made.many(points, X), whole)
    assert made.rounding(points, X).shape == whole.shape


def test_they_travel_to_another_process():
    made = derivatives("a*exp(-b*x)")
    made.compiled.value(THETA, X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(made)).value(THETA, X), made.value(THETA, X))  # noqa: S301


def test_limits_are_compiled_for_the_sizes_of_blocks_only(monkeypatch):
    made, sizes = derivatives("a*exp(-(x/b)^0.4)"), []
    for name in ("tangents", "second", "second_order"):
        plain = getattr(made.compiled, name)
        monkeypatch.setattr(
            made.compiled, name, lambda theta, x, *u, plain=plain: sizes.append(x.shape[1]) or plain(theta, x, *u)
        )
    made.tangents(THETA, X), made.second(THETA, X), made.second_order(THETA, X, U)
    made.solved(THETA, X, U, np.ones(5), 0)
    assert set(sizes) == {256}
