"""Over- and underdispersion: whether counts vary as much as their family implies, as standard errors at φ = 1 assume.

Pearson's χ² over its degrees of freedom estimates the dispersion, but where few events are expected it varies many
times as much as a χ²: one event where a thousandth was expected adds 1,000. So only its part that is due to dispersion
is tested. With y = Σ b_j, a sum of m trials of probability p, the products of different trials' residuals

    t = Σ_{j≠k} (b_j − p)(b_k − p) / mp(1 − p) = [(y − mp)² − (1 − 2p)(y − mp)]/mp(1 − p) − 1

have mean 0 unless the trials of a row are correlated; a single trial has no such product, and a single event of a
Poisson count (m → ∞) adds nothing (Dean 1992, JASA 87, 451, equations 8 and 9). Their moments are

    E t² = 2 (m − 1)/m,     E t³ = 8 (m − 1)(m − 2)/m² + 4 (m − 1)(1 − 2p)²/(m² p(1 − p)),

2 and 8 + 4/μ for Poisson counts. The sum over rows is referred to the gamma distribution (Pearson's type III) with its
mean, variance and skewness: where many events are expected, that is the χ² of Pearson's statistic itself.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from raphson import scipy_special as special

SURE = 1e-3
"""p-value below which overdispersion is reported: a false alarm in one of a thousand well-specified fits."""

SURER = 1e-4
"""The same for underdispersion, which is less harmful: standard errors are only larger than they need be."""

SPARSE = 1.1
"""E t³ relative to that of large counts. Beyond it few events are expected, and underdispersion is mostly chance."""

LARGE = 1.2
"""Smallest ratio of variances that is reported: standard errors are then off by a tenth."""


class Spread(NamedTuple):
    """Sums over rows of t, E t² and E t³."""

    total: float
    second: float
    third: float


def poisson_terms(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """t, E t² and E t³ of Poisson counts with these means, (3, n); 0 where the mean is 0."""
    informative = mean > 0
    mean = np.where(informative, mean, 1.0)
    t = ((y - mean) ** 2 - y) / mean
    return np.where(informative, np.stack([t, np.full_like(t, 2.0), 8.0 + 4.0 / mean]), 0.0)


def binomial_terms(y: np.ndarray, mean: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """t, E t² and E t³ of proportions y among `trials`, (3, n); 0 for one trial, or where the mean is 0 or 1."""
    informative = (mean > 0) & (mean < 1) & (trials > 1)
    if not informative.any():
        return np.zeros((3, len(y)))
    p, m = np.where(informative, mean, 0.5), np.where(informative, trials, 2.0)
    variance, gap = p * (1 - p), np.where(informative, y, 0.5) - p
    t = m * gap * gap / variance - (1 - 2 * p) * gap / variance - 1.0
    skew = 4 * (m - 1) * (1 - 2 * p) ** 2 / (m * m * variance)
    return np.where(informative, np.stack([t, 2 * (m - 1) / m, 8 * (m - 1) * (m - 2) / (m * m) + skew]), 0.0)


def deviates(spread: Spread, pearson: float, df: float, nobs: float) -> tuple[float, float]:
    """Pearson's statistic over its degrees of freedom, and the p-value of its deviation from 1.

    Parameters
    ----------
    spread : sums over the rows.
    pearson, df : Pearson's χ² and the residual degrees of freedom.
    nobs : rows, as `df` counts them.

    Returns
    -------
    (φ̂, p); p is 1 where the data cannot decide, or where φ̂ is too near to 1 to be reported.
    """
    if not (df > 0 and spread.second > 0 and math.isfinite(pearson) and math.isfinite(spread.total)):
        return math.nan, 1.0
    # Fitting p coefficients removes the share p/n of the sum of squares.
    share = df / nobs
    information = 0.5 * spread.second
    total, variance, third = spread.total + (1.0 - share) * information, spread.second * share, spread.third * share
    phi, other = pearson / df, 1.0 + total / (information * share)
    third = max(third, 1e-3 * variance**1.5)
    shape = 4.0 * variance**3 / third**2
    place = max(shape + math.sqrt(shape / variance) * total, 0.0)
    if min(phi, other) >= LARGE:
        p_value, enough = float(special.gammaincc(shape, place)), SURE
    elif max(phi, other) <= 1.0 / LARGE and third <= SPARSE * 8.0 * information * share:
        p_value, enough = float(special.gammainc(shape, place)), SURER
    else:
        return phi, 1.0
    return phi, p_value if p_value < enough else 1.0


def remark(family: str, wider_families: tuple[str, ...], phi: float, p_value: float) -> str:
    """The warning about over- or underdispersion; empty where there is none.

    Parameters
    ----------
    family : name of the family whose variance is assumed.
    wider_families : names of families that estimate the dispersion, the quasi family first.
    phi, p_value : from :func:`deviates`.
    """
    if not p_value < 1.0:
        return ""
    chance = "p < 1e-16" if p_value < 1e-16 else f"p = {p_value:.1g}"
    quasi, *others = (f"family={name!r}" for name in wider_families)
    if phi < 1.0:
        return (
            f"underdispersed: Pearson's χ² is {phi:.3g} times its degrees of freedom ({chance}), where {family} "
            "responses would have about 1, so that standard errors are too large, by a factor of about "
            f"{1 / math.sqrt(phi):.3g}; {quasi} estimates the spread from the data"
        )
    also = [*others, "robust('HC1')"]
    root = math.sqrt(phi)
    return (
        f"overdispersed: Pearson's χ² is {phi:.3g} times its degrees of freedom ({chance}), where {family} responses "
        f"would have about 1, so that standard errors are too small, by a factor of about {root:.3g}, its root; see "
        f"whether a covariate, an interaction or an outlier explains it, or take {quasi} (the same estimates, "
        f"standard errors times {root:.3g})" + "".join(f" or {one}" for one in also)
    )
