"""Elementwise functions whose values and derivatives keep their digits from eta = -800 to 800.

The derivative that autodiff gives for a numerically safe formula may be unsafe. So each function here has its
derivative written in terms of other safe functions (:func:`with_derivatives`), and second and third derivatives
consist of them too.

All functions are for ``jax.numpy`` and expect 64-bit arguments. Functions with an argument ``xp`` work with NumPy and
``jax.numpy`` alike.
"""

# pyright: reportGeneralTypeIssues=false
# (a function's derivative, the decorator's argument, refers to the function itself)

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import numpy as np

from raphson.compat import jax, jnp

Array = Any
"""A traced or NumPy array."""
Function = Callable[..., Array]

_SQRT_2PI = 2.5066282746310002
_LOG_SQRT_2PI = 0.9189385332046728


def with_derivatives(*rules: Function | None) -> Callable[[Function], Function]:
    """Give an elementwise function its partial derivatives.

    Parameters
    ----------
    *rules
        One per argument: a function of all arguments that returns the partial derivative, or None
        for an argument that is never differentiated.

    Returns
    -------
    callable
        Decorator; the function it returns can be differentiated in forward and reverse mode, as often as
        the rules themselves can.

    Notes
    -----
    An argument that does not vary contributes nothing: 0 times an infinite derivative would be NaN.
    """

    def decorate(function: Function) -> Function:
        @cache
        def differentiable() -> Function:
            def jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
                total: Array = None
                for rule, tangent in zip(rules, tangents, strict=True):
                    if rule is None or isinstance(tangent, jax.custom_derivatives.SymbolicZero):
                        continue
                    term = rule(*primals) * tangent
                    total = term if total is None else total + term
                value = made(*primals)
                return value, jnp.zeros_like(value) if total is None else total

            made = jax.custom_jvp(function)
            made.defjvp(jvp, symbolic_zeros=True)
            return made

        # JAX is imported with the first call, not with this module
        @wraps(function)
        def wrapped(*arguments: Array) -> Array:
            return differentiable()(*arguments)

        return wrapped

    return decorate


def times(y: Array, x: Array) -> Array:
    """Return ``y * x``, or 0 where y is 0, even if x is infinite."""
    return jnp.where(y == 0, 0.0, y * x)


def polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """sum_k coefficients[k] x^k, by Horner's scheme."""
    total: Array = coefficients[-1]
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


# 2 atanh(s)/s as a polynomial in s^2 on [0, 1/9], interpolated at its Chebyshev points (error 5e-17).
_LOG1P_SERIES = (
    2.0,
    0.6666666666668257,
    0.399999999952876,
    0.2857142911165716,
    0.22222190861346283,
    0.1818285980047391,
    0.15363676248891633,
    0.13591305485579894,
    0.09880789048764786,
    0.17780763826113302,
)


@with_derivatives(lambda e: 1.0 / (1.0 + e))
def log1p_unit(e: Array) -> Array:
    """log(1 + e) for 0 <= e <= 1, by arithmetic alone: half the time of the library's function."""
    s = e / (2.0 + e)
    return s * polynomial(_LOG1P_SERIES, s * s)


# --- logistic -------------------------------------------------------------------------------------


