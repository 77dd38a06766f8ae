"""The centre and spread of η before training, and φ₀.

First-order methods step in these units, so that a learning rate does not depend on the units of the response.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.model.network.moments import Moments


@dataclass(frozen=True)
class ResponseMoments:
    """Of weighted responses, what the scale of η is made of; those of pieces of the rows can be added up.

    Attributes
    ----------
    response : the moments of y, a single column.
    start : (K,) sums of w times the starting values of η.
    shares : (L,) sums of w by level; empty for a response of numbers.
    """

    response: Moments
    start: np.ndarray
    shares: np.ndarray

    @staticmethod
    def of(family: Any, y: np.ndarray, weight: np.ndarray) -> ResponseMoments:
        levels = range(family.n_predictors + 1) if family.predictor_labels is not None else ()
        start = np.zeros(family.n_predictors)
        if weight.any():
            start = np.asarray(family.start_eta(y, weight)) @ weight
        shares = np.array([weight[y == level].sum() for level in levels])
        return ResponseMoments(Moments.of(y[:, None], weight), start, shares)

    def __add__(self, other: ResponseMoments) -> ResponseMoments:
        return ResponseMoments(self.response + other.response, self.start + other.start, self.shares + other.shares)

    def scale(self, family: Any) -> tuple[np.ndarray, np.ndarray, float]:
        """As :func:`output_scale`."""
        spread = np.ones(family.n_predictors)
        if len(self.shares):
            share = self.shares + 0.5
            return np.log(share[1:] / share[0]), spread, 1.0
        centre = self.start / self.response.weight
        mean = self.response.centre
        low, high = family.link.interval
        if low < mean[0] < high:
            centre[0] = float(np.asarray(family.link.link(mean))[0])
        if family.dispersion_fixed:
            return centre, spread, 1.0
        variance = float(self.response.square[0])
        unit = float(np.asarray(family.variance(mean))[0])
        divisor = variance / unit if variance > 0 and unit > 0 else 1.0
        step = 1e-4 * variance**0.5
        if step > 0 and low < mean[0] - step and mean[0] + step < high:
            ends = np.asarray(family.link.link(np.array([mean[0] - step, mean[0] + step])))
            slope = float(abs(ends[1] - ends[0]) / (2.0 * step))
            if np.isfinite(slope) and slope > 0:
                spread[0] = slope * variance**0.5
        return centre, spread, divisor


def output_scale(family: Any, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The centre and spread of η before training, each (K,), and φ₀.

    The centre is η at the mean response. Where the dispersion is free, Var(y) = φ V(μ): a constant mean has
    φ₀ = Var(y)/V(ȳ), and to first order the spread of η is sd(y) |dη/dμ|. Otherwise η is a log odds or a log rate,
    with a spread of about 1.
    """
    return ResponseMoments.of(family, y, weight).scale(family)
