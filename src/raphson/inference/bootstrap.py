"""Intervals from bootstrap replicates.

Davison and Hinkley (1997), Bootstrap Methods and their Application, chapter 5; Efron and Tibshirani (1993), An
Introduction to the Bootstrap, chapters 13 and 14.
"""

from __future__ import annotations

from typing import get_args

import numpy as np

from raphson import scipy_special as special
from raphson.choices import BootstrapInterval
from raphson.errors import ModelError, check_choice
from raphson.inference.intervals import check_level


def intervals(
    replicates: np.ndarray,
    estimate: np.ndarray,
    kind: str = "bca",
    level: float = 0.95,
    *,
    acceleration: np.ndarray | None = None,
    errors: np.ndarray | None = None,
    error: np.ndarray | None = None,
) -> np.ndarray:
    """Bootstrap intervals, (p, 2).

    Parameters
    ----------
    replicates : (B, p) estimates of the replicates, which may be infinite, but not NaN.
    estimate : (p,).
    kind : "percentile", "basic", "bca" or "studentised".
    level : coverage.
    acceleration : (p,) for "bca", from :func:`acceleration`.
    errors, error : (B, p) standard errors of the replicates and (p,) that of the estimate, for "studentised".

    Raises
    ------
    ModelError
        For another kind, a level outside (0, 1), or missing standard errors.

    Examples
    --------
    >>> import numpy as np
    >>> draws = np.random.default_rng(0).normal(size=(100_000, 1))
    >>> intervals(draws, np.zeros(1), "percentile").round(1).tolist()
    [[-2.0, 2.0]]
    """
    check_level(level)
    check_choice("kind", kind, get_args(BootstrapInterval))
    alpha = 0.5 * (1.0 - level)
    if len(replicates) < 2:
        return np.full((len(estimate), 2), np.nan)
    if kind == "percentile":
        return _quantiles(replicates, np.full((len(estimate), 2), [alpha, 1 - alpha]))
    if kind == "basic":
        # θ̂* − θ̂ stands for θ̂ − θ (Davison and Hinkley 1997, equation 5.6).
        ends = _quantiles(replicates, np.full((len(estimate), 2), [alpha, 1 - alpha]))
        return 2 * estimate[:, None] - ends[:, ::-1]
    if kind == "bca":
        a = np.zeros(len(estimate)) if acceleration is None else acceleration
        return _quantiles(replicates, bca_levels(replicates, estimate, a, level))
    if errors is None or error is None:
        raise ModelError(
            "kind: expected 'percentile', 'basic' or 'bca', as some replicates have no finite estimates with standard "
            "errors (they are separated or singular); got 'studentised'"
        )
    t = (replicates - estimate) / errors
    ends = _quantiles(t, np.full((len(estimate), 2), [alpha, 1 - alpha]))
    return estimate[:, None] - error[:, None] * ends[:, ::-1]


def bca_levels(replicates: np.ndarray, estimate: np.ndarray, a: np.ndarray, level: float) -> np.ndarray:
    """Levels (p, 2) of the replicates' quantiles that are the ends of the BCa interval.

    Φ(z₀ + (z₀ + z)/(1 − a(z₀ + z))) with z₀ = Φ⁻¹(fraction of replicates below the estimate), a the acceleration
    (Efron 1987, JASA 82, equation 2.3).
    """
    below = np.mean(replicates < estimate, axis=0) + 0.5 * np.mean(replicates == estimate, axis=0)
    B = len(replicates)
    z0 = special.ndtri(np.clip(below, 0.5 / B, 1 - 0.5 / B))
    z = special.ndtri(0.5 * (1.0 - level)) * np.array([1.0, -1.0])
    shifted = z0[:, None] + z
    return special.ndtr(z0[:, None] + shifted / (1 - a[:, None] * shifted))


def acceleration(influence: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Acceleration of the BCa interval, Σ l³/(6 (Σ l²)^{3/2}), from the influence l of each row or cluster.

    Parameters
    ----------
    influence : (m, p) how each row moves the estimates, up to a common factor.
    counts : (m,) number of units that each row stands for.

    Notes
    -----
    Efron and Tibshirani (1993), equation 14.15, with the infinitesimal jackknife.
    """
    count = np.ones(len(influence)) if counts is None else counts
    square = count @ influence**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(square > 0, count @ influence**3 / (6.0 * square**1.5), 0.0)


def _quantiles(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantiles (p, 2) of column j at levels[j], at place (B + 1)·level (Davison and Hinkley 1997, section 5.2.1)."""
    return np.stack([_quantile(column, level) for column, level in zip(values.T, levels, strict=True)])


def _quantile(column: np.ndarray, level: np.ndarray) -> np.ndarray:
    if np.isfinite(column).all():
        return np.quantile(column, level, method="weibull")
    # Interpolation between a finite value and an infinite one gives the infinite one; NumPy would compute ∞ − ∞.
    place = np.clip((len(column) + 1) * level - 1, 0, len(column) - 1)
    whole = np.round(place)
    place = np.where(np.abs(place - whole) < 1e-9, whole, place)  # a rounded level must not reach an infinite neighbour
    ordered, below = np.sort(column), np.floor(place).astype(int)
    low, high, part = ordered[below], ordered[np.ceil(place).astype(int)], place - below
    with np.errstate(invalid="ignore"):
        return np.where(low == high, low, (1 - part) * low + np.where(part > 0, part, 1.0) * high)
