"""Log-likelihood, score and information of a model, summed over blocks: all that the iteration sees.

    ℓ(θ) = Σ w_i log f(y_i | η_i) − ½ θᵀPθ        at unit dispersion
    ∇ℓ   = Σ J_iᵀ w_i u_i − Pθ
    M    = Σ J_iᵀ w_i W_i J_i + B + P              W: observed, expected or u uᵀ

where B = −Σ w_i u_i ∂²η_i/∂θ² enters the observed information of a predictor that is not linear in θ.

M comes in two forms. The *gram* form is the p × p matrix itself. The *root* form is the triangle R of a QR
decomposition of the tall matrix A with AᵀA = M − B, together with Qᵀz where Aᵀz = ∇ℓ, and B: it keeps the digits
that forming AᵀA would square away, and is combined over blocks by decomposing stacked triangles (TSQR; Demmel,
Grigori, Hoemmen and Langou 2012, SIAM J. Sci. Comput. 34, A206).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np
from scipy.linalg.lapack import dgeqrf  # type: ignore[attr-defined]

from raphson.data.blocks import Block, total_rows
from raphson.execute import Executor, serial, sum_blocks
from raphson.model.predictor import Jacobian, Predictor
from raphson.model.rows import block_rows
from raphson.model.walls import Edges, Walls
from raphson.numeric import EPSILON

Kind = Literal["observed", "expected", "opg"]


@dataclass(frozen=True)
class Gram:
    """M itself.

    Attributes
    ----------
    matrix : (p, p).
    factors : what solvers have made of it, by the columns that took part: of thousands of columns a factor takes
        seconds, and the last step's serves the condition number and the covariance too.
    """

    matrix: np.ndarray
    factors: dict[bytes, Any] = field(default_factory=dict, compare=False, repr=False)

    def __add__(self, other: Gram) -> Gram:
        return Gram(self.matrix + other.matrix)


@dataclass(frozen=True)
class Root:
    """[R, Qᵀz; 0, ρ]: the triangle of the QR decomposition of [A, z], AᵀA = M − B and Aᵀz = ∇ℓ.

    Attributes
    ----------
    triangle : (≤ p + 1, p + 1).
    second_order : B (p, p), or None where it is zero.
    """

    triangle: np.ndarray
    second_order: np.ndarray | None = None

    def __add__(self, other: Root) -> Root:
        terms = [term for term in (self.second_order, other.second_order) if term is not None]
        second_order = np.sum(terms, axis=0) if terms else None
        return Root.of(np.concatenate([self.triangle, other.triangle]), second_order)

    @staticmethod
    def of(rows: np.ndarray, second_order: np.ndarray | None = None) -> Root:
        """Decompose the tall matrix [A, z]."""
        return Root(triangularised(rows), second_order)

    @property
    def matrix(self) -> np.ndarray:
        """M (p, p)."""
        R = self.triangle[:, :-1]
        return R.T @ R if self.second_order is None else R.T @ R + self.second_order


@dataclass(frozen=True)
class Need:
    """What an evaluation is asked for besides value and score.

    Attributes
    ----------
    kinds : the matrices M wanted.
    root : whether in root form (a matrix that is not positive semidefinite comes in gram form all the same).
    products : whether instead of the first matrix each block keeps what multiplies it with a vector.
    """

    kinds: tuple[Kind, ...] = ()
    root: bool = False
    products: bool = False


@dataclass(frozen=True)
class BlockCurvature:
    """One block's share of M, as the parts it is made of.

    Attributes
    ----------
    jacobian : J of the block's rows.
    W : (K, K, rows) row information.
    u : (K, rows) row scores of the second-order term; None where M is without B.
    """

    jacobian: Jacobian
    W: np.ndarray
    u: np.ndarray | None

    def product(self, v: np.ndarray) -> np.ndarray:
        """This share of M times v (p,)."""
        out = self.jacobian.information_product(self.W, v)
        second = None if self.u is None else self.jacobian.second_order_product(self.u, v)
        return out if second is None else out + second

    def diagonal(self) -> np.ndarray:
        """Diagonal of Σ JᵀWJ, (p,)."""
        return self.jacobian.information_diagonal(self.W)


@dataclass
class Sums:
    """What blocks add up to."""

    value: float
    score: np.ndarray
    pearson: float
    highest: float
    information: dict[str, Gram | Root]
    curvature: list[BlockCurvature] = field(default_factory=list)

    def __add__(self, other: Sums) -> Sums:
        information: dict[str, Any] = {}
        for kind, mine in self.information.items():
            yours = other.information[kind]
            if isinstance(mine, Root) and isinstance(yours, Root):
                information[kind] = mine + yours
            else:
                information[kind] = Gram(mine.matrix + yours.matrix)
        return Sums(
            self.value + other.value,
            self.score + other.score,
            self.pearson + other.pearson,
            max(self.highest, other.highest),
            information,
            self.curvature + other.curvature,
        )


@dataclass(frozen=True)
class Evaluation:
    """The objective at one θ.

    Attributes
    ----------
    theta : (p,).
    value : ℓ(θ), penalised, at unit dispersion and up to terms without θ.
    score : (p,) its gradient.
    information : the matrices asked for, penalised, by kind.
    dispersion : φ̂ at this θ, 1 where the family fixes it.
    highest : largest log density of any row with response 0 or 1; near 0, some response is fitted with certainty.
    curvature : what multiplies each block's share of M with a vector, when asked for.
    rows : how many rows were read.
    added : what ℓ has beside the log-likelihood: −½ θᵀPθ of a penalty, ½ log det I(θ) of bias reduction.
    noise : how much of ℓ may be noise of the predictor, beyond rounding.
    blur : how far the maximum may seem to be by that noise alone, in standard errors.
    """

    theta: np.ndarray
    value: float
    score: np.ndarray
    information: dict[str, Gram | Root]
    dispersion: float
    highest: float
    curvature: list[BlockCurvature]
    rows: int
    added: float = 0.0
    noise: float = 0.0
    blur: float = 0.0

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value) and math.isfinite(float(self.score @ self.score))


@dataclass(frozen=True)
class Objective:
    """A model and its data.

    Attributes
    ----------
    family : the family; its parameters are those of the traced density.
    predictor : from θ to η.
    blocks : the data.
    penalty : (p, p) or None.
    executor : where sums over blocks run.
    copies : (n,) how many copies each row stands for, where weights are counts: such a row scores w times, not
        once w times as much. None if every row is one.
    residual_df : divisor of Pearson's statistic for φ̂; None where the family fixes φ = 1.
    at_limit : whether some rows are held at infinity, so that columns only they determine are rightly left out.
    bounds : (lower, upper), each (p,), the box that θ is kept in; None for none.
    project : from a trial θ to the best one that shares its nonlinear parameters (variable projection); None where
        there is nothing to project.
    projected : (p,) mask of the parameters that `project` finds.
    prior : (p,) precisions of a weak prior, no part of ℓ: it says how far is far along directions that the data say
        nothing of. None where every parameter is to be determined.
    blurred : adds to an evaluation what noise of the predictor hides of it; None where there is only rounding.
    """

    family: Any
    predictor: Predictor
    blocks: Sequence[Block]
    penalty: np.ndarray | None = None
    executor: Executor = field(default_factory=serial)
    copies: np.ndarray | None = None
    residual_df: float | None = None
    at_limit: bool = False
    bounds: tuple[np.ndarray, np.ndarray] | None = None
    project: Callable[[np.ndarray], np.ndarray] | None = None
    projected: np.ndarray | None = None
    prior: np.ndarray | None = None
    blurred: Callable[[Evaluation], Evaluation] | None = None

    @property
    def n_params(self) -> int:
        return self.predictor.n_params

    @property
    def comparable(self) -> bool:
        """Whether the score is the gradient of the value, so that two points can be compared by it."""
        return True

    @property
    def likelihood(self) -> Objective:
        """The objective whose information covariances come from: this one."""
        return self

    @cached_property
    def n_rows(self) -> int:
        return total_rows(self.blocks)

    @property
    def main_kind(self) -> Kind:
        """The information that is always to be had: the expected one, where the family knows it."""
        return self.family.main_information

    def same(self, kind: Kind) -> Kind:
        """The kind to compute when `kind` is wanted: with a canonical link observed and expected are one.

        That is so for predictors linear in θ: the others add the second-order term to the observed information.
        """
        return "expected" if kind == "observed" and self.family.canonical and self.predictor.linear else kind

    def moved(self, theta: np.ndarray, step: np.ndarray, project: bool = True) -> np.ndarray:
        """θ + step, put back into the box and projected."""
        there = theta + step
        if self.bounds is not None:
            there = np.clip(there, *self.bounds)
        return self.project(there) if project and self.project is not None else there

    def blocked(self, theta: np.ndarray, score: np.ndarray) -> np.ndarray | None:
        """(p,) mask of the parameters at a bound that ℓ would have them pass; None where there are no bounds."""
        if self.bounds is None:
            return None
        return ((theta <= self.bounds[0]) & (score < 0)) | ((theta >= self.bounds[1]) & (score > 0))

    @cached_property
    def edges(self) -> Edges | None:
        """The ends of the means' domain that rows may lie at; None where there are none."""
        low, high = self.family.domain
        if not self.predictor.linear or (math.isinf(low) and math.isinf(high)):
            return None
        return Edges(self.family, self.predictor, self.blocks)

    @property
    def walled(self) -> bool:
        """Whether some rows may lie at the edge of the domain."""
        return self.edges is not None

    @property
    def concave(self) -> bool:
        """Whether ℓ is concave in θ, so that a point where it does not rise is the maximum."""
        return self.predictor.linear and self.family.log_concave

    def walls(self, theta: np.ndarray, step: np.ndarray | None = None) -> Walls:
        """Inequalities that rows at the edge of the domain impose: those θ stands at, or those θ + step would pass."""
        return Walls.none(self.n_params) if self.edges is None else self.edges.walls(theta, step)

    def evaluate(self, theta: np.ndarray, need: Need = Need()) -> Evaluation:
        """Value, score and the information asked for, at θ (p,)."""
        if "observed" in need.kinds:
            need = replace(need, kinds=tuple(dict.fromkeys(self.same(kind) for kind in need.kinds)))

        def one(block: Block) -> Sums:
            return self._block(block, *self.predictor.at(block, theta), need)

        found = self._penalised(theta, sum_blocks(self.executor, one, self.blocks))
        return found if self.blurred is None else self.blurred(found)

    def linearised(self, eta: np.ndarray, need: Need, project: bool = False) -> Evaluation:
        """The weighted least squares problem that starts the iteration at given η (K, n) rather than θ.

        Around η the log-likelihood of a row is u δ − ½ δᵀWδ + const in δ = Jθ + offset − η, so its gradient at
        θ = 0 is Jᵀ(u + W(η − offset)) and its information JᵀWJ: this is the first step of iteratively
        reweighted least squares, from R's `mustart` (McCullagh and Nelder 1989, section 2.5). With `project` the
        score u is left out: the problem of the θ whose Jθ + offset comes nearest to η itself.
        """

        def one(block: Block) -> Sums:
            here = np.empty((len(eta), len(block.y)))
            here[:, : block.rows] = eta[:, block.start : block.start + block.rows]
            here[:, block.rows :] = here[:, block.fill, None]
            target = here[:, : block.rows]
            if block.offset is not None:
                target = target - block.offset
            return self._block(block, here, self.predictor.at(block, zero)[1], need, target, project)

        zero = np.zeros(self.n_params)
        return self._penalised(zero, sum_blocks(self.executor, one, self.blocks))

    def design_root(self, theta: np.ndarray) -> Root:
        """The rows J_i of positive weight as a triangle: what the design alone says about rank, whatever W is."""
        K = self.predictor.n_predictors

        def one(block: Block) -> Root:
            counts = (block.weight[: block.rows] > 0).astype(float)
            roots = np.eye(K)[:, :, None] * counts
            A = self.predictor.at(block, theta)[1].scaled_rows(roots)
            return Root.of(np.column_stack([A, np.zeros(len(A))]))

        root: Root = sum_blocks(self.executor, one, self.blocks)
        if self.penalty is None:
            return root
        ridge = penalised(root, self.penalty, np.zeros(self.n_params))
        assert isinstance(ridge, Root)
        return ridge

    def information_product(self, curvature: list[BlockCurvature], v: np.ndarray) -> np.ndarray:
        """M v, one reading of the data and no p × p matrix."""
        product = sum_blocks(self.executor, lambda part: part.product(v), curvature)
        return product if self.penalty is None else product + self.penalty @ v

    def information_diagonal(self, curvature: list[BlockCurvature]) -> np.ndarray:
        """Diagonal of Σ JᵀWJ + P."""
        diagonal = sum_blocks(self.executor, lambda part: part.diagonal(), curvature)
        return diagonal if self.penalty is None else diagonal + np.diag(self.penalty)

    def _block(
        self,
        block: Block,
        eta: np.ndarray,
        jacobian: Jacobian,
        need: Need,
        target: np.ndarray | None = None,
        project: bool = False,
    ) -> Sums:
        curved = target is not None or any(kind != "opg" for kind in need.kinds)
        rows = block_rows(self.family, block, eta, curved)
        m = block.rows
        if not math.isfinite(rows.total):
            # Outside the domain nothing else has a meaning; the search steps back.
            return Sums(rows.total, np.zeros(self.n_params), 0.0, 0.0, {})
        score = rows.score
        if target is not None:
            working = np.einsum("klm,lm->km", rows.expected, target)
            score = working if project else score + working
        information: dict[str, Gram | Root] = {}
        curvature: list[BlockCurvature] = []
        triangle: np.ndarray | None = None
        for kind in need.kinds:
            W = self._row_information(kind, rows, block, score)
            if need.products:
                curvature.append(BlockCurvature(jacobian, W, score if kind == "observed" else None))
                break
            second_order = jacobian.second_order(score) if kind == "observed" else None
            if triangle is not None and kind != "opg":
                information[kind] = Root(triangle, second_order)
                continue
            roots = row_roots(W, score) if need.root else None
            if roots is not None:
                A = jacobian.scaled_rows(roots[0])
                root = information[kind] = Root.of(np.concatenate([A, roots[1].reshape(-1, 1)], axis=1), second_order)
                if self.family.canonical and kind != "opg":
                    triangle = root.triangle  # that of the other kind too: but for the second-order term they are one
            else:
                M = jacobian.information(W)
                information[kind] = Gram(M if second_order is None else M + second_order)
        pearson = 0.0
        if self.residual_df is not None:
            mean = rows.mean[0]
            pearson = pearson_statistic(block.y[:m], mean, self.family.variance(mean), block.weight[:m])
        return Sums(rows.total, jacobian.transpose_product(score), pearson, rows.highest, information, curvature)

    def _row_information(self, kind: Kind, rows: Any, block: Block, score: np.ndarray) -> np.ndarray:
        if kind == "opg":
            W = score[:, None] * score[None]
            if self.copies is not None:
                # `score` is c u; c copies of the row give c u uᵀ, and (c u)(c u)ᵀ is c times that.
                copies = self.copies[block.start : block.start + block.rows]
                W = W / np.where(copies > 0, copies, 1.0)
            return W
        return rows.observed if kind == "observed" else rows.expected

    def _penalised(self, theta: np.ndarray, sums: Sums) -> Evaluation:
        value, score, information = sums.value, sums.score, sums.information
        dispersion, added = 1.0, 0.0
        if self.residual_df is not None and self.residual_df > 0 and math.isfinite(value) and sums.pearson > 0:
            dispersion = sums.pearson / self.residual_df
        if dispersion != 1.0 and "opg" in information:
            # The score at dispersion φ is u/φ, so the outer product of scores is (Σ u uᵀ)/φ²; as every
            # matrix here stands for φM, it is (Σ u uᵀ)/φ.
            information["opg"] = scaled(information["opg"], 1.0 / dispersion)
        if self.penalty is not None:
            added = -0.5 * float(theta @ self.penalty @ theta)
            value = value + added
            score = score - self.penalty @ theta
            for kind, part in information.items():
                information[kind] = penalised(part, self.penalty, theta)
        if "expected" in information and self.same("observed") == "expected":
            information["observed"] = information["expected"]
        return Evaluation(
            theta, value, score, information, dispersion, sums.highest, sums.curvature, self.n_rows, added
        )


