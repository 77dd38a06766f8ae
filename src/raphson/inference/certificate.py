r"""The number of correct digits of an estimate, from its distance to the maximum in standard errors."""

from __future__ import annotations

import numpy as np

MOST_DIGITS = 53 * np.log10(2.0)
"""A double has 53 bits, or 15.95 decimal digits."""


def digits(params: np.ndarray, bse: np.ndarray, distance: float, rounding: float | np.ndarray = 0.0) -> np.ndarray:
    r"""Correct significant digits of each estimate, between 0 and 15.95.

    Parameters
    ----------
    params : ndarray, (p,)
        Estimates.
    bse : ndarray, (p,)
        Their model-based standard errors, from the same matrix as the distance (not a sandwich).
    distance : float
        √(sᵀM⁻¹s/φ), the distance of the estimates from the maximum in standard errors.
    rounding : float or ndarray, (p,)
        The part of that distance that rounding hides: the distance for a score that consists of the rounding errors
        of its sum.

    Returns
    -------
    ndarray, (p,)
        -log10 of the bound on the relative error, or on the absolute error of an estimate of exactly 0.
        NaN for an estimate that isn't finite or has no standard error.

    Examples
    --------
    >>> import numpy as np
    >>> digits(np.array([2.0, 2.0]), np.array([0.2, 0.2]), 1e-9).round(2).tolist()
    [10.0, 10.0]
    """
    # Near the maximum ℓ is quadratic: θ̂ - θ = M⁻¹s with s the score at θ and M the information. By
    # Cauchy-Schwarz in the norm of M⁻¹,
    #     |(θ̂ - θ)_j| = |e_jᵀ M⁻¹ s| <= √(e_jᵀ M⁻¹ e_j) √(sᵀ M⁻¹ s) = (se_j/√φ) (√φ distance) = se_j distance.
    # The computed s differs from the true one by its rounding error r; √(rᵀM⁻¹r/φ) adds to the distance by
    # the triangle inequality. Storing the estimate costs half a unit in its last place: hence the cap.
    params = np.asarray(params, dtype=float)
    bse = np.asarray(bse, dtype=float)
    error = (distance + np.asarray(rounding, dtype=float)) * bse
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = error / np.where(params == 0.0, 1.0, np.abs(params))
        correct = np.clip(-np.log10(relative), 0.0, MOST_DIGITS)
    return np.where(np.isfinite(params) & np.isfinite(bse), correct, np.nan)
