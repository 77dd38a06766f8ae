r"""The criterion V(θ) that chooses how much coefficients vary, with its exact gradient and Hessian.

    η = offset + Xβ + Σ_k Z_k Λ_k u_k,    h(v; θ) = Σ log f(y | η) − ½ uᵀu,    H = AᵀWA + I_u,  A = ∂η/∂v
    V(θ) = max_v h − ½ log|H| + ½ p log 2π

is the Laplace approximation of the likelihood integrated over v, and exact for the normal distribution with the
identity link. v has the u, whose integral has the constants of their prior cancel, and for REML the p coefficients β
too; for ML these are among θ, with the entries ψ of Λ (:mod:`.scales`) and the τ of the family (:mod:`.densities`).

η is linear in v and in ψ, so that A_j = ∂A/∂ψ_j is constant and there are no second ones. Along θ_j the mode moves by
v_j and the predictors by η_j:

    H v_j = g_j = A_jᵀs + Aᵀ(−W ∂_jη + s_τ δ_j),    η_j = ∂_jη + A v_j,    s = ∂log f/∂η
    V_j = ∂_jh − ½ tr(H⁻¹H_j),    H_j = A_jᵀWA + AᵀWA_j + AᵀẆ_jA,    Ẇ_j = W_η η_j + W_τ δ_j,

where δ_j is 1 for τ and 0 for all others. With h_i = a_iᵀH⁻¹a_i and the adjoint q = H⁻¹Aᵀ(h W_η), Σ h_i Ẇ_j needs no
v_j. Differentiated once more,

    V_jk = ∂_jkh + g_jᵀv_k + ½ tr(H⁻¹H_jH⁻¹H_k)
           − tr(H⁻¹A_jᵀWA_k) − tr(H⁻¹A_jᵀẆ_kA) − tr(H⁻¹A_kᵀẆ_jA) − ½ Σ h_i Ẅ_jk
    Σ h Ẅ_jk = Σ h [W_ηη η_jη_k + W_ητ(η_jδ_k + η_kδ_j) + W_ττδ_jδ_k + W_η(A_jv_k + A_kv_j)] + qᵀH v_jk
    H v_jk = A_jᵀṡ_k + A_kᵀṡ_j + Aᵀ[−W_ηη_jη_k − W_τ(η_jδ_k + η_kδ_j) + s_ττδ_jδ_k − W(A_jv_k + A_kv_j)]

with ṡ_j = −Wη_j + s_τδ_j: the second derivative of the mode enters through q alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raphson.data.varying.term import VaryingTerm
from raphson.model.objective import VALUE, Evaluation, Gram, Need, Objective
from raphson.model.varying.algebra import Conditioned, Eliminated, Factor, inner
from raphson.model.varying.densities import Density, Rows
from raphson.model.varying.layout import Blocks, Layout
from raphson.model.varying.mode import Mode, climb
from raphson.model.varying.scales import Scale, scales_of

LOG_2PI = 1.8378770664093453


@dataclass
class Spot:
    """The criterion at one θ, with what its derivatives share.

    Attributes
    ----------
    theta : as evaluated.
    mode : the inner maximum.
    value : V.
    """

    theta: np.ndarray
    mode: Mode
    value: float


class Criterion(Objective):
    """V as a function of θ = (β for ML, the entries of all Λ, τ).

    Parameters
    ----------
    density : of the rows.
    X : (n, p).
    terms : the varying terms.
    offset : (n,) or None.
    restricted : whether β is integrated too (REML).
    """

    def __init__(
        self,
        density: Density,
        X: np.ndarray,
        terms: Sequence[VaryingTerm],
        offset: np.ndarray | None,
        restricted: bool,
    ) -> None:
        self.density, self.X, self.terms, self.restricted = density, X, list(terms), restricted
        self.offset = np.zeros(len(density.y)) if offset is None else offset
        self.layout = Layout(X if restricted else None, terms)
        self.form = Eliminated(self.layout)
        self.scales: list[Scale] = scales_of(terms)
        self.n_entries = sum(one.count for one in self.scales)
        self.p = 0 if restricted else X.shape[1]
        self._last: np.ndarray | None = None
        self._spot: Spot | None = None

    @property
    def n_params(self) -> int:
        return self.p + self.n_entries + self.density.has_tau

    @property
    def n_rows(self) -> int:
        return len(self.density.y)

    @property
    def own_entries(self) -> slice:
        """Where the entries of all Λ are in θ."""
        return slice(self.p, self.p + self.n_entries)

    # -- evaluation ----------------------------------------------------------------------------------------------

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        """V, its gradient, and minus its Hessian; "expected" is that matrix with its eigenvalues' absolute values."""
        theta = np.asarray(theta, dtype=float)
        spot = self.at(theta)
        if spot is None:
            nothing = np.full(self.n_params, np.nan)
            return Evaluation(theta, -np.inf, nothing, {}, 1.0, -np.inf, self.n_rows)
        found = Derivatives(self, spot)
        information: dict[str, Gram] = {}
        if need.kinds:
            M = -found.hessian
            for kind in need.kinds:
                information[kind] = Gram(M if kind == "observed" else _absolute(M))
        return Evaluation(theta, spot.value, found.gradient, dict(information), 1.0, -np.inf, self.n_rows)

    def at(self, theta: np.ndarray) -> Spot | None:
        """The inner maximum and V at θ; None where there is none."""
        if self._spot is not None and np.array_equal(self._spot.theta, theta):
            return self._spot
        inner_problem = Inner(self, theta)
        start = np.zeros(self.layout.size) if self._last is None else self._last
        mode = climb(inner_problem, start, 4)
        if mode is None and self._last is not None:
            mode = climb(inner_problem, np.zeros(self.layout.size), 4)
        if mode is None or mode.factor.log_det is None:
            return None
        self._last = mode.v
        flat = 0.5 * LOG_2PI * self.X.shape[1] if self.restricted else 0.0
        self._spot = Spot(theta.copy(), mode, mode.value - 0.5 * mode.factor.log_det + flat)
        return self._spot

    # -- Λ -------------------------------------------------------------------------------------------------------

    def factors(self, theta: np.ndarray) -> list[np.ndarray | None]:
        """Λ of each piece; None for the coefficients β."""
        entries = theta[self.own_entries]
        found = [one.matrix(entries) for one in self.scales]
        return [None if piece.term is None else found[piece.term] for piece in self.layout.pieces]

    def moved_by(self, v: np.ndarray, factors: Sequence[np.ndarray | None]) -> np.ndarray:
        """L v: the coefficients of the columns as they are."""
        out = v.copy()
        for piece, at, factor in zip(self.layout.pieces, self.layout.slices, factors, strict=True):
            if factor is not None:
                out[at] = (v[at].reshape(piece.levels, piece.width) @ factor.T).ravel()
        return out

    def moved_back(self, b: np.ndarray, factors: Sequence[np.ndarray | None]) -> np.ndarray:
        """Lᵀ b."""
        out = b.copy()
        for piece, at, factor in zip(self.layout.pieces, self.layout.slices, factors, strict=True):
            if factor is not None:
                out[at] = (b[at].reshape(piece.levels, piece.width) @ factor).ravel()
        return out

    def sandwich(self, K: Blocks, left: Sequence[np.ndarray | None], right: Sequence[np.ndarray | None]) -> Blocks:
        """The symmetric LᵀKL for left and right the same."""
        out = {}
        for (k, j), block in K.items():
            a, b = left[k], right[j]
            part = block if a is None else _times(a.T, block)
            out[k, j] = part if b is None else _times_right(part, b)
        return out

    def sandwich_inverse(self, inverse: Blocks, factors: Sequence[np.ndarray | None]) -> Blocks:
        """L H⁻¹ Lᵀ on the blocks of cross-products, so that its row forms with [X Z] are the h_i."""
        return self.sandwich(inverse, *([[None if one is None else one.T for one in factors]] * 2))


