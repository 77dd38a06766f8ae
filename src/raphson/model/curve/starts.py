"""Other starting values for a curve: many points of every scale, screened by their sums of squares.

The scale of a parameter follows from its dimension (:mod:`raphson.model.curve.dimensions`): a rate has that of 1/x, a
width that of the range of x, and a position lies in that range. Points are drawn over several orders of magnitude
around these scales and around the user's values; then the best are crossed and varied, as in differential evolution
(Storn and Price 1997, J. Global Optimization 11, 341). All are compared after projection, in batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.model.curve.dimensions import Dimensions
from raphson.model.curve.waves import Phase, Spectrum, Wave
from raphson.numeric import TINY

WIDE, OFFSPRING, GENERATIONS, PARENTS = 1536, 512, 3, 32
"""Numbers of points drawn at first, of points in each later generation, of generations, and of parents. They are 3,072
in all, on 512 rows at most: 1.6 million values of the curve. With one generation instead of three NIST's Gauss1 without
a start takes 512 steps from the best point, not 8."""

DECADES = 2.0
"""Orders of magnitude on either side of a parameter's scale, and of a value given. From 0.5 to 6 the same minimum is
found for nine curves: NIST's Gauss1, Misra1a and MGH17 and a sine without a start, and five from starts up to 100 times
off."""

DIFFERENT = 0.2
"""Least logarithm of the ratio in some parameter for two points to count as different, a factor of 1.2. From 0.05 to
0.8 the same minimum is found for NIST's Gauss1 and MGH17 and a sine without a start."""


