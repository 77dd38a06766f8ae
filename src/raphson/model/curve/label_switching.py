"""Other parameters of the same curve: terms of the same form that exchange places, and signs that do not matter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from raphson.numeric import TINY

SAME = 1e-7
"""Largest difference between two curves that count as the same, as a share of their size."""

ALIKE = 1e-3
"""Largest relative difference between two estimates that count as the same."""


def changed(theta: np.ndarray, free: np.ndarray, ordered: np.ndarray) -> Iterator[np.ndarray]:
    """Points with one sign changed, or two runs of equally many parameters exchanged."""
    for j in free:
        there = theta.copy()
        there[j] = -there[j]
        yield there
    yield from exchanged(theta, ordered)


def exchanged(theta: np.ndarray, ordered: np.ndarray) -> Iterator[np.ndarray]:
    """Points with two runs of equally many of the parameters `ordered` exchanged.

    Examples
    --------
    >>> [point.tolist() for point in exchanged(np.array([1.0, 2.0, 3.0]), np.array([0, 2]))]
    [[3.0, 2.0, 1.0]]
    """
    p = len(ordered)
    for length in range(1, p // 2 + 1):
        for first in range(p - 2 * length + 1):
            for second in range(first + length, p - length + 1):
                there = theta.copy()
                one, other = ordered[first : first + length], ordered[second : second + length]
                there[one], there[other] = theta[other], theta[one]
                yield there


def apart(theta: np.ndarray, start: np.ndarray) -> float:
    """Σ log²(θ_j/start_j), a distance that does not depend on units; a different sign counts as a factor e¹⁰."""
    total = 0.0
    for one, other in zip(theta.tolist(), start.tolist(), strict=True):
        logarithm = math.log(max(abs(one), TINY)) - math.log(max(abs(other), TINY))
        total += logarithm * logarithm + 100.0 * ((one > 0) - (one < 0) != (other > 0) - (other < 0))
    return total


def equally_good(
    theta: np.ndarray,
    ordered: np.ndarray,
    moved: Callable[[np.ndarray], np.ndarray],
    curve: Callable[[np.ndarray], np.ndarray],
    met: Iterable[np.ndarray],
    errors: np.ndarray,
) -> list[np.ndarray]:
    """Points, each (p,), that fit as well as θ; of points that differ only by signs and places, one each.

    Parameters
    ----------
    theta : (p,) the estimate.
    ordered : numbers of the parameters that may exchange places; the others are fitted again.
    moved : from a point to the same with conditionally linear parameters at their least squares values.
    curve : predictions at a point.
    met : points that are known to fit as well.
    errors : (p,) standard errors, or numbers of about that size.
    """
    here, found = curve(theta), list[np.ndarray]()
    for there in exchanged(theta, ordered):
        if _alike(there, theta):
            continue
        there = moved(there)
        if np.abs(curve(there) - here).max() <= SAME * np.abs(here).max():
            found.append(there)
    for there in met:
        if not any(
            _alike(_unsigned(there), _unsigned(other))
            or (np.abs(np.abs(there) - np.abs(other)) <= ALIKE * errors + ALIKE * np.abs(other)).all()
            for other in (theta, *found)
        ):
            found.append(there)
    return found


def _unsigned(theta: np.ndarray) -> np.ndarray:
    return np.sort(np.abs(theta))


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.abs(one - other) <= ALIKE * np.maximum(np.abs(one), np.abs(other))).all())