class Inner:
    """The inner problem at one θ, as :func:`raphson.model.varying.mode.climb` wants it."""

    def __init__(self, criterion: Criterion, theta: np.ndarray) -> None:
        self.criterion, self.theta = criterion, theta
        self.factors = criterion.factors(theta)
        self.tau = float(theta[-1]) if criterion.density.has_tau else 0.0
        self.base = criterion.offset + criterion.X @ theta[: criterion.p] if criterion.p else criterion.offset
        self.quadratic = criterion.density.quadratic
        self._kept: tuple[Blocks, Factor] | None = None
        self.random = np.ones(criterion.layout.size)
        if criterion.layout.fixed >= 0:
            self.random[criterion.layout.slices[criterion.layout.fixed]] = 0.0

    def eta(self, v: np.ndarray) -> np.ndarray:
        return self.base + self.criterion.layout.product(self.criterion.moved_by(v, self.factors))

    def rows(self, eta: np.ndarray, order: int) -> Rows:
        return self.criterion.density.at(eta, self.tau, order)

    def penalty(self, v: np.ndarray) -> float:
        return 0.5 * float((self.random * v) @ v)

    def gradient(self, v: np.ndarray, rows: Rows) -> np.ndarray:
        criterion = self.criterion
        return criterion.moved_back(criterion.layout.transposed(rows.score), self.factors) - self.random * v

    def hessian(self, weight: np.ndarray) -> tuple[Blocks, Factor]:
        if self._kept is not None:
            return self._kept
        criterion = self.criterion
        K = criterion.layout.cross(weight)
        H = criterion.sandwich(K, self.factors, self.factors)
        for k, piece in enumerate(criterion.layout.pieces):
            if piece.term is not None:
                pairs = criterion.layout.pairs[k, k]
                own = H[k, k].copy()
                if pairs.row is None:
                    own[0] += np.eye(piece.width)
                else:
                    own += np.eye(piece.width)
                H[k, k] = own
        found = K, Factor(criterion.form, H)
        if self.quadratic:
            self._kept = found
        return found