@with_derivatives(lambda x: sigmoid(x) * sigmoid(-x))
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), accurate to the last digits in both tails."""
    e = jnp.exp(-jnp.abs(x))
    return jnp.where(x >= 0, 1.0, e) / (1.0 + e)


@with_derivatives(sigmoid)
def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    return jnp.maximum(x, 0.0) + log1p_unit(jnp.exp(-jnp.abs(x)))


def _share(x: Array, y: Array) -> Array:
    # e^x / (e^x + e^y); a half where both are infinite alike
    return jnp.where(jnp.isnan(x - y), 0.5, sigmoid(x - y))


@with_derivatives(_share, lambda x, y: _share(y, x))
def log_sum(x: Array, y: Array) -> Array:
    """log(e^x + e^y), its derivatives accurate in both tails."""
    gap = x - y
    return jnp.where(jnp.isnan(gap), x + y, jnp.maximum(x, y) + jnp.log1p(jnp.exp(-jnp.abs(gap))))


# --- log link for a mean below 1 --------------------------------------------------------------------


@with_derivatives(lambda x: odds_of_exp(x) * (1.0 + odds_of_exp(x)))
def odds_of_exp(x: Array) -> Array:
    """exp(x) / (1 - exp(x)) for x < 0: the odds of the probability exp(x)."""
    return 1.0 / jnp.expm1(-x)


@with_derivatives(lambda x: -odds_of_exp(x))
def log1m_exp(x: Array) -> Array:
    """log(1 - exp(x)) for x < 0 (Maechler 2012, "Accurately computing log(1 - exp(-|a|))", eq. 7)."""
    return jnp.where(x > -0.6931471805599453, jnp.log(-jnp.expm1(x)), jnp.log1p(-jnp.exp(x)))


# --- normal -----------------------------------------------------------------------------------------
#
# With x >= 0 let Q = 1 - Phi(x) be the upper tail and lambda = phi(x) / Q the inverse Mills ratio.
# lambda exceeds x by delta(x) ~ 1/x, and the variance of the normal truncated to (x, inf) is
# kappa(x) = 1 - lambda delta ~ 1/x^2. As differences both lose all their digits for large x, so they are
# computed directly: (x + 4) delta(x) and (x + 4)^2 kappa(x) are smooth functions of
# t = (x - 4)/(x + 4), which maps [0, inf) to [-1, 1), and are summed as Chebyshev series in t
# (the mapping of Schonfelder, Math. Comp. 32, 1978, for erfc). The coefficients are those of 60-point
# Chebyshev interpolation in 60 digits; a test computes them again.
_GAP_SERIES = (
    1.9626641950418116,
    -1.1188510157786882,
    0.14474029185284001,
    0.022568144516950123,
    -0.012319285309578898,
    0.0006434967742806938,
    0.0007149153845601936,
    -0.0001424925375354191,
    -3.1812023837720385e-05,
    1.3726373376950618e-05,
    7.838867381724397e-07,
    -1.0464769205591849e-06,
    4.021898684208879e-08,
    6.941384471286972e-08,
    -8.2127461204007e-09,
    -4.094168456484325e-09,
    8.28803651386762e-10,
    2.1187917060396636e-10,
    -6.613538101493974e-11,
    -8.982930654808068e-12,
    4.549714889503918e-12,
    2.2553171793888323e-13,
    -2.751874539860751e-13,
    9.48182714592592e-15,
    1.4432550630781185e-14,
    -2.10798330114151e-15,
    -6.172401556606612e-16,
    2.2059908542876756e-16,
)
_SPREAD_SERIES = (
    3.25572452789959,
    -2.586120665715557,
    0.2036783423053411,
    0.18540624421927868,
    -0.058175810222741486,
    -0.00599460342227578,
    0.006281007145158975,
    -0.0004216442280251051,
    -0.000495611905394205,
    9.949270383911659e-05,
    3.071604928683763e-05,
    -1.1628525961348941e-05,
    -1.3716059406242536e-06,
    1.0614866330169712e-06,
    1.7072892528413976e-08,
    -8.294572594364391e-08,
    5.006975869093276e-09,
    5.692619474818217e-09,
    -7.54492926692847e-10,
    -3.403865608044629e-10,
    7.428336480772711e-11,
    1.6750013513077507e-11,
    -6.009379184714501e-12,
    -5.285324541755957e-13,
    4.2414764116985047e-13,
    -1.2742276172924623e-14,
    -2.663428576523811e-14,
    4.233225341252302e-15,
    1.4878153180224541e-15,
    -4.856971566656354e-16,
    -7.20303458345705e-17,
    4.187178675481353e-17,
)


def _chebyshev(coefficients: tuple[float, ...], t: Array) -> Array:
    # Clenshaw's recurrence for sum c_k T_k(t).
    t2 = 2.0 * t
    b1, b2 = coefficients[-1], 0.0
    for c in coefficients[-2:0:-1]:
        b1, b2 = t2 * b1 - b2 + c, b1
    return t * b1 - b2 + coefficients[0]


def _gap_above(x: Array) -> Array:
    # delta(x) for x >= 0
    return _chebyshev(_GAP_SERIES, (x - 4.0) / (x + 4.0)) / (x + 4.0)


def normal_density(x: Array) -> Array:
    """phi(x) = exp(-x^2 / 2) / sqrt(2 pi)."""
    return jnp.exp(-0.5 * x * x) / _SQRT_2PI


def _tail(x: Array) -> tuple[Array, Array, Array, Array]:
    # |x|, delta(|x|), lambda(|x|) and Q(|x|), from which the functions below are computed
    magnitude = jnp.abs(x)
    gap = _gap_above(magnitude)
    ratio = magnitude + gap
    return magnitude, gap, ratio, normal_density(magnitude) / ratio


@with_derivatives(lambda x: -inverse_mills(x) * mills_gap(x))
def inverse_mills(x: Array) -> Array:
    """phi(x) / Phi(x): about -x for large negative x, and tends to 0 as x grows."""
    _, _, ratio, tail = _tail(x)
    return jnp.where(x < 0, ratio, normal_density(x) / (1.0 - tail))


@with_derivatives(lambda x: mills_spread(x))
def mills_gap(x: Array) -> Array:
    """x + phi(x) / Phi(x), without the cancellation for negative x."""
    _, gap, _, tail = _tail(x)
    return jnp.where(x < 0, gap, x + normal_density(x) / (1.0 - tail))


@with_derivatives(lambda x: inverse_mills(x) * (mills_gap(x) ** 2 - mills_spread(x)))
def mills_spread(x: Array) -> Array:
    """The derivative of :func:`mills_gap`: the variance of a normal truncated to (-inf, x) at unit scale."""
    magnitude, _, _, tail = _tail(x)
    below = _chebyshev(_SPREAD_SERIES, (magnitude - 4.0) / (magnitude + 4.0)) / (magnitude + 4.0) ** 2
    ratio = normal_density(x) / (1.0 - tail)
    return jnp.where(x < 0, below, 1.0 - ratio * (x + ratio))


@with_derivatives(inverse_mills)
def log_ndtr(x: Array) -> Array:
    """log Phi(x), the logarithm of the normal distribution function."""
    # log Q = log phi - log lambda in the lower tail, log(1 - Q) above.
    _, _, ratio, tail = _tail(x)
    return jnp.where(x < 0, -0.5 * x * x - _LOG_SQRT_2PI - jnp.log(ratio), jnp.log1p(-tail))


@with_derivatives(normal_density)
def ndtr(x: Array) -> Array:
    """Phi(x), the normal distribution function, to full relative accuracy in the lower tail."""
    _, _, _, tail = _tail(x)
    return jnp.where(x < 0, tail, 1.0 - tail)


_SQRT2, _SQRT_2_OVER_PI = 1.4142135623730951, 0.7978845608028654


def erfcx(x: Array) -> Array:
    """exp(x^2) erfc(x), computed from Mills' ratio at sqrt(2) x, whose derivatives do not cancel for large x."""
    return _SQRT_2_OVER_PI / inverse_mills(-_SQRT2 * x)


