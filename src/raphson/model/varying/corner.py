r"""Where standard deviations of a tensor product are 0: whether the criterion is higher elsewhere.

A maximum at 0 may be one of two along a standard deviation, as strengths trade against each other: some places farther
out are looked at. Where several are 0 at once, Λ has slopes along directions only, as Λ(rσ) = rΛ(σ), and the criterion,
which is even in Λ's entries, is V(rσ) = V(0) + r² f(σ) + …, with f of degree 2. So Newton's method goes to the corner
in one step from wherever f is negative, although f may be positive in another direction: such a corner is a maximum
only if it is in none.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from raphson.model.objective import Need
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.edge import NEAR
from raphson.model.varying.scales import TensorScale

RATIOS = np.geomspace(0.02, 50.0, 9)
"""Ratios of the standard deviations, each in units of its curvature, at which f is looked at."""

FARTHER = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Places along one standard deviation that are looked at, in units of its curvature at 0."""

DOUBLINGS = 14
"""Doublings of the first step out of a corner, along which the highest point is taken."""


def way_out(criterion: Criterion, theta: np.ndarray, held: np.ndarray) -> np.ndarray | None:
    """Parameters away from an edge at `theta` where the criterion is higher; None at no edge, or where none is seen."""
    for scale in criterion.scales:
        if not isinstance(scale, TensorScale):
            continue
        own = np.arange(criterion.p + scale.start, criterion.p + scale.start + scale.count)
        found = _out_of(criterion, theta, own[~held[own]])
        if found is not None:
            return found
    return None


def _out_of(criterion: Criterion, theta: np.ndarray, own: np.ndarray) -> np.ndarray | None:
    if not len(own):
        return None
    here = criterion.evaluate(theta, Need(kinds=("observed",)))
    if "observed" not in here.information:
        return None
    curvature = np.abs(here.information["observed"].matrix.diagonal()[own])
    sizes = 1.0 / np.sqrt(np.where(curvature > 0, curvature, 1.0))
    near = np.abs(theta[own]) < NEAR * sizes
    own, sizes = own[near], sizes[near]
    if len(own) < 2:
        return _along(criterion, theta, here.value, own, sizes)
    there, best, along = theta.copy(), 0.0, None
    for ratios in product(RATIOS, repeat=len(own) - 1):
        direction = np.array([1.0, *ratios])
        direction = sizes * direction / np.linalg.norm(direction)
        there[own] = NEAR * direction
        rise = float(criterion.evaluate(there).score[own] @ direction)
        if rise > best:
            best, along = rise, direction
    if along is None:
        return _along(criterion, theta, here.value, own, sizes)
    trials = np.repeat(theta[None], DOUBLINGS, axis=0)
    trials[:, own] = NEAR * 2.0 ** np.arange(DOUBLINGS)[:, None] * along
    return _highest(criterion, trials, here.value)


def _along(
    criterion: Criterion, theta: np.ndarray, value: float, own: np.ndarray, sizes: np.ndarray
) -> np.ndarray | None:
    """The highest point along one of the standard deviations, if it is higher than where they are 0."""
    trials = np.repeat(theta[None], len(own) * len(FARTHER), axis=0)
    for row, (j, step) in enumerate(product(range(len(own)), FARTHER)):
        trials[row, own[j]] = step * sizes[j]
    return _highest(criterion, trials, value)


def _highest(criterion: Criterion, trials: np.ndarray, value: float) -> np.ndarray | None:
    """The trial with the highest criterion, if that is above a value by more than its rounding."""
    values = np.array([criterion.evaluate(one).value for one in trials])
    values = np.where(np.isfinite(values), values, -np.inf)
    if not len(values) or not values.max() > value + 1e-12 * (abs(value) + 1.0):
        return None
    return trials[int(np.argmax(values))]
