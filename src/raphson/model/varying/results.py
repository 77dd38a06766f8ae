r"""What follows from a criterion at its maximum: reported scales, coefficients of the levels, and their uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raphson.model.varying.algebra import Factorised
from raphson.model.varying.criterion import Criterion, Inner, Spot
from raphson.model.varying.derivatives import Derivatives
from raphson.model.varying.layout import Piece

FLAT, TAKES_PART = 1e-8, 0.1
"""Smallest eigenvalue of the information, scaled to a diagonal of 1, below which the criterion does not change along
the eigenvector: rounding leaves 1e-12 or so, and effects that can hardly be told apart have 1e-4. And the part of the
eigenvector from which on a scale is named."""


@dataclass(frozen=True)
class Reported:
    """A standard deviation or a correlation.

    Attributes
    ----------
    term : number of the term.
    kind : "sd" or "corr".
    first, second : which of the coefficients of a level, or of the term's penalties; the same for a standard deviation.
    estimate : the standard deviation or the correlation.
    slope : (J,) ∂ of its logarithm, or of the correlation's atanh, by θ; zeros where that is infinite.
    """

    term: int
    kind: str
    first: int
    second: int
    estimate: float
    slope: np.ndarray

    @property
    def transformed(self) -> float:
        """The logarithm of a standard deviation, the atanh of a correlation."""
        with np.errstate(divide="ignore"):
            return float(np.log(self.estimate) if self.kind == "sd" else np.arctanh(self.estimate))

    @property
    def at_edge(self) -> bool:
        """Whether it is a standard deviation of 0 or a correlation of ±1, or depends on one."""
        return not self.slope.any()


class AtMaximum:
    """A criterion at θ̂.

    Parameters
    ----------
    criterion, theta : what was maximised, and where.
    free : (J,) mask of the θ that moved.
    """

    def __init__(self, criterion: Criterion, theta: np.ndarray, free: np.ndarray) -> None:
        self.criterion, self.theta, self.free = criterion, theta, free

    @cached_property
    def spot(self) -> Spot:
        found = self.criterion.at(self.theta)
        assert found is not None
        return found

    @cached_property
    def derivatives(self) -> Derivatives:
        return self.criterion.derivatives(self.spot)

    @cached_property
    def cov(self) -> np.ndarray:
        """(J, J) inverse of minus the Hessian in the θ that moved; 0 for the others."""
        M = -self.derivatives.hessian
        J = len(M)
        out, at = np.zeros((J, J)), np.flatnonzero(self.free)
        if not len(at):
            return out
        inner = M[np.ix_(at, at)]
        scale = np.sqrt(np.abs(inner.diagonal()))
        scale = np.where(scale > 0, scale, 1.0)
        try:
            found = np.linalg.inv(inner / scale / scale[:, None]) / scale / scale[:, None]
            np.linalg.cholesky(inner / scale / scale[:, None])
        except np.linalg.LinAlgError:
            found = np.full_like(inner, np.nan)
        out[np.ix_(at, at)] = 0.5 * (found + found.T)
        return out

    @cached_property
    def flat(self) -> list[str]:
        """Labels of what has the scales along which the criterion does not change, so that any of them would do."""
        at = np.flatnonzero(self.free)
        inner = -self.derivatives.hessian[np.ix_(at, at)]
        scale = np.sqrt(np.abs(inner.diagonal()))
        if not len(at) or not np.isfinite(inner).all() or not scale.all():
            return []
        values, vectors = np.linalg.eigh(inner / scale / scale[:, None])
        first = int(np.argmin(np.abs(values)))
        if abs(values[first]) > FLAT:
            return []
        part = np.zeros(len(self.theta))
        part[at] = np.abs(vectors[:, first])
        criterion = self.criterion
        entries = part[criterion.own_entries]
        found = [
            f"({term.label})"
            for term, one in zip(criterion.terms, criterion.scales, strict=True)
            if entries[one.own].max(initial=0.0) > TAKES_PART
        ]
        return [*found, "the residuals"] if found and criterion.density.has_tau and part[-1] > TAKES_PART else found

    # -- the coefficients of the design --------------------------------------------------------------------------

    @cached_property
    def beta(self) -> np.ndarray:
        """(p,) estimates of the coefficients that do not vary."""
        criterion = self.criterion
        if not criterion.restricted:
            return self.theta[: criterion.p].copy()
        return self.spot.mode.v[criterion.layout.place_of_fixed].copy()

    def beta_of_all(self, kept: np.ndarray) -> np.ndarray:
        """(p,) the same with 0 for the columns that are left out, by the mask of the others."""
        out = np.zeros(len(kept))
        out[kept] = self.beta
        return out

    @cached_property
    def beta_cov(self) -> np.ndarray:
        """(p, p) their covariance: of the joint information for ML, the block of H⁻¹ for REML."""
        criterion = self.criterion
        if not criterion.restricted:
            return self.cov[: criterion.p, : criterion.p]
        factor = self.spot.mode.factor
        fixed = criterion.layout.fixed
        return np.block([[factor.between(k, j) for j in fixed] for k in fixed]) if fixed else np.zeros((0, 0))

    # -- reported scales -----------------------------------------------------------------------------------------

    @cached_property
    def reported(self) -> list[Reported]:
        """Standard deviations and correlations of all terms."""
        out: list[Reported] = []
        J, p = self.criterion.n_params, self.criterion.p
        for number, scale in enumerate(self.criterion.scales):
            if scale.structure != "correlated":  # the entries themselves, but for their signs
                for m, entry in enumerate(self.theta[self.criterion.own_entries][scale.own]):
                    slope, at = np.zeros(J), p + scale.start + m
                    if entry != 0 and self.free[at]:
                        slope[at] = 1.0 / entry
                    out.append(Reported(number, "sd", m, m, abs(float(entry)), slope))
                continue
            L = scale.matrix(self.theta[self.criterion.own_entries])
            moves = np.zeros((J, scale.width, scale.width))
            for m, unit in enumerate(scale.units):
                if self.free[p + scale.start + m]:
                    moves[p + scale.start + m] = unit
            G, dG = L @ L.T, moves @ L.T + L @ moves.transpose(0, 2, 1)
            for a in range(scale.width):
                s = float(np.sqrt(G[a, a]))
                slope = 0.5 * dG[:, a, a] / G[a, a] if s > 0 else np.zeros(J)
                out.append(Reported(number, "sd", a, a, s, slope))
            for a in range(scale.width):
                for b in range(a):
                    out.append(self._correlation(number, a, b, G, dG))
        return out

    def _correlation(self, number: int, a: int, b: int, G: np.ndarray, dG: np.ndarray) -> Reported:
        product = G[a, a] * G[b, b]
        if product <= 0:
            return Reported(number, "corr", a, b, float("nan"), np.zeros(len(dG)))
        rho = float(G[a, b] / np.sqrt(product))
        if 1.0 - abs(rho) < 1e-14:
            return Reported(number, "corr", a, b, float(np.sign(rho)), np.zeros(len(dG)))
        slope = dG[:, a, b] / np.sqrt(product) - 0.5 * rho * (dG[:, a, a] / G[a, a] + dG[:, b, b] / G[b, b])
        return Reported(number, "corr", a, b, rho, slope / (1.0 - rho * rho))

    # -- the coefficients of the levels --------------------------------------------------------------------------

    @cached_property
    def coefficients(self) -> np.ndarray:
        """b̂ of all pieces (and β̂ where it is integrated), in the order of the layout."""
        return self.criterion.moved_by(self.spot.mode.v, self.criterion.factors(self.theta))

    def modes(self, term: int) -> np.ndarray:
        """(L, c) coefficients of the levels of a term."""
        k, piece = self._piece(term)
        return self.coefficients[self.criterion.layout.slices[k]].reshape(piece.levels, piece.width)

    def eta_of_terms(self) -> np.ndarray:
        """(K, n) what the varying terms add to the predictors."""
        layout, total = self.criterion.layout, np.zeros_like(self.criterion.offset)
        for piece, at in zip(layout.pieces, layout.slices, strict=True):
            if piece.term is not None:
                total[piece.predictor] += piece.product(self.coefficients[at])
        return total

    def posterior_cov(self, term: int) -> np.ndarray:
        """(L, c, c) covariances of a level's coefficients given the scales; β is integrated out for REML."""
        k, _ = self._piece(term)
        L = self.criterion.factors(self.theta)[k]
        assert L is not None
        return L @ self.spot.mode.factor.inverse[k, k] @ L.T

    def conditional_cov(self, term: int) -> np.ndarray:
        """(L, c, c) covariances of a level's coefficients given the scales and β."""
        if not self.criterion.restricted:
            return self.posterior_cov(term)
        return self._given_beta.posterior_cov(term)

    @cached_property
    def _given_beta(self) -> AtMaximum:
        own = self.criterion
        held = Criterion(own.density, own.designs, own.terms, own.offset, False)
        theta = np.concatenate([self.beta, self.theta])
        return AtMaximum(held, theta, np.concatenate([np.zeros(len(self.beta), dtype=bool), self.free]))

    def full_cov(self, term: int) -> np.ndarray:
        """(L, c, c) covariances that count the uncertainty of all θ: H⁻¹ and J C Jᵀ, with J = ∂b̂/∂θ along the mode."""
        k, piece = self._piece(term)
        own = self.moves_of_modes[:, self.criterion.layout.slices[k]].reshape(-1, piece.levels, piece.width)
        return self.posterior_cov(term) + np.einsum("jga,jk,kgb->gab", own, self.cov, own)

    @cached_property
    def moves_of_modes(self) -> np.ndarray:
        """(J, size) ∂b̂/∂θ along the mode."""
        found = self.derivatives
        J = np.stack([self.criterion.moved_by(one, found.factors) for one in found.steps])
        for m, move in enumerate(found.moves):
            J[self.criterion.p + m] += found._moved(self.spot.mode.v, move)
        return J

    def _piece(self, term: int) -> tuple[int, Piece]:
        for k, piece in enumerate(self.criterion.layout.pieces):
            if piece.term == term:
                return k, piece
        raise IndexError(term)

    # -- degrees of freedom --------------------------------------------------------------------------------------

    @cached_property
    def joint_factor(self) -> Factorised:
        """H of β and the varying coefficients together, factorised."""
        own = self.criterion
        if own.restricted:
            return self.spot.mode.factor
        return Inner(own.joint, self.theta[own.p :]).hessian(self.spot.mode.rows.weight)[1]

    @cached_property
    def edf(self) -> dict[int | None, float]:
        """Effective degrees of freedom of each term (β under None): its share of tr(H⁻¹AᵀWA) = dim v − tr(H⁻¹)_uu.

        v = (β, u) also where β is not integrated, as the varying coefficients adapt to what β leaves them. NaN where H
        is singular, as at a fit without error.
        """
        layout, factor = self.criterion.joint.layout, self.joint_factor
        out: dict[int | None, float] = {}
        for k, piece in enumerate(layout.pieces):
            spared = 0.0 if piece.term is None else math.nan if factor.log_det is None else factor.trace(k)
            own = piece.size - spared
            out[piece.term] = out.get(piece.term, 0.0) + own
        return out
