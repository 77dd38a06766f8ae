r"""Residuals of the rows: response, Pearson, deviance, working, and randomised quantile residuals.

Arrays are (n,), or (C, n) for a response with C components (multinomial: the indicator of each level), in
which case y has the same shape. NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raphson import scipy_special as special


def response(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """y - μ."""
    return y - mean


def pearson(y: np.ndarray, mean: np.ndarray, variance: np.ndarray, weight: np.ndarray | float = 1.0) -> np.ndarray:
    """(y - μ) √(w / V(μ)), not divided by the dispersion, like R's ``residuals(fit, "pearson")``.

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


def randomised_quantile(log_tails: Sequence[np.ndarray], seed: int | np.random.Generator | None = 0) -> np.ndarray:
    """Residuals Φ⁻¹(a + v (b - a)) with v uniform on (0, 1), standard normal under the model.

    Parameters
    ----------
    log_tails : four ndarrays, (n,)
        Logarithms of a = P(Y < y), b = P(Y <= y), P(Y >= y) and P(Y > y) at the fit. For a continuous response a = b,
        and nothing is random.
    seed : int or Generator, optional
        The same seed gives the same residuals.

    Returns
    -------
    ndarray, (n,)
        Infinite only for a response that is impossible under the fit. The quantile comes from the logarithm of the
        smaller tail, so that extreme responses keep their order and their digits.

    Notes
    -----
    Dunn and Smyth (1996), J. Computational and Graphical Statistics 5, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> randomised_quantile(np.log([[0.975], [0.975], [0.025], [0.025]])).round(2).tolist()
    [1.96]
    """
    below, up_to, at_least, above = (np.asarray(one, dtype=float) for one in log_tails)
    v = np.random.default_rng(seed).random(below.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        # (1 - v) a + v b, in either tail; logaddexp of two -inf is -inf.
        lower = np.logaddexp(np.log1p(-v) + below, np.log(v) + up_to)
        upper = np.logaddexp(np.log1p(-v) + at_least, np.log(v) + above)
        return np.where(lower < upper, special.ndtri_exp(lower), -special.ndtri_exp(upper))