def projected(part: Gram | Root, basis: np.ndarray) -> Gram | Root:
    """NᵀMN: M as γ sees it where θ moves by Nγ, for N (p, r)."""
    if isinstance(part, Gram):
        return Gram(basis.T @ part.matrix @ basis)
    second_order = None if part.second_order is None else basis.T @ part.second_order @ basis
    return Root.of(np.column_stack([part.triangle[:, :-1] @ basis, part.triangle[:, -1]]), second_order)


def triangularised(rows: np.ndarray) -> np.ndarray:
    """R of the QR decomposition of rows (m, n), (min(m, n), n).

    LAPACK is called itself: for the few rows of a small curve NumPy's own call takes ten times as long.

    Examples
    --------
    >>> abs(triangularised(np.array([[3.0, 1.0], [4.0, 2.0]]))).round(3).tolist()
    [[5.0, 2.2], [0.0, 0.4]]
    """
    m, n = rows.shape
    if not m or not n:
        return np.zeros((min(m, n), n))
    R = dgeqrf(rows, lwork=32 * n)[0][:n]
    return np.where(_above(*R.shape), R, 0.0)


@cache
def _above(m: int, n: int) -> np.ndarray:
    mask = np.triu(np.ones((m, n), dtype=bool))
    mask.flags.writeable = False
    return mask


