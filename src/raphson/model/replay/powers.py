"""Powers, logarithms and quotients with derivatives that are right at 0 and infinity, where the formulas give NaN.

At x = 0 the curve A exp(−(x/τ)^β) is A whatever τ and β are, and its derivatives by these are 0. The chain rule gives
β a^(β−1) · ∂a/∂τ with a = x/τ = 0, which for β < 1 is ∞ · 0. So the functions here define other partial derivatives:

- Where the base of a power with an infinite derivative is 0, the derivative is 0. That is right if the base stays 0
  whatever the parameters are. If the base does change, the power has a kink, and 0 is its derivative on the side where
  a base such as max(1 − x/c, 0) stays at 0.
- Where the result is infinite, the derivative is 0, since it stays infinite under small changes of the parameters. A
  curve can still be finite if it divides by that infinity, as 1/(1 + (x/c)^(−b)) does, or has it in an exponential.

Each derivative is written with these functions themselves, so that second and third derivatives follow the same rules,
and the second derivative of a² at 0 is 2. They depend only on values, never on tangents, so they can be differentiated
in reverse as well as in forward mode.
"""

# pyright: reportGeneralTypeIssues=false
# (the rule for a function's derivative, an argument of its decorator, refers to the function itself)

from __future__ import annotations

from functools import cache
from typing import Any

from raphson.compat import jnp, lax
from raphson.special.elementary import Array, Function, with_derivatives


def _kept(still: Array, rule: Function, *values: tuple[Array, float]) -> Array:
    """0 where still; elsewhere the rule at these values. Where still, a harmless substitute stands for each value."""
    return jnp.where(still, 0.0, rule(*(jnp.where(still, harmless, value) for value, harmless in values)))


def _finite(value: Array) -> Array:
    return jnp.where(jnp.isinf(value), 0.0, value)


@cache
def power_of(first: bool, second: bool) -> Function:
    """(a, b) ↦ a^b, given which of the two may be infinite."""

    def by_base(a: Array, b: Array) -> Array:
        # Substituting a suffices: b a^(b−1) is finite at a = 1.
        ends = jnp.isinf(own(a, b)) | ((a == 0) & (b < 1))
        return _kept(ends, lambda a: (_finite(b) if second else b) * own(a, b - 1.0), (a, 1.0))

    def by_exponent(a: Array, b: Array) -> Array:
        # The power itself, which is already computed, rather than that of a substitute: its derivatives are right at
        # the ends.
        ends = (a == 0) | jnp.isinf(a) if first else a == 0
        return _finite(own(a, b)) * jnp.log(jnp.where(ends, 1.0, a))

    @with_derivatives(by_base, by_exponent)
    def own(a: Array, b: Array) -> Array:
        return jnp.power(a, b)

    return own


power = power_of(True, True)
"""a^b, whatever a and b are."""


@with_derivatives(lambda a: _kept(a == 0, lambda value: 0.5 / value, (root(a), 1.0)))
def root(a: Array) -> Array:
    """The square root."""
    return jnp.sqrt(a)


@with_derivatives(lambda a: _kept((a == 0) | jnp.isinf(a), lambda c, a: c / (3.0 * a), (cube_root(a), 1.0), (a, 1.0)))
def cube_root(a: Array) -> Array:
    """The cube root, of numbers of either sign."""
    return jnp.cbrt(a)


@with_derivatives(lambda a: _kept(a == 0, lambda c, a: -0.5 * c / a, (reciprocal_root(a), 1.0), (a, 1.0)))
def reciprocal_root(a: Array) -> Array:
    """1/√a."""
    return lax.rsqrt(a)


@cache
def whole_power(exponent: int) -> Function:
    """a ↦ a^n for a whole number n."""

    def slope(a: Array) -> Array:
        if exponent == 0:
            return jnp.zeros_like(a)
        infinite = jnp.isinf(lax.integer_pow(a, exponent))
        return _kept(infinite, lambda a: exponent * whole_power(exponent - 1)(a), (a, 1.0))

    return with_derivatives(slope)(lambda a: lax.integer_pow(a, exponent))


@with_derivatives(lambda a: _kept((a == 0) | jnp.isinf(a), lambda a: 1.0 / a, (a, 1.0)))
def logarithm(a: Array) -> Array:
    """log a."""
    return jnp.log(a)


@with_derivatives(lambda a: _kept((a == -1) | jnp.isinf(a), lambda a: 1.0 / (1.0 + a), (a, 0.0)))
def logarithm_of_1_plus(a: Array) -> Array:
    """log(1 + a)."""
    return jnp.log1p(a)


@with_derivatives(lambda a: _finite(exponential(a)))
def exponential(a: Array) -> Array:
    """e^a."""
    return jnp.exp(a)


@with_derivatives(lambda a: 0.6931471805599453 * _finite(exponential_of_2(a)))
def exponential_of_2(a: Array) -> Array:
    """2^a."""
    return jnp.exp2(a)


@with_derivatives(lambda a: _kept(jnp.isinf(a), lambda a: 1.0 / (1.0 + a * a), (a, 0.0)))
def arctangent(a: Array) -> Array:
    """arctan a."""
    return jnp.arctan(a)


@cache
def product(first: bool, second: bool) -> Function:
    """(a, b) ↦ a b, given which of the two may be infinite."""

    def ends(a: Array, b: Array) -> Array:
        return (jnp.isinf(a) if first else False) | (jnp.isinf(b) if second else False)

    return with_derivatives(
        lambda a, b: _kept(ends(a, b), lambda b: b, (b, 1.0)), lambda a, b: _kept(ends(a, b), lambda a: a, (a, 1.0))
    )(lambda a, b: a * b)


@with_derivatives(lambda b: -(_finite(_reciprocal(b)) ** 2))
def _reciprocal(b: Array) -> Array:
    return 1.0 / b


@cache
def quotient(first: bool) -> Function:
    """(a, b) ↦ a/b, where b may be 0 or infinite, given whether a may be infinite too."""

    def above(a: Array, b: Array) -> Array:
        by = _finite(_reciprocal(b))
        return jnp.where(jnp.isinf(a), 0.0, by) if first else by

    def below(a: Array, b: Array) -> Array:
        by = _finite(_reciprocal(b))
        return -(_finite(a) if first else a) * by * by

    return with_derivatives(above, below)(lambda a, b: a / b)


def in_place_of(name: str, parameters: dict[str, Any], infinite: tuple[bool, ...]) -> Function | None:
    """The function of this module that replaces one of JAX's primitives; None if there is none.

    Parameters
    ----------
    name, parameters : of the primitive.
    infinite : which of its operands may be infinite.
    """
    if name in ("mul", "div"):
        return product(*infinite) if name == "mul" else quotient(infinite[0])
    if name == "pow":
        return lambda a, b: power_of(*infinite)(a, jnp.asarray(b, float))
    if name in ("integer_pow", "square"):
        return whole_power(parameters.get("y", 2))
    return _ELEMENTARY.get(name)


_ELEMENTARY: dict[str, Function] = {
    "sqrt": root,
    "cbrt": cube_root,
    "rsqrt": reciprocal_root,
    "log": logarithm,
    "log1p": logarithm_of_1_plus,
    "exp": exponential,
    "exp2": exponential_of_2,
    "atan": arctangent,
}
