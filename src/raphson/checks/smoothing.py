"""Local means of residuals over a covariate, as one matrix for the data and for every simulated data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POINTS = 30
"""Points at which a local mean is computed."""

NEIGHBOURS = 0.15
"""Half the share of the rows that a local mean reaches over: its kernel reaches 0 at that rank distance."""


@dataclass(frozen=True, eq=False)
class LocalMean:
    """A local mean over a covariate, linear in what is averaged.

    Attributes
    ----------
    x : (m,) where it is computed.
    weights : (m, n), the rows of which add up to 1.
    """

    x: np.ndarray
    weights: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """(..., m) local means of values (..., n)."""
        return values @ self.weights.T


def local_mean(x: np.ndarray, points: int = POINTS) -> LocalMean:
    """The local mean over x (n,), with Epanechnikov's kernel on the ranks.

    Ranks and not values: every mean then averages about as many rows, also where the covariate is sparse. Rows of equal
    x share their mean rank, so that the order of the rows does not matter.

    Examples
    --------
    >>> import numpy as np
    >>> smooth = local_mean(np.arange(200.0))
    >>> bool(np.allclose(smooth.of(np.ones(200)), 1.0)), len(smooth.x)
    (True, 30)
    """
    n = len(x)
    values, where, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - 0.5 * (counts + 1)) / n
    share = (np.arange(points) + 0.5) / points
    # The values at these shares, each once.
    chosen = np.unique(np.minimum(np.searchsorted(ends / n, share), len(values) - 1))
    if len(values) <= points:
        chosen = np.arange(len(values))
    reach = max(NEIGHBOURS, 3.0 / n)
    weights = np.maximum(1.0 - ((ranks[chosen][:, None] - ranks[where]) / reach) ** 2, 0.0)
    # A value with many rows may have no neighbours within reach: its own rows always count.
    weights = np.maximum(weights, (chosen[:, None] == where).astype(float))
    return LocalMean(values[chosen], weights / weights.sum(axis=1, keepdims=True))


def level_means(codes: np.ndarray, levels: int) -> np.ndarray:
    """(levels, n) weights of the mean over the rows of each level; NaN for a level without rows."""
    member = (codes[None, :] == np.arange(levels)[:, None]).astype(float)
    with np.errstate(invalid="ignore"):
        return member / member.sum(axis=1, keepdims=True)
