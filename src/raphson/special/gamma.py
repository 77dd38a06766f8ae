"""Differences of log-gamma and digamma functions, and the remainder of Stirling's formula.

lgamma(y + theta) - lgamma(theta) loses all its digits by subtraction at theta = 1e8: each term is near
1.7e9. Here the difference is taken algebraically, term by term of Stirling's series

    lgamma(x) = (x - 1/2) log x - x + log(2 pi)/2 + R(x),   R(x) = sum_k B_2k / (2k (2k - 1)) x^(1 - 2k)

(NIST DLMF 5.11.1), which holds to the last digit for x >= 10; smaller arguments are first shifted up by
ten steps of the recurrence gamma(x + 1) = x gamma(x), where every term of the difference has the same sign.

Functions with an argument ``xp`` work with NumPy and ``jax.numpy`` alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson import scipy_special as special
from raphson.compat import jnp
from raphson.numeric import TINY
from raphson.special.elementary import (
    Array,
    log1p_gap,
    log1p_gap_ratio,
    log1p_unit,
    polynomial,
    sigmoid,
    softplus,
    with_derivatives,
)

STEPS = 10
"""Smallest argument of Stirling's series; smaller arguments are first shifted up by this number."""

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)
_K = range(1, len(_BERNOULLI) + 1)
# With u = 1/x^2:
# R(x) = (1/x) sum_k STIRLING_k u^(k-1);  psi(x) = log x - 1/(2x) - sum_k DIGAMMA_k u^k;
# psi'(x) = 1/x + 1/(2 x^2) + (1/x) sum_k BERNOULLI_k u^k
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in zip(_K, _BERNOULLI, strict=True))
_DIGAMMA = tuple(b / (2 * k) for k, b in zip(_K, _BERNOULLI, strict=True))


def _divided_difference(coefficients: tuple[float, ...], u: Array, v: Array) -> Array:
    # (f(u) - f(v)) / (u - v) of the polynomial f(u) = sum_k c_k u^k, k = 1, 2, ..., by Horner's
    # scheme for f[u, v]: no subtraction of u and v takes place.
    value, difference = coefficients[-1], 0.0
    for c in coefficients[-2::-1]:
        difference = difference * v + value
        value = value * u + c
    return difference * v + value


def stirling_remainder(x: Array, xp: Any = np) -> Array:
    """lgamma(x) - [(x - 1/2) log x - x + log(2 pi)/2] for x > 0; tends to 1/(12 x)."""
    large = x >= STEPS
    shifted = xp.where(large, x, x + STEPS)
    tail = polynomial(_STIRLING, 1.0 / (shifted * shifted)) / shifted
    # R(x) = R(x + N) + sum_{k<N} [(x + k + 1/2) log(1 + 1/(x + k)) - 1], from R(x) - R(x + 1)
    small = xp.where(large, STEPS, x)
    steps = sum((small + k + 0.5) * xp.log1p(1.0 / (small + k)) - 1.0 for k in range(STEPS))
    return tail + xp.where(large, 0.0, steps)


def log_minus_digamma(x: Array, xp: Any = np) -> Array:
    """log(x) - psi(x) for x > 0, without the cancellation for large x; tends to 1/(2x)."""
    large = x >= STEPS
    shifted = xp.where(large, x, x + STEPS)
    u = 1.0 / (shifted * shifted)
    tail = 0.5 / shifted + u * polynomial(_DIGAMMA, u)
    # psi(x) = psi(x + N) - sum 1/(x + k), log x = log(x + N) - log1p(N / x)
    small = xp.where(large, STEPS, x)
    steps = sum(1.0 / (small + k) for k in range(STEPS)) - xp.log1p(STEPS / small)
    return tail + xp.where(large, 0.0, steps)


def trigamma_excess(x: np.ndarray) -> np.ndarray:
    """psi'(x) - 1/x for x > 0, without the cancellation for large x; tends to 1/(2 x^2)."""
    shifted = np.maximum(x, STEPS)
    u = 1.0 / (shifted * shifted)
    small = np.minimum(x, STEPS)
    return np.where(
        x >= STEPS, 0.5 * u + u * polynomial(_BERNOULLI, u) / shifted, special.zeta(2.0, small) - 1.0 / small
    )


