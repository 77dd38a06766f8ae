"""What is compiled of a curve: shared by curves that differ in numbers, and let go of when many others came."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from raphson.data.curves import parse_curve
from raphson.model.curve.compiled import CURVES_KEPT
from raphson.model.curve.written import curve_derivatives

X = np.array([0.0, 0.5, 1.0, 2.0, 3.0])


def derivatives(source, parameters=("a", "b")):
    return curve_derivatives(parse_curve(source, ["x"], "formula"), ("x",), parameters)


def test_curves_that_differ_in_numbers_share_code_and_keep_their_own_values():
    first, second = derivatives("a*exp(b*(x - 1.5))"), derivatives("a*exp(b*(x - 0.25))")
    assert first.code is second.code is not derivatives("a*exp(b*x)").code
    theta = np.array([2.0, 0.3])
    for made, shift in ((first, 1.5), (second, 0.25), (first, 1.5)):
        shape = np.exp(0.3 * (X - shift))
        want = [2.0 * shape, shape, 2.0 * (X - shift) * shape]
        np.testing.assert_allclose(made.tangents(theta, X[None]), want, rtol=1e-15, atol=1e-16)
        np.testing.assert_allclose(made.many(theta[None], X[None]), want[:1], rtol=1e-15)


@pytest.mark.parametrize("exponent", [0.4, 1.7, 2.3, -0.6, 2.5, 3])
def test_derivatives_at_zero_are_those_of_the_exponent_whether_it_is_an_input_or_not(exponent):
    # b*x is 0 at x = 0 whatever b is: the curve's derivative by b is 0 there, or infinite under a division.
    table = derivatives(f"a + (b*x)^{exponent}").tangents(np.array([1.0, 2.0]), X[None])
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(table[0], 1.0 + (2.0 * X) ** exponent, rtol=1e-14)
        inside = X[1:] if exponent < 0 else X
        slope = table[2][1:] if exponent < 0 else table[2]
        np.testing.assert_allclose(slope, exponent * 2.0 ** (exponent - 1) * inside**exponent, rtol=1e-14)


def test_code_of_expressions_long_out_of_use_goes():
    code = weakref.ref(derivatives("a*exp(b*x) + 7*x").code)
    assert derivatives("a*exp(b*x) + 8*x").code is code()
    for k in range(CURVES_KEPT):
        assert derivatives("a*exp(b*x)" + "*x" * (k + 1)).code
    gc.collect()
    assert code() is None