# --- complementary log-log ----------------------------------------------------------------------------
#
# mu = 1 - exp(-v) with v = exp(eta). Then d log mu / d eta = g = v / expm1(v), and
# c = v + g - 1 = v / (1 - exp(-v)) - 1 ~ v/2 gives g' = -g c and c' = v - g c.

# B_2k / (2k)! of v / (1 - exp(-v)) = 1 + v/2 + sum_k B_2k v^2k / (2k)!; at v <= 1 the first term
# left out is below 1e-17 of v/2.
BERNOULLI_SERIES = (
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
    -3617 / 10670622842880000,
    43867 / 5109094217170944000,
)


# f' = f (1 - v): f is 0 where v is infinite
@with_derivatives(lambda x: -times(gumbel_density(x), jnp.expm1(x)))
def gumbel_density(x: Array) -> Array:
    """exp(x - exp(x)), the derivative of the mean."""
    return jnp.exp(x - jnp.exp(x))


@with_derivatives(gumbel_density)
def gumbel_distribution(x: Array) -> Array:
    """1 - exp(-exp(x)): the mean under the complementary log-log link."""
    return -jnp.expm1(-jnp.exp(x))


@with_derivatives(lambda x: jnp.exp(x) - times(gumbel_slope(x), gumbel_excess(x)))
def gumbel_excess(x: Array) -> Array:
    """v / (1 - exp(-v)) - 1 with v = exp(x)."""
    v = jnp.exp(x)
    # By its series below v = 1; above it nothing cancels.
    u = jnp.minimum(v, 1.0) ** 2
    series = polynomial(BERNOULLI_SERIES, u)
    return jnp.where(v < 1.0, v * (0.5 + v * series), v / -jnp.expm1(-v) - 1.0)


