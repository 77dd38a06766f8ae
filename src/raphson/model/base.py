"""A model with its data: a family, a predictor, a response, and what the iteration and the Fit read of them.

Subclasses say what the predictor is and where to start: :mod:`raphson.model.glm.glm` and its fellows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, get_args

import numpy as np

from raphson.cached import cached_property
from raphson.choices import WeightsKind
from raphson.data import ModelData
from raphson.data.blocks import Block, make_blocks
from raphson.data.sample_rows import spread_rows
from raphson.data.varying.term import VaryingTerm
from raphson.errors import ModelError, check_choice
from raphson.execute import Executor, serial
from raphson.model.bias.reduction import reduced
from raphson.model.families.distribution import Distribution
from raphson.model.log_likelihood import LogLikelihood, pearson_statistic
from raphson.model.objective import Evaluation, Objective
from raphson.model.predictor import LinearPredictor, Predictor
from raphson.model.problem import Problem
from raphson.model.replicates import Replicates
from raphson.model.rows import block_rows
from raphson.model.spread import Spread

Sampler = Callable[[np.random.Generator, int], np.ndarray]
"""``(rng, count) -> (count, n)`` responses."""


@dataclass(frozen=True)
class RowTable:
    """Row quantities of a whole data set at one θ.

    Attributes
    ----------
    value : (n,) unit-dispersion log density, up to terms without η, unweighted.
    score : (K, n) weighted row scores w u.
    observed, expected : (K, K, n) weighted row information.
    mean : (C, n).
    slope : (C, K, n) ∂mean/∂η.
    eta : (K, n) linear predictors, offset included.
    """

    value: np.ndarray
    score: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    mean: np.ndarray
    slope: np.ndarray
    eta: np.ndarray


def row_table(family: Distribution, predictor: Predictor, blocks: Sequence[Block], theta: np.ndarray) -> RowTable:
    """Evaluate every row at θ."""
    parts = []
    for block in blocks:
        with np.errstate(all="ignore"):
            eta = predictor.eta(block, theta)
            rows = block_rows(family, block, eta)
            eta = eta[:, : block.rows]
            parts.append((rows.value, rows.score, rows.observed, rows.expected, rows.mean, rows.slope, eta))
    return RowTable(*(np.concatenate(pieces, axis=-1) for pieces in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Model(Problem):
    """Family, predictor and response.

    Attributes
    ----------
    family : with levels and parameters filled in.
    data : covariates, index, schema.
    y : (n,) response as the family sees it.
    weight : (n,) or None; times the number of trials.
    size : (n,) trials, or None.
    weights_kind : "precision", "frequency" or "sampling".
    penalty : (p, p) or None.
    executor : where sums over blocks run.
    bias : "firth" for Firth's bias reduction, "jeffreys" for Jeffreys' penalty, or None.
    """

    family: Distribution
    data: ModelData
    y: np.ndarray
    weight: np.ndarray | None
    size: np.ndarray | None
    weights_kind: str
    penalty: np.ndarray | None = None
    executor: Executor = field(default_factory=serial)
    bias: str | None = None

    def for_workers(self) -> Self:
        """The same with its sums in the calling thread, and without what was derived: what goes to other processes."""
        return replace(self, executor=serial())

    # -- structure: what a subclass says ---------------------------------------------------------------------

    @property
    def predictor(self) -> Predictor:
        """From θ to η."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters that the user sees; auxiliary ones follow them in θ."""
        raise NotImplementedError

    @property
    def blocks(self) -> Sequence[Block]:
        """The data."""
        raise NotImplementedError

    def null_model(self, family: Distribution) -> Model | None:
        """The model of a constant mean (and the offset) with the family's parameters fixed; None if there is none."""
        raise NotImplementedError

    def designs(self, theta: np.ndarray) -> list[Any]:
        """The derivative of each predictor: K matrices (n, p_k), or each (n, p) where the predictors share θ."""
        raise NotImplementedError

    @property
    def design_columns(self) -> list[Any]:
        """The design (n, p) of each formula's predictor."""
        return [self.data.X]

    @property
    def varying_terms(self) -> tuple[VaryingTerm, ...]:
        """The terms whose coefficients vary, each with the number of its predictor."""
        return self.data.varying

    @property
    def offsets(self) -> np.ndarray | None:
        """(n,) or (K, n) the offsets that were given; None without."""
        return self.data.offset

    def holds_constant(self, theta: np.ndarray, free: np.ndarray) -> bool:
        """Whether a constant can be added to the mean at θ, to first order, by moving the free parameters."""
        del theta, free
        return bool(self.data.has_intercept)

    @property
    def matrices(self) -> tuple[Any, ...]:
        """The distinct designs, each of n rows."""
        return (self.data.X,)

    def with_matrices(self, matrices: Sequence[Any]) -> Self:
        """The same model with other designs of the same columns."""
        (X,) = matrices
        return replace(self, data=replace(self.data, X=X))

    def subset(self, rows: slice | np.ndarray) -> Self:
        """The same model on some of its rows."""
        raise NotImplementedError

    @cached_property
    def folded(self) -> np.ndarray | None:
        """The number of each row for each of its copies, where rows stand for several by whole frequency weights.

        Raises
        ------
        ModelError
            If a frequency weight is no whole number, so that there are no copies to tell apart.
        """
        w = self.data.weights
        if w is None or self.weights_kind != "frequency" or (w == 1).all():
            return None
        if (w != np.round(w)).any():
            raise ModelError(
                "weights: expected whole frequency weights where copies of a row are told apart, as by simulations and "
                f"the scale of a robust loss; got {w[w != np.round(w)][0]:g}. Round them, use a bootstrap of rows, or "
                "give scale="
            )
        return np.repeat(np.arange(len(w)), w.astype(np.int64))

    @cached_property
    def unfolded(self) -> Self:
        """The same model with a row for each copy of one with a frequency weight: copies are observations apart."""
        rows = self.folded
        if rows is None:
            return self
        part = self.subset(rows)
        index = rows if self.data.index is None else self.data.index[rows]
        weight = None if part.weight is None or self.size is None else part.weight / part.data.weights
        return replace(part, weight=weight, data=replace(part.data, weights=None, index=index))

    @property
    def terms(self) -> dict[str, list[int]]:
        """The coefficients of each term of the formula, without the intercept; empty where the model has no terms."""
        return {}

    # -- structure: what follows -----------------------------------------------------------------------------

    @property
    def n_coefficients(self) -> int:
        """Number of parameters that the user sees: all but the family's auxiliary ones, which come last."""
        return self.predictor.n_params - len(self.family.auxiliary)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(lower, upper), each (p,), the box that θ is kept in; None for none."""
        return None

    @property
    def concave(self) -> bool:
        """Whether the log-likelihood is known to be concave in θ, so that a maximum found is the only one."""
        return self.bias is None and bool(self.likelihood.concave)

    @property
    def replicates(self) -> Replicates | None:
        """What many replicates of the model have in common; None where each has to be fitted by itself."""
        return None

    @cached_property
    def row_weight(self) -> np.ndarray:
        """(n,) weights, trials included."""
        return np.ones(len(self.y)) if self.weight is None else self.weight

    @property
    def copies(self) -> np.ndarray | None:
        """(n,) how many observations each row stands for; None if each is one. A row of weight 0 counts as none."""
        w = self.data.weights
        if w is None:
            return None
        if self.weights_kind == "frequency":
            return w
        return None if (w > 0).all() else (w > 0).astype(float)

    @cached_property
    def nobs(self) -> float:
        """Rows with positive weight, or the sum of frequency weights."""
        w = self.data.weights
        if w is None:
            return float(len(self.y))
        return float(w.sum()) if self.weights_kind == "frequency" else float(np.count_nonzero(w))

    @cached_property
    def total_weight(self) -> float:
        """Sum of the weights, without trials."""
        return float(len(self.y) if self.data.weights is None else self.data.weights.sum())

    @property
    def fitted_exactly(self) -> float:
        """How many of `nobs` are fitted exactly at infinity. They carry no information about φ."""
        return 0.0

    @cached_property
    def objective(self) -> Objective:
        """What is maximised: the likelihood, with bias reduction if asked for."""
        return self.likelihood if self.bias is None else reduced(self.likelihood, self.bias, self.bias_information)

    @property
    def bias_information(self) -> Any:
        """The kind of information whose determinant bias reduction uses."""
        return "expected"

    @property
    def at_limit(self) -> bool:
        """Whether some rows are held at infinity."""
        return False

    @cached_property
    def likelihood(self) -> LogLikelihood:
        """The log-likelihood, penalised."""
        n_free = self.predictor.n_params if self.free is None else int(np.count_nonzero(self.free))
        return LogLikelihood(
            self.family,
            self.predictor,
            self.blocks,
            self.penalty,
            self.executor,
            self.copies if self.weights_kind == "frequency" else None,
            None if self.family.dispersion_fixed else max(self.nobs - self.fitted_exactly - n_free, 1.0),
            bounds=self.bounds,
            at_limit=self.at_limit,
            **self.moves,
        )

    @property
    def moves(self) -> dict[str, Any]:
        """Fields of the log-likelihood that say how its parameters move."""
        return {}

    # -- the iteration -----------------------------------------------------------------------------------------

    def subsampled(self, every: int) -> Self:
        """The same model on one of `every` rows, from whose fit a large data set's iteration begins."""
        return self.subset(spread_rows(0, len(self.y), every))

    @property
    def covariates(self) -> np.ndarray | None:
        """(n, d) the columns that an expression reads; None for any other model."""
        return None

    @property
    def without_limit(self) -> Model:
        """The model itself, or the one that this is a limit of: nothing is held at infinity."""
        return self

    def finite_point(self, theta: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """(p,) finite parameters near a limit, from the limit's estimate (p,) and its direction (p,).

        One more step along the direction takes the rows that it moves to their limits.
        """
        return theta

    def same_kind(self, other: Model) -> bool:
        """Whether the two differ in their families, designs and data alone."""
        return type(self) is type(other)

    def why_not_nested(self, smaller: Model, theta: np.ndarray, smaller_theta: np.ndarray) -> str | None:
        """Why a smaller model is not nested in this one, judged at both estimates; an empty string where it is.

        None where the families' names and the designs decide.
        """
        return None

    def remarks(self, result: Any, dispersion: float, cov: str, met: Sequence[np.ndarray] = ()) -> list[str]:
        """Warnings about an estimate, a sentence each.

        Parameters
        ----------
        result : where the iteration ended.
        dispersion, cov : φ̂, and the kind of covariance that the standard errors come from.
        met : other points, each (p,), at which ℓ is as high.
        """
        return []

    def undetermined(self, result: Any) -> np.ndarray:
        """(p,) mask of the parameters that are not identified because an aliased column was dropped."""
        return np.zeros(self.predictor.n_params, dtype=bool)

    def with_nuisance_fixed(self, theta: np.ndarray) -> Model:
        """The model of the coefficients alone, the family's auxiliary parameters fixed at their estimates."""
        return self

    def replica(self, y: np.ndarray, counts: np.ndarray) -> Self:
        """The same model with other responses (n,) and the weights multiplied by `counts` (n,)."""
        weights = counts if self.data.weights is None else self.data.weights * counts
        weight = counts if self.weight is None else self.weight * counts
        return replace(self, y=y, weight=weight, data=replace(self.data, weights=weights))

    def sampler(self, rows: RowTable, dispersion: float) -> Sampler:
        """A function that draws (count, n) responses of the model at the parameters of `rows`.

        Raises
        ------
        ModelError
            If the family cannot be drawn from.
        """
        scale = self.scale_of_rows(dispersion)
        return lambda rng, count: self.family.sample(rng, rows.eta, rows.mean, scale, self.size, count)

    def draw(self, rng: np.random.Generator, eta: np.ndarray, dispersion: float) -> np.ndarray:
        """(count, n) responses of data sets that have predictors of their own, (count, K, n).

        Raises
        ------
        ModelError
            If the family cannot be drawn from.
        """
        count, _, n = eta.shape
        flat, scale = eta[:, 0].reshape(1, -1), np.tile(self.scale_of_rows(dispersion), count)
        size = None if self.size is None else np.tile(self.size, count)
        mean = rows_at(self.family, flat[0]).mean
        return self.family.sample(rng, flat, mean, scale, size, 1)[0].reshape(count, n)

    def scale_of_rows(self, dispersion: float) -> np.ndarray:
        """(n,) the dispersion of each row: φ/w by precision weights w; a row of weight 0 gets φ itself."""
        w, scale = self.data.weights, np.full(len(self.y), float(dispersion))
        if w is None or self.weights_kind != "precision":
            return scale
        return np.where(w > 0, scale / np.where(w > 0, w, 1.0), scale)

    # -- what the Fit reads ------------------------------------------------------------------------------------

    def rows(self, theta: np.ndarray) -> RowTable:
        """Row quantities at θ."""
        return row_table(self.family, self.predictor, self.blocks, theta)

    def rows_at(self, found: Evaluation) -> RowTable:
        """Row quantities where the objective was evaluated."""
        return self.rows(found.theta)

    def deviance(self, rows: RowTable) -> float:
        """Σ w d(y, μ̂) (McCullagh and Nelder 1989, section 2.3)."""
        return self._weighted_sum(self.family.unit_deviance(self.y, rows.mean[0], rows.value))

    def pearson(self, rows: RowTable) -> float:
        """Σ w (y − μ̂)²/V(μ̂)."""
        mean = rows.mean[0]
        return pearson_statistic(self.y, mean, self.family.variance(mean), self.row_weight)

    def spread(self, rows: RowTable) -> Spread | None:
        """Sums for a test of over- or underdispersion; None where the dispersion is estimated or cannot be tested.

        A precision weight is the number of observations, or trials, that a response is the mean of.
        """
        if not self.wider_families or not self.family.dispersion_fixed or self.weights_kind == "sampling":
            return None
        copies = self.data.weights if self.weights_kind == "frequency" else None
        count = self.row_weight
        if copies is not None:
            count = np.ones(len(self.y)) if self.size is None else self.size
        with np.errstate(all="ignore"):
            terms = self.family.spread(self.y, rows.mean[0], count)
        terms = np.where(self.row_weight > 0, terms, 0.0)
        return Spread(*(float(one) for one in (terms.sum(axis=1) if copies is None else terms @ copies)))

    @property
    def wider_families(self) -> tuple[str, ...]:
        """Names of families for overdispersed responses; empty where the family estimates the dispersion itself."""
        return self.family.wider_families

    by_rows = True
    """Whether values for single rows are available: not where the rows are streamed."""

    def _weighted_sum(self, values: np.ndarray) -> float:
        w = self.weight
        if w is None:
            return float(values.sum())
        return float(np.sum(np.where(w > 0, w * values, 0.0)))

    def ml_dispersion(self, rows: RowTable) -> float:
        """The φ that maximises the likelihood at the fitted means."""
        mean = rows.mean[0]
        uncertain = (self.y != mean) | (self.family.variance(mean) > 0)  # the others carry no information about φ
        y, mean, weight = self.y[uncertain], mean[uncertain], self.row_weight[uncertain]
        return float(self.family.ml_dispersion(y, mean, weight, self.weights_kind))

    def profile_likelihood(self, objective: np.ndarray) -> np.ndarray | None:
        """Log-likelihoods up to a constant, each at its best φ, where minus half the deviances are `objective` (k,).

        None where each would need a reading of the rows.
        """
        counts = self.weights_kind == "precision"
        if self.family.dispersion_is_mean_deviance:
            N = self.nobs if counts else self.total_weight
            with np.errstate(divide="ignore", invalid="ignore"):
                return -0.5 * N * np.log(-2.0 * objective)
        if not self.by_rows:
            return None
        w = np.ones(len(self.y)) if self.data.weights is None else self.data.weights
        uncertain = w > 0
        y, w = self.y[uncertain], w[uncertain]
        out = np.empty(len(objective))
        for k, value in enumerate(objective):
            phi = self.family.dispersion_of(-2.0 * float(value), y, w, self.weights_kind)
            base = self.family.log_normalizer(y, w, None, phi, self.weights_kind)
            out[k] = value / phi + float(np.sum(base))
        return out

    def log_likelihood(self, rows: RowTable, dispersion: float) -> float:
        """Σ w log f(y; μ̂, φ), every constant included."""
        return float(np.sum(self.log_density(rows.value, rows.mean, dispersion)))

    def log_density(self, value: np.ndarray, mean: np.ndarray, dispersion: float) -> np.ndarray:
        """(n,) w log f(y; μ, φ), every constant included, from the rows' unit-dispersion `value` (n,) and mean."""
        w, family, normalizer = self.row_weight, self.family, 0.0
        if not family.complete:
            base = np.ones(len(self.y)) if self.data.weights is None else self.data.weights
            given = (self.y, base, self.size, dispersion, self.weights_kind)
            if family.value_has_counts:
                inside = np.isfinite(value)
                value = np.where(inside, -0.5 * family.unit_deviance(self.y, mean[0], value), value)
                normalizer = family.log_saturated(*given)
            else:
                normalizer = family.log_normalizer(*given)
        return np.where(w > 0, w * value / dispersion + normalizer, 0.0)

    def values_at(self, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit-dispersion log densities (n,) and means (C, n) at predictors eta (K, n), not necessarily of a θ."""
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        for block in self.blocks:
            here = np.empty((len(eta), len(block.y)))
            here[:, : block.rows] = eta[:, block.start : block.start + block.rows]
            here[:, block.rows :] = here[:, block.fill, None]
            rows = block_rows(self.family, block, here)
            parts.append((rows.value, rows.mean))
        values, means = zip(*parts, strict=True)
        return np.concatenate(values), np.concatenate(means, axis=-1)

    def sum_of_squares(self, rows: RowTable) -> float:
        """Σ w (y − μ̂)²."""
        residual = self.y - rows.mean[0]
        return self._weighted_sum(residual * residual)


def check_weights_kind(kind: str) -> None:
    """Refuse an unknown kind of weights."""
    check_choice("weights_kind", kind, get_args(WeightsKind))


def rows_at(family: Distribution, eta: np.ndarray) -> RowTable:
    """The compiled row functions at linear predictors (n,), which are passed as the offset; other predictors are 0."""
    K = family.n_predictors
    constant = LinearPredictor((1,) * K, (0,) * K)
    shift = np.zeros((K, len(eta)))
    shift[0] = eta
    blocks = make_blocks((np.zeros((len(eta), 1)),), np.ones(len(eta)), None, shift)
    return row_table(family, constant, blocks, np.zeros(K))
