from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import jax.scipy.special as jsp
import mpmath
import numpy as np
import pytest

from raphson.autodiff import taylor
from raphson.errors import DataError, ModelError


def test_exp_of_high_order() -> None:
    expansion = taylor(jnp.exp, 0.5, 15)
    for k, tensor in enumerate(expansion.derivatives):
        assert tensor.shape == (1,) * k
        assert tensor.ravel()[0] == pytest.approx(math.exp(0.5), rel=1e-14)
    assert expansion(1.5) == pytest.approx(math.exp(1.5), rel=1e-13)


def test_an_operation_that_jet_does_not_know() -> None:
    expansion = taylor(jsp.gammaln, 3.0, 4)
    true = [float(c) for c in mpmath.taylor(mpmath.loggamma, 3, 4)]
    assert [expansion.coefficients[k,] for k in range(5)] == pytest.approx(true, rel=1e-12)


def test_a_polynomial_of_several_variables_is_its_own_expansion() -> None:
    def f(x: Any) -> Any:
        return jnp.stack([x[0] ** 2 * x[1] + 3.0, x[1] ** 3 - x[0]])

    expansion = taylor(f, np.array([1.0, -2.0]), 3)
    assert expansion.derivatives[3].shape == (2, 2, 2, 2)
    there = np.array([0.3, 5.0])
    np.testing.assert_allclose(expansion(there), [0.09 * 5.0 + 3.0, 125.0 - 0.3], rtol=1e-13)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_rest_is_of_the_next_order(order: int) -> None:
    def f(x: Any) -> Any:
        return jnp.exp(x[0]) * jnp.sin(x[1])

    at, along = np.array([0.2, 0.7]), np.array([1.0, -0.5])
    expansion = taylor(f, at, order)

    def rest(step: float) -> float:
        x, y = at + step * along
        return abs(math.exp(x) * math.sin(y) - expansion(at + step * along))

    assert math.log2(rest(0.1) / rest(0.05)) == pytest.approx(order + 1, abs=0.35)


def test_finite_differences() -> None:
    exact, finite = taylor(jnp.sin, 0.3, 4), taylor(math.sin, 0.3, 4, method="finite")
    for k, (a, b) in enumerate(zip(exact.derivatives, finite.derivatives, strict=True)):
        np.testing.assert_allclose(a, b, atol=1e-13 * 100.0**k)


def test_several_arguments_and_many_points() -> None:
    expansion = taylor(lambda x, y: x * jnp.exp(y), (1.0, 2.0), 2)
    assert expansion.variables == ("x", "y") and expansion(1.0, 2.0) == pytest.approx(math.exp(2.0))
    many = taylor(lambda x: jnp.stack([x, x**2]), 1.0, 2)(np.array([0.0, 2.0]))
    np.testing.assert_allclose(many, [[0.0, 0.0], [2.0, 4.0]], atol=1e-14)


def test_it_prints_itself() -> None:
    text = str(taylor(lambda x, y: x * y + 1.0, (0.0, 2.0), 2))
    assert text == "f ≈ 1 + 2·x + 1·x·(y - 2)\nabout x = 0, y = 2; the remainder is of order 3"


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: taylor(jnp.sin, 0.0, -1), ModelError, "order"),
        (lambda: taylor(jnp.sin, 0.0, 1.5), ModelError, "order"),
        (lambda: taylor(jnp.sin, 0.0, 2, method="x"), ModelError, "method"),
        (lambda: taylor(jnp.sum, np.ones(100), 6), ModelError, "lower it"),
        (lambda: taylor(lambda x: (x, x), 0.0, 1), ModelError, "2 results"),
        (lambda: taylor(jnp.sum, np.ones(2), 1)(np.ones(3)), DataError, "shaped like"),
    ],
)
def test_bad_input_gets_one_line(call: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        call()
