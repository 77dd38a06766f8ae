from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath
import numpy as np

from raphson.data.curves import parse_curve
from raphson.model.curve.rounding import AMPLIFIED, perturbed
from raphson.model.curve.written import curve_derivatives
from raphson.numeric import x64

X = np.linspace(3.0, 25.0, 40)
CURVE = curve_derivatives(parse_curve("a*(1 - exp(-exp(c)*x))", ["x"], "formula"), ("x",), ("a", "c"))


def test_the_rounding_of_a_difference_is_what_its_terms_are_rounded_by() -> None:
    for c in (-2.3, -10.3, -30.3):
        theta = np.array([[np.exp(-c), c]])
        measured = float(np.sqrt(np.mean(CURVE.rounding(theta, X[None]) ** 2)))
        with mpmath.workdps(50):
            k = mpmath.exp(mpmath.mpf(c))
            truth = [float(mpmath.mpf(theta[0, 0]) * (1 - mpmath.exp(-k * mpmath.mpf(x)))) for x in X]
        error = float(np.sqrt(np.mean((CURVE.value(theta[0], X[None]) - truth) ** 2)))
        assert 0.1 * error < measured < 30 * error


def test_what_is_exact_is_not_shaken() -> None:
    with x64():
        value = np.asarray(perturbed(lambda t, x: jnp.where(x > 10, -x, jnp.maximum(x, 3.0))[::-1])(np.ones(1), X))
    np.testing.assert_array_equal(value, np.where(X > 10, -X, np.maximum(X, 3.0))[::-1])
    assert AMPLIFIED == 512.0


def test_loops_are_left_alone() -> None:
    def looped(theta, x):
        return jax.lax.fori_loop(0, 3, lambda k, y: y * jnp.exp(-theta[0]), x)

    with x64():
        np.testing.assert_array_equal(perturbed(looped)(np.ones(1), X), looped(np.ones(1), X))
