r"""The beta function and the incomplete gamma and beta functions, with derivatives in every argument.

JAX has no derivative of the incomplete beta function with respect to its shapes and no second derivative of the
incomplete gamma function, and its logarithm of the beta function is accurate to 6 digits. Here the incomplete functions
are integrals of log-concave functions over a half-line that begins at the end point of the original integral,

    Γ(a, x)   = x^a e^(−x) ∫_0^∞ exp(a v − x (e^v − 1)) dv           (t = x e^v),       taken where x ≥ a
    γ(a, x)   = x^a e^(−x) ∫_0^∞ exp(−a w − x (e^(−w) − 1)) dw       (t = x e^(−w)),    taken where x < a
    B_x(a, b) = x^a (1−x)^b ∫_0^∞ exp(−a w) (1 − x + x e^(−w))^−(a+b) dw,               taken where x ≤ a/(a+b)

(NIST DLMF 8.2.1, 8.2.2 and 8.17.1, the last in logit t). Each integrand decreases from 1, so that 64 Gauss-Legendre
nodes, up to the point where it is e^(−40), give all digits. The nodes are held fixed when the sum is differentiated, so
every derivative is the integral of the integrand's derivative, as accurate as the value.
"""

from __future__ import annotations

import numpy as np

from raphson.compat import jax, jnp
from raphson.special.elementary import Array, log1m_exp, log1p_gap, with_derivatives
from raphson.special.gamma import lgamma_difference, log_minus_digamma, stirling_remainder

_NODES, _WEIGHTS = (0.5 * part for part in np.polynomial.legendre.leggauss(64))
_NODES = _NODES + 0.5  # on [0, 1]

_DEPTH = 40.0
"""The integral ends where the integrand is exp(−40), 4e-18: a fiftieth of ε."""

_FAR = 40.0
"""Beyond this w the lower integrands are proportional to exp(−a w), to the last digit."""


def digamma_gap(a: Array, b: Array) -> Array:
    """psi(a) − psi(a + b) for positive a and b, without the cancellation for large ones."""
    return log_minus_digamma(a + b, jnp) - log_minus_digamma(a, jnp) - jnp.log1p(b / a)


@with_derivatives(digamma_gap, lambda a, b: digamma_gap(b, a))
def betaln(a: Array, b: Array) -> Array:
    """log B(a, b) = lgamma(a) + lgamma(b) − lgamma(a + b) for positive a and b.

    Examples
    --------
    >>> from raphson.numeric import x64
    >>> with x64():
    ...     print(round(float(betaln(10.0, 0.5)), 12))
    -0.566432796398
    """
    small, large = jnp.minimum(a, b), jnp.maximum(a, b)
    return jax.lax.lgamma(small) - lgamma_difference(small, large, jnp) - small * jnp.log(large)


@with_derivatives(
    lambda y, x: jnp.log1p(y / x) - log_minus_digamma(x + y, jnp),
    lambda y, x: log_minus_digamma(x, jnp) - log_minus_digamma(x + y, jnp) - log1p_gap(y / x, jnp),
)
def lgamma_growth(y: Array, x: Array) -> Array:
    """log Γ(x + y)/Γ(x) − y log x for y ≥ 0 and x > 0, with derivatives that are quick to compile."""
    return lgamma_difference(y, x, jnp)


def _integral(exponent: Array, end: Array) -> Array:
    """∫_0^end exp(exponent(v)) dv; `exponent` gets the nodes along a last axis."""
    nodes = end[..., None] * _NODES
    return end * jnp.sum(_WEIGHTS * jnp.exp(exponent(nodes)), axis=-1)


def _gamma_part(a: Array, x: Array, beyond: Array) -> Array:
    """log of ∫_0^∞ exp(s a v − x (e^(s v) − 1)) dv, s = 1 where x ≥ a and −1 where x < a."""
    sign = jnp.where(beyond, 1.0, -1.0)
    # x (e^(sv) − 1) − s a v is convex and increases from 0: Newton's iterates that begin where it exceeds the depth
    # stay there.
    p, z = jax.lax.stop_gradient((a, x))
    upper = jnp.log1p(_DEPTH / z + jnp.sqrt(2.0 * _DEPTH / z))
    end = jnp.where(beyond, upper, _DEPTH / p + jnp.sqrt(2.0 * _DEPTH / p))
    for _ in range(3):
        end = end - (z * jnp.expm1(sign * end) - sign * p * end - _DEPTH) / (sign * (z * jnp.exp(sign * end) - p))
    end = jnp.where(beyond, end, jnp.minimum(end, _FAR))

    def exponent(v: Array) -> Array:
        return (sign * a)[..., None] * v - x[..., None] * jnp.expm1(sign[..., None] * v)

    # For x < a the part beyond the end is the integral of an exponential, exp(−a w).
    tail = jnp.where(beyond, 0.0, jnp.exp(-a * end - x * jnp.expm1(jnp.where(beyond, 0.0, -end))) / a)
    return jnp.log(_integral(exponent, end) + tail)


@with_derivatives(lambda x: 0.5 / x - log_minus_digamma(x, jnp))
def _remainder(x: Array) -> Array:
    """The remainder of Stirling's formula for lgamma; its derivative is quick to compile."""
    return stirling_remainder(x, jnp)


