r"""Gradient and Hessian of the criterion of a normal response with the identity link, by cross-products.

W is 1/φ times constants, so that H_τ = −(H − P). Where each Λ is σ_kI, with Π_k the projection on the coefficients of
term k, H_j = [Π_j(H − P) + (H − P)Π_j]/σ_j, and with N = H⁻¹ and its blocks N_jk

    σ_jσ_k tr(NH_jNH_k) = 2 tr(N_jkH_kj) + δ_jk(2q_j − 8 tr N_jj) + 4 ‖N_jk‖²
    σ_j tr(NH_jNH_τ)    = −2q_j + 4 tr N_jj − 2 Σ_k ‖N_jk‖²
    tr(NH_τNH_τ)        = dim v − 2 Σ_k tr N_kk + Σ_jk ‖N_jk‖²,

so that only the norms of the blocks are needed. The traces with A_jᵀWA, of NΠ_j(H − P)/σ_j, come to

    σ_j tr(NA_jᵀWA) = q_j − tr N_jj,    σ_jσ_k tr(NA_jᵀWA_k) = tr(N_jkH_kj) − δ_jk tr N_jj.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from raphson.model.varying.algebra import Summary, inner
from raphson.model.varying.derivatives import Derivatives
from raphson.model.varying.layout import Blocks
from raphson.model.varying.moments import QuadraticMode

LOST = 1e-3
"""Share of a term's coefficients that its data must determine, q_j − tr N_jj of q_j, for that difference to be used: it
has then 13 digits. Near a scale of 0 the products of blocks are added instead."""


class QuadraticDerivatives(Derivatives):
    """The same of a quadratic log density, whose W is 1/φ times constants, by cross-products.

    ∂_jη is D p_j with coefficients p_j of all columns D; they stand where the others have rows.
    """

    mode: QuadraticMode

    def _first(self) -> None:
        criterion, mode = self.criterion, self.mode
        J, p, size = criterion.n_params, criterion.p, criterion.joint.layout.size
        self.phi = float(np.exp(mode.tau))
        self.partial = np.zeros((J, size))
        if p:
            self.partial[:p, criterion.joint.layout.place_of_fixed] = np.eye(p)
        for m, move in enumerate(self.moves):
            self.partial[p + m] = criterion.among_all(self._moved(mode.v, move), np.zeros(p))
        self.raw_score = criterion.own_part(mode.t) / self.phi
        gradient = self.partial @ mode.t / self.phi - self._lost()
        self.fitted = self._fitted()
        gradient[-1] += mode.base_tau + 0.5 * mode.squares / self.phi + 0.5 * self.fitted
        self.gradient = gradient

    @cached_property
    def _bent_all(self) -> np.ndarray:
        """(J, size) K p_j/φ."""
        return self.mode.moments.times_each(self.partial) / self.phi

    @cached_property
    def g(self) -> np.ndarray:
        bent = -self.criterion.own_part(self._bent_all)
        bent[-1] = -self.raw_score
        out = self._back(bent)
        for m, move in enumerate(self.moves):
            out[self.criterion.p + m] += self._moved_back(self.raw_score, move)
        return out

    def _own_second(self) -> np.ndarray:
        out = -self.partial @ self._bent_all.T
        cross = -self.partial[:-1] @ self.mode.t / self.phi
        out[-1, :-1] += cross
        out[:-1, -1] += cross
        out[-1, -1] -= 0.5 * self.mode.squares / self.phi
        return out

    def _dot(self, j: int) -> Blocks | None:
        last = j == self.criterion.n_params - 1
        return {at: -block for at, block in self.mode.K.items()} if last else None

    def _bending(self) -> np.ndarray:
        out = np.zeros((self.criterion.n_params,) * 2)
        out[-1, -1] = self.fitted
        return out

    def _of_bend_by_mode(self, bend: Sequence[np.ndarray | None], along: np.ndarray) -> float:
        return 0.0  # W does not move with the mode

    # -- where each Λ is σ_kI ------------------------------------------------------------------------------------

    @cached_property
    def _terms(self) -> list[int]:
        """The pieces of the terms; that of β is no term."""
        at = {piece.term: k for k, piece in enumerate(self.layout.pieces) if piece.term is not None}
        return [at[k] for k in range(len(self.criterion.terms))]

    @cached_property
    def _summary(self) -> Summary | None:
        """What is needed of H⁻¹; None where some Λ is no σ_kI, or dim_k − tr N_kk would lose digits."""
        if any(one.count > 1 or one.structure == "tensor" for one in self.criterion.scales):
            return None
        if self.layout.eliminated and self.layout.pieces[0].width > 1:
            return None
        found = self.factor.summary(self._terms)
        return found if (self._lengths - found.traces > LOST * self._lengths).all() else None

    @cached_property
    def _lengths(self) -> np.ndarray:
        return np.array([self.layout.pieces[k].size for k in self._terms], dtype=float)

    @property
    def _sigma(self) -> np.ndarray:
        return self.spot.theta[self.criterion.own_entries]

    def _lost(self) -> np.ndarray:
        found = self._summary
        if found is None:
            return super()._lost()
        out = np.zeros(self.criterion.n_params)
        out[self.criterion.own_entries] = (self._lengths - found.traces) / self._sigma
        return out

    def _fitted(self) -> float:
        """tr(H⁻¹AᵀWA), a sum over cross-products."""
        found, criterion = self._summary, self.criterion
        if found is None:
            return inner(self.factor.inverse, criterion.sandwich(self.mode.K, self.factors, self.factors))
        return self.layout.size - float(found.traces.sum())

    def _lost_second(self, dots: list[Blocks | None]) -> np.ndarray:
        found, own, sigma = self._summary, self.criterion.own_entries, self._sigma
        if found is None:
            return super()._lost_second(dots)
        out = np.zeros((self.criterion.n_params,) * 2)
        out[own, own] = (found.between - np.diag(found.traces)) / np.outer(sigma, sigma)
        # Ẇ_τ = −W
        out[own, -1] = out[-1, own] = -(self._lengths - found.traces) / sigma
        return out

    def _traces_of_products(self, dots: list[Blocks | None]) -> np.ndarray:
        found, own, sigma = self._summary, self.criterion.own_entries, self._sigma
        if found is None:
            return super()._traces_of_products(dots)
        lengths, traces, norms = self._lengths, found.traces, found.norms
        out = np.zeros((self.criterion.n_params,) * 2)
        between = 2.0 * found.between + np.diag(2.0 * lengths - 8.0 * traces) + 4.0 * norms
        out[own, own] = between / np.outer(sigma, sigma)
        out[own, -1] = out[-1, own] = (-2.0 * lengths + 4.0 * traces - 2.0 * norms.sum(axis=1)) / sigma
        out[-1, -1] = self.layout.size - 2.0 * float(traces.sum()) + float(norms.sum())
        return out
