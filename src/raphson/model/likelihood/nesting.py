"""Whether one likelihood is nested in another, judged by the values of the rows and not by names.

The smaller model is nested if some parameters of the larger one give every row the log-likelihood that the smaller
model's estimate gives it. They are found by least squares over the rows; the derivatives of the residuals are the rows'
scores. With more rows than parameters, models of another response or on another scale cannot make all residuals 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raphson.data.products import dense

if TYPE_CHECKING:
    from raphson.model.likelihood.model import LikelihoodModel

MATCHED = 1e-6
"""Largest difference between two log-likelihoods of a row, relative to the largest one, that counts as none."""


def why_not_nested(
    larger: LikelihoodModel, smaller: LikelihoodModel, theta: np.ndarray, smaller_theta: np.ndarray
) -> str:
    """Why the smaller likelihood is not nested in the larger one; an empty string where it is.

    Parameters
    ----------
    theta, smaller_theta : (p,) and (q,) estimates.
    """
    counted = larger.row_weight > 0
    if np.count_nonzero(counted) <= len(theta):
        return _by_names(larger, smaller)
    with np.errstate(all="ignore"):
        wanted = smaller.rows(smaller_theta).value[counted]
        gap = _closest(larger, wanted, counted, _starts(larger, smaller, theta, smaller_theta))
    worst = int(np.argmax(np.abs(gap)))
    if np.abs(gap[worst]) <= MATCHED * max(float(np.abs(wanted).max()), 1.0):
        return ""
    return (
        "no parameters of this model give the rows the log-likelihoods of the smaller one (at best they differ by up "
        f"to {abs(gap[worst]):.3g} in a row): the smaller one has another response or another scale, or is not "
        "nested. If you know that it is nested, pass nested=True; otherwise compare aic or bic"
    )


def _by_names(larger: LikelihoodModel, smaller: LikelihoodModel) -> str:
    """The same by the names of parameters and columns, where there are too few rows to compare values."""
    read = all(any(np.array_equal(one, other) for other in larger.extra) for one in smaller.extra)
    if read and set(smaller.labels) <= set(larger.labels):
        return ""
    return (
        "the smaller model has other parameters or reads other columns than this one, and there are too few rows to "
        "compare their values. If you know that it is nested, pass nested=True; otherwise compare aic or bic"
    )


def _starts(
    larger: LikelihoodModel, smaller: LikelihoodModel, theta: np.ndarray, smaller_theta: np.ndarray
) -> list[np.ndarray]:
    """Starting values for the larger model: equal names take the smaller one's estimates, others 0 or the larger's."""
    known = dict(zip(smaller.labels, smaller_theta, strict=True))
    shared = np.array([name in known for name in larger.labels])
    values = np.array([known.get(name, 0.0) for name in larger.labels])
    return [values, np.where(shared, values, theta), theta]


def _closest(larger: LikelihoodModel, wanted: np.ndarray, counted: np.ndarray, starts: list[np.ndarray]) -> np.ndarray:
    """The smallest differences between the rows' log-likelihoods that least squares finds."""
    from scipy.optimize import least_squares

    weight = larger.row_weight[counted]
    parts = [dense(larger.matrices[d])[counted] for d in larger.predictor.design]

    def gap(theta: np.ndarray) -> np.ndarray:
        value = larger.rows(theta).value[counted] - wanted
        return np.where(np.isfinite(value), value, 1e3)

    def slope(theta: np.ndarray) -> np.ndarray:
        score = larger.rows(theta).score[:, counted] / weight
        J = np.zeros((len(wanted), len(theta)))
        for X, columns, u in zip(parts, larger.predictor.slices, score, strict=True):
            J[:, columns] += X * u[:, None]
        return np.where(np.isfinite(J), J, 0.0)

    best: np.ndarray | None = None
    for start in starts:
        if not np.isfinite(larger.rows(start).value[counted]).all():
            continue
        found = least_squares(
            gap,
            start,
            slope,  # type: ignore[arg-type]
            x_scale="jac",
            ftol=1e-15,
            xtol=1e-15,
            gtol=1e-15,
            max_nfev=100,
        )
        if best is None or np.abs(found.fun).max() < np.abs(best).max():
            best = found.fun
        if np.abs(best).max() <= MATCHED * max(float(np.abs(wanted).max()), 1.0):
            break
    return np.full(len(wanted), np.inf) if best is None else best