def log_gamma_kernel(a: Array, x: Array) -> Array:
    """log of x^a e^(−x)/Γ(a): by Stirling's series near x = a, where its terms are large and nearly cancel."""
    near = jnp.abs(x - a) < 0.5 * a
    t = jnp.where(near, (x - a) / a, 0.0)
    close = 0.5 * jnp.log(a / (2.0 * np.pi)) - a * log1p_gap(t, jnp) - _remainder(a)
    return jnp.where(near, close, a * jnp.log(x) - x - jax.lax.lgamma(a))


def _gamma_parts(a: Array, x: Array, kernel: Array = None) -> tuple[Array, Array, Array]:
    """Whether x ≥ a; the logarithm of Q(a, x) if it is, otherwise of P(a, x); and the same with −inf at x = 0."""
    a, x = jnp.broadcast_arrays(jnp.asarray(a, float), jnp.asarray(x, float))
    beyond = x >= a
    safe = jnp.where(x > 0, x, 0.5 * a)
    part = (log_gamma_kernel(a, safe) if kernel is None else kernel) + _gamma_part(a, safe, beyond)
    return beyond, part, jnp.where(x > 0, part, -jnp.inf)


def _other(log_part: Array, wanted: Array) -> Array:
    """log(1 − e^log_part); a placeholder where log_part itself is wanted."""
    return log1m_exp(jnp.where(wanted | ~(log_part < 0), -1.0, log_part))


def log_gammaincc(a: Array, x: Array, kernel: Array = None) -> Array:
    """log Q(a, x): the log probability that a Gamma variable of shape a and rate 1 exceeds x.

    Parameters
    ----------
    a : shape, above 0.
    x : 0 or more.
    kernel : :func:`log_gamma_kernel` of a and x if it has been computed already; x is then above 0.

    Examples
    --------
    >>> from raphson.numeric import x64
    >>> with x64():
    ...     print(round(float(log_gammaincc(2.5, 700.0)), 9))
    -690.455920277
    """
    beyond, upper, lower = _gamma_parts(a, x, kernel)
    return jnp.where(beyond, upper, jnp.where(lower > -jnp.inf, _other(lower, beyond), 0.0))


def log_gammainc(a: Array, x: Array) -> Array:
    """log P(a, x): the log probability that a Gamma variable of shape a and rate 1 stays below x."""
    beyond, upper, lower = _gamma_parts(a, x)
    return jnp.where(beyond, _other(upper, ~beyond), lower)


def gammaincc(a: Array, x: Array) -> Array:
    """Q(a, x) with derivatives in both arguments."""
    return jnp.exp(log_gammaincc(a, x))


def gammainc(a: Array, x: Array) -> Array:
    """P(a, x) with derivatives in both arguments."""
    return jnp.exp(log_gammainc(a, x))


def _lower_beta(a: Array, b: Array, x: Array) -> Array:
    """log of ∫_0^∞ exp(−a w) (1 − x + x e^(−w))^−(a+b) dw, for x ≤ a/(a + b)."""

    def exponent(w: Array) -> Array:
        return -a[..., None] * w - (a + b)[..., None] * jnp.log1p(x[..., None] * jnp.expm1(-w))

    # The exponent decreases faster than at x = a/(a + b), and there, with c = a b/(a + b), at least like
    # c w²/(2 + 2 w).
    p, q, z = jax.lax.stop_gradient((a, b, x))
    c = p * q / (p + q)
    end = 2.0 * _DEPTH / c + jnp.sqrt(2.0 * _DEPTH / c)
    for _ in range(5):
        share = z * jnp.exp(-end) / (1.0 + z * jnp.expm1(-end))
        here = -p * end - (p + q) * jnp.log1p(z * jnp.expm1(-end))
        end = jnp.maximum(end + (here + _DEPTH) / jnp.maximum(p - (p + q) * share, 1e-3 * p), 0.1 * end)
    end = jnp.minimum(end, _FAR)
    tail = jnp.exp(-a * end - (a + b) * jnp.log1p(x * jnp.expm1(-end))) / a
    return jnp.log(_integral(exponent, end) + tail)


def log_betainc(a: Array, b: Array, x: Array) -> Array:
    """log I_x(a, b): the log probability that a Beta(a, b) variable stays below x, 0 ≤ x ≤ 1.

    Examples
    --------
    >>> from raphson.numeric import x64
    >>> with x64():
    ...     print(round(float(log_betainc(2.0, 3.0, 0.4)), 12))
    -0.644738041352
    """
    a, b, x = jnp.broadcast_arrays(*(jnp.asarray(one, float) for one in (a, b, x)))
    low = x <= a / (a + b)
    inside = (x > 0) & (x < 1)
    safe = jnp.where(inside, x, 0.5)
    front = a * jnp.log(safe) + b * jnp.log1p(-safe) - betaln(a, b)
    p, q, z = jnp.where(low, a, b), jnp.where(low, b, a), jnp.where(low, x, 1.0 - x)
    part = front + _lower_beta(p, q, jnp.where(inside, z, 0.25 * p / (p + q)))
    value = jnp.where(low, part, _other(part, low))
    return jnp.where(inside, value, jnp.where(x > 0, 0.0, -jnp.inf))


def betainc(a: Array, b: Array, x: Array) -> Array:
    """I_x(a, b) with derivatives in all three arguments."""
    return jnp.exp(log_betainc(a, b, x))