def lgamma_difference(y: Array, x: Array, xp: Any = np) -> Array:
    """lgamma(x + y) - lgamma(x) - y log(x) for y >= 0 and x > 0, without the cancellation for large x."""
    large = x >= STEPS
    shifted = xp.where(large, x, x + STEPS)
    ratio = y / shifted
    # Stirling at X = shifted: (X - 1/2) log1p(y/X) + y log(X + y) - y + R(X + y) - R(X), and
    # X log1p(r) - y = X [log1p(r) - r] with r = y/X.
    grown = shifted + y
    remainder = polynomial(_STIRLING, 1.0 / (grown * grown)) / grown
    remainder = remainder - polynomial(_STIRLING, 1.0 / (shifted * shifted)) / shifted
    series = (grown - 0.5) * xp.log1p(ratio) - y + remainder
    near = xp.abs(ratio) < 0.2
    close = y * xp.log1p(ratio) - shifted * log1p_gap(ratio, xp) - 0.5 * xp.log1p(ratio) + remainder
    series = xp.where(near, close, series)
    # - sum_{k<N} log((x + y + k)/(x + k)) + y [log(x + N) - log x]; the first ratio may be huge, so
    # its logarithm is taken separately.
    small = xp.where(large, STEPS, x)
    product = 1.0
    for k in range(1, STEPS):
        product = product * (1.0 + y / (small + k))
    steps = y * xp.log1p(STEPS / small) - xp.log(product) - xp.log1p(y / small)
    return series + xp.where(large, 0.0, steps)


# --- the negative binomial's log density in (m, a) = (log mu, log theta) ----------------------------------
#
#   l(m, a) = lgamma(y + theta) - lgamma(theta) + y log(mu/(mu + theta)) - theta log(1 + mu/theta)
#
# (without lgamma(y + 1)). With z = m - a, s = mu/(mu + theta) = sigmoid(z), t = (y - mu)/(theta + mu),
# q = theta/(theta + y) and h(t) = t - log1p(t) the derivatives are
#
#   l_m  = y (1 - s) - theta s
#   l_a  = S1 + S2,  S1 = theta [psi(y + theta) - psi(theta) - log1p(y/theta)],  S2 = -theta h(t)
#   l_mm = -(y + theta) s (1 - s)
#   l_ma = s l_m
#   l_aa = S1' + S2',  S2' = theta [t^2 q - h(t)]
#
# In this form no terms of the size of theta are subtracted: S1 tends to y/(2 theta) and S2 to
# -(y - mu)^2/(2 theta) as theta grows.


@with_derivatives(lambda x, y: sigmoid(y - x), lambda x, y: sigmoid(x - y))
def log_parallel(x: Array, y: Array) -> Array:
    """log(1 / (1/e^x + 1/e^y)): for x = log mu and y = log theta, log(mu theta/(mu + theta))."""
    return jnp.minimum(x, y) - log1p_unit(jnp.exp(-jnp.abs(x - y)))


@with_derivatives(lambda x, a: jnp.exp(log_parallel(x, a)), None)
def theta_log1p(log_x: Array, log_theta: Array) -> Array:
    """theta log(1 + x/theta), which tends to x as theta grows."""
    # For x < theta it is computed as x log1p(e^z)/e^z, so that an infinite theta gives x.
    z = log_x - log_theta
    e = jnp.exp(jnp.minimum(z, 0.0))
    ratio = jnp.where(e > 0, jnp.log1p(e) / e, 1.0)
    return jnp.where(z < 0, jnp.exp(jnp.minimum(log_x, log_theta)) * ratio, jnp.exp(log_theta) * softplus(z))


def _shifted(y: Array, log_theta: Array, xp: Any) -> tuple[Array, Array, Array, Array]:
    # theta, whether it is large, X = theta or theta + 10, and log y (-inf at 0)
    theta = xp.exp(log_theta)
    large = theta >= STEPS
    return theta, large, xp.where(large, theta, theta + STEPS), xp.log(y)


def _logistic(x: Array, xp: Any) -> Array:
    return special.expit(x) if xp is np else sigmoid(x)


@with_derivatives(
    None,
    lambda y, m, a: negative_binomial_mean_score(y, m, a),
    lambda y, m, a: negative_binomial_theta_score(y, m, a),
)
def negative_binomial_log_density(y: Array, log_mean: Array, log_theta: Array) -> Array:
    """log f(y) + lgamma(y + 1) of the negative binomial with variance mu + mu^2/theta."""
    m, a = log_mean, log_theta
    theta, large, shifted, log_y = _shifted(y, a, jnp)
    ratio = y / shifted
    grown = shifted + y
    log_ratio = jnp.log1p(ratio)
    remainder = polynomial(_STIRLING, 1.0 / (grown * grown)) / grown
    remainder = remainder - polynomial(_STIRLING, 1.0 / (shifted * shifted)) / shifted
    # X log1p(y/X) = y log1p(r)/r, which is y for an infinite X
    common = y * jnp.where(ratio > 0, log_ratio / ratio, 1.0) - 0.5 * log_ratio - y + remainder
    # y [log(X + y) - log1p(theta/mu)]: at large theta log X joins the second logarithm
    scale = jnp.where(
        large,
        log_parallel(m, a) + log_ratio,
        jnp.log(jnp.where(large, 1.0, grown)) - softplus(a - m),
    )
    small = jnp.where(large, 1.0, theta)
    product = 1.0
    for k in range(1, STEPS):
        product = product * (1.0 + y / (small + k))
    steps = jnp.where(large, 0.0, jnp.log(product) + jnp.where(y > 0, softplus(log_y - a), 0.0))
    return common + jnp.where(y > 0, y * scale, 0.0) - steps - theta_log1p(m, a)


