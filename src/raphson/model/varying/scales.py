r"""The factors Λ of the varying terms as a linear function of their entries, and the numbers that are reported.

The outer iteration moves the entries of Λ themselves, with their signs: the criterion is even in each diagonal entry,
so that a standard deviation of 0 is a stationary point inside of the domain like any other, and Newton's steps end at
exactly 0 where it is the answer. Reported are log standard deviations and the atanh of correlations,

    s_a = |row a of Λ|,   ρ = Λ_aᵀΛ_b/(s_a s_b).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raphson.data.varying.term import VaryingTerm


@dataclass(frozen=True)
class Scale:
    """Λ of one term.

    Attributes
    ----------
    structure, width : of the term.
    start : number of its first entry among those of all terms.
    """

    structure: str
    width: int
    start: int

    @cached_property
    def places(self) -> list[list[tuple[int, int]]]:
        """Where in Λ each entry stands; the one of a common standard deviation at every diagonal place."""
        c = self.width
        if self.structure == "common":
            return [[(a, a) for a in range(c)]]
        if self.structure == "independent":
            return [[(a, a)] for a in range(c)]
        return [[(a, b)] for a in range(c) for b in range(a + 1)]

    @property
    def count(self) -> int:
        return len(self.places)

    @property
    def own(self) -> slice:
        return slice(self.start, self.start + self.count)

    @cached_property
    def units(self) -> list[np.ndarray]:
        """∂Λ by each entry, (c, c)."""
        out = []
        for places in self.places:
            E = np.zeros((self.width, self.width))
            for a, b in places:
                E[a, b] = 1.0
            out.append(E)
        return out

    def matrix(self, entries: np.ndarray) -> np.ndarray:
        """Λ (c, c), from the entries of all terms."""
        out = np.zeros((self.width, self.width))
        for value, places in zip(entries[self.own], self.places, strict=True):
            for a, b in places:
                out[a, b] = value
        return out

    def entries(self, covariance: np.ndarray) -> np.ndarray:
        """The entries with ΛΛᵀ nearest to a covariance (c, c) of the structure."""
        if self.structure == "common":
            return np.array([np.sqrt(max(float(np.mean(covariance.diagonal())), 0.0))])
        if self.structure == "independent":
            return np.sqrt(np.maximum(covariance.diagonal(), 0.0))
        values, vectors = np.linalg.eigh(covariance)
        floor = 1e-12 * max(float(values[-1]), 1e-300)
        root = (vectors * np.sqrt(np.maximum(values, floor))).T
        L = np.asarray(np.linalg.qr(root, mode="r")).T
        L = L * np.where(L.diagonal() < 0, -1.0, 1.0)
        return L[np.tril_indices(self.width)]


def scales_of(terms: Sequence[VaryingTerm]) -> list[Scale]:
    """The factors of the terms, their entries numbered one term after the other."""
    out, start = [], 0
    for term in terms:
        out.append(Scale(term.structure, term.width, start))
        start += out[-1].count
    return out
