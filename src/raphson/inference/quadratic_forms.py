r"""The upper tail of χ²_m + λ₁χ²_1 + λ₂χ²_1, or of its ratio to an independent χ²_d/d, with small relative error.

Two independent χ²_1 are 2E cos²φ and 2E sin²φ, with E exponential and the angle φ even, so that with
c(φ) = λ₁cos²φ + λ₂sin²φ

    P(χ²_m + λ₁χ²_1 + λ₂χ²_1 > x) = mean over φ of [P(χ²_m > x) + ∫₀ˣ f_m(y) e^{−(x−y)/2c} dy],

and a ratio is the mean over the divisor too. All integrands are positive: nothing cancels, however far in the tail.
"""

from __future__ import annotations

from functools import cache

import numpy as np

ANGLES, INNER, OUTER = 48, 80, 120
"""Nodes of the three integrals: twice as many change a probability of 1e-20 by less than 1e-8 of itself."""

FAR = 1e-18
"""Share of the divisor's distribution that is left out at each end."""


def upper_tail(x: float, ones: int, pair: tuple[float, float] | None, df: float | None = None) -> float:
    """P(χ²_ones + λ₁χ²_1 + λ₂χ²_1 > x), or with `df` P(… > x χ²_df/df), for the `pair` (λ₁, λ₂) if there is one.

    Examples
    --------
    >>> round(upper_tail(3.841458820694124, 1, None), 9), round(upper_tail(7.814727903251179, 1, (1.0, 1.0)), 9)
    (0.05, 0.05)
    """
    from scipy.stats import chi2, f

    if not x > 0:
        return 1.0
    if pair is None:
        return float(chi2.sf(x, ones) if df is None else f.sf(x / ones, ones, df))
    if df is None:
        return float(_tail(np.array([x]), ones, pair)[0])
    # By log s, in which the density of a χ² is smooth at both ends.
    low, high = np.log(chi2.ppf(FAR, df)), np.log(chi2.isf(FAR, df))
    nodes, weights = _gauss(OUTER)
    log_s = 0.5 * (high - low) * (nodes + 1.0) + low
    s = np.exp(log_s)
    share = 0.5 * (high - low) * weights * chi2.pdf(s, df) * s
    return float(share @ _tail(x * s / df, ones, pair))


@cache
def _gauss(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss and Legendre's nodes in [-1, 1] with their weights."""
    return np.polynomial.legendre.leggauss(n)


def _tail(x: np.ndarray, ones: int, pair: tuple[float, float]) -> np.ndarray:
    """P(χ²_ones + λ₁χ²_1 + λ₂χ²_1 > x) for x (k,)."""
    from scipy.stats import chi2

    angles = (np.arange(ANGLES) + 0.5) * (0.5 * np.pi / ANGLES)
    c = np.maximum(pair[0] * np.cos(angles) ** 2 + pair[1] * np.sin(angles) ** 2, 1e-300)
    if ones == 0:
        return np.exp(-0.5 * x[:, None] / c).mean(axis=1)
    nodes, weights = _gauss(INNER)
    v, share = 0.5 * (nodes + 1.0), 0.5 * weights
    y = x[:, None] * v**2  # whose density with m = 1 is infinite at 0, but not that of its root
    density = chi2.pdf(y, ones) * (2.0 * x[:, None] * v * share)
    left = (x[:, None] - y)[:, None, :] / (2.0 * c)[None, :, None]
    return chi2.sf(x, ones) + np.einsum("kv,kav->k", density, np.exp(-left)) / ANGLES
