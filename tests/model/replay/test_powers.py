"""Derivatives of powers, logarithms and quotients at 0 and at infinity, alone and in curves that are finite there.

The right values at x = 0 are the limits from x > 0, where JAX's own derivatives are right.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from raphson.model.replay import powers
from raphson.model.replay.replay import with_limits
from raphson.numeric import x64

POWERS = {
    "Hill": lambda t, x: t[0] * x ** t[2] / (t[1] ** t[2] + x ** t[2]),
    "Hill, C/x": lambda t, x: t[0] / (1 + (t[1] / x) ** t[2]),
    "Hill, negative exponent": lambda t, x: t[0] / (1 + (x / t[1]) ** (-t[2])),
    "Hill, exp of log": lambda t, x: t[0] / (1 + jnp.exp(-t[2] * jnp.log(x / t[1]))),
    "Hill, exp of logs": lambda t, x: t[0] / (1 + jnp.exp(-t[2] * (jnp.log(x) - jnp.log(t[1])))),
    "Hill, log10": lambda t, x: t[0] / (1 + 10 ** ((t[1] - jnp.log10(x)) * t[2])),
    "Hill, sigmoid": lambda t, x: t[0] * jax.nn.sigmoid(t[2] * jnp.log(x / t[1])),
    "five parameters": lambda t, x: t[0] / (1 + (x / t[1]) ** t[2]) ** t[3],
    "whole powers of C/x": lambda t, x: t[0] / (1 + (t[1] / x) ** 2) + t[2] / (1 + t[3] / x**3),
    "stretched exponential": lambda t, x: t[0] * jnp.exp(-((x / t[1]) ** t[2])),
    "Frechet": lambda t, x: t[0] * jnp.exp(-((x / t[1]) ** (-t[2]))),
    "Chapman-Richards": lambda t, x: t[0] * (-jnp.expm1(-t[1] * x)) ** t[2],
    "Freundlich": lambda t, x: t[0] * x ** (1 / t[1]),
    "exp of b log x": lambda t, x: t[0] * jnp.exp(t[1] * jnp.log(x)),
    "van Genuchten": lambda t, x: t[0] * (1 + (t[1] * x) ** t[2]) ** (-(1 - 1 / t[2])),
    "roots": lambda t, x: t[0] + jnp.sqrt(t[1] * x) + jnp.cbrt(t[2] * x) + 1 / (1 + lax.rsqrt(t[3] * x)),
    "guarded": lambda t, x: t[0] + jnp.where(x > 0, (x / t[1]) ** t[2], 0.0),
    "reciprocals": lambda t, x: 1 / (1 / t[0] + t[1] / x) + t[2] * jnp.exp(-t[3] / x) + jnp.arctan(t[1] / x),
    "lax.pow": lambda t, x: lax.pow(x / t[1], jnp.broadcast_to(t[2], x.shape)),
    "vectors": lambda t, x: t[0] * (x / t[1:3].sum()) ** t[2:].mean(),
    "scan": lambda t, x: lax.scan(lambda c, k: (c + k * (x / t[0]) ** t[2], None), 0 * x, jnp.arange(1.0, 3))[0],
    "while": lambda t, x: lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] + (x / t[1]) ** t[2]), (0, x))[
        1
    ],
    "cond": lambda t, x: lax.cond(t[0] > 1, lambda: (x / t[1]) ** t[2], lambda: x * t[1]),
    "jit inside": lambda t, x: jax.jit(lambda a: a ** t[2])(x / t[1]),
}
THETA = np.array([2.0, 1.5, 0.7, 0.6])
TINY = 1e-100


BACKWARDS = ("Hill, C/x", "five parameters", "exp of b log x", "roots", "guarded", "scan", "cond")


@cache
def derivatives(limits: bool, x: tuple[float, ...], backwards: bool = False) -> dict[str, tuple[Any, Any]]:
    """First and second derivatives of curves by name; compiled together, which is much quicker than one by one."""
    names = BACKWARDS if backwards else tuple(POWERS)

    def all_of_them(t: Any) -> Any:
        return {name: (with_limits(POWERS[name]) if limits else POWERS[name])(t, jnp.array(x)) for name in names}

    first = jax.jacrev if backwards else jax.jacfwd
    with x64():
        found = jax.jit(lambda t: (first(all_of_them)(t), jax.jacfwd(first(all_of_them))(t)))(jnp.array(THETA))
        return {name: (np.asarray(found[0][name]), np.asarray(found[1][name])) for name in names}


@pytest.mark.parametrize("name", POWERS)
def test_derivatives_at_zero_are_the_limits_from_above(name: str) -> None:
    # Red where an operation on the way is left out, or its rule gives an infinity to be multiplied by 0.
    found = derivatives(True, (0.0, 0.3, 4.0))[name]
    right = derivatives(False, (TINY, 0.3, 4.0))[name]
    for own, jax_own, digits in zip(found, right, (1e-12, 1e-10), strict=True):
        np.testing.assert_allclose(own[0], jax_own[0], atol=1e-9)
        np.testing.assert_allclose(own[1:], jax_own[1:], rtol=digits, atol=1e-2 * digits)


@pytest.mark.parametrize("name", BACKWARDS)
def test_backwards_as_forwards(name: str) -> None:
    # Red where a rule looks at the tangent.
    x = (0.0, 0.3, 4.0)
    for forwards, back in zip(derivatives(True, x)[name], derivatives(True, x, backwards=True)[name], strict=True):
        np.testing.assert_allclose(back, forwards, rtol=1e-12, atol=1e-14)


def test_the_second_derivative_of_a_square_at_zero_is_two() -> None:
    # Red where ∂/∂a is set to 0 by a plain choice.
    with x64():
        for exponent, right in ((2.0, 2.0), (3.0, 0.0), (1.0, 0.0), (0.0, 0.0)):
            for base in (lambda a, b=exponent: powers.power(a, b), powers.whole_power(int(exponent))):
                assert float(jax.grad(jax.grad(base))(0.0)) == right
        assert float(jax.grad(lambda a: powers.power(a, 1.0))(0.0)) == 1.0
        assert float(jax.grad(jax.grad(jax.grad(lambda a: powers.power(a, 3.0))))(0.0)) == 6.0
        moving = with_limits(lambda t, x: (x * t[0]) ** 2.0 + (x * t[0] - x) ** 2)
        assert float(jax.hessian(lambda t: moving(t, jnp.ones(())))(jnp.zeros(1))[0, 0]) == 4.0


BOTH = jax.jit(lambda a, b: (jax.grad(powers.power, (0, 1))(a, b), jax.hessian(powers.power, (0, 1))(a, b)))


@settings(deadline=None)
@given(st.floats(0.05, 20.0), st.floats(-4.0, 4.0))
def test_where_nothing_is_special_the_derivatives_are_the_textbooks(a: float, b: float) -> None:
    with x64():
        (by_a, by_b), hessian = map(np.array, BOTH(a, b))
    value, log = a**b, np.log(a)
    np.testing.assert_allclose([by_a, by_b], [b * value / a, value * log], rtol=1e-11, atol=1e-300)
    mixed = value / a * (1 + b * log)
    right = [[b * (b - 1) * value / a**2, mixed], [mixed, value * log**2]]
    np.testing.assert_allclose(hessian, right, rtol=1e-9, atol=1e-9 * value)


def test_negative_bases() -> None:
    with x64():
        assert float(jax.grad(lambda a: powers.power(a, 3.0))(-2.0)) == 12.0
        assert float(jax.grad(powers.whole_power(-1))(-2.0)) == -0.25
        assert np.isnan(powers.power(-8.0, 1 / 3)) and np.isnan(jax.grad(powers.power)(-8.0, 1 / 3))
        assert float(jax.grad(powers.cube_root)(-8.0)) == pytest.approx(1 / 12, rel=1e-15)


@pytest.mark.parametrize("curve", [lambda t, x: jnp.sqrt(t) * x, lambda t, x: jnp.sqrt(t - x + 1.0)])
def test_a_parameter_at_the_edge_of_the_domain_is_not_hidden(curve: Any) -> None:
    # √θ at 0, or √(θ − x) at θ = x, has no derivative: an iteration must not take it for a stationary point.
    with x64():
        assert np.isinf(jax.grad(lambda t: with_limits(curve)(t, jnp.ones(())))(jnp.zeros(())))
