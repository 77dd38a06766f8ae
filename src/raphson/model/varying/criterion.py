r"""The criterion V(θ) that chooses how much coefficients vary, with its exact gradient and Hessian.

    η_a = offset_a + X_aβ_a + Σ_k Z_k Λ_k u_k,    h(v; θ) = Σ log f(y | η) − ½ uᵀu,    H = AᵀWA + I_u,  A = ∂η/∂v
    V(θ) = max_v h − ½ log|H| + ½ p log 2π

is the Laplace approximation of the likelihood integrated over v, and exact for the normal distribution with the
identity link. A density has a predictor η_a for each of its parameters, and a term adds to one of them; in a row W is
the matrix W_ab = −∂²log f/∂η_a∂η_b, and W_abc, W_abcd are its derivatives. v has the u, whose integral has the
constants of their prior cancel, and for REML the p coefficients β of all predictors too; for ML these are among θ, with
the entries ψ of Λ (:mod:`.scales`) and the τ of a family (:mod:`.densities`): a predictor with one constant, which is
never integrated.

η is linear in v, with A_j = ∂A/∂ψ_j and A_jk = ∂²A/∂ψ_j∂ψ_k, which is 0 but for tensor products, as only their Λ are
not linear in their entries. Along θ_j the mode moves by v_j and the predictors by η_j, and with s = ∂log f/∂η and sums
over the predictors b, c and d,

    H v_j = g_j = A_jᵀs − AᵀW∂_jη,    η_j = ∂_jη + A v_j
    V_j = ∂_jh − ½ tr(H⁻¹H_j),    H_j = A_jᵀWA + AᵀWA_j + AᵀẆ_jA,    Ẇ_j = W_··c η_jc.

With the matrix h = aH⁻¹aᵀ of a row, whose predictors have the rows a of A, t_c = Σ_ab h_ab W_abc and the adjoint
q = H⁻¹Aᵀt, Σ h Ẇ_j needs no v_j. Differentiated once more,

    V_jk = ∂_jkh + g_jᵀv_k + ½ tr(H⁻¹H_jH⁻¹H_k)
           − tr(H⁻¹A_jᵀWA_k) − tr(H⁻¹A_jᵀẆ_kA) − tr(H⁻¹A_kᵀẆ_jA) − tr(H⁻¹A_jkᵀWA) − ½ Σ h Ẅ_jk
    Σ h Ẅ_jk = Σ h W_··cd η_jc η_kd + Σ t_c(A_jv_k + A_kv_j + A_jkv)_c + qᵀH v_jk
    H v_jk = A_jᵀṡ_k + A_kᵀṡ_j + A_jkᵀs − Aᵀ[W_·cd η_jc η_kd + W(A_jv_k + A_kv_j + A_jkv)]

with ṡ_j = −Wη_j, and sᵀA_jkv in ∂_jkh: the second derivative of the mode enters through q alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from raphson.data.varying.term import VaryingTerm
from raphson.model.objective import VALUE, Evaluation, Gram, Need, Objective
from raphson.model.varying.algebra import Factorised
from raphson.model.varying.densities import Rows
from raphson.model.varying.derivatives import Derivatives
from raphson.model.varying.interior import interior
from raphson.model.varying.layout import Blocks, Layout, times, times_right, transposed
from raphson.model.varying.mode import Mode, climb
from raphson.model.varying.moments import Moments, QuadraticMode
from raphson.model.varying.nested import form_of
from raphson.model.varying.quadratic import QuadraticDerivatives
from raphson.model.varying.scales import Scale, scales_of
from raphson.model.varying.tensors import Symmetric
from raphson.numeric import one_blas_thread

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
    mode: Mode | QuadraticMode
    value: float
    derivatives: Derivatives | None = None


class Criterion(Objective):
    """V as a function of θ = (β of all predictors for ML, the entries of all Λ, τ).

    Parameters
    ----------
    density : of the rows: a :class:`.densities.Density` or a :class:`.several.SeveralDensity`.
    designs : the columns (n, p) of each of its K predictors; an array where there is one.
    terms : the varying terms.
    offset : (K, n), or (n,) of one predictor; None for 0.
    restricted : whether β is integrated too (REML).
    """

    def __init__(
        self,
        density: Any,
        designs: np.ndarray | Sequence[np.ndarray],
        terms: Sequence[VaryingTerm],
        offset: np.ndarray | None,
        restricted: bool,
    ) -> None:
        self.density = density
        shape = density.n_predictors, len(density.y)
        self.offset = np.zeros(shape) if offset is None else np.broadcast_to(offset, shape)
        self._arrange(designs, terms, restricted)

    def _arrange(
        self, designs: np.ndarray | Sequence[np.ndarray], terms: Sequence[VaryingTerm], restricted: bool
    ) -> None:
        """Set what follows from the columns alone."""
        self.designs = [designs] if isinstance(designs, np.ndarray) else list(designs)
        self.X = self.designs[0] if len(self.designs) == 1 else np.concatenate(self.designs, axis=1)
        """(n, p) the columns of all predictors, one after the other."""
        self.terms, self.restricted = list(terms), restricted
        self.layout = Layout(self.designs if restricted else [], terms)
        self.form = form_of(self.layout)
        self.scales: list[Scale] = scales_of(terms)
        self.n_entries = sum(one.count for one in self.scales)
        ends = np.cumsum([0, *(X.shape[1] for X in self.designs)])
        self.columns_of = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        """Where the coefficients of each predictor are in β."""
        self.p = 0 if restricted else int(ends[-1])
        self.begin = np.zeros(self.layout.size)
        """Where the first climb to a mode starts."""
        self._last: np.ndarray | None = None
        self._best: tuple[float, np.ndarray] | None = None
        """The largest value so far, and its mode."""
        self._spot: Spot | None = None

    def with_responses(self, y: np.ndarray) -> Criterion:
        """The same with other responses (n,): layout, patterns and cross-products of the columns are shared.

        Nothing is kept of where this one was evaluated, on which the last bits would depend.
        """
        made = copy(self)
        for name in ("joint", "moments"):
            vars(made).pop(name, None)
        made.density, made._spot, made._last, made._best = self.density.with_responses(y), None, None, None
        if not self.restricted:
            made.joint = self.joint.with_responses(y)
        elif made.density.quadratic:
            made.moments = Moments(made.density, self.layout, self.offset[0], self.moments)
        return made

    def of_terms(self, terms: Sequence[VaryingTerm]) -> Criterion:
        """The same with other varying terms."""
        return Criterion(self.density, self.designs, terms, self.offset, self.restricted)

    @cached_property
    def joint(self) -> Criterion:
        """The criterion with β integrated."""
        return self if self.restricted else Criterion(self.density, self.designs, self.terms, self.offset, True)

    @cached_property
    def moments(self) -> Moments:
        """Cross-products of all columns, for a quadratic log density."""
        joint = self.joint
        return Moments(self.density, self.layout, self.offset[0]) if joint is self else joint.moments

    def of_own(self, blocks: Blocks) -> Blocks:
        """The blocks of this layout among those of all columns."""
        if self.restricted:
            return blocks
        without = set(self.joint.layout.fixed)
        kept = [k for k in range(len(self.joint.layout.pieces)) if k not in without]
        number = {k: i for i, k in enumerate(kept)}
        return {(number[k], number[j]): one for (k, j), one in blocks.items() if not without & {k, j}}

    def own_part(self, b: np.ndarray) -> np.ndarray:
        """The coefficients of this layout among those of all columns, (size,) or (m, size)."""
        return b if self.restricted else b[..., self._own_places]

    @cached_property
    def _own_places(self) -> np.ndarray:
        at = self.joint.layout.place_of_fixed
        return np.delete(np.arange(self.joint.layout.size), at)

    def among_all(self, own: np.ndarray, beta: np.ndarray) -> np.ndarray:
        """The coefficients of all columns, from those of this layout and, where they are not among these, β."""
        if self.restricted:
            return own
        at = self.joint.layout.place_of_fixed
        return np.concatenate([own[: at.start], beta, own[at.start :]])

    def predictor_of(self, j: int) -> int:
        """The predictor that θ_j adds to; that of τ comes after all others."""
        return int(self._predictors[j])

    def is_of(self, a: int) -> np.ndarray:
        """(J,) mask of the θ_j that add to a predictor."""
        return self._predictors == a

    @cached_property
    def _predictors(self) -> np.ndarray:
        widths = [X.shape[1] for X in self.designs] if self.p else []
        of_entries = [
            term.predictor for one, term in zip(self.scales, self.terms, strict=True) for _ in range(one.count)
        ]
        of_tau = [self.density.n_predictors] if self.density.has_tau else []
        return np.array([*np.repeat(np.arange(len(widths)), widths), *of_entries, *of_tau], dtype=int)

    @cached_property
    def own(self) -> dict[int, Any]:
        """Which θ_j add to each predictor: a slice where they are together."""
        out: dict[int, Any] = {}
        for a in np.unique(self._predictors).tolist():
            at = np.flatnonzero(self._predictors == a)
            together = at[-1] - at[0] + 1 == len(at)
            out[a] = slice(int(at[0]), int(at[-1]) + 1) if together else at
        return out

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
        # Threads of BLAS would wait for each other over matrices as small as these: profiles took ten times as long.
        with one_blas_thread():
            return self._evaluated(np.asarray(theta, dtype=float), need)

    def _evaluated(self, theta: np.ndarray, need: Need) -> Evaluation:
        spot = self.at(theta)
        if spot is None:
            nothing = np.full(self.n_params, np.nan)
            return Evaluation(theta, -np.inf, nothing, {}, 1.0, -np.inf, self.n_rows)
        found = self.derivatives(spot)
        information: dict[str, Gram] = {}
        if need.kinds:
            M = -found.hessian
            for kind in need.kinds:
                information[kind] = Gram(M if kind == "observed" else _absolute(M))
        return Evaluation(theta, spot.value, found.gradient, dict(information), 1.0, -np.inf, self.n_rows)

    def derivatives(self, spot: Spot) -> Derivatives:
        """Gradient and Hessian of V at a spot."""
        if spot.derivatives is None:
            kind = QuadraticDerivatives if self.density.quadratic else Derivatives
            spot.derivatives = kind(self, spot)
        return spot.derivatives

    def at(self, theta: np.ndarray) -> Spot | None:
        """The inner maximum and V at θ; None where there is none."""
        if self._spot is not None and np.array_equal(self._spot.theta, theta):
            return self._spot
        inner_problem = Inner(self, theta)
        mode = next((found for v in self._starts(theta) if (found := inner_problem.climb(v)) is not None), None)
        if mode is None or mode.factor.log_det is None:
            return None
        self._last = mode.v
        flat = 0.5 * LOG_2PI * self.columns_of[-1].stop if self.restricted else 0.0
        self._spot = Spot(theta.copy(), mode, mode.value - 0.5 * mode.factor.log_det + flat)
        if self._best is None or self._spot.value > self._best[0]:
            self._best = self._spot.value, mode.v
        return self._spot

    def _starts(self, theta: np.ndarray) -> Iterator[np.ndarray]:
        """Where the inner climb may begin: the last mode, the best one, no effects, and β with possible means."""
        if self._last is not None:
            yield self._last
        if self._best is not None and self._best[1] is not self._last:
            yield self._best[1]
        yield self.begin
        if self.restricted and self.X.shape[1] and self.density.n_predictors == 1:
            tau = float(theta[-1]) if self.density.has_tau else 0.0
            v = np.zeros(self.layout.size)
            v[self.layout.place_of_fixed] = interior(self.density, self.X, self.offset[0], tau)
            yield v

    # -- Λ -------------------------------------------------------------------------------------------------------

    def factors(self, theta: np.ndarray) -> list[np.ndarray | None]:
        """Λ of each piece; None for the coefficients β."""
        entries = theta[self.own_entries]
        found = [one.matrix(entries) for one in self.scales]
        return [None if piece.term is None else found[piece.term] for piece in self.layout.pieces]

    def moved_by(self, v: np.ndarray, factors: Sequence[np.ndarray | None]) -> np.ndarray:
        """L v: the coefficients of the columns as they are."""
        return self.layout.by_level(v, factors, v)

    def moved_back(self, b: np.ndarray, factors: Sequence[np.ndarray | None]) -> np.ndarray:
        """Lᵀ b."""
        return self.layout.by_level(b, transposed(factors), b)

    def sandwich(self, K: Blocks, left: Sequence[np.ndarray | None], right: Sequence[np.ndarray | None]) -> Blocks:
        """The symmetric LᵀKL for left and right the same."""
        out = {}
        for (k, j), block in K.items():
            a, b = left[k], right[j]
            part = block if a is None else times(a.T, block)
            out[k, j] = part if b is None else times_right(part, b)
        return out

    def sandwich_inverse(self, inverse: Blocks, factors: Sequence[np.ndarray | None]) -> Blocks:
        """L H⁻¹ Lᵀ on the blocks of cross-products, so that its row forms with [X Z] are the h_i."""
        turned = transposed(factors)
        return self.sandwich(inverse, turned, turned)


class Inner:
    """The inner problem at one θ, as :func:`raphson.model.varying.mode.climb` wants it."""

    def __init__(self, criterion: Criterion, theta: np.ndarray) -> None:
        self.criterion, self.theta = criterion, theta
        self.factors = criterion.factors(theta)
        self.tau = float(theta[-1]) if criterion.density.has_tau else 0.0
        self.random = np.ones(criterion.layout.size)
        self.random[criterion.layout.place_of_fixed] = 0.0

    def climb(self, v: np.ndarray, order: int = 4) -> Mode | QuadraticMode | None:
        """The mode, from v; None where there is none."""
        if not self.criterion.density.quadratic:
            return climb(self, v, order)
        found = QuadraticMode(self, v)
        return found if np.isfinite(found.value) else None

    @cached_property
    def base(self) -> np.ndarray:
        """(K, n) what is added to the columns of the layout."""
        criterion = self.criterion
        if not criterion.p:
            return criterion.offset
        out = criterion.offset.copy()
        for a, (X, own) in enumerate(zip(criterion.designs, criterion.columns_of, strict=True)):
            if X.shape[1]:
                out[a] += X @ self.theta[own]
        return out

    def all_coefficients(self, v: np.ndarray) -> np.ndarray:
        """(β, Λu) of all columns."""
        criterion = self.criterion
        return criterion.among_all(criterion.moved_by(v, self.factors), self.theta[: criterion.p])

    @property
    def predictors(self) -> list[int]:
        """The predictors that v adds to."""
        return self.criterion.layout.predictors

    def eta(self, v: np.ndarray) -> np.ndarray:
        parts, base = self.criterion.layout.product(self.criterion.moved_by(v, self.factors)), self.base
        if len(parts) == 1 == len(base):
            return base + parts[0]
        out = base.copy()
        for a, part in parts.items():
            out[a] += part
        return out

    def rows(self, eta: np.ndarray, order: int) -> Rows:
        return self.criterion.density.at(eta, self.tau, order, self.predictors)

    def penalty(self, v: np.ndarray) -> float:
        return 0.5 * float((self.random * v) @ v)

    def gradient(self, v: np.ndarray, rows: Rows) -> np.ndarray:
        criterion = self.criterion
        score = dict(enumerate(rows.score))
        return criterion.moved_back(criterion.layout.transposed(score), self.factors) - self.random * v

    def hessian(self, weight: Symmetric) -> tuple[Blocks, Factorised]:
        K = self.criterion.layout.cross(weight)
        return K, self.factored(K)

    def factored(self, K: Blocks) -> Factorised:
        """H = LᵀKL + I_u, factorised."""
        criterion = self.criterion
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
        return criterion.form.factored(H)


def _absolute(M: np.ndarray) -> np.ndarray:
    """M with the absolute values of its eigenvalues, after scaling."""
    scale = np.sqrt(np.abs(M.diagonal()))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(M / scale / scale[:, None])
    if values[0] > 0:
        return M
    size = np.maximum(np.abs(values), 1e-8 * float(np.abs(values).max()))
    return (vectors * size) @ vectors.T * scale * scale[:, None]
