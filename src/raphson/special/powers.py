"""Differences of powers of a mean exp(m), as in the densities whose variance is a power of the mean.

Functions with an argument ``xp`` work with NumPy and ``jax.numpy`` alike; they have no derivatives of their own.
"""

# pyright: reportGeneralTypeIssues=false
# (the rule for a function's derivative, an argument of its decorator, refers to the function itself)

from __future__ import annotations

from typing import Any

from raphson.compat import jnp
from raphson.special.elementary import Array, with_derivatives


@with_derivatives(None, None, None, lambda c1, c2, p, m: two_powers((1.0 - p) * c1, (2.0 - p) * c2, p, m))
def two_powers(c1: Array, c2: Array, p: Array, m: Array) -> Array:
    """c1 exp((1 - p) m) - c2 exp((2 - p) m), without inf - inf."""
    return two_powers_at(c1, c2, p, m, jnp)


def two_powers_at(c1: Array, c2: Array, p: Array, m: Array, xp: Any) -> Array:
    """:func:`two_powers` in NumPy or ``jax.numpy``, without a derivative of its own."""
    # The larger of exp(m) and 1 is factored out, so that no infinity is subtracted from another.
    above = xp.exp((2.0 - p) * m) * (c1 * xp.exp(-xp.maximum(m, 0.0)) - c2)
    below = xp.exp((1.0 - p) * m) * (c1 - c2 * xp.exp(xp.minimum(m, 0.0)))
    alone = xp.where(c2 == 0, 0.0, -c2 * xp.exp((2.0 - p) * m))
    both = xp.where(c2 == 0, c1 * xp.exp((1.0 - p) * m), xp.where(m > 0, above, below))
    return xp.where(c1 == 0, alone, both)


def _power_change(q: Array, x: Array, m: Array, at_y: Array, factor: Array, xp: Any) -> Array:
    # factor times the integral of t^(q-1) from y to mu = e^m, with x = log(mu/y) and at_y = factor y^q:
    # at_y (e^(q x) - 1)/q while q x is small, otherwise from the power of mu itself, because e^(q x) may
    # overflow where its product with at_y is finite. At q = 0 it is at_y x.
    safe = xp.where(q == 0, 1.0, q)
    near = at_y * xp.expm1(xp.clip(safe * x, -1.0, 1.0)) / safe
    far = (factor * xp.exp(safe * m) - at_y) / safe
    return xp.where(q == 0, at_y * x, xp.where(xp.abs(safe * x) < 1.0, near, far))


@with_derivatives(None, None, lambda y, p, m: two_powers(y, 1.0, p, m))
def minus_half_deviance(y: Array, p: Array, m: Array) -> Array:
    """Minus half the unit deviance at the mean exp(m): the integral of (y - t)/t^p from y to the mean."""
    return minus_half_deviance_at(y, p, m, jnp)


def minus_half_deviance_at(y: Array, p: Array, m: Array, xp: Any) -> Array:
    """:func:`minus_half_deviance` in NumPy or ``jax.numpy``, without a derivative of its own."""
    # y > 0: y int t^-p dt - int t^(1-p) dt from y to mu, which holds in the limits p = 1 and 2 too.
    # y <= 0: y mu^(1-p)/(1-p) - mu^(2-p)/(2-p). For y < 0 (only where p <= 0) the perfect fit's part does
    # not depend on eta and is left out.
    positive = xp.where(y > 0, y, 1.0)
    log_y = xp.log(positive)
    x = m - log_y
    q1, q2 = 1.0 - p, 2.0 - p
    scale = xp.exp(q2 * log_y)
    first = _power_change(q1, x, m, scale, positive, xp)
    second = _power_change(q2, x, m, scale, xp.ones_like(m), xp)
    # The first power dominates below y and the second above, so that no infinity is subtracted from another.
    leading = xp.where(x < 0, first, -second)
    change = xp.where(xp.isinf(leading), leading, first - second)
    safe1, safe2 = xp.where(q1 == 0, 1.0, q1), xp.where(q2 == 0, 1.0, q2)
    return xp.where(y > 0, change, two_powers_at(y / safe1, 1.0 / safe2, p, m, xp))
