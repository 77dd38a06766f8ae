r"""Residuals of the rows: response, Pearson, deviance, working, and randomised quantile residuals.

Arrays are (n,), or (C, n) for a response with C components (multinomial: the indicator of each level), in
which case y has the same shape. NaN stays NaN.
"""

from __future__ import annotations

import numpy as np
from scipy import special

KINDS = ("deviance", "pearson", "response", "working", "quantile")


def response(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """y - μ."""
    return y - mean


def pearson(y: np.ndarray, mean: np.ndarray, variance: np.ndarray, weight: np.ndarray | float = 1.0) -> np.ndarray:
    """(y - μ) √(w / V(μ)), not divided by the dispersion (as R's ``residuals(fit, "pearson")``).

    Parameters
    ----------
    y, mean : ndarray
    variance : ndarray
        The variance function V(μ). Where it is 0 (a fitted probability of exactly 0 or 1) and y = μ, the
        residual is 0.
    weight : ndarray or float
        Precision weight times number of trials.

    Examples
    --------
    >>> import numpy as np
    >>> pearson(np.array([3.0]), np.array([1.0]), np.array([4.0]), 9.0)
    array([3.])
    """
    difference = y - mean
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0.0, 0.0, difference * np.sqrt(weight / variance))


def deviance(
    y: np.ndarray, mean: np.ndarray, unit_deviance: np.ndarray, weight: np.ndarray | float = 1.0
) -> np.ndarray:
    """sign(y - μ) √(w d), with d the unit deviance; their squares add up to the deviance.

    A unit deviance that rounding has made slightly negative counts as zero.

    Examples
    --------
    >>> import numpy as np
    >>> deviance(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([4.0, 9.0]))
    array([-2.,  3.])
    """
    return np.sign(y - mean) * np.sqrt(np.maximum(weight * unit_deviance, 0.0))


def working(y: np.ndarray, mean: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """(y - μ) / (dμ/dη): the residual of the working response of IRLS."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (y - mean) / slope


def randomised_quantile(lower: np.ndarray, upper: np.ndarray, seed: int | None = 0) -> np.ndarray:
    """Standard normal under the model: Φ⁻¹(a + v (b - a)), v uniform on (0, 1).

    Parameters
    ----------
    lower, upper : ndarray, (n,)
        a = P(Y < y) and b = P(Y <= y) at the fit. Equal for a continuous response: then nothing is random.
    seed : int, optional
        The same seed gives the same residuals.

    Returns
    -------
    ndarray, (n,)
        Finite: a probability that has rounded to 0 or 1 gives the outermost value a double can tell from it.

    Notes
    -----
    Dunn and Smyth (1996), J. Computational and Graphical Statistics 5, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> randomised_quantile(np.array([0.5]), np.array([0.5])).tolist()
    [0.0]
    """
    lower, upper = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
    v = np.random.default_rng(seed).random(lower.shape)
    probability = lower + v * (upper - lower)
    return special.ndtri(np.clip(probability, np.finfo(float).tiny, 1.0 - 2.0**-53))
