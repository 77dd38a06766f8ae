"""The log-likelihood of a model, its score and information, summed over blocks of rows.

    ℓ(θ) = Σ w_i log f(y_i | η_i) − ½ θᵀPθ        at unit dispersion
    ∇ℓ   = Σ J_iᵀ w_i u_i − Pθ
    M    = Σ J_iᵀ w_i W_i J_i + B + P              W: observed, expected or u uᵀ

where B = −Σ w_i u_i ∂²η_i/∂θ² enters the observed information of a predictor that is not linear in θ.
"""
# pyright: strict, reportConstantRedefinition=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.cached import cached_property
from raphson.data.blocks import SAMPLE_ROWS, Block, StreamedBlocks, in_doubles, total_rows
from raphson.data.crossed import Crossed
from raphson.data.factor_design import FactorDesign
from raphson.data.pieced_design import PiecedDesign
from raphson.data.products import row_shares
from raphson.execute import Executor, serial, sum_blocks
from raphson.frozen import frozen
from raphson.model.block_sums import BlockInformation, BlockOperator, Sums
from raphson.model.families.kernels import Kernel
from raphson.model.few_rows import FewRows
from raphson.model.fused import PieceSums, pearson, read
from raphson.model.objective import (
    VALUE,
    Bounds,
    Evaluation,
    Gram,
    Kind,
    Need,
    Objective,
    Root,
    penalised,
    scaled,
)
from raphson.model.predictor import Jacobian, LinearPredictor, Predictor
from raphson.model.row_roots import row_roots
from raphson.model.rows import FEW_ROWS, block_rows

if TYPE_CHECKING:
    from raphson.model.device_rows import DeviceRows
    from raphson.model.families.joint_kernels import JointKernel
    from raphson.model.least_squares_rows import LeastSquaresRows
    from raphson.model.walls import Edges

TABLES_COST = 2.5
"""As :attr:`Objective.curvature_cost`, of a design of factors, whose products add up tables: of 8 factors with 228
columns a reading of 1,000,000 rows takes 103 ms with the information and 40 for the score alone."""

SHARED = 13.0
"""Parameters of several predictors with one design whose information takes as long as a score. Of K = 4 and 5, 20 and
50 columns a reading with it took 3.7, 6.2 to 7.4 and 15 times as long as without."""

FEW_TABLES_COST = 1.75
"""Cost of an information of a design of factors, in readings for the score alone, below which every step has a new one:
of 4 factors and a number, in one table, it is 1.4. A part of the rows has few of rare levels, so that its information
leads on more slowly than expected: of 327,346 rows six scores and two informations were read with a kept one, and one
and four are now."""

STREAM_PATIENCE = 1.5
"""As :attr:`Objective.patience`, of rows that are read anew each time: the information of a logistic regression of 10
columns takes a fifth of a reading from Parquet, so that it is cheaper to have it once more than to read once more."""


MOST_SHARES = 1_000
"""Largest number of columns for which it is looked at how many rows each rests on: of 4,096 rows 32 MB."""

LOST_DIGITS = 1e3
"""Largest ratio of the sum of squares at the start to that at the maximum for the difference to be taken: it is then
off by ε times that, and keeps twelve digits."""

MISFIT = 1e6
"""Ratio of Pearson's statistic to the deviance beyond which it tells how far the means are off. At a maximum, single
rows with responses of many thousand times their means could reach it."""