class Derivatives:
    """Gradient and Hessian of V at one spot."""

    def __init__(self, criterion: Criterion, spot: Spot) -> None:
        self.criterion, self.spot, self.mode = criterion, spot, spot.mode
        self.layout, self.rows, self.factor = criterion.layout, spot.mode.rows, spot.mode.factor
        self.factors = criterion.factors(spot.theta)
        self.constant = criterion.density.quadratic
        pieces = self.layout.pieces
        self.moves: list[list[np.ndarray | None]] = []
        """Of each entry of the Λ its derivative of the pieces' Λ; None where that is 0."""
        for at, scale in enumerate(criterion.scales):
            for unit in scale.units:
                self.moves.append([unit if piece.term == at else None for piece in pieces])
        self._first()

    def _first(self) -> None:
        """The gradient, with what it shares with the Hessian."""
        criterion, rows, layout = self.criterion, self.rows, self.layout
        J, p, n = criterion.n_params, criterion.p, criterion.n_rows
        v, s = self.mode.v, rows.score
        inverse = self.factor.inverse
        self.partial = np.zeros((J, n))  # ∂_jη
        if p:
            self.partial[:p] = criterion.X.T
        for m, move in enumerate(self.moves):
            self.partial[p + m] = layout.product(self._moved(v, move))
        self.raw_score = layout.transposed(s)
        gradient = self.partial @ s
        if criterion.density.has_tau:
            gradient[-1] = rows.tau
        self.traces = np.zeros(J)
        for m, move in enumerate(self.moves):
            self.traces[p + m] = self._trace(inverse, self.mode.K, move, self.factors)
        gradient -= self.traces
        if self.constant:
            if criterion.density.has_tau:
                # Ẇ = −W there, and tr(H⁻¹AᵀWA) by the cross-products
                gradient[-1] += 0.5 * inner(inverse, self._sandwiched())
        else:
            self.leverage = layout.row_forms(criterion.sandwich_inverse(inverse, self.factors))
            hw = self.leverage * rows.weight1
            self.adjoint = self.factor.solve(self._back(layout.transposed(hw)))
            gradient -= 0.5 * (self.partial @ hw + self._g() @ self.adjoint)
            if criterion.density.has_tau:
                gradient[-1] -= 0.5 * float(self.leverage @ rows.weight_tau)
        self.gradient = gradient

    def _sandwiched(self) -> Blocks:
        return self.criterion.sandwich(self.mode.K, self.factors, self.factors)

    def _moved(self, v: np.ndarray, move: Sequence[np.ndarray | None]) -> np.ndarray:
        """L_j v."""
        out = np.zeros_like(v)
        for piece, at, unit in zip(self.layout.pieces, self.layout.slices, move, strict=True):
            if unit is not None:
                out[at] = (v[at].reshape(piece.levels, piece.width) @ unit.T).ravel()
        return out

    def _moved_back(self, b: np.ndarray, move: Sequence[np.ndarray | None]) -> np.ndarray:
        """L_jᵀ b."""
        out = np.zeros_like(b)
        for piece, at, unit in zip(self.layout.pieces, self.layout.slices, move, strict=True):
            if unit is not None:
                out[at] = (b[at].reshape(piece.levels, piece.width) @ unit).ravel()
        return out

    def _back(self, b: np.ndarray) -> np.ndarray:
        return self.criterion.moved_back(b, self.factors)

    def _g(self) -> np.ndarray:
        """(J, size) the g_j, each ∂_j of the inner gradient."""
        if hasattr(self, "_g_kept"):
            return self._g_kept
        criterion, rows = self.criterion, self.rows
        J, p = criterion.n_params, criterion.p
        out = np.zeros((J, self.layout.size))
        for j in range(J - criterion.density.has_tau):
            out[j] = self._back(self.layout.transposed(-rows.weight * self.partial[j]))
        for m, move in enumerate(self.moves):
            out[p + m] += self._moved_back(self.raw_score, move)
        if criterion.density.has_tau:
            out[-1] = self._back(self.layout.transposed(rows.score_tau))
        self._g_kept = out
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
                part = _times(one.T, part)
                if other is not None:
                    part = _times_right(part, other)
                whole = inverse[k, j]
                total += float(np.vdot(whole.transpose(0, 2, 1) if turned else whole, part))
        return total

    # -- the Hessian ---------------------------------------------------------------------------------------------

    @property
    def hessian(self) -> np.ndarray:
        """(J, J)."""
        criterion, rows, layout = self.criterion, self.rows, self.layout
        J, p, tau = criterion.n_params, criterion.p, criterion.density.has_tau
        W, partial, inverse = rows.weight, self.partial, self.factor.inverse
        g = self._g()
        steps = self.factor.solve(np.ascontiguousarray(g.T)).T
        self.steps = steps
        total = partial + np.stack([layout.product(criterion.moved_by(one, self.factors)) for one in steps])
        out = g @ steps.T - (partial * W) @ partial.T
        if tau:
            cross = partial[:-1] @ rows.score_tau
            out[-1, :-1] += cross
            out[:-1, -1] += cross
            out[-1, -1] += rows.tau2
        # the derivatives of H, as blocks of cross-products with the weights Ẇ_j
        dots = [self._dot(j, total[j]) for j in range(J)]
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
                out[j, k] -= lost
                if j != k:
                    out[k, j] -= lost
        out -= 0.5 * self._bending(total)
        conditioned = [self._turned(j, dots[j]) for j in range(J)]
        for j in range(J):
            for k in range(j + 1):
                one, other = conditioned[j], conditioned[k]
                if one is not None and other is not None:
                    gain = 0.5 * one.product_trace(other)
                    out[j, k] += gain
                    if j != k:
                        out[k, j] += gain
        return 0.5 * (out + out.T)

    def _dot(self, j: int, total: np.ndarray) -> Blocks | None:
        """Cross-products with Ẇ_j; None where it is 0."""
        rows, last = self.rows, self.criterion.density.has_tau and j == self.criterion.n_params - 1
        if self.constant:
            return {at: -block for at, block in self.mode.K.items()} if last else None
        dot = rows.weight1 * total
        if last:
            dot = dot + rows.weight_tau
        return self.layout.cross(dot)

    def _turned(self, j: int, dot: Blocks | None) -> Conditioned | None:
        """H_j ready for the traces of products."""
        criterion, p = self.criterion, self.criterion.p
        H: Blocks = {} if dot is None else criterion.sandwich(dot, self.factors, self.factors)
        if p <= j < p + len(self.moves):
            move = self.moves[j - p]
            for (k, i), block in self.mode.K.items():
                left, right = move[k], move[i]
                part = None
                if left is not None:
                    part = _times(left.T, block)
                    if self.factors[i] is not None:
                        part = _times_right(part, self.factors[i])
                if right is not None:
                    more = block if self.factors[k] is None else _times(self.factors[k].T, block)
                    more = _times_right(more, right)
                    part = more if part is None else part + more
                if part is not None:
                    H[k, i] = H[k, i] + part if (k, i) in H else part
        return self.factor.conditioned(H) if H else None

    def _bending(self, total: np.ndarray) -> np.ndarray:
        """(J, J) Σ h Ẅ_jk."""
        criterion, rows, layout = self.criterion, self.rows, self.layout
        J, p, tau = criterion.n_params, criterion.p, criterion.density.has_tau
        out = np.zeros((J, J))
        if self.constant:
            if tau:
                out[-1, -1] = inner(self.factor.inverse, self._sandwiched())
            return out
        h, q, W = self.leverage, self.adjoint, rows.weight
        along = layout.product(criterion.moved_by(q, self.factors))  # A q
        curve = h * rows.weight2 - along * rows.weight1
        out += (total * curve) @ total.T
        if tau:
            mixed = total @ (h * rows.weight_tau_eta - along * rows.weight_tau)
            out[-1] += mixed
            out[:, -1] += mixed
            out[-1, -1] += float(h @ rows.weight_tau2 + along @ rows.score_tau2)
        dot = -W * total
        if tau:
            dot[-1] += rows.score_tau
        hw = h * rows.weight1 - along * W
        for m, move in enumerate(self.moves):
            j = p + m
            aside = layout.product(self._moved(q, move))  # A_j q
            row = dot @ aside  # (A_j q)·ṡ_k
            turned = self._moved_back(layout.transposed(hw), move)  # A_jᵀ (…), for A_j v_k
            row = row + self.steps @ turned
            out[j] += row
            out[:, j] += row
        return out


def _times(A: np.ndarray, block: np.ndarray) -> np.ndarray:
    return A[0, 0] * block if A.shape == (1, 1) else A @ block


def _times_right(block: np.ndarray, A: np.ndarray) -> np.ndarray:
    return block * A[0, 0] if A.shape == (1, 1) else block @ A


def _absolute(M: np.ndarray) -> np.ndarray:
    """M with the absolute values of its eigenvalues, after scaling."""
    scale = np.sqrt(np.abs(M.diagonal()))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(M / scale / scale[:, None])
    if values[0] > 0:
        return M
    size = np.maximum(np.abs(values), 1e-8 * float(np.abs(values).max()))
    return (vectors * size) @ vectors.T * scale * scale[:, None]