# for large x g is 0 and c infinite: times() gives 0
@with_derivatives(lambda x: -times(gumbel_slope(x), gumbel_excess(x)))
def gumbel_slope(x: Array) -> Array:
    """v / (exp(v) - 1) with v = exp(x): the derivative of :func:`log_gumbel`."""
    # exp(x - v) / (1 - exp(-v)); where v rounds to 0 the limit is 1.
    v = jnp.exp(x)
    return jnp.where(v > 0, jnp.exp(x - v) / -jnp.expm1(-v), 1.0)


@with_derivatives(gumbel_slope)
def log_gumbel(x: Array) -> Array:
    """log(1 - exp(-exp(x)))."""
    # log v - log(v / (1 - exp(-v))) while v is small, log1p(-exp(-v)) when it is not.
    return jnp.where(x < 0, x - jnp.log1p(gumbel_excess(x)), jnp.log1p(-jnp.exp(-jnp.exp(x))))


# r = 1/mean overflows in the lower tail, so each derivative is written with one factor r only: (r g)' = -r g (g + c).
@with_derivatives(lambda x: -gumbel_reciprocal(x) * times(gumbel_slope(x), gumbel_slope(x) + gumbel_excess(x)))
def _gumbel_reciprocal_slope(x: Array) -> Array:
    return gumbel_reciprocal(x) * gumbel_slope(x)


@with_derivatives(lambda x: -_gumbel_reciprocal_slope(x))
def gumbel_reciprocal(x: Array) -> Array:
    """1 / (1 - exp(-exp(x)))."""
    return jnp.exp(-log_gumbel(x))


# --- Cauchy ---------------------------------------------------------------------------------------------


def cauchy_density(x: Array) -> Array:
    """1 / (pi (1 + x^2))."""
    return 1.0 / (np.pi * (1.0 + x * x))


@with_derivatives(cauchy_density)
def cauchy_distribution(x: Array) -> Array:
    """1/2 + atan(x) / pi, accurate in the lower tail: the angle of the point (-x, 1) divided by pi."""
    return jnp.arctan2(1.0, -x) / np.pi


@with_derivatives(lambda x: cauchy_density(x) / cauchy_distribution(x))
def log_cauchy(x: Array) -> Array:
    """The logarithm of :func:`cauchy_distribution`."""
    return jnp.where(x < 0, jnp.log(cauchy_distribution(x)), jnp.log1p(-cauchy_distribution(-x)))