@dataclass(frozen=True)
class SearchRegion:
    """The region in which starting values are searched for.

    Attributes
    ----------
    given : (p,) values; NaN where there is none.
    drawn : (p,) mask of the parameters that are drawn; the others stay as given.
    low, high : (d + 1,) ends of the values of the covariates, and of the response.
    dimensions : of the parameters; None where they are unknown.
    box : (lower, upper), or None.
    spectra, phases : the parameters that set a frequency, each with the spectrum of the data, and those that shift.
    """

    given: np.ndarray
    drawn: np.ndarray
    low: np.ndarray
    high: np.ndarray
    dimensions: Dimensions | None
    box: tuple[np.ndarray, np.ndarray] | None
    spectra: tuple[tuple[Wave, Spectrum], ...] = ()
    phases: tuple[Phase, ...] = ()

    def draw(self, count: int, random: np.random.Generator) -> np.ndarray:
        """(count, p) points around the given values, around the scales of the dimensions, or partly around each."""
        shape = (count, len(self.given))
        known = ~np.isnan(self.given) & (self.given != 0)
        near = np.where(known, self.given, 1.0) * 10.0 ** random.uniform(-DECADES, DECADES, shape)
        share = random.choice([0.0, 0.2, 0.5, 0.9], (count, 1))
        points = np.where(known & (random.random(shape) < share), near, self._far(count, random, known))
        return self._inside(points)

    def _far(self, count: int, random: np.random.Generator, known: np.ndarray) -> np.ndarray:
        p = len(self.given)
        shape = (count, p)
        exponents, position = self._exponents(count, random)
        # A length is on the scale of the largest absolute value, or of the range.
        reach = np.maximum(np.abs(self.low), np.abs(self.high))
        size = np.where(random.random((count, len(reach))) < 0.5, reach, self.high - self.low)
        logarithm = np.log10(np.where(size > 0, size, 1.0))
        magnitude = np.einsum("cpd,cd->cp", exponents, logarithm) + random.uniform(-DECADES, DECADES, shape)
        sign = np.where(random.random(shape) < np.where(known, 0.85, 0.75), 1.0, -1.0)
        points = np.where(known, np.sign(self.given), 1.0) * sign * 10.0 ** np.clip(magnitude, -250.0, 250.0)
        for wave, seen in self.spectra:
            j = wave.parameter
            sign = np.sign(self.given[j]) if known[j] else np.where(random.random(count) < 0.9, 1.0, -1.0)
            drawn = sign * wave.value(seen.draw(count, random))
            points[:, j] = np.where(random.random(count) < 0.8, drawn, points[:, j])
        for j, factor in self.phases:
            points[:, j] = random.uniform(-np.pi, np.pi, count) / abs(factor)
        for j, k in zip(*np.nonzero(position), strict=True):
            inside = self.low[k] + random.uniform(-0.1, 1.1, count) * (self.high[k] - self.low[k])
            points[:, j] = np.where(random.random(count) < 0.6, position[j, k] * inside, points[:, j])
        return points

    def _exponents(self, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        p, units = len(self.given), len(self.low)
        if self.dimensions is None:
            return random.choice([-1.0, 0.0, 1.0], (count, p, units)), np.zeros((p, units - 1))
        return np.broadcast_to(self.dimensions.exponents, (count, p, units)), self.dimensions.position

    def offspring(self, parents: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
        """(count, p) points that cross two of the parents (m, p), best first, with variations."""
        m, p = parents.shape
        first, second = (parents[(m * random.random(count) ** 2).astype(int)] for _ in range(2))
        points = np.where(random.random((count, p)) < 0.5, first, second)
        spread = random.choice([0.02, 0.1, 0.4], (count, 1)) * random.normal(size=(count, p))
        varied = points * 10.0**spread
        if self.dimensions is not None:
            for j, k in zip(*np.nonzero(self.dimensions.position), strict=True):
                varied[:, j] = points[:, j] + 0.3 * spread[:, j] * (self.high[k] - self.low[k])
        for wave, seen in self.spectra:
            j = wave.parameter
            # A frequency has to be right to a fraction of π/range, however large it is.
            off = seen.width * random.choice([0.03, 0.2], count) * random.normal(size=count)
            there = np.maximum(wave.frequency(points[:, j]) + off, 1e-3 * seen.width)
            varied[:, j] = wave.value(there) * np.sign(points[:, j])
        for j, factor in self.phases:
            varied[:, j] = points[:, j] + 3.0 * spread[:, j] / abs(factor)
        fresh = self.draw(count, random)
        return self._inside(np.where(random.random((count, p)) < 0.1, fresh, varied))

    def _inside(self, points: np.ndarray) -> np.ndarray:
        points = np.where(self.drawn, points, self.given)
        return points if self.box is None else np.clip(points, *self.box)


def points_of(effort: float) -> int:
    """The most points that a search evaluates with this share of the usual effort."""
    return int(effort * (WIDE + GENERATIONS * OFFSPRING))


def search(
    region: SearchRegion, value: Callable[[np.ndarray], np.ndarray], count: int, seed: Any, effort: float = 1.0
) -> np.ndarray:
    """The most promising of many points.

    Parameters
    ----------
    region : where to search.
    value : from points (m, p) to what is minimised, (m,); not finite where a point is useless.
    count : most points to return.
    seed : of the draws.
    effort : share of the usual number of points.

    Returns
    -------
    (m, p) distinct points, the best first
    """
    random = np.random.default_rng(seed)
    points = region.draw(max(int(WIDE * effort), 16), random)
    values = value(points)
    for _ in range(GENERATIONS):
        best = distinct(points, values, PARENTS)
        if not len(best):
            break
        more = region.offspring(points[best], max(int(OFFSPRING * effort), 8), random)
        points, values = np.concatenate([points, more]), np.concatenate([values, value(more)])
    return points[distinct(points, values, count)]


def ends(X: Any) -> list[tuple[float, float]]:
    """(lower, upper) ends of the values of each covariate: of each column of a table, or of each array in x."""
    if isinstance(X, dict):
        return [pair for _, value in sorted(X.items()) for pair in ends(value)]
    if isinstance(X, tuple | list):
        return [pair for value in X for pair in ends(value)]
    return [(float(np.min(X)), float(np.max(X)))] if np.size(X) else [(0.0, 0.0)]


def distinct(points: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Indices of the best points, at most `count`, each at some distance from every better one.

    Examples
    --------
    >>> distinct(np.array([[1.0], [1.01], [2.0]]), np.array([3.0, 2.0, 4.0]), 2).tolist()
    [1, 2]
    """
    order = np.argsort(values, kind="stable")
    order = order[np.isfinite(values[order])][: 40 * count]
    sized = points / np.maximum(np.abs(points), TINY)
    logarithm = np.log(np.maximum(np.abs(points), TINY))
    sized, logarithm = sized[order], logarithm[order]
    kept: list[int] = []
    while len(order) and len(kept) < count:
        kept.append(int(order[0]))
        gap = np.where(sized == sized[0], np.abs(logarithm - logarithm[0]), np.inf)
        far = gap.max(axis=1, initial=0.0) > DIFFERENT
        far[0] = False
        order, sized, logarithm = order[far], sized[far], logarithm[far]
    return np.array(kept, dtype=int)
