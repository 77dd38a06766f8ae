"""Symmetric derivatives of the rows by their predictors, each entry an array over the rows, and sums over entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np


class Symmetric(dict[tuple[int, ...], np.ndarray]):
    """Entries T_ab... of a symmetric tensor by their indices in ascending order, each (n,); what is absent is 0.

    Examples
    --------
    >>> W = Symmetric({(0, 0): np.ones(3), (0, 1): np.zeros(3)})
    >>> W.at(1, 0).tolist(), W.at(1, 1)
    ([0.0, 0.0, 0.0], None)
    """

    def at(self, *index: int) -> np.ndarray | None:
        """The entry with these indices, in any order; None where it is 0."""
        found = self.get(index)
        return self.get(tuple(sorted(index))) if found is None else found


def pairs(indices: Sequence[int]) -> Iterator[tuple[int, int, float]]:
    """The pairs a ≤ b, and how often each is in a sum over all a and b."""
    for i, a in enumerate(indices):
        for b in indices[i:]:
            yield a, b, 1.0 if a == b else 2.0


def added(total: np.ndarray | None, part: np.ndarray | None, factor: np.ndarray | float = 1.0) -> np.ndarray | None:
    """total + part · factor, where None is 0."""
    if part is None:
        return total
    if not (isinstance(factor, float) and factor == 1.0):
        part = part * factor
    return part if total is None else total + part


def weighted(h: Symmetric, T: Symmetric, indices: Sequence[int], *others: int) -> np.ndarray | None:
    """Σ_ab h_ab T_ab... over the indices a and b, (n,)."""
    total = None
    for a, b, times in pairs(indices):
        own = h[a, b]
        total = added(total, T.at(a, b, *others), own if times == 1.0 else times * own)
    return total


def along(T: Symmetric, x: Mapping[int, np.ndarray], *others: int) -> np.ndarray | None:
    """Σ_c T_c... x_c, (n,)."""
    total = None
    for c, one in x.items():
        total = added(total, T.at(c, *others), one)
    return total
