r"""The factors Λ of the varying terms as a function of their entries, and the numbers that are reported.

The outer iteration moves the entries of Λ themselves, with their signs: the criterion is even in each diagonal entry,
so that a standard deviation of 0 is a stationary point inside of the domain like any other, and Newton's steps end at
exactly 0 where it is the answer. Reported are log standard deviations and the atanh of correlations,

    s_a = |row a of Λ|,   ρ = Λ_aᵀΛ_b/(s_a s_b).

Λ is linear in its entries but for tensor products (:class:`TensorScale`), whose entries are those of their penalties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from raphson.data.varying.term import VaryingTerm

STEPS = 20
"""Steps towards the strengths of several penalties that start the outer iteration."""


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

    def moves(self, entries: np.ndarray) -> list[np.ndarray]:
        """∂Λ by each of the term's entries, (c, c), at the entries of all terms."""
        return self.units

    def bends(self, entries: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
        """∂²Λ by two of the term's entries j ≥ k, (c, c), at the entries of all terms; without those that are 0."""
        return {}

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


@dataclass(frozen=True)
class TensorScale(Scale):
    r"""The Λ of a term with the penalty Σ λ_m bᵀdiag(d_m)b: diagonal, with one entry σ_m for each penalty.

    For a column with the penalties A, those with d_m > 0,

        Λ = Π_A σ_m / √(Σ_{m∈A} d_m Π_{l≠m} σ_l²),    r_m = Λ/σ_m,

    whose absolute value is (Σ d_m/σ_m²)^(-1/2). It is smooth and odd in each of these σ_m while no other one is 0, so
    that the criterion is even in each of them, and σ_m = 0, which is λ_m = ∞, a stationary point like that of any
    other standard deviation. As Σ d_m r_m² = 1,

        ∂_mΛ = d_m r_m³,    ∂_mkΛ = 3 d_m d_k r_m³ r_k²/σ_k,    ∂_mmΛ = −3 d_m r_m³ Σ_{j≠m} d_j r_j²/σ_m.

    Where two of the σ_m are 0, Λ has slopes only along directions; those along the axes, which are 0, stand for them.

    Attributes
    ----------
    penalties : (q, c) the d_m.
    """

    penalties: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def count(self) -> int:
        return len(self.penalties)

    def _ratios(self, sigma: np.ndarray) -> np.ndarray:
        """(q, c) the r_m; 0 where d_m is."""
        d, q = self.penalties, self.count
        active = d > 0
        negative = active & (sigma < 0)[:, None]
        out = np.zeros_like(d)
        for m in range(q):
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                share = (sigma[m] / sigma) ** 2
                share[np.isnan(share)] = np.inf  # two of them are 0
                others = sum(np.where(active[j], d[j] * share[j], 0.0) for j in range(q) if j != m)
            odd = np.sum(negative, axis=0) - negative[m]
            sizes = 1.0 / np.sqrt(np.where(active[m], d[m] + others, 1.0))
            out[m] = np.where(active[m], np.where(odd % 2, -sizes, sizes), 0.0)
        return out

    def matrix(self, entries: np.ndarray) -> np.ndarray:
        sigma = entries[self.own]
        first = np.argmax(self.penalties > 0, axis=0)
        return np.diag(self._ratios(sigma)[first, np.arange(self.width)] * sigma[first])

    def moves(self, entries: np.ndarray) -> list[np.ndarray]:
        return [np.diag(row) for row in self.penalties * self._ratios(entries[self.own]) ** 3]

    def bends(self, entries: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
        sigma, d = entries[self.own], self.penalties
        r = self._ratios(sigma)
        slopes, shares = d * r**3, d * r**2
        out = {}
        for m in range(self.count):
            for k in range(m + 1):
                if m == k:
                    part, by, of = -np.delete(shares, m, axis=0).sum(axis=0), sigma[m], slopes[m]
                else:  # by the larger one, whose share is not a quotient of two small numbers
                    small, large = (m, k) if abs(sigma[m]) < abs(sigma[k]) else (k, m)
                    part, by, of = shares[large], sigma[large], slopes[small]
                if by != 0:
                    out[m, k] = np.diag(3.0 * of * part / by)
        return out

    def entries(self, covariance: np.ndarray) -> np.ndarray:
        """The entries with the largest likelihood of coefficients with these variances, nearly.

        Σ_a [log ω_a − ω_a C_aa] with ω = Σ_m λ_m d_m is concave in the λ_m = σ_m⁻², and rises with each step
        λ_m ← Σ_a (λ_m d_ma/ω_a) / Σ_a d_ma C_aa, by Jensen's inequality.
        """
        d, C = self.penalties, np.maximum(covariance.diagonal(), 0.0)
        moments = np.maximum(d @ C, 1e-300)
        strengths = np.count_nonzero(d > 0, axis=1) / moments
        for _ in range(STEPS):
            strengths = (strengths[:, None] * d / (strengths @ d)).sum(axis=1) / moments
        return 1.0 / np.sqrt(strengths)


def scales_of(terms: Sequence[VaryingTerm]) -> list[Scale]:
    """The factors of the terms, their entries numbered one term after the other."""
    out: list[Scale] = []
    start = 0
    for term in terms:
        if term.penalties is None:
            out.append(Scale(term.structure, term.width, start))
        else:
            out.append(TensorScale(term.structure, term.width, start, term.penalties))
        start += out[-1].count
    return out