@with_derivatives(
    None,
    lambda y, m, a: -y * sigmoid(m - a) * sigmoid(a - m) - jnp.exp(log_parallel(m, a) - softplus(m - a)),
    lambda y, m, a: negative_binomial_cross(y, m, a),
)
def negative_binomial_mean_score(y: Array, log_mean: Array, log_theta: Array) -> Array:
    """The derivative of :func:`negative_binomial_log_density` with respect to log mu."""
    # y theta/(theta + mu) - theta mu/(theta + mu)
    return y * sigmoid(log_theta - log_mean) - jnp.exp(log_parallel(log_mean, log_theta))


def negative_binomial_cross(y: Array, log_mean: Array, log_theta: Array) -> Array:
    """The mixed derivative of :func:`negative_binomial_log_density` with respect to log mu and log theta."""
    # s l_m, its second term as one exponential: theta s may overflow where theta s^2 does not
    m, a = log_mean, log_theta
    return y * sigmoid(m - a) * sigmoid(a - m) - jnp.exp(log_parallel(m, a) - softplus(a - m))


def _gap_terms(y: Array, m: Array, a: Array, theta: Array, log_y: Array) -> tuple[Array, Array]:
    # S2 = -theta h(t) and S2' = theta [t^2 q - h(t)], each written three ways:
    #   |t| < 0.2   (sqrt(theta) t)^2 times a series, which neither over- nor underflows early
    #   t > 0       theta log1p(t) - theta t, theta being below y
    #   t < 0       theta (log1p(t) - t), t being above -1
    z, zy = m - a, log_y - a
    log_total = jnp.maximum(m, a) + log1p_unit(jnp.exp(-jnp.abs(z)))
    upper, lower = sigmoid(z), sigmoid(-z)
    q = sigmoid(-zy)
    t_near = (y - jnp.exp(jnp.minimum(m, 700.0))) * jnp.exp(-log_total)
    t_far = jnp.exp(log_y - log_total) - upper
    t = jnp.where((m < 700.0) & (jnp.abs(log_total) < 700.0), t_near, t_far)
    near = jnp.abs(t) < 0.2
    small = jnp.where(near, t, 0.0)
    ratio = log1p_gap_ratio(small)
    square = (jnp.exp(0.5 * a) * small) ** 2
    # log1p(t) = log(y + theta) - log(mu + theta): the larger logarithms are subtracted exactly
    log_ratio = jnp.maximum(log_y, a) - jnp.maximum(m, a)
    log_ratio = log_ratio + log1p_unit(jnp.exp(-jnp.abs(zy))) - log1p_unit(jnp.exp(-jnp.abs(z)))
    theta_t = y * lower - jnp.exp(log_parallel(m, a))
    bounded = jnp.minimum(t, 0.0)
    above = theta * log_ratio - theta_t
    below = theta * (log_ratio - bounded)
    score = jnp.where(near, -square * ratio, jnp.where(t > 0, above, below))
    # t q = (1 - s) - q, so t^2 q - h(t) = log1p(t) - t (s + q)
    above = theta * log_ratio - theta_t * (upper + q)
    below = theta * (log_ratio - bounded * (upper + q))
    slope = jnp.where(near, square * (q - ratio), jnp.where(t > 0, above, below))
    return score, slope


def _log1p_shift(y: Array, theta: Array, xp: Any) -> Array:
    # log1p(y/theta) - log1p(y/(theta + N)) in one logarithm, which stays small for large y; theta may be 0
    return xp.log1p(STEPS * y / (xp.maximum(theta, TINY) * (theta + y + STEPS)))


@with_derivatives(
    None,
    lambda y, m, a: negative_binomial_cross(y, m, a),
    lambda y, m, a: negative_binomial_theta_curvature(y, m, a),
)
def negative_binomial_theta_score(y: Array, log_mean: Array, log_theta: Array) -> Array:
    """The derivative of :func:`negative_binomial_log_density` with respect to log theta."""
    m, a = log_mean, log_theta
    score, _ = _gap_terms(y, m, a, jnp.exp(a), jnp.log(y))
    return theta_score_of_counts(y, a, jnp) + score


