"""The centre and spread of η before training, and φ₀.

First-order methods step in these units, so that a learning rate does not depend on the units of the response.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def output_scale(family: Any, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The centre and spread of η before training, and φ₀.

    The centre is η at the mean response. Where the dispersion is free, Var(y) = φ V(μ): a constant mean has
    φ₀ = Var(y)/V(ȳ), and to first order the spread of η is sd(y) |dη/dμ|. Otherwise η is a log odds or a log rate,
    with a spread of about 1.
    """
    K = family.n_predictors
    eta = np.asarray(family.start_eta(y, weight))
    spread = np.ones(K)
    if family.predictor_labels is not None:
        share = np.array([weight[y == level].sum() for level in range(K + 1)]) + 0.5
        return np.log(share[1:] / share[0]), spread, 1.0
    centre = eta @ weight / weight.sum()
    mean = np.array([weight @ y / weight.sum()])
    low, high = family.link.interval
    if low < mean[0] < high:
        centre[0] = float(np.asarray(family.link.link(mean))[0])
    if family.dispersion_fixed:
        return centre, spread, 1.0
    variance = float(weight @ (y - mean) ** 2 / weight.sum())
    unit = float(np.asarray(family.variance(mean))[0])
    divisor = variance / unit if variance > 0 and unit > 0 else 1.0
    step = 1e-4 * variance**0.5
    if step > 0 and low < mean[0] - step and mean[0] + step < high:
        ends = np.asarray(family.link.link(np.array([mean[0] - step, mean[0] + step])))
        slope = float(abs(ends[1] - ends[0]) / (2.0 * step))
        if np.isfinite(slope) and slope > 0:
            spread[0] = slope * variance**0.5
    return centre, spread, divisor