@frozen
class LogLikelihood(Objective):
    """The log-likelihood of a family, a predictor and data, less a penalty.

    Attributes
    ----------
    family : the family; its parameters are those of the traced density.
    predictor : from θ to η.
    blocks : the data.
    penalty : (p, p) or None.
    executor : where sums over blocks run.
    copies : (n,) how many observations each row stands for, where weights are counts: w scores u, not one score w u; or
        a function that gives those of a block.
        None if every row is one observation.
    residual_df : divisor of Pearson's statistic for φ̂; None where the family fixes φ = 1.
    at_limit : whether some rows are held at infinity, so that columns which only they determine are rightly left out.
    bounds : (lower, upper), each (p,), the box that θ is kept in; None for none.
    project : from a trial θ to the best one with the same nonlinear parameters (variable projection); None where
        there is nothing to project.
    projected : (p,) mask of the parameters that `project` finds.
    prior : (p,) precisions of a weak prior, no part of ℓ: it gives a scale to directions that the data do not
        determine. None where every parameter is to be determined.
    with_noise : adds to an evaluation how much of it may be noise in the predictor; None where there is only rounding.
    crossed : XᵀX, which is the expected information, and Xᵀy; None where the rows are to be read for them.
    """

    family: Any
    predictor: Predictor
    blocks: Sequence[Block]
    penalty: np.ndarray | None = None
    executor: Executor = field(default_factory=serial)
    copies: np.ndarray | Callable[[Block], np.ndarray] | None = None
    residual_df: float | None = None
    # Fields of a frozen dataclass and cached properties may stand in for the properties that they override.
    at_limit: bool = False  # pyright: ignore[reportIncompatibleMethodOverride]
    bounds: Bounds | None = None  # pyright: ignore[reportIncompatibleMethodOverride]
    project: Callable[[np.ndarray], np.ndarray] | None = None
    projected: np.ndarray | None = None  # pyright: ignore[reportIncompatibleMethodOverride]
    prior: np.ndarray | None = None  # pyright: ignore[reportIncompatibleMethodOverride]
    with_noise: Callable[[Evaluation], Evaluation] | None = None
    crossed: Crossed | None = None

    def for_workers(self) -> LogLikelihood:
        """The same without the rows and without moves of θ: what sums over some rows in another process."""
        return replace(self, blocks=(), executor=serial(), project=None, projected=None, with_noise=None, crossed=None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_on_device"}  # a copy finds its own

    @property
    def n_params(self) -> int:
        return self.predictor.n_params

    @cached_property
    def n_rows(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        return total_rows(self.blocks)

    @property
    def by_rows(self) -> LogLikelihood:
        """The same as a sum over single rows, where equal ones are merged."""
        return self

    @property
    def responses(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Responses and weights, each (m,), of the rows that are read, where equal ones are merged."""
        return None

    @property
    def n_blocks(self) -> int:
        return len(self.blocks)

    @cached_property
    def few(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._few is not None:
            return not self.at_limit
        light = getattr(self.predictor, "light", None)
        return self._squares is not None and light is not None and self._squares.few(self.n_params, light)

    @property
    def curvature_cost(self) -> float:
        dense = self._streamed or all(isinstance(X, np.ndarray | PiecedDesign) for X in self.blocks[0].designs)
        if not dense:
            return TABLES_COST
        predictor = self.predictor
        if isinstance(predictor, LinearPredictor) and not self._streamed:
            several = len(set(predictor.design)) == 1 < predictor.n_predictors
            return 1.0 + self.n_params / SHARED if several else super().curvature_cost
        return super().curvature_cost

    @property
    def patience(self) -> float:
        if self._streamed:
            return STREAM_PATIENCE
        X = self.blocks[0].designs[0]
        one = isinstance(X, FactorDesign) and self.predictor.n_predictors == 1
        if one and X.layout.curvature_cost < FEW_TABLES_COST:
            return 0.0
        return super().patience

    @property
    def row_shares(self) -> np.ndarray | None:
        one = isinstance(self.predictor, LinearPredictor) and self.predictor.n_predictors == 1
        if not one or self._streamed or self.n_params > MOST_SHARES:
            return None
        return row_shares([block.designs[0] for block in self.blocks])

    @property
    def most_part_rows(self) -> float:
        return SAMPLE_ROWS if self._streamed else math.inf

    @property
    def _streamed(self) -> bool:
        return isinstance(self.blocks, StreamedBlocks)

    @property
    def linear(self) -> bool:
        return self.predictor.linear

    @property
    def main_kind(self) -> Kind:
        """The kind of information that is always available: the expected one, where the family knows it."""
        return self.family.main_information

    def same(self, kind: Kind) -> Kind:
        """The kind to compute when `kind` is wanted: with a canonical link observed and expected are the same.

        That holds for predictors linear in θ. Others add the second-order term to the observed information.
        """
        return "expected" if kind == "observed" and self.family.canonical and self.predictor.linear else kind

    def moved(self, theta: np.ndarray, step: np.ndarray, project: bool = True) -> np.ndarray:
        """θ + step, clipped to the bounds and projected."""
        there = super().moved(theta, step)
        return self.project(there) if project and self.project is not None else there

    @cached_property
    def edges(self) -> Edges | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The ends of the means' domain that rows may lie at; None where there are none."""
        low, high = self.family.domain
        if not self.predictor.linear or (math.isinf(low) and math.isinf(high)):
            return None
        from raphson.model.walls import Edges

        return Edges(self.family, self.predictor, self._sum)

    @property
    def concave(self) -> bool:
        """Whether ℓ is concave in θ, so that a point where it does not rise is the maximum."""
        return self.predictor.linear and self.family.log_concave

    @property
    def quadratic(self) -> bool:
        return self.predictor.linear and self.family.quadratic

    def constant(self, kind: Kind) -> bool:
        return self.quadratic or (kind == "expected" and self.predictor.linear and self.family.unit_information)

    def addition(self, theta: np.ndarray) -> float:
        """−½ θᵀPθ."""
        return 0.0 if self.penalty is None else -0.5 * float(theta @ self.penalty @ theta)

    def expanded(self, here: Evaluation, step: np.ndarray) -> Evaluation | None:
        """By ℓ(θ + s) = ℓ + ∇ℓᵀs − ½ sᵀMs; the sum of squares falls by twice what ℓ without the penalty rises by."""
        part = here.information.get(self.main_kind)
        if not self.quadratic or not isinstance(part, Gram) or self.with_noise is not None:
            return None
        theta, fall = here.theta + step, part.matrix @ step
        value = here.value + float(here.score @ step) - 0.5 * float(step @ fall)
        added = self.addition(theta)
        if not value - added < 0 or here.value - here.added < LOST_DIGITS * (value - added):
            return None
        there = replace(here, theta=theta, value=value, score=here.score - fall, added=added)
        if self.residual_df is None:
            return there
        pearson = here.pearson - 2.0 * (value - added - here.value + here.added)
        if not self.residual_df > 0 or not pearson > 0:
            return None
        return replace(there, pearson=pearson, dispersion=pearson / self.residual_df)

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        """Value, score and the information asked for, at θ (p,)."""
        found = self._evaluated(theta, need)
        return found if self.with_noise is None else self.with_noise(found)

    def _evaluated(self, theta: np.ndarray, need: Need) -> Evaluation:
        if "observed" in need.kinds and self._one_information:
            need = replace(need, kinds=tuple(dict.fromkeys(self.same(kind) for kind in need.kinds)))
        summed, few = need.summed, self._few
        if few is not None and summed and not need.root:
            there = few.read(theta, need.observed)
            if there is not None:
                return self._of_few(theta, there, need.kinds)
        if self._on_device is not None:
            sums = self._on_device.read(theta, need, lambda: self._about("evaluate", theta, need))
            if sums is not None:
                return self._penalised(theta, sums)
        if self._squares is not None and summed and (need.root or not need.kinds):
            return self._of_squares(self._squares, theta, need)

        fused = summed and not need.root and (self._kernel is not None or self._joint_kernel is not None)
        wanted = need.kinds
        if fused and self.crossed is not None:
            need = replace(need, kinds=tuple(kind for kind in wanted if kind != "expected"))

        def one(block: Block) -> Sums:
            read = fused and block.rows > FEW_ROWS
            # The kernel of one predictor makes doubles of pieces by itself, and products keep the design as it is.
            doubles = block if need.products or (read and self._kernel is not None) else in_doubles(block)
            if read and (self._kernel is not None or all(isinstance(X, np.ndarray) for X in doubles.designs)):
                found = self._read(doubles, theta, need)
                if found is not None:
                    return found
            return self._block(block, *self.predictor.at(doubles, theta), need)

        sums = self._crossed(theta) if need.kinds != wanted else None
        if sums is None:
            sums = self._sum(one, "evaluate", theta, need)
        if need.kinds != wanted and self.crossed is not None and math.isfinite(sums.value):
            sums.information = {"expected": Gram(self.crossed.gram), **sums.information}
        return self._penalised(theta, sums)

    def _crossed(self, theta: np.ndarray) -> Sums | None:
        """The sums at θ = 0 where XᵀX and Xᵀy, of rows of weight 1, say all of them; None elsewhere."""
        known = self.crossed
        if known is None or not self.quadratic or theta.any() or self.blocks[0].offset is not None:
            return None
        pearson = 0.0 if self.residual_df is None else known.squares
        return Sums(-0.5 * known.squares, known.product, pearson, -math.inf, {})

    @cached_property
    def _on_device(self) -> DeviceRows | None:
        """The rows on the executor's device, if it has one and they can be traced."""
        device = getattr(self.executor, "device", None)
        if device is None:
            return None
        from raphson.model.device_rows import DeviceRows

        return DeviceRows.of(self, device)

    def device_triangle(self, theta: np.ndarray) -> np.ndarray | None:
        """The triangle of √w [J, y − η] of a least squares problem, (≤ p + 1, p + 1); None if no device reads it."""
        if self._on_device is None or not self.family.quadratic or self.predictor.n_predictors != 1:
            return None
        need = Need(("expected",), root=True)
        sums = self._on_device.read(theta, need, lambda: self._about("projection", theta))
        found = None if sums is None else sums.information.get("expected")
        return found.triangle if isinstance(found, Root) else None

    @cached_property
    def _few(self) -> FewRows | None:
        """The rows of one linear predictor laid out for many readings, where they are few."""
        if self._on_device is not None:
            return None
        if not isinstance(self.predictor, LinearPredictor) or len(self.predictor.widths) != 1:
            return None
        return FewRows.of(self.family, self.blocks, self.residual_df is not None)

    @property
    def _kernel(self) -> Kernel | None:
        """The rows by hand, of one linear predictor whose family has them."""
        if not isinstance(self.predictor, LinearPredictor) or self.predictor.n_predictors != 1:
            return None
        return self.family.kernel

    @cached_property
    def _squares(self) -> LeastSquaresRows | None:
        """The rows of a curve that is fitted by least squares, laid out for many readings, where they are one block."""
        if self.predictor.linear or self._streamed or self._on_device is not None:  # streamed rows are not kept
            return None
        from raphson.model.least_squares_rows import LeastSquaresRows

        return LeastSquaresRows.of(self.family, self.blocks)

    @property
    def _joint_kernel(self) -> JointKernel | None:
        """The rows by hand, of several linear predictors whose family has them."""
        if not isinstance(self.predictor, LinearPredictor) or self.predictor.n_predictors == 1:
            return None
        return self.family.joint_kernel if self.residual_df is None else None

    def _read(self, block: Block, theta: np.ndarray, need: Need) -> Sums | None:
        """The sums over a block by rows by hand; None where they are left to the block's own."""
        observed = tuple(kind == "observed" for kind in need.kinds)
        dispersed = self.residual_df is not None
        found: PieceSums | None
        if self._kernel is not None:
            found = read(self._kernel, block, theta, observed, dispersed, self.family.unit_information)
        else:
            assert isinstance(self.predictor, LinearPredictor) and self._joint_kernel is not None
            from raphson.model.fused_several import read_jointly

            found = read_jointly(self._joint_kernel, block, self.predictor, theta, observed)
        return None if found is None else self._sums(found, need.kinds)

    def _sums(self, found: PieceSums, kinds: Sequence[Kind]) -> Sums:
        """Sums over pieces as sums over blocks; outside the domain there is no information."""
        information: dict[str, Gram | Root] = {}
        if math.isfinite(found.value):
            information = {kind: Gram(matrix) for kind, matrix in zip(kinds, found.matrices, strict=True)}
        pearson = 0.0 if self.residual_df is None else found.variation
        return Sums(found.value, found.score, pearson, found.highest, information)

    def _of_few(self, theta: np.ndarray, found: PieceSums, kinds: Sequence[Kind]) -> Evaluation:
        """The evaluation that has the sums of few rows; nearly always nothing is to be added to them."""
        if not self._as_summed or not math.isfinite(found.value):
            return self._penalised(theta, self._sums(found, kinds))
        information: dict[str, Gram | Root] = {
            kind: Gram(matrix) for kind, matrix in zip(kinds, found.matrices, strict=True)
        }
        if self._one_information and "expected" in information:
            information["observed"] = information["expected"]
        return Evaluation(theta, found.value, found.score, information, 1.0, found.highest, self.n_rows)

    @cached_property
    def _as_summed(self) -> bool:
        """Whether sums over rows are the objective's as they are: no penalty or dispersion comes to them."""
        return self.penalty is None and self.residual_df is None

    @cached_property
    def _one_information(self) -> bool:
        """Whether the observed information is the expected one."""
        return self.same("observed") == "expected"

    def _of_squares(self, rows: LeastSquaresRows, theta: np.ndarray, need: Need) -> Evaluation:
        """The evaluation by the rows of a curve, matrices in root form."""
        (block,) = self.blocks
        eta, jacobian = self.predictor.at(block, theta)
        value, score, u, triangle = rows.read(eta[0, : block.rows], jacobian.parts[0], bool(need.kinds))
        information: dict[str, Gram | Root] = {}
        if triangle is not None:
            for kind in need.kinds:
                information[kind] = Root(triangle, jacobian.second_order(u) if kind == "observed" else None)
        dispersed = self.residual_df is not None and math.isfinite(value)
        pearson = -2.0 * value if dispersed else 0.0
        if self.penalty is not None or self._one_information:
            return self._penalised(theta, Sums(value, score, pearson, -math.inf, information))
        dispersion = self._dispersion(value, pearson)
        pearson = math.nan if self.residual_df is None else pearson
        return Evaluation(theta, value, score, information, dispersion, -math.inf, self.n_rows, pearson=pearson)

    def linearised(self, eta: np.ndarray, need: Need, project: bool = False) -> Evaluation:
        """The weighted least squares problem that starts the iteration at given η (K, n) rather than θ.

        Around η the log-likelihood of a row is u δ − ½ δᵀWδ + const in δ = Jθ + offset − η, so its gradient at
        θ = 0 is Jᵀ(u + W(η − offset)) and its information JᵀWJ: this is the first step of iteratively
        reweighted least squares, from R's `mustart` (McCullagh and Nelder 1989, section 2.5). With `project` the
        score u is left out: the solution is the θ whose Jθ + offset is nearest to η itself.
        """
        if self._few is not None and need.kinds == ("expected",):
            there = self._few.linearised(eta[0], project)
            if there is not None:
                return self._of_few(np.zeros(self.n_params), there, need.kinds)

        def one(block: Block) -> Sums:
            here = np.empty((len(eta), len(block.y)))
            here[:, : block.rows] = eta[:, block.start : block.start + block.rows]
            here[:, block.rows :] = here[:, block.fill, None]
            target = here[:, : block.rows]
            if block.offset is not None:
                target = target - block.offset
            return self._block(block, here, self.predictor.at(block, zero)[1], need, target, project)

        zero = np.zeros(self.n_params)
        return self._penalised(zero, self._sum(one, "linearised", need))

    def design_root(self, theta: np.ndarray) -> Root:
        """The triangle of the rows J_i of positive weight, for the rank of the design whatever W is."""
        K = self.predictor.n_predictors

        def one(block: Block) -> Root:
            counts = (block.weight[: block.rows] > 0).astype(float)
            roots = np.eye(K)[:, :, None] * counts
            A = self.predictor.at(block, theta)[1].scaled_rows(roots)
            return Root.of(np.column_stack([A, np.zeros(len(A))]))

        root: Root = self._sum(one, "design", theta)
        if self.penalty is None:
            return root
        ridge = penalised(root, self.penalty, np.zeros(self.n_params))
        assert isinstance(ridge, Root)
        return ridge

    def _sum(self, function: Callable[[Block], Any], *about: Any) -> Any:
        """Sum of a function over the blocks."""
        return sum_blocks(self.executor, function, self.blocks, lambda: self._about(*about))

    def _about(self, *about: Any) -> tuple[Any, ...]:
        """What a sum over the rows is of."""
        return (type(self).__name__, repr(self.family), self.at_limit, *about)

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
            # Outside the domain nothing else is defined; the search steps back.
            return Sums(rows.total, np.zeros(self.n_params), 0.0, 0.0, {})
        score = rows.score
        if target is not None:
            working = np.einsum("klm,lm->km", rows.expected, target)
            score = working if project else score + working
        information: dict[str, Gram | Root] = {}
        operators: list[BlockInformation] = []
        triangle: np.ndarray | None = None
        for kind in need.kinds:
            W = self._row_information(kind, rows, block, score)
            if need.products:
                operators.append(BlockInformation(jacobian, W, score if kind == "observed" else None))
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
                    triangle = root.triangle  # the other kind has the same one: only the second-order term differs
            else:
                M = jacobian.information(W)
                information[kind] = Gram(M if second_order is None else M + second_order)
        pearson = 0.0
        if self.residual_df is not None:
            mean = rows.mean[0]
            with np.errstate(over="ignore"):
                variance = self.family.variance(mean)
            pearson = pearson_statistic(block.y[:m], mean, variance, block.weight[:m])
        return Sums(rows.total, jacobian.transpose_product(score), pearson, rows.highest, information, operators)

    def _row_information(self, kind: Kind, rows: Any, block: Block, score: np.ndarray) -> np.ndarray:
        if kind == "opg":
            W = score[:, None] * score[None]
            if self.copies is not None:
                # `score` is c u; c copies of the row give c u uᵀ, and (c u)(c u)ᵀ is c times that.
                here = slice(block.start, block.start + block.rows)
                copies = self.copies(block) if callable(self.copies) else self.copies[here]
                W = W / np.where(copies > 0, copies, 1.0)
            return W
        return rows.observed if kind == "observed" else rows.expected

    def _dispersion(self, value: float, pearson: float) -> float:
        """φ̂ by Pearson's statistic X² over its degrees of freedom; 1 where it is known or cannot be told.

        With means far below the responses X² is orders of magnitude above the deviance D: with the log link
        Σ(y/μ)² beside 2Σ y/μ. By such a φ̂ the distance √(∇ℓᵀM⁻¹∇ℓ/φ̂) seems 0 where a step M⁻¹∇ℓ still divides the
        means by e; by D/(n − p) it is of the order of √n.
        """
        df = self.residual_df
        if df is None or not df > 0 or not pearson > 0 or not math.isfinite(value):
            return 1.0
        if self.family.bounds_deviance and pearson > MISFIT * -2.0 * value > 0:
            return -2.0 * value / df
        return pearson / df if math.isfinite(pearson) else 1.0

    def _penalised(self, theta: np.ndarray, sums: Sums) -> Evaluation:
        value, score, information = sums.value, sums.score, sums.information
        dispersion, added = self._dispersion(value, sums.pearson), 0.0
        if dispersion != 1.0 and "opg" in information:
            # The score at dispersion φ is u/φ, so the outer product of scores is (Σ u uᵀ)/φ². Every matrix
            # here is φM, so it becomes (Σ u uᵀ)/φ.
            information["opg"] = scaled(information["opg"], 1.0 / dispersion)
        if self.penalty is not None:
            added = self.addition(theta)
            value = value + added
            score = score - self.penalty @ theta
            for kind, part in information.items():
                information[kind] = penalised(part, self.penalty, theta)
        if self._one_information and "expected" in information:
            information["observed"] = information["expected"]
        operator = BlockOperator(sums.operators, self.penalty, self.executor) if sums.operators else None
        pearson = math.nan if self.residual_df is None else sums.pearson
        return Evaluation(
            theta,
            value,
            score,
            information,
            dispersion,
            sums.highest,
            self.n_rows,
            operator,
            added,
            pearson=pearson,
        )


def pearson_statistic(y: np.ndarray, mean: np.ndarray, variance: np.ndarray, weight: np.ndarray) -> float:
    """Σ w (y − μ)²/V(μ); a response that is certain and right (V = 0, y = μ) adds nothing."""
    return pearson(y - mean, variance, weight)
