r"""The third and fourth derivatives of the ready families' log densities by η, written out.

The first two are :mod:`raphson.model.families.rows_by_hand`'s. Most families are simple functions f of the logarithm
m of the mean, and m of η, so that (Faà di Bruno)

    F‴ = f‴m′³ + 3f″m′m″ + f′m‴,    F⁗ = f⁗m′⁴ + 6f‴m′²m″ + f″(3m″² + 4m′m‴) + f′m⁗.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit, log_ndtr

from raphson.model.families import links

Tower = Sequence[Any]
"""Derivatives of the orders 1 to 4."""

POWERS = {links.Identity: 1.0, links.Inverse: -1.0, links.InverseSquared: -0.5, links.Sqrt: 2.0}
"""The mean as a power of |η|."""


def third_and_fourth(family: Any, y: np.ndarray, eta: np.ndarray) -> tuple[Any, Any] | None:
    """∂³ and ∂⁴ of the log density at unit dispersion by η (n,); None where they are not written out."""
    link = type(family.link)
    if family.name == "binomial":
        return _binomial(link, y, eta)
    if family.name == "gaussian":
        of_mean = _mean(link, eta)
        if of_mean is None:
            return None
        mean, tower = of_mean
        return compose((y - mean, -1.0, 0.0, 0.0), tower)
    of_log = log_mean(link, eta)
    if of_log is None:
        return None
    m, tower = of_log
    if family.name == "poisson":
        mean = np.exp(m)
        return compose((y - mean, -mean, -mean, -mean), tower)
    if family.name == "gamma":
        ratio = y * np.exp(-m)
        return compose((ratio - 1.0, -ratio, ratio, -ratio), tower)
    if family.name == "inverse_gaussian":
        r = np.exp(-m)
        q = y * r * r
        return compose((q - r, r - 2.0 * q, 4.0 * q - r, r - 8.0 * q), tower)
    if family.name == "tweedie":
        a, b = 1.0 - float(family.power), 2.0 - float(family.power)
        by_y, by_mean = y * np.exp(a * m), np.exp(b * m)
        return compose([a**k * by_y - b**k * by_mean for k in range(4)], tower)
    return None


def compose(f: Tower, m: Tower) -> tuple[Any, Any]:
    """The third and fourth derivatives of f(m(η))."""
    f1, f2, f3, f4 = f
    m1, m2, m3, m4 = m
    third = f3 * m1**3 + 3.0 * f2 * m1 * m2 + f1 * m3
    fourth = f4 * m1**4 + 6.0 * f3 * m1**2 * m2 + f2 * (3.0 * m2**2 + 4.0 * m1 * m3) + f1 * m4
    return third, fourth


def log_mean(link: Any, eta: np.ndarray) -> tuple[np.ndarray, Tower] | None:
    """The logarithm of the mean and its derivatives."""
    if link is links.Log:
        return eta, (1.0, 0.0, 0.0, 0.0)
    if link not in POWERS:
        return None
    c, r = POWERS[link], 1.0 / eta
    return c * np.log(np.abs(eta)), (c * r, -c * r**2, 2.0 * c * r**3, -6.0 * c * r**4)


def _mean(link: Any, eta: np.ndarray) -> tuple[np.ndarray, Tower] | None:
    if link is links.Log:
        mean = np.exp(eta)
        return mean, (mean, mean, mean, mean)
    if link is links.Identity:
        return eta, (1.0, 0.0, 0.0, 0.0)
    if link not in POWERS:
        return None
    k, r = POWERS[link], 1.0 / eta
    mean = np.abs(eta) ** k
    out, factor = [], mean
    for order in range(4):
        factor = factor * (k - order) * r
        out.append(factor)
    return mean, out


def _binomial(link: Any, y: np.ndarray, eta: np.ndarray) -> tuple[Any, Any] | None:
    """y A + (1 − y) B with A = log μ and B = log(1 − μ)."""
    if link is links.Logit:
        p = expit(eta)
        V = p * expit(-eta)
        return -V * (1.0 - 2.0 * p), -V * (1.0 - 6.0 * V)
    if link is links.Probit:
        (a3, a4), (b3, b4) = _mills(eta), _mills(-eta)
        return y * a3 - (1.0 - y) * b3, y * a4 + (1.0 - y) * b4
    if link is links.CLogLog:
        t = np.exp(np.minimum(eta, 700.0))
        g = np.where(t < 700.0, t / np.expm1(np.minimum(t, 700.0)), 0.0)
        s = np.where(t < 700.0, 1.0 - g - t, 0.0)
        a2 = g * s
        a3 = a2 * s + g * (-a2 - t)
        a4 = a3 * s + 2.0 * a2 * (-a2 - t) + g * (-a3 - t)
        return y * a3 - (1.0 - y) * t, y * a4 - (1.0 - y) * t
    if link is links.Log:
        q = 1.0 / np.expm1(-eta)
        b2 = -q * (1.0 + q)
        return (1.0 - y) * b2 * (1.0 + 2.0 * q), (1.0 - y) * b2 * (1.0 + 6.0 * q + 6.0 * q * q)
    if link is links.Identity:
        a, b = 1.0 / eta, 1.0 / (1.0 - eta)
        return 2.0 * y * a**3 - 2.0 * (1.0 - y) * b**3, -6.0 * y * a**4 - 6.0 * (1.0 - y) * b**4
    return None


def _mills(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The third and fourth derivatives of log Φ, from r = φ/Φ and r′ = −r (η + r)."""
    r = np.exp(-0.5 * eta * eta - 0.9189385332046727 - log_ndtr(eta))
    s = eta + r
    r1 = -r * s
    r2 = -r1 * s - r * (1.0 + r1)
    return r2, -r2 * s - 2.0 * r1 * (1.0 + r1) - r * r2


def negative_binomial(
    link: Any, y: np.ndarray, eta: np.ndarray, tau: float
) -> tuple[Any, Any, Any, Any, Any, Any] | None:
    """∂³_η, ∂⁴_η, ∂²_η∂_τ, ∂³_η∂_τ, ∂_η∂²_τ and ∂²_η∂²_τ of the log density, τ = log θ.

    With s = μ/(μ + θ) and d = s (1 − s), ∂s/∂m = d = −∂s/∂τ.
    """
    of_log = log_mean(link, eta)
    if of_log is None:
        return None
    m, tower = of_log
    m1, m2, m3, _ = tower
    theta = np.exp(tau)
    s, rest = expit(m - tau), expit(tau - m)
    d = s * rest
    e = d * (rest - s)
    g = d * (1.0 - 6.0 * d)
    total = y + theta
    own = (y - np.exp(m)) * rest, -total * d, -total * e, -total * g
    by1, by2, by3 = total * d - theta * s, total * e - theta * d, total * g - theta * e
    bent1, bent2 = 2.0 * theta * d - theta * s - total * e, 2.0 * theta * e - theta * d - total * g
    third, fourth = compose(own, tower)
    return (
        third,
        fourth,
        by2 * m1**2 + by1 * m2,
        by3 * m1**3 + 3.0 * by2 * m1 * m2 + by1 * m3,
        bent1 * m1,
        bent2 * m1**2 + bent1 * m2,
    )
