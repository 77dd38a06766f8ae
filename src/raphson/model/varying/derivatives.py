"""Gradient and Hessian of the criterion: the formulas of :mod:`.criterion`, for any log density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.model.varying.algebra import Conditioned
from raphson.model.varying.layout import Blocks, times, times_right, transposed
from raphson.model.varying.tensors import Symmetric, added, along, pairs, weighted

if TYPE_CHECKING:
    from raphson.model.varying.criterion import Criterion, Spot


class Derivatives:
    """Gradient and Hessian of V at one spot."""

    def __init__(self, criterion: Criterion, spot: Spot) -> None:
        self.criterion, self.spot, self.mode = criterion, spot, spot.mode
        self.layout, self.factor = criterion.layout, spot.mode.factor
        self.factors = criterion.factors(spot.theta)
        pieces = self.layout.pieces
        self.moves: list[list[np.ndarray | None]] = []
        """Of each entry of the Λ its derivative of the pieces' Λ; None where that is 0."""
        self.bends: dict[tuple[int, int], list[np.ndarray | None]] = {}
        """Of two entries j ≥ k, numbered as in θ, the second derivative; without those that are 0."""
        entries = spot.theta[criterion.own_entries]
        for at, scale in enumerate(criterion.scales):
            for unit in scale.moves(entries):
                self.moves.append([unit if piece.term == at else None for piece in pieces])
            for (j, k), unit in scale.bends(entries).items():
                place = criterion.p + scale.start
                self.bends[place + j, place + k] = [unit if piece.term == at else None for piece in pieces]
        self._first()

    def _first(self) -> None:
        """The gradient, with what it shares with the Hessian."""
        criterion, layout = self.criterion, self.layout
        rows = self.rows = self.mode.rows
        J, p, n = criterion.n_params, criterion.p, criterion.n_rows
        self.partial = np.zeros((J, n))  # ∂_jη of the predictor that θ_j adds to
        for X, own in zip(criterion.designs, criterion.columns_of, strict=True):
            if p:
                self.partial[own] = X.T
        for m, move in enumerate(self.moves):
            at = criterion.predictor_of(p + m)
            self.partial[p + m] = layout.product(self._moved(self.mode.v, move))[at]
        tau = criterion.density.n_predictors
        if criterion.density.has_tau:
            self.partial[-1] = 1.0
        inside = layout.predictors
        self.raw_score = layout.transposed({a: rows.score[a] for a in inside})
        self.leverage = layout.row_forms(criterion.sandwich_inverse(self.factor.inverse, self.factors))
        self.slopes = {a: weighted(self.leverage, rows.third, inside, a) for a in {*criterion.own, *inside}}
        self.adjoint = self.factor.solve(self._back(layout.transposed(_present(self.slopes, inside))))
        gradient = -self._lost()
        for a, own in criterion.own.items():
            direct = None if a == tau else rows.score[a]
            direct = added(direct, self.slopes[a], -0.5)
            if direct is not None:
                gradient[own] += self.partial[own] @ direct
        if criterion.density.has_tau:
            gradient[-1] += rows.tau
        self.gradient = gradient - 0.5 * (self.g @ self.adjoint)

    def _lost(self) -> np.ndarray:
        """(J,) tr(H⁻¹A_jᵀWA)."""
        out = np.zeros(self.criterion.n_params)
        for m, move in enumerate(self.moves):
            out[self.criterion.p + m] = self._trace(self.factor.inverse, self.mode.K, move, self.factors)
        return out

    def _moved(self, v: np.ndarray, move: Sequence[np.ndarray | None]) -> np.ndarray:
        """L_j v."""
        return self.layout.by_level(v, move, np.zeros_like(v))

    def _moved_back(self, b: np.ndarray, move: Sequence[np.ndarray | None]) -> np.ndarray:
        """L_jᵀ b."""
        return self.layout.by_level(b, transposed(move), np.zeros_like(b))

    def _back(self, b: np.ndarray) -> np.ndarray:
        return self.criterion.moved_back(b, self.factors)

    @cached_property
    def g(self) -> np.ndarray:
        """(J, size) the g_j, each ∂_j of the inner gradient."""
        J, p = self.criterion.n_params, self.criterion.p
        out = np.zeros((J, self.layout.size))
        for j in range(J):
            out[j] = self._back(self._bent(j))
        for m, move in enumerate(self.moves):
            out[p + m] += self._moved_back(self.raw_score, move)
        return out

    def _bent(self, j: int) -> np.ndarray:
        """[X Z]ᵀ(−W ∂_jη)."""
        at, weight = self.criterion.predictor_of(j), self.rows.weight
        moved = {a: added(None, weight.at(a, at), -self.partial[j]) for a in self.layout.predictors}
        return self.layout.transposed(_present(moved, self.layout.predictors))

    @cached_property
    def steps(self) -> np.ndarray:
        """(J, size) the v_j, along which the mode moves."""
        return self.factor.solve(np.ascontiguousarray(self.g.T)).T

    @cached_property
    def total(self) -> dict[int, np.ndarray]:
        """(J, n) the η_j of each predictor; those of one that v does not add to, of its own θ alone."""
        layout, criterion = self.layout, self.criterion
        out = {a: self.partial[own] for a, own in criterion.own.items() if a not in layout.predictors}
        moved = [layout.product(criterion.moved_by(one, self.factors)) for one in self.steps]
        for a in layout.predictors:
            out[a] = np.stack([one[a] for one in moved])
            if a in criterion.own:
                out[a][criterion.own[a]] += self.partial[criterion.own[a]]
        return out

    def _moving(self, a: int) -> Any:
        """Which θ_j the rows of a predictor's `total` belong to."""
        return slice(None) if a in self.layout.predictors else self.criterion.own[a]

    def _along(self, j: int) -> dict[int, np.ndarray]:
        """η_j, of each predictor that it moves."""
        out = {}
        for a, moved in self.total.items():
            if a in self.layout.predictors:
                out[a] = moved[j]
            elif self.criterion.predictor_of(j) == a:
                own = np.flatnonzero(self.criterion.is_of(a))
                out[a] = moved[int(np.searchsorted(own, j))]
        return out

    def _trace(
        self,
        inverse: Blocks,
        K: Blocks,
        left: Sequence[np.ndarray | None],
        right: Sequence[np.ndarray | None],
        moving: bool = False,
    ) -> float:
        """tr(H⁻¹ L_jᵀ K R), where `left` is a derivative of L, and R is L, or a derivative too if `moving`."""
        total = 0.0
        for (k, j), block in K.items():
            for a, b, turned in ((k, j, False), (j, k, True)):
                if turned and k == j:
                    continue
                one, other = left[a], right[b]
                if one is None or (moving and other is None):
                    continue
                part = block.transpose(0, 2, 1) if turned else block
                part = times(one.T, part)
                if other is not None:
                    part = times_right(part, other)
                whole = inverse[k, j]
                total += float(np.vdot(whole.transpose(0, 2, 1) if turned else whole, part))
        return total

    # -- the Hessian ---------------------------------------------------------------------------------------------

    def _of_bend(self, bend: Sequence[np.ndarray | None]) -> float:
        """What A_jk adds: sᵀA_jkv − tr(H⁻¹A_jkᵀWA) − ½ [(t − W Aq)ᵀA_jkv + sᵀA_jkq]."""
        along = self._moved(self.mode.v, bend)
        lost = self._trace(self.factor.inverse, self.mode.K, bend, self.factors)
        return float(self.raw_score @ along) - lost - 0.5 * self._of_bend_by_mode(bend, along)

    def _of_bend_by_mode(self, bend: Sequence[np.ndarray | None], along: np.ndarray) -> float:
        return float(self.turned @ along + self.raw_score @ self._moved(self.adjoint, bend))

    @cached_property
    def turned(self) -> np.ndarray:
        """[X Z]ᵀ(t − W Aq)."""
        inside, weight = self.layout.predictors, self.rows.weight
        parts = {c: added(self.slopes[c], along(weight, self.less, c)) for c in inside}
        return self.layout.transposed(_present(parts, inside))

    @cached_property
    def less(self) -> dict[int, np.ndarray]:
        """−A q, of each predictor."""
        moved = self.layout.product(self.criterion.moved_by(self.adjoint, self.factors))
        return {a: -one for a, one in moved.items()}

    @cached_property
    def hessian(self) -> np.ndarray:
        """(J, J)."""
        J = self.criterion.n_params
        out = self.g @ self.steps.T + self._own_second()
        # the derivatives of H, as blocks of cross-products with the weights Ẇ_j
        dots = [self._dot(j) for j in range(J)]
        out -= self._lost_second(dots)
        out -= 0.5 * self._bending()
        for (j, k), bend in self.bends.items():
            out[j, k] += self._of_bend(bend)
            out[k, j] = out[j, k]
        out += 0.5 * self._traces_of_products(dots)
        return 0.5 * (out + out.T)

    def _lost_second(self, dots: list[Blocks | None]) -> np.ndarray:
        """(J, J) tr(H⁻¹A_jᵀWA_k) + tr(H⁻¹A_jᵀẆ_kA) + tr(H⁻¹A_kᵀẆ_jA)."""
        J, p, inverse = self.criterion.n_params, self.criterion.p, self.factor.inverse
        out = np.zeros((J, J))
        for j in range(J):
            for k in range(j + 1):
                lost = 0.0
                if j >= p and j - p < len(self.moves):
                    left = self.moves[j - p]
                    if (dot := dots[k]) is not None:
                        lost += self._trace(inverse, dot, left, self.factors)
                    if k >= p:
                        lost += self._trace(inverse, self.mode.K, left, self.moves[k - p], moving=True)
                if p <= k < p + len(self.moves) and (dot := dots[j]) is not None:
                    lost += self._trace(inverse, dot, self.moves[k - p], self.factors)
                out[j, k] = out[k, j] = lost
        return out

    def _traces_of_products(self, dots: list[Blocks | None]) -> np.ndarray:
        """(J, J) tr(H⁻¹H_jH⁻¹H_k), of the cross-products with the Ẇ_j."""
        J = self.criterion.n_params
        conditioned = [self._turned(j, dots[j]) for j in range(J)]
        out = np.zeros((J, J))
        for j in range(J):
            for k in range(j + 1):
                one, other = conditioned[j], conditioned[k]
                if one is not None and other is not None:
                    out[j, k] = out[k, j] = one.product_trace(other)
        return out

    def _own_second(self) -> np.ndarray:
        """(J, J) the ∂_jkh."""
        out = self._between({a: (own, self.partial[own]) for a, own in self.criterion.own.items()}, self.rows.weight)
        if self.criterion.density.has_tau:
            out[-1, -1] = -self.rows.tau2
        return -out

    def _between(self, moved: Mapping[int, tuple[Any, np.ndarray]], W: Symmetric) -> np.ndarray:
        """(J, J) Σ W_cd η_jc η_kd, of rows η_j by predictor, with which θ_j they belong to."""
        out = np.zeros((self.criterion.n_params,) * 2)
        everything = np.arange(len(out))
        for c, (own, rows) in moved.items():
            for d, (others, columns) in moved.items():
                w = W.at(c, d)
                if d < c or w is None:
                    continue
                part = (rows * w) @ columns.T
                if isinstance(own, slice) and isinstance(others, slice):
                    out[own, others] += part
                else:
                    out[np.ix_(everything[own], everything[others])] += part
                if c != d:
                    out[np.ix_(everything[others], everything[own])] += part.T
        return out

    def _dot(self, j: int) -> Blocks | None:
        """Cross-products with Ẇ_j; None where it is 0."""
        moved, third, W = self._along(j), self.rows.third, Symmetric()
        for a, b, _ in pairs(self.layout.predictors):
            dot = along(third, moved, a, b)
            if dot is not None:
                W[a, b] = dot
        return self.layout.cross(W) if W else None

    def _turned(self, j: int, dot: Blocks | None) -> Conditioned | None:
        """H_j ready for the traces of products."""
        criterion, p = self.criterion, self.criterion.p
        H: Blocks = {} if dot is None else criterion.sandwich(dot, self.factors, self.factors)
        if p <= j < p + len(self.moves):
            move = self.moves[j - p]
            for (k, i), block in self.mode.K.items():
                left, right, before, after = move[k], move[i], self.factors[k], self.factors[i]
                part = None
                if left is not None:
                    part = times(left.T, block)
                    part = part if after is None else times_right(part, after)
                if right is not None:
                    more = times_right(block if before is None else times(before.T, block), right)
                    part = more if part is None else part + more
                if part is not None:
                    H[k, i] = H[k, i] + part if (k, i) in H else part
        return self.factor.conditioned(H) if H else None

    def _bending(self) -> np.ndarray:
        """(J, J) Σ h Ẅ_jk."""
        criterion, rows, layout, inside = self.criterion, self.rows, self.layout, self.layout.predictors
        q, less = self.adjoint, self.less
        known, curve = list(self.total), Symmetric()
        for c, d, _ in pairs(known):
            part = added(weighted(self.leverage, rows.fourth, inside, c, d), along(rows.third, less, c, d))
            if part is not None:
                curve[min(c, d), max(c, d)] = part
        out = self._between({a: (self._moving(a), moved) for a, moved in self.total.items()}, curve)
        weight = rows.weight
        for m, move in enumerate(self.moves):
            j = criterion.p + m
            at = criterion.predictor_of(j)
            own = layout.product(self._moved(q, move))[at]  # A_j q
            row = np.zeros(len(out))
            for b, moved in self.total.items():  # (A_j q)·ṡ_k
                w = weight.at(at, b)
                if w is not None:
                    row[self._moving(b)] -= moved @ (w * own)
            turned = self._moved_back(self.turned, move)  # A_jᵀ (…), for A_j v_k
            row = row + self.steps @ turned
            out[j] += row
            out[:, j] += row
        return out


def _present(parts: Mapping[int, np.ndarray | None], among: Sequence[int]) -> dict[int, np.ndarray]:
    """Those among some predictors that are not 0."""
    return {a: one for a, one in parts.items() if a in among and one is not None}
