"""A likelihood with its data: the row function, its linear predictors, and what the iteration and the Fit read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.blocks import BLOCK_ROWS, Block, make_blocks
from raphson.data.products import dense
from raphson.data.varying.term import VaryingTerm
from raphson.errors import ModelError
from raphson.model.base import Model, RowTable, Sampler
from raphson.model.likelihood.expected import free_of_response
from raphson.model.likelihood.family import LikelihoodFamily
from raphson.model.likelihood.runaway import limit_at_infinity, restart_outside_rounding
from raphson.model.likelihood.start import starting_point
from raphson.model.limits import Limit
from raphson.model.objective import Evaluation, Need
from raphson.model.predictor import Jacobian, LinearPredictor, filled
from raphson.model.replicates import MOST_DENSE, Replicates

if TYPE_CHECKING:
    from raphson.model.families.tails import Tails

MOST_NUMBERS = 2**23
"""How many second derivatives are held for one block: 64 MiB."""


ADVICE = {
    "boundary": (
        "the iteration ended at the edge of the region where every row has a positive density; if that is not "
        "intended, reparametrise so that the region has no edge, as with the log of a scale or the logit of a "
        "share, or begin elsewhere with start="
    ),
    "singular": (
        "the information is singular at the last step; begin nearer the maximum with start=, rescale extreme values, "
        "or write the likelihood with fewer parameters"
    ),
}
"""What a status means for a likelihood, where that differs from the general advice."""


@dataclass(frozen=True)
class SharedPredictor(LinearPredictor):
    """Linear predictors that may share parameters: η_k = X_k θ[shared_k] + offset_k.

    Attributes
    ----------
    shared : the parameters of each predictor; any two are the same or have none in common.
    size : p.
    """

    shared: tuple[slice, ...] = ()
    size: int = 0

    @property
    def n_params(self) -> int:
        return self.size

    @property
    def slices(self) -> list[slice]:  # type: ignore[override]
        return list(self.shared)


@dataclass
class ParameterJacobian(Jacobian):
    """The derivative J = I, where η = θ in every row."""

    def product(self, v: np.ndarray) -> np.ndarray:
        return np.repeat(v[:, None], self.parts[0].shape[0], axis=1)

    def transpose_product(self, u: np.ndarray) -> np.ndarray:
        return u.sum(axis=1)

    def information(self, W: np.ndarray) -> np.ndarray:
        return W.sum(axis=2)

    def scaled_rows(self, root: np.ndarray) -> np.ndarray:
        return np.moveaxis(root, 1, 2).reshape(-1, self.n_params)

    def information_diagonal(self, W: np.ndarray) -> np.ndarray:
        return np.einsum("kkm->k", W)


@dataclass(frozen=True)
class ParameterPredictor(LinearPredictor):
    """The parameters themselves as the predictors of every row, where no shorter list of predictors is known."""

    def eta(self, block: Block, theta: np.ndarray) -> np.ndarray:
        """(p, size): θ for every row."""
        return filled(np.repeat(theta[:, None], len(block.y), axis=1), block)

    def jacobian(self, block: Block) -> Jacobian:
        return ParameterJacobian([block.designs[0]] * len(self.widths), self.slices, self.n_params)


@dataclass(frozen=True)
class LikelihoodModel(Model):
    """A likelihood of rows through linear predictors.

    Attributes
    ----------
    linear : from θ to η.
    matrices : the distinct design matrices, (n, p_d).
    offset : (K, n) or None.
    extra : arrays (n, ...) that the likelihood reads besides the response.
    labels : names of the parameters.
    constants : (K,) predictors of a model without covariates, as starting values; None to search for them.
    assembly : how the information is put together, in words.
    term_columns : the coefficients of each term of each formula, by "parameter:term".
    infinite : in a limit's model, (p,) sign of each parameter that is infinite, 0 for the others.
    held : in a limit's model, (p,) mask of the parameters that stay fixed, one for each direction to infinity.
    """

    family: LikelihoodFamily
    linear: Any = None
    matrices: tuple[Any, ...] = ()  # type: ignore[assignment]  # stands in for the property
    offset: np.ndarray | None = None
    extra: tuple[np.ndarray, ...] = ()
    labels: tuple[str, ...] = ()
    constants: np.ndarray | None = None
    assembly: str = ""
    intercepts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    term_columns: dict[str, tuple[int, ...]] = field(default_factory=dict)
    infinite: np.ndarray | None = None
    held: np.ndarray | None = None

    @property
    def predictor(self) -> LinearPredictor:
        return self.linear

    @property
    def design_columns(self) -> list[Any]:
        return [self.matrices[d] for d in self.linear.design]

    @property
    def varying_terms(self) -> tuple[VaryingTerm, ...]:
        return ()

    @property
    def offsets(self) -> np.ndarray | None:
        return self.offset

    def with_matrices(self, matrices: Sequence[Any]) -> LikelihoodModel:
        return replace(self, matrices=tuple(matrices))

    @property
    def names(self) -> tuple[str, ...]:
        return self.labels

    @property
    def terms(self) -> dict[str, list[int]]:
        return {term: list(columns) for term, columns in self.term_columns.items()}

    @property
    def free(self) -> np.ndarray | None:
        return None if self.held is None else ~self.held

    def limit(self, theta: np.ndarray, evaluation: Evaluation, converged: bool) -> Limit | None:
        return limit_at_infinity(self, theta, evaluation, converged)

    def remarks(self, result: Any, dispersion: float, cov: str, met: Sequence[np.ndarray] = ()) -> list[str]:
        out = super().remarks(result, dispersion, cov, met)
        if not self.single_row:
            return out
        return [
            *out,
            "the likelihood has one row, which may hold a whole series: nobs is 1, so that bic does not penalise "
            "parameters (log 1 = 0); compare aic, or use log of the series' length. Robust standard errors and the "
            "bootstrap of rows are not available",
        ]

    @property
    def single_row(self) -> bool:
        """Whether a single row has a positive weight."""
        return np.count_nonzero(self.row_weight > 0) == 1

    @property
    def some_responses(self) -> np.ndarray:
        """(m,) responses with the smallest and the largest one."""
        return self.y

    def largest_move(self, theta: np.ndarray, direction: np.ndarray) -> float:
        """The largest change of any predictor when θ moves by the direction (p,)."""
        predictor, there = self.predictor, theta + direction
        moves = (
            np.abs(predictor.eta(block, there) - predictor.eta(block, theta))[:, : block.rows] for block in self.blocks
        )
        return max(float(one.max(initial=0.0)) for one in moves)

    def examined(self, theta: np.ndarray) -> LikelihoodModel:
        """The model whose rows are examined where the likelihood is not finite or seems unbounded."""
        return self

    def counted(self, which: Callable[[LikelihoodModel], np.ndarray], *about: Any) -> tuple[int, int]:
        """The number of rows that `which` gives of a model, and that of all; `about` says which these are."""
        return len(which(self)), len(self.y)

    def why_not_nested(self, smaller: Model, theta: np.ndarray, smaller_theta: np.ndarray) -> str | None:
        if not isinstance(smaller, LikelihoodModel) or (self.family.ready and smaller.family.ready):
            return None
        from raphson.model.likelihood.nesting import why_not_nested

        return why_not_nested(self, smaller, theta, smaller_theta)

    def rounding_restart(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        return restart_outside_rounding(self, theta)

    def finite_point(self, theta: np.ndarray, direction: np.ndarray) -> np.ndarray:
        return theta - direction

    @cached_property
    def blocks(self) -> Sequence[Block]:
        K = self.family.n_predictors
        affordable = [size for size in BLOCK_ROWS if size * K * K <= MOST_NUMBERS]
        most = affordable[-1] if affordable else BLOCK_ROWS[0]
        return make_blocks(self.matrices, self.y, self.weight, self.offset, self.extra, most)

    @cached_property
    def bias_information(self) -> Any:  # type: ignore[override]
        """The expected information where the response is known and the two kinds differ; otherwise the observed one."""
        family = self.family
        if not family.with_response:
            return "observed"
        if free_of_response(family, self.extra):
            return "observed"
        theta = self.start(Need(), plain=True).theta
        try:
            family.expected(self.blocks[0], self.predictor.eta(self.blocks[0], theta))
        except ModelError:
            return "observed"
        return "expected"

    def designs(self, theta: np.ndarray) -> list[Any]:
        """The design of each predictor, at any θ; each (n, p) where they share parameters."""
        predictor = self.predictor
        parts = [self.matrices[d] for d in predictor.design]
        own = [part.stop - part.start for part in predictor.slices]
        if predictor.slices == LinearPredictor(tuple(own), predictor.design).slices and sum(own) == predictor.n_params:
            return parts
        wide = []
        for X, part in zip(parts, predictor.slices, strict=True):
            J = np.zeros((X.shape[0], predictor.n_params))
            J[:, part] = dense(X)
            wide.append(J)
        return wide

    @cached_property
    def replicates(self) -> Replicates | None:
        n = len(self.y)
        if (
            not self.family.many_rows
            or n * sum(X.shape[1] for X in self.matrices) > MOST_DENSE
            or self.bias is not None
        ):
            return None
        matrices = [np.ascontiguousarray(dense(X)) for X in self.matrices]
        designs = [matrices[d] for d in self.predictor.design]
        # The rows are evaluated in blocks of the fit's own size: another size would take seconds to compile.
        size = len(self.blocks[0].y)
        return Replicates(self.family, designs, self.predictor.slices, self.offset, self.extra, (size,))

    def sampler(self, rows: RowTable, dispersion: float) -> Sampler:
        """By the inverse of each row's distribution function."""
        self._check_drawn()
        from raphson.model.likelihood.distribution import quantiles, tabulate

        tables = tabulate(self.family, rows.eta, self.extra, self.y)

        def drawn(rng: np.random.Generator, count: int) -> np.ndarray:
            return quantiles(tables, rng.random((count, len(self.y))))

        return drawn

    def draw(self, rng: np.random.Generator, eta: np.ndarray, dispersion: float) -> np.ndarray:
        """By the inverse of the distribution function of each row of each data set."""
        self._check_drawn()
        from raphson.model.likelihood.distribution import quantiles, tabulate

        count, K, n = eta.shape
        extra = tuple(np.tile(one, (count, *[1] * (one.ndim - 1))) for one in self.extra)
        tables = tabulate(self.family, eta.transpose(1, 0, 2).reshape(K, -1), extra, self.y)
        return quantiles(tables, rng.random((1, count * n)))[0].reshape(count, n)

    def _check_drawn(self) -> None:
        """Refuse to draw what has no response, or responses that are censored.

        Raises
        ------
        ModelError
        """
        if not self.family.with_response:
            raise ModelError(
                "simulate: loglik(params, row) does not say which column is the response, so it cannot be drawn; write "
                "a density logpdf(y, ...) with formulas, or use the nonparametric bootstrap"
            )
        if self.censored.any():
            raise ModelError(
                "simulate: some responses are censored, and when those drawn in their place would be is not known; "
                "use the bootstrap of rows or clusters, which draws them with their censoring, or pass simulate="
            )

    @property
    def keywords(self) -> dict[str, np.ndarray]:
        """What the density reads besides the response, by keyword."""
        schema: Any = self.data.schema
        return dict(zip(getattr(schema, "columns", ()), self.extra, strict=False))

    @property
    def censored(self) -> np.ndarray:
        """(n,) mask of the responses that are only known to be larger."""
        found = np.zeros(len(self.y), dtype=bool)
        for name in self.family.uncensored:
            found |= self.keywords.get(name, np.ones(len(self.y))) == 0
        return found

    def log_tails(self, y: np.ndarray, eta: np.ndarray, rows: np.ndarray | slice = slice(None)) -> Tails:
        """log P(Y < y), log P(Y ≤ y), log P(Y ≥ y), log P(Y > y) of some rows, with responses and predictors (K, m).

        Raises
        ------
        ModelError
            If the likelihood does not describe a distribution of the response.
        """
        from raphson.model.likelihood.tails import log_tails

        return log_tails(self.family, y, eta, {name: one[rows] for name, one in self.keywords.items()}, self.y)

    def subset(self, rows: slice | np.ndarray) -> LikelihoodModel:
        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else np.ascontiguousarray(values[rows])

        matrices = tuple(np.ascontiguousarray(X[rows]) if isinstance(X, np.ndarray) else X[rows] for X in self.matrices)
        return replace(
            self,
            data=self.data.subset(rows),  # type: ignore[attr-defined]
            y=self.y[rows].copy(),
            weight=cut(self.weight),
            matrices=matrices,
            offset=None if self.offset is None else np.ascontiguousarray(self.offset[:, rows]),
            extra=tuple(np.ascontiguousarray(one[rows]) for one in self.extra),
        )

    def null_model(self, family: Any) -> None:
        """None: a likelihood has no mean that could be held constant."""
        return

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The objective at the best constants for each predictor; without bias reduction if `plain`."""
        return starting_point(self, need, self.likelihood if plain else self.objective)

    def rows(self, theta: np.ndarray) -> RowTable:
        """Row quantities at θ; where the expected information is not known, the observed one replaces it."""
        parts = []
        for block in self.blocks:
            with np.errstate(all="ignore"):
                eta = self.predictor.eta(block, theta)
                rows = self.family.own_rows(block, eta)
                parts.append((rows.value, rows.score, rows.observed, rows.mean, rows.slope, eta[:, : block.rows]))
        value, score, observed, mean, slope, eta = (
            np.concatenate(pieces, axis=-1) for pieces in zip(*parts, strict=True)
        )
        return RowTable(value, score, observed, observed, mean, slope, eta)

    def advice(self, status: Any) -> str:
        return str(ADVICE.get(status.value, status.advice))

    def deviance(self, rows: RowTable) -> float:
        """NaN: without a mean there is no saturated model to compare the fit with."""
        return float("nan")

    def log_density(self, value: np.ndarray, mean: np.ndarray, dispersion: float) -> np.ndarray:
        """(n,) w log f, every constant that the user's function has included."""
        return np.where(self.row_weight > 0, self.row_weight * value, 0.0)

    def log_likelihood(self, rows: RowTable, dispersion: float) -> float:
        """Σ w log f(y | η), every constant that the user's function has included."""
        return self._weighted_sum(rows.value)
