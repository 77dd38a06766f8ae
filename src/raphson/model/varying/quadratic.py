r"""Gradient and Hessian of the criterion of a normal response with the identity link, by cross-products.

W is 1/φ times constants, so that H_τ = −(H − P). Where each Λ is σ_kI, with Π_k the projection on the coefficients of
term k, H_j = [Π_j(H − P) + (H − P)Π_j]/σ_j, and with N = H⁻¹ and its blocks N_jk

    σ_jσ_k tr(NH_jNH_k) = 2 tr(N_jkH_kj) + δ_jk(2q_j − 8 tr N_jj) + 4 ‖N_jk‖²
    σ_j tr(NH_jNH_τ)    = −2q_j + 4 tr N_jj − 2 Σ_k ‖N_jk‖²
    tr(NH_τNH_τ)        = dim v − 2 Σ_k tr N_kk + Σ_jk ‖N_jk‖²,

so that only the norms of the blocks are needed.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from raphson.model.varying.algebra import inner
from raphson.model.varying.derivatives import Derivatives
from raphson.model.varying.layout import Blocks
from raphson.model.varying.moments import QuadraticMode


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
        nothing = np.zeros(self.layout.size)
        for j in range(p):
            self.partial[j] = criterion.among_all(nothing, np.eye(p)[j])
        for m, move in enumerate(self.moves):
            self.partial[p + m] = criterion.among_all(self._moved(mode.v, move), np.zeros(p))
        self.raw_score = criterion.own_part(mode.t) / self.phi
        gradient = self.partial @ mode.t / self.phi - self._lost()
        # Ẇ_τ = −W, and tr(H⁻¹AᵀWA) is a sum over cross-products
        self.crossed = criterion.sandwich(mode.K, self.factors, self.factors)
        self.fitted = inner(self.factor.inverse, self.crossed)
        gradient[-1] += mode.base_tau + 0.5 * mode.squares / self.phi + 0.5 * self.fitted
        self.gradient = gradient

    @cached_property
    def _bent_all(self) -> np.ndarray:
        """(J, size) K p_j/φ."""
        return np.stack([self.mode.moments.times(one) for one in self.partial]) / self.phi

    def _bent(self, j: int) -> np.ndarray:
        return -self.criterion.own_part(self._bent_all[j])

    def _score_tau(self) -> np.ndarray:
        return -self.raw_score

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

    def _traces_of_products(self, dots: list[Blocks | None]) -> np.ndarray:
        criterion, p = self.criterion, self.criterion.p
        sigma = self.spot.theta[criterion.own_entries]
        if any(one.count > 1 for one in criterion.scales):
            return super()._traces_of_products(dots)
        if not (np.abs(sigma) > 0).all():
            return super()._traces_of_products(dots)
        # by term; the piece of β is no term
        at = {piece.term: k for k, piece in enumerate(self.layout.pieces) if piece.term is not None}
        terms = [at[k] for k in range(len(criterion.terms))]
        norms = self.factor.norms(terms)
        inverse, pieces = self.factor.inverse, self.layout.pieces
        lengths = np.array([pieces[k].size for k in terms], dtype=float)
        own = np.array([self.factor.trace(k) for k in terms])
        H = self.crossed
        out = np.zeros((criterion.n_params,) * 2)
        for a, k in enumerate(terms):
            for b, j in enumerate(terms):
                between = float(np.vdot(inverse[min(k, j), max(k, j)], H[min(k, j), max(k, j)]))
                if k == j:
                    between += own[a]  # H has I beyond LᵀKL there
                    between += lengths[a] - 4.0 * own[a]
                out[p + a, p + b] = (2.0 * between + 4.0 * norms[a, b]) / (sigma[a] * sigma[b])
            cross = (-2.0 * lengths[a] + 4.0 * own[a] - 2.0 * float(norms[a].sum())) / sigma[a]
            out[p + a, -1] = out[-1, p + a] = cross
        out[-1, -1] = self.layout.size - 2.0 * float(own.sum()) + float(norms.sum())
        return out