def cauchy_reciprocal(x: Array) -> Array:
    """1 / (1/2 + atan(x) / pi)."""
    # In the lower tail the reciprocal is nearly the straight line -pi x, and the general formula loses its
    # curvature. With u = 1/x^2, atan(1/|x|) |x| = 1 - u T(u), T = 1/3 - u/5 + u^2/7 - ...;
    # so the reciprocal is -pi x + (-pi x) u T / (1 - u T).
    far = x < -4.0
    y = jnp.where(far, -x, 4.0)
    u = 1.0 / (y * y)
    bend = u * polynomial(_ATAN_SERIES, -u)
    return jnp.where(far, np.pi * y + np.pi * y * bend / (1.0 - bend), 1.0 / cauchy_distribution(x))


_ATAN_SERIES = tuple(1.0 / (2 * k + 3) for k in range(14))


# --- log(1 - mean) of links whose mean is a power of eta ------------------------------------------------


@with_derivatives(lambda x: 1.0 / (x * (x - 1.0)))
def log1m_reciprocal(x: Array) -> Array:
    """log(1 - 1/x) for x > 1."""
    # x - 1 is exact near 1, where 1/x would be rounded before it is subtracted.
    return jnp.where(x < 2.0, jnp.log(x - 1.0) - jnp.log(x), jnp.log1p(-1.0 / x))


@with_derivatives(lambda x: (jnp.sqrt(x) + 1.0) / (2.0 * x * (x - 1.0)))
def log1m_reciprocal_root(x: Array) -> Array:
    """log(1 - 1/sqrt(x)) for x > 1."""
    # 1 - 1/sqrt(x) = (x - 1) / (sqrt(x) (sqrt(x) + 1))
    root = jnp.sqrt(x)
    near = jnp.log(x - 1.0) - jnp.log(root) - jnp.log1p(root)
    return jnp.where(x < 4.0, near, jnp.log1p(-1.0 / root))


@with_derivatives(lambda x: -2.0 * x / ((1.0 - x) * (1.0 + x)))
def log1m_square(x: Array) -> Array:
    """log(1 - x^2) for 0 < x < 1."""
    return jnp.where(x > 0.5, jnp.log1p(-x) + jnp.log1p(x), jnp.log1p(-x * x))


# --- differences that cancel near 0 ------------------------------------------------------------


_ATANH_SERIES = tuple(1.0 / (2 * k + 3) for k in range(10))


def log1p_gap_ratio(t: Array) -> Array:
    """(t - log(1 + t)) / t^2 for |t| <= 0.2, to the last digits, by arithmetic alone."""
    # With r = t/(2 + t): log(1 + t) = 2 (r + r^3/3 + r^5/5 + ...) and t - 2r = t r, so
    # t - log(1 + t) = t r - 2 r^3 S with S = 1/3 + r^2/5 + ...; then r = t/(2 + t) again.
    r = t / (2.0 + t)
    return (1.0 - 2.0 * r * polynomial(_ATANH_SERIES, r * r) / (2.0 + t)) / (2.0 + t)


def log1p_gap(t: Array, xp: Any = np) -> Array:
    """t - log(1 + t) for t > -1: half a unit deviance in many families; never negative, and 0 at 0."""
    near = xp.abs(t) < 0.2
    small = xp.where(near, t, 0.0)
    return xp.where(near, small * small * log1p_gap_ratio(small), t - xp.log1p(t))


def ratio_gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """t - log(1 + t) with 1 + t = a/b, for positive a and b, of which one may be 1e-300 of the other.

    Examples
    --------
    >>> float(ratio_gap(1e-30, 1.0).round(4))
    68.0776
    """
    t = (a - b) / b
    far = t < -0.5  # there a/b - 1 has lost digits of a/b, all of them below 1e-16
    logarithm = np.log(np.where(far, a, 1.0)) - np.log(np.where(far, b, 1.0))
    return np.where(far, t - logarithm, log1p_gap(np.where(far, 0.0, t)))