def theta_score_of_counts(y: Array, log_theta: Array, xp: Any) -> Array:
    """S1, the part of the derivative by log theta without mu, in NumPy or ``jax.numpy``."""
    theta, large, x, log_y = _shifted(y, log_theta, xp)
    grown = x + y
    u, v = 1.0 / (x * x), 1.0 / (grown * grown)
    share = y / grown  # y/Y; then x (u - v) = share (1/X + 1/Y)
    series = share * (1.0 / x + 1.0 / grown) * _divided_difference(_DIGAMMA, u, v)
    # theta >= 10: theta [y/(2 X Y) + (u - v) q[u, v]] with X = theta
    at_large = 0.5 * share + series
    # theta < 10: the shift's terms theta y/((theta + k)(theta + y + k)), and the series at theta + 10
    small = xp.where(large, 1.0, theta)
    steps = _logistic(log_y - log_theta, xp)
    for k in range(1, STEPS):
        steps = steps + small * (y / ((small + k) * (small + y + k)))
    at_small = steps + small * ((0.5 * share + series) / x - _log1p_shift(y, small, xp))
    return xp.where(large, at_large, at_small)


def negative_binomial_theta_curvature(y: Array, log_mean: Array, log_theta: Array) -> Array:
    """The second derivative of :func:`negative_binomial_log_density` with respect to log theta."""
    m, a = log_mean, log_theta
    _, curvature = _gap_terms(y, m, a, jnp.exp(a), jnp.log(y))
    return theta_curvature_of_counts(y, a, jnp) + curvature


def theta_curvature_of_counts(y: Array, log_theta: Array, xp: Any) -> Array:
    """S1', the part of the second derivative by log theta without mu, in NumPy or ``jax.numpy``."""
    theta, large, x, log_y = _shifted(y, log_theta, xp)
    p, q = _logistic(log_y - log_theta, xp), _logistic(log_theta - log_y, xp)
    grown = x + y
    u, v = 1.0 / (x * x), 1.0 / (grown * grown)
    share = y / grown
    scaled = share * (1.0 / x + 1.0 / grown)  # X (u - v)
    digamma = scaled * _divided_difference(_DIGAMMA, u, v)  # X [q(u) - q(v)]
    # X^2 [p(u)/X - p(v)/Y] for psi' - 1/x - 1/(2 x^2) = p(u)/x, p(u) = sum B_2k u^k
    trigamma = xp.where(large, q, x / grown) * scaled * _divided_difference(_BERNOULLI, u, v)
    trigamma = trigamma + share * polynomial(_BERNOULLI, u) / x
    # theta >= 10: d/da of y/(2 Y) + theta [q(u) - q(v)]
    at_large = -0.5 * q * share + digamma - trigamma
    # theta < 10: d/da [theta f] = theta f + theta^2 f' for each term f of the score's sum;
    # theta/(theta + k) - theta/(theta + y + k) gives
    # theta y [(k - theta)(k + theta) + k y]/((theta + k)^2 (theta + y + k)^2)
    small = xp.where(large, 1.0, theta)
    steps = -q * p
    for k in range(1, STEPS):
        numerator = (k - small) * (k + small) + k * y
        steps = steps + small * (y / (small + y + k)) * (numerator / ((small + k) ** 2 * (small + y + k)))
    r = small / x
    # the logarithm's own derivative is N r (y/(theta + y)) (Y + theta)/Y with r = theta/X
    value = (0.5 * share + digamma) / x - _log1p_shift(y, small, xp)
    slope = -0.5 * scaled - trigamma / x
    at_small = steps + small * value + small * r * slope
    at_small = at_small + STEPS * r * p * (grown + small) / grown
    return xp.where(large, at_large, at_small)


@with_derivatives(
    lambda m, a: -jnp.exp(log_parallel(m, a) - softplus(a - m)),
    lambda m, a: _gap_of_none(m, a)[1],
)
def _negative_binomial_none_theta_score(log_mean: Array, log_theta: Array) -> Array:
    return _gap_of_none(log_mean, log_theta)[0]


def _gap_of_none(m: Array, a: Array) -> tuple[Array, Array]:
    # S2 and S2' at y = 0, where S1 and S1' vanish
    m, a = jnp.asarray(m, float), jnp.asarray(a, float)
    return _gap_terms(jnp.zeros_like(m), m, a, jnp.exp(a), jnp.full_like(m, -jnp.inf))


@with_derivatives(lambda m, a: -jnp.exp(log_parallel(m, a)), _negative_binomial_none_theta_score)
def negative_binomial_none(log_mean: Array, log_theta: Array) -> Array:
    """:func:`negative_binomial_log_density` at y = 0, -theta log(1 + mu/theta), by far fewer operations."""
    return -theta_log1p(log_mean, log_theta)
