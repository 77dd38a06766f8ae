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
    places : (m,) the ranks of x, as shares of the rows.
    """

    x: np.ndarray
    weights: np.ndarray
    places: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """(..., m) local means of values (..., n)."""
        return values @ self.weights.T

    def over(self, x: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(B, m) local means of values (B, n), of each data set over its own covariate x (B, n), at the same ranks.

        Examples
        --------
        >>> import numpy as np
        >>> x = np.arange(200.0)
        >>> smooth = local_mean(x)
        >>> bool(np.allclose(smooth.over(10 + x[None], x[None]), smooth.of(x[None])))
        True
        """
        return np.stack(
            [_weights(_ranks(own)[0], self.places) @ one for own, one in zip(x, values, strict=True)]
        ).reshape(len(values), len(self.places))


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
    ranks, values, first, ends = _ranks(x)
    share = (np.arange(points) + 0.5) / points
    # The values at these shares, each once.
    chosen = np.unique(np.minimum(np.searchsorted(ends, share), len(values) - 1))
    if len(values) <= points:
        chosen = np.arange(len(values))
    places = ranks[first[chosen]]
    return LocalMean(values[chosen], _weights(ranks, places), places)


def _ranks(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(n,) mean ranks of x as shares of the rows; its values, a row of each, and the share of rows up to each."""
    values, first, where, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - 0.5 * (counts + 1)) / len(x)
    return ranks[where], values, first, ends / len(x)


def _weights(ranks: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(m, n) weights of local means at the places (m,) among rows of these ranks (n,)."""
    away = np.abs(places[:, None] - ranks)
    weights = np.maximum(1.0 - (away / max(NEIGHBOURS, 3.0 / len(ranks))) ** 2, 0.0)
    # Many rows may share a rank that is out of reach of a place: the nearest rows always count.
    weights = np.maximum(weights, (away <= away.min(axis=1, keepdims=True)).astype(float))
    return weights / weights.sum(axis=1, keepdims=True)


def level_means(codes: np.ndarray, levels: int) -> np.ndarray:
    """(levels, n) weights of the mean over the rows of each level; NaN for a level without rows."""
    member = (codes[None, :] == np.arange(levels)[:, None]).astype(float)
    with np.errstate(invalid="ignore"):
        return member / member.sum(axis=1, keepdims=True)
