"""Starting values for the parameters of a curve that nobody gave: several scales, drawn evenly.

What scale a parameter has is not known, but it is usually tied to that of x: rates to 1/x, positions to x itself,
exponents and shapes to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

WIDE = 256
"""Points tried."""


def scales_of(X: Any) -> list[tuple[float, float]]:
    """(lower, upper) end of the values of each covariate, as far as they are numbers in columns."""
    if not isinstance(X, np.ndarray) or not X.size:
        return []
    columns = X if X.ndim == 2 else X.reshape(len(X), -1)
    return [(float(column.min()), float(column.max())) for column in columns.T[:4]]


def wide_starts(
    given: np.ndarray,
    scales: list[tuple[float, float]],
    box: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
    around: bool = False,
    count: int = WIDE,
) -> Iterator[np.ndarray]:
    """Points spread over many orders of magnitude.

    Parameters
    ----------
    given : (p,) values; NaN where there is none.
    scales : ends of the values of the covariates.
    box : bounds, or None.
    seed : of the draws.
    around : whether to vary the given values too: by up to three orders of magnitude, and beyond.
    count : how many.
    """
    from scipy.stats import qmc

    p = len(given)
    draws = qmc.Sobol(2 * p, rng=np.random.default_rng(seed)).random(count)
    spans = [max(abs(low), abs(high)) for low, high in scales if max(abs(low), abs(high)) > 0] or [1.0]
    for draw in draws:
        kind, level = draw[:p], draw[p:]
        theta = given.copy()
        for j in range(p):
            if np.isnan(given[j]) or (around and kind[j] > 0.5):
                theta[j] = _anything(2.0 * kind[j] % 1.0, level[j], spans, scales)
            elif around and given[j] != 0:
                theta[j] = given[j] * 10.0 ** (6.0 * level[j] - 3.0)
        yield theta if box is None else np.clip(theta, *box)


def _anything(kind: float, level: float, spans: list[float], scales: list[tuple[float, float]]) -> float:
    """A number of one of the scales that parameters have."""
    span = spans[int(level * 7919) % len(spans)]
    magnitude = 10.0 ** (4.0 * level - 2.0)
    if kind < 0.45:
        return magnitude / span * 3.0
    if kind < 0.6:
        return magnitude
    if kind < 0.7:
        return -magnitude / span * 3.0
    if kind < 0.75:
        return -magnitude
    if kind < 0.85 and scales:
        low, high = scales[int(level * 7919) % len(scales)]
        return low + level * (high - low)
    return span * magnitude / 10.0