def pearson_statistic(y: np.ndarray, mean: np.ndarray, variance: np.ndarray, weight: np.ndarray) -> float:
    """Σ w (y − μ)²/V(μ); a response that is certain and right (V = 0, y = μ) adds nothing."""
    residual = y - mean
    if variance.size and variance.min() > 0 and weight.min() > 0:
        return float(np.sum(weight * residual * residual / variance))
    certain = (weight <= 0) | ((residual == 0) & (variance == 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.sum(np.where(certain, 0.0, weight * residual * residual / variance)))


def penalised(part: Gram | Root, penalty: np.ndarray, theta: np.ndarray) -> Gram | Root:
    """M + P; in root form the rows B with BᵀB = P and right-hand side −Bθ are added: Bᵀ(−Bθ) = −Pθ."""
    if isinstance(part, Gram):
        return Gram(part.matrix + penalty)
    values, vectors = np.linalg.eigh(penalty)
    B = (vectors * np.sqrt(np.maximum(values, 0.0))).T
    return Root.of(np.concatenate([part.triangle, np.column_stack([B, -B @ theta])]), part.second_order)


def scaled(part: Gram | Root, factor: float) -> Gram | Root:
    """factor · M; the right-hand side z grows by 1/√factor so that Aᵀz stays the score."""
    if isinstance(part, Gram):
        return Gram(part.matrix * factor)
    triangle = part.triangle * np.sqrt(factor)
    triangle[:, -1] /= factor
    return Root(triangle, None if part.second_order is None else part.second_order * factor)


def row_roots(W: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Per row, a square root of the information and the right-hand side that goes with it.

    Parameters
    ----------
    W : (K, K, m) row information.
    score : (K, m) row scores.

    Returns
    -------
    (roots (K, K, m), z (K, m)) with Σ_r a_r a_rᵀ = W and Σ_r a_r z_r = u for the rows a_r of roots, or None if
    some W is not positive semidefinite or u is outside its range. For K = 1, a = √W and z = u/√W: the working residual.
    """
    if len(W) == 1:
        w = W[0, 0]
        if w.size and w.min() < 0:
            return None
        a, nothing = np.sqrt(w), w == 0
        if score[0][nothing].any():
            return None  # as with Huber's loss: no right-hand side makes up for the rows without information
        z = score[0] / np.where(nothing, 1.0, a)
        return a[None, None], z[None]
    if not np.isfinite(W).all():
        return None  # the second derivatives of some row are not finite: LAPACK would look for eigenvalues in vain
    # Each predictor in units of its own, so that what is small beside another's information is not taken for rounding:
    # W = D (V Λ Vᵀ) D. Powers of two round nothing.
    largest = np.abs(np.einsum("kkm->km", W)).max(axis=1, initial=0.0)
    D = np.exp2(np.round(0.5 * np.log2(np.where(largest > 0, largest, 1.0))))
    W, score = W / D[:, None, None] / D[:, None], score / D[:, None]
    values, vectors = np.linalg.eigh(np.moveaxis(W, 2, 0))  # (m, K), (m, K, K)
    largest = np.maximum(values[:, -1:], 0.0)
    if (values < -1e-13 * largest).any():
        return None
    projected = np.einsum("mkr,km->mr", vectors, score)
    # A direction in which both are rounding, as of classes that are certain together, has nothing to say: the square
    # root would make 1e-17 of it 3e-9, which is no longer told from information.
    rounding = (values <= 8.0 * EPSILON * largest) & (
        np.abs(projected) <= 8.0 * EPSILON * np.abs(score.T).max(axis=1)[:, None]
    )
    kept = (values > 1e-300) & ~rounding
    a = np.where(kept, np.sqrt(np.maximum(values, 0.0)), 0.0)  # (m, r)
    z = np.divide(projected, a, out=np.zeros_like(a), where=kept)
    return np.transpose(vectors * a[:, None, :], (2, 1, 0)) * D[:, None], z.T
