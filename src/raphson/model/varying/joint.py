"""The coefficients that vary and those that do not, together, given the scales: their covariance at the estimate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raphson.data.varying.term import VaryingTerm
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.results import AtMaximum


def of_groups_alone(at: AtMaximum) -> AtMaximum:
    """The effects of groups given all else: β, and the coefficients of smooth functions, at their modes."""
    own = at.criterion
    grouped = [number for number, term in enumerate(own.terms) if term.codes is not None]
    layout, held = own.layout, own.offset.copy()
    for piece, place in zip(layout.pieces, layout.slices, strict=True):
        if piece.term is not None and piece.codes is None:
            held[piece.predictor] += piece.product(at.coefficients[place])
    entries = at.theta[own.own_entries]
    theta = [at.beta, *(entries[own.scales[number].own] for number in grouped), at.theta[own.own_entries.stop :]]
    terms = [own.terms[number] for number in grouped]
    criterion = Criterion(own.density, own.designs, terms, held, False)
    whole = np.concatenate(theta)
    return AtMaximum(criterion, whole, np.ones(len(whole), dtype=bool))


class Joint:
    """v = (β, u) at a maximum. For REML that is the inner problem itself; for ML, β̂ is added to it.

    Parameters
    ----------
    at : the criterion at its maximum.

    Attributes
    ----------
    coefficients : β̂ and the b̂ = Λû, in the order of the layout.
    """

    def __init__(self, at: AtMaximum) -> None:
        own = at.criterion
        self.at, self.beta = at, at.beta
        self.criterion, scales = own.joint, at.theta[own.p :]
        self.factor = at.joint_factor
        layout = self.criterion.layout
        self.factors = self.criterion.factors(scales)
        self.coefficients = np.empty(layout.size)
        self.coefficients[layout.place_of_fixed] = self.beta
        for piece, place in zip(layout.pieces, layout.slices, strict=True):
            if piece.term is not None:
                self.coefficients[place] = at.modes(piece.term).ravel()

    def piece(self, term: int) -> int:
        """The number of a term's piece."""
        return next(k for k, one in enumerate(self.criterion.layout.pieces) if one.term == term)

    def posterior_cov(self, term: int) -> np.ndarray:
        """(L, c, c) covariances of the coefficients of a level, β integrated out."""
        k = self.piece(term)
        L = self.factors[k]
        assert L is not None
        return L @ self.factor.inverse[k, k] @ L.T

    def some(self, columns: Sequence[int], term: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Of some coefficients β and of a term with one level: estimates, covariance, and 2 tr F − tr FF of their part.

        F = H⁻¹AᵀWA = I − H⁻¹P, with P the identity on the u and 0 on the β. The sum of F_ij F_ji is over all j.
        """
        layout = self.criterion.layout
        fixed, own = layout.place_of_fixed, layout.slices[self.piece(term)]
        where = np.concatenate([fixed.start + np.asarray(columns, dtype=int), np.arange(own.start, own.stop)])
        units = np.zeros((layout.size, len(where)))
        units[where, np.arange(len(where))] = 1.0
        solved = self.factor.solve(units)
        penalised = np.ones(layout.size)
        penalised[fixed] = 0.0
        here = penalised[where]
        F_ii = 1.0 - solved[where, np.arange(len(where))] * here
        crossed = (solved * solved * penalised[:, None] * here).sum(axis=0)
        # Σ_j F_ij F_ji with F = I − H⁻¹P: for i = j it is F_ii², for the others the squares of H⁻¹_ij.
        own_part = (solved[where, np.arange(len(where))] * here) ** 2
        second = 2.0 * F_ii - (F_ii**2 + crossed - own_part)
        L = self.factors[self.piece(term)]
        assert L is not None
        scale = np.concatenate([np.ones(len(columns)), L.diagonal()])
        V = solved[where] * np.outer(scale, scale)
        return self.coefficients[where], 0.5 * (V + V.T), float(second.sum())

    def rows(self, X: np.ndarray, terms: Sequence[VaryingTerm | None], predictor: int = 0) -> np.ndarray:
        """(m, size) the rows ∂η/∂v of a predictor of new data, whose β have the columns X.

        A term that is None, and a level without a number, has none.
        """
        layout = self.criterion.layout
        out = np.zeros((len(X), layout.size))
        for k, (piece, place) in enumerate(zip(layout.pieces, layout.slices, strict=True)):
            if piece.predictor != predictor:
                continue
            if piece.term is None:
                out[:, place] = X
                continue
            term, L = terms[piece.term], self.factors[k]
            if term is None:
                continue
            assert L is not None
            moved = term.columns @ L
            if term.codes is None:
                out[:, place] = moved
                continue
            known = np.flatnonzero(term.codes >= 0)
            at = place.start + term.codes[known, None] * piece.width + np.arange(piece.width)
            out[known[:, None], at] = moved[known]
        return out

    def variance(self, rows: np.ndarray) -> np.ndarray:
        """(m,) aᵀH⁻¹a of rows of :meth:`rows`."""
        return self.covariance(rows, rows)

    def covariance(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(m,) aᵀH⁻¹b of rows of :meth:`rows`."""
        return np.einsum("im,mi->i", rows, self.factor.solve(np.ascontiguousarray(others.T)))
