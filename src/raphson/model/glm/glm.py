"""A generalised linear model with its data: a family, linear predictors, and what the Fit reads of them.

Nelder and Wedderburn (1972), J. R. Statist. Soc. A 135, 370; McCullagh and Nelder (1989), chapter 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from raphson.cached import cached_property
from raphson.data import ModelData
from raphson.data.blocks import Block
from raphson.data.crossed import Crossed
from raphson.data.pieced_design import PiecedDesign
from raphson.data.products import dense, matvec
from raphson.errors import DataError, ModelError, warn_user
from raphson.execute import Executor
from raphson.frozen import frozen
from raphson.lazy import Lazy
from raphson.model.base import Model, check_weights_kind
from raphson.model.bias.reduction import check_bias
from raphson.model.families import resolve
from raphson.model.families.base import Family
from raphson.model.glm.cells import merged
from raphson.model.limits import Limit
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import Evaluation, Need
from raphson.model.predictor import LinearPredictor
from raphson.model.replicates import MOST_DENSE, Replicates
from raphson.model.rows import means
from raphson.model.start import levels, start_from

if TYPE_CHECKING:
    from raphson.model.glm import separating_rows, separation
else:
    separating_rows = Lazy("raphson.model.glm.separating_rows")
    separation = Lazy("raphson.model.glm.separation")

CERTAIN = 1e-7
"""A row whose log density is nearer to 0 than this is fitted almost with certainty, a sign of separation. Under the
logit link it lies beyond η = 16. A smaller value finds the same separation later: of two quasi-separated logistic
models after 15 steps, 24 at 1e-11, and 6 at 1e-3, where more fits without separation are looked at."""

OTHER_STARTS = (0.5, 0.25, 0.75)
"""Where the log-likelihood may have several maxima, other starts have constant means at these quantiles."""

CHEAP = 1_000_000
"""Largest number of entries in a design for which other starts are tried."""

FIRST_ROWS = 64
"""Rows that are looked at first for a log density that never stops rising."""

INTERCEPTS = ("Intercept", "(Intercept)")
"""Names of an intercept."""


PERFECT = 1e-24
"""Largest mean square of the residuals, relative to that of the responses, that counts as rounding. Residuals are then
10⁻¹² of the responses, some 5,000 roundings."""

WITHOUT_ERROR = (
    "the model fits without error up to rounding: standard errors, tests and intervals measure that rounding, not how "
    "well noisy data would determine the coefficients; check whether the response is among the covariates, or computed "
    "from them"
)


def all_equal(n: int, value: float) -> str:
    """A remark on n responses that have one value."""
    return f"all {n} values are equal ({value:g}), so there is nothing for covariates to explain"


@frozen
class GeneralisedLinearModel(Model):
    """Family, design and response of a GLM.

    Attributes
    ----------
    shift : (K, n) added to the linear predictors besides the offset: where a limit holds some rows at infinity.
    """

    family: Family
    shift: np.ndarray | None = None
    trial_method: ClassVar[str] = "newton"

    @staticmethod
    def of(
        data: ModelData, family: Any, weights_kind: str, penalty: Any, executor: Executor, bias: str | None = None
    ) -> GeneralisedLinearModel:
        """Check a response against a family and build the model.

        Raises
        ------
        DataError
            If the response is outside the family's support.
        ModelError
            If the family or the kind of weights is unknown, or the penalty does not match.
        """
        check_weights_kind(weights_kind)
        observations = resolve(family).prepare(data.response.weighted(data.weights, weights_kind), data.trials)
        if observations.weights_are_trials and data.weights is not None:
            # A weight of 0 leaves its row out, whatever its trials.
            counts = (data.weights > 0).astype(float)
            data = replace(data, weights=None if counts.all() else counts, trials=observations.size)
        rows = observations.y, observations.weight(data.weights), observations.size
        model = GeneralisedLinearModel(observations.family, data, *rows, weights_kind, None, executor)
        check_bias(bias, model.family, penalty)
        if bias is not None:
            model = replace(model, bias=bias)
        if penalty is not None:
            from raphson.model.penalty import penalty_matrix

            model = replace(model, penalty=penalty_matrix(penalty, model.predictor.n_params, model._intercepts))
        model.check(observations.ends)
        return model

    def check(self, ends: tuple[float, float] | None = None) -> None:
        """Refuse rows to which the model cannot be fitted, and warn of responses that are all equal.

        Parameters
        ----------
        ends : the smallest and the largest response, where they are known.

        Raises
        ------
        DataError, ModelError
        """
        n = int(np.sum(self.row_weight > 0)) if self.weight is not None else len(self.y)
        y = self.y
        level = float(np.add.reduce(y) / len(y) if self.weight is None else y @ self.weight / self.weight.sum())
        if ends is None:
            ends = float(np.minimum.reduce(y, initial=math.inf)), float(np.maximum.reduce(y, initial=-math.inf))
        self._check_response(n, level, *ends)

    def _check_response(self, n: int, level: float, lowest: float, highest: float) -> None:
        """Check n responses of positive weight, by their mean and their range."""
        p = self.predictor.n_params
        if n:
            self.family.check_units(self.data.response.name, max(abs(lowest), abs(highest)))
        if n < p and self.penalty is None:
            widest = self.data.schema.widest_factor
            levels = "" if widest is None else f": {widest[0]} is a factor of {widest[1]} levels"
            raise DataError(
                f"data: expected at least as many rows as coefficients; got {n} rows and {p} coefficients{levels}. "
                f"Drop {'terms' if widest is None else 'it or make it a number'}, add data, or pass penalty="
            )
        low, high = self.family.link.interval
        if self.family.predictor_labels is None and not low <= level <= high:
            raise ModelError(
                f"link: the means of the {self.family.link.name} link lie between {low:g} and {high:g}, but the "
                f"responses average {level:.4g}; choose another link for the {self.family.name} family"
            )
        if n and lowest == highest:
            warn_user(f"response: {all_equal(n, lowest)}", UserWarning)

    # -- structure ---------------------------------------------------------------------------------------------

    @cached_property
    def predictor(self) -> LinearPredictor:
        """The predictors of the family; each auxiliary one has an intercept only."""
        n_auxiliary = len(self.family.auxiliary)
        n_main = self.family.n_predictors - n_auxiliary
        p = len(self.data.names)
        return LinearPredictor((p,) * n_main + (1,) * n_auxiliary, (0,) * n_main + (1,) * n_auxiliary)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients; ``level:term`` where there are several predictors."""
        terms = self.data.names
        levels = self.family.predictor_labels
        return tuple(terms) if levels is None else tuple(f"{level}:{term}" for level in levels for term in terms)

    @cached_property
    def terms(self) -> dict[str, list[int]]:
        width = len(self.data.names)
        starts = range(0, self.n_coefficients, width)
        constant = {j for j, name in enumerate(self.data.names) if name in INTERCEPTS}
        if not constant and self.data.has_intercept and set(self.data.terms) == set(self.data.names):
            X = self.data.X  # a plain matrix, whose columns may have any names
            if isinstance(X, PiecedDesign):
                constant = set(np.flatnonzero(X.constant).tolist())
            else:
                X = dense(X)
                constant = {j for j in range(width) if np.ptp(X[:, j]) == 0.0}
        return {
            term: [start + j for start in starts for j in columns]
            for term, columns in self.data.terms.items()
            if columns and not constant.issuperset(columns)
        }

    @cached_property
    def _intercepts(self) -> np.ndarray:
        one = np.array([name in INTERCEPTS for name in self.data.names], dtype=bool)
        n_main = self.family.n_predictors - len(self.family.auxiliary)
        return np.concatenate([np.tile(one, n_main), np.ones(len(self.family.auxiliary), dtype=bool)])

    @cached_property
    def blocks(self) -> list[Block]:
        designs: tuple[Any, ...] = (self.data.X,)
        if self.family.auxiliary:
            designs += (np.ones((len(self.y), 1)),)
        return self.predictor.blocks(designs, self.y, self.weight, self.offsets)

    @cached_property
    def offsets(self) -> np.ndarray | None:
        """(K, n) numbers added to the linear predictors, or None."""
        offset = self.shift
        if self.data.offset is not None:
            offset = np.zeros((self.family.n_predictors, len(self.y))) if offset is None else offset.copy()
            offset[: self.family.n_predictors - len(self.family.auxiliary)] += self.data.offset
        return offset

    @cached_property
    def likelihood(self) -> LogLikelihood:
        """The log-likelihood, penalised; equal rows of factors are merged where that is exact."""
        whole = merged(self, super().likelihood)
        return whole if self._crossed is None or whole.responses is not None else replace(whole, crossed=self._crossed)

    @property
    def _crossed(self) -> Crossed | None:
        """XᵀX and Xᵀy, where that is the expected information."""
        known = self.data.crossed
        if known is None or self.weight is not None or not self.family.unit_information:
            return None
        return known if known.of(self.data.X, self.y) and self.bias is None else None

    @property
    def at_limit(self) -> bool:
        return self.shift is not None

    # -- the iteration -----------------------------------------------------------------------------------------

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The objective at starting values inside the domain; those of a constant mean if `plain`."""
        y, weight = self.likelihood.responses or (self.y, self.row_weight)
        eta = np.asarray(self.family.start_eta(y, weight))

        def constant() -> np.ndarray:
            level = eta @ weight / weight.sum()
            mean = self.family.start_mean(y, weight)
            if len(mean) == 1:
                # The mean of the responses is the maximum of a constant. By that of their η = log y, responses of 1e-80
                # among some of 1 would put it where the largest are 1e40 times their means.
                level[0] = self.family.link.link(mean @ weight / weight.sum())[0]
            return level

        return start_from(self.likelihood, self.objective, eta, constant, need, plain)

    def needs_multistart(self, theta: np.ndarray, converged: bool, condition: float, steps: int | None = None) -> str:
        """A reason where the likelihood is not concave and the mean not constant."""
        size = self.predictor.n_params * len(self.y)
        several = self.predictor.n_params > 1 and self.shift is None and self.bias is None and not self.family.auxiliary
        if self.concave or not several or size > CHEAP:
            return ""
        return f"with the {self.family.link.name} link there may be other maxima"

    def candidates(self, count: int, number: int = 0) -> list[np.ndarray]:
        if number:
            return []
        eta = np.asarray(self.family.start_eta(self.y, self.row_weight))[:, self.row_weight > 0]
        return levels(self.likelihood, eta, OTHER_STARTS)

    @property
    def _main_penalty(self) -> np.ndarray | None:
        n = self.n_coefficients
        return None if self.penalty is None else self.penalty[:n, :n]

    def with_nuisance_fixed(self, theta: np.ndarray) -> GeneralisedLinearModel:
        """The model of the coefficients alone, the family's auxiliary parameters fixed at their estimates."""
        if not self.family.auxiliary:
            return self
        family = self.family.with_nuisance_fixed(theta[self.n_coefficients :])
        shift = None if self.shift is None else self.shift[: family.n_predictors]
        return replace(self, family=family, penalty=self._main_penalty, shift=shift)

    def null_model(self, family: Any) -> GeneralisedLinearModel:
        """The model with only the intercept (if it has one) and the offset, with the family's parameters fixed."""
        X = np.ones((len(self.y), 1 if self.data.has_intercept else 0))
        data = replace(self.data, X=X, names=("Intercept",)[: X.shape[1]])
        return replace(self, family=family, data=data, penalty=None, bias=None)

    def designs(self, theta: np.ndarray) -> list[Any]:
        """The design matrix of each predictor, at any θ."""
        ones = np.ones((len(self.y), 1))
        return [(self.data.X, ones)[d] for d in self.predictor.design]

    @cached_property
    def replicates(self) -> Replicates | None:
        n, p = self.data.X.shape
        if n * p > MOST_DENSE or self.bias is not None:
            return None
        X, ones = np.ascontiguousarray(dense(self.data.X)), np.ones((n, 1))
        offsets = [block.offset for block in self.blocks if block.offset is not None]
        offset = np.concatenate(offsets, axis=1) if offsets else None
        designs = [(X, ones)[d] for d in self.predictor.design]
        return Replicates(self.family, designs, self.predictor.slices, offset)

    def subset(self, rows: slice | np.ndarray) -> GeneralisedLinearModel:
        """The same model on some of its rows."""

        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        X = self.data.X[rows]
        data = replace(
            self.data,
            X=np.ascontiguousarray(X) if isinstance(X, np.ndarray) else X,
            offset=cut(self.data.offset),
            weights=cut(self.data.weights),
        )
        return replace(self, data=data, y=self.y[rows].copy(), weight=cut(self.weight), size=cut(self.size))

    # -- maxima at infinity ------------------------------------------------------------------------------------

    def suspects_infinity(self, evaluation: Evaluation) -> bool:
        """Whether some response is fitted with such certainty that separation should be tested."""
        return evaluation.highest > -CERTAIN and self._may_separate

    @cached_property
    def _may_separate(self) -> bool:
        if self.shift is not None or self.penalty is not None or self.bias is not None:
            return False
        if self.family.predictor_labels is not None:
            return True
        # One row is enough, and mostly among the first.
        few = None if self.size is None else self.size[:FIRST_ROWS]
        first = self.family.recession(self.y[:FIRST_ROWS], few)
        return bool(first.any() or self.family.recession(self.y, self.size).any())

    def advice(self, status: Any) -> str:
        if status.value != "boundary":
            return super().advice(status)
        which = "the maximum" if self.concave else "a local maximum"
        return (
            f"the estimate is {which} of the likelihood, at the boundary of the parameters that the "
            f"{self.family.link.name} link permits"
        )

    def remarks(self, result: Any, dispersion: float, cov: str, met: Sequence[np.ndarray] = ()) -> list[str]:
        out = super().remarks(result, dispersion, cov, met)
        if not self.family.dispersion_fixed and self._without_error(dispersion):
            out = [*out, WITHOUT_ERROR]
        if result.face is None:
            return out
        from raphson.model.glm.edge_remarks import edge_remarks

        return [*out, *edge_remarks(self, result)]

    def _without_error(self, dispersion: float) -> bool:
        """Whether the fitted means equal the responses up to rounding."""
        squares, spread = (self.row_weight @ values for values in (self.y**2, self.family.variance(self.y)))
        # Responses of 0 and 1 have no variance V(y) of their own, however they are fitted.
        return bool(dispersion * spread <= PERFECT * squares and (spread > 0 or dispersion <= PERFECT))

    def limit(self, theta: np.ndarray, evaluation: Evaluation, converged: bool) -> Limit | None:
        """The family's limit, or what is left beside rows whose responses are certain."""
        if self.family.auxiliary:
            simpler = self.family.limit(theta[self.n_coefficients :], self.limit_evidence(theta))
            if simpler is not None:
                signs = np.zeros(len(theta))
                signs[self.n_coefficients :] = 1.0
                shift = None if self.shift is None else self.shift[: simpler.n_predictors]
                model = replace(self, family=simpler, penalty=self._main_penalty, shift=shift)
                note = (
                    f"the responses vary no more than {simpler.name} ones: {', '.join(self.family.auxiliary)} runs to "
                    f"infinity; this is the {simpler.name} fit, its limit"
                )
                return Limit("boundary", model, signs, None, note)
        suspicious = self.suspects_infinity(evaluation) or not converged or self._rules_out_a_level(theta)
        return self._separation() if suspicious and self._may_separate else None

    def limit_evidence(self, theta: np.ndarray) -> np.ndarray:
        """Sums over rows that decide whether the family tends to a simpler one."""
        return sum(
            (
                self.family.limit_evidence(block.y[: block.rows], mean[0], block.weight[: block.rows])
                for block, mean in self._means(theta)
            ),
            np.zeros(1),
        )

    def _means(self, theta: np.ndarray) -> Iterator[tuple[Block, np.ndarray]]:
        """Each block with the means (C, rows) of its rows."""
        for block in self.blocks:
            yield block, means(self.family, self.predictor.eta(block, theta)[:, : block.rows])

    def _rules_out_a_level(self, theta: np.ndarray) -> bool:
        """Whether some row has a level of probability 0: with three or more levels no row need be certain."""
        if self.family.predictor_labels is None or not self._may_separate:
            return False
        # Of K + 1 levels the least likely has a probability of e^−d/(K + 1) or more, d being the difference between
        # the largest and the smallest η, of which that of the first level is 0.
        safe = -math.log(CERTAIN) - math.log(self.family.n_predictors + 1)

        def close(block: Block) -> bool:
            eta = self.predictor.eta(block, theta)
            if max(eta.max(), 0.0) - min(eta.min(), 0.0) < safe:
                return True
            spread = np.maximum(eta.max(axis=0), 0.0) - np.minimum(eta.min(axis=0), 0.0)
            return bool((spread[block.weight > 0] < safe).all())

        if not all(self.executor.map(close, self.blocks)):
            return bool(self.rows(theta).mean[:, self.row_weight > 0].min() < CERTAIN)
        return False

    def _separation(self) -> Limit | None:
        """The limit in which the separated rows are held at infinity, where their log density is at its supremum.

        A row has neither score nor information there, so the likelihood of the other rows is maximised.
        """
        least = separation.least_weight(self.row_weight)
        found = separation.separated(self.constraints(least))
        if found is None:
            return None
        gaps = separation.Moves.of(self.gaps(found.direction))
        model = self.with_rows_at_infinity(found.direction, gaps.still, least)
        return self._at_infinity(found, model, gaps)

    @property
    def _n_main(self) -> int:
        """Predictors of the mean."""
        return self.family.n_predictors - len(self.family.auxiliary)

    def constraints(self, least: float, scale: np.ndarray | None = None) -> separating_rows.SeparatingRows:
        """The constraints that rows of more than the least weight impose on a direction at infinity.

        `scale` (p,) is that of the coordinates, by default of these rows.
        """
        counted = self.row_weight > least
        if self.family.predictor_labels is not None:
            return separating_rows.ClassRows(self.data.X, self.y.astype(int), self._n_main + 1, counted, scale)
        return separating_rows.SignedRows(self.data.X, self.family.recession(self.y, self.size), counted, scale)

    def gaps(self, direction: np.ndarray) -> np.ndarray:
        """(…, n) how far a direction moves each predictor of each row, and the difference of each two classes."""
        moves = self._moves(direction)
        return moves if len(moves) == 1 else np.concatenate([moves, *(moves[:, None] - moves[None])])

    def with_rows_at_infinity(self, direction: np.ndarray, still: float, least: float) -> GeneralisedLinearModel:
        """The model with the rows that a direction moves by more than `still` held at infinity.

        Rows of no more than the least weight are ignored, as they were when the direction was found.
        """
        shift = np.zeros((self.family.n_predictors, len(self.y)))
        shift[: self._n_main] = separation.at_infinity(self._moves(direction), still)
        weight = None if self.weight is None else np.where(self.weight > least, self.weight, 0.0)
        return replace(self, shift=shift, weight=weight)

    def _moves(self, direction: np.ndarray) -> np.ndarray:
        return np.stack([matvec(self.data.X, part) for part in direction.reshape(self._n_main, -1)])

    def _at_infinity(
        self, found: separation.AtInfinity, model: GeneralisedLinearModel, gaps: separation.Moves
    ) -> Limit:
        """The limit of separated responses: `model` is what remains, and `gaps` are the moves of the rows."""
        delta, signs = np.zeros((2, self.predictor.n_params))
        delta[: self.n_coefficients], signs[: self.n_coefficients] = found.direction, found.signs
        return Limit("separated", model, signs, separation.FAR / gaps.smallest * delta)

    @property
    def without_limit(self) -> GeneralisedLinearModel:
        return replace(self, shift=None)

    # -- rows held at infinity -----------------------------------------------------------------------------------

    @cached_property
    def _certain(self) -> np.ndarray:
        """(n,) mask of the rows that are held at infinity, where all classes but one have probability 0."""
        assert self.shift is not None
        n_main, n = self._n_main, len(self.y)
        ordered = np.sort(np.concatenate([np.zeros((1, n)), self.shift[:n_main]]), axis=0)
        return ordered[-1] - ordered[-2] >= separation.FAR

    @property
    def copies(self) -> np.ndarray | None:
        """(n,) as :attr:`Model.copies`; a row held at infinity carries no information about φ and counts as none."""
        copies = super().copies
        if self.shift is None:
            return copies
        return np.where(self._certain, 0.0, 1.0 if copies is None else copies)

    @property
    def fitted_exactly(self) -> float:
        if self.shift is None:
            return 0.0
        copies = super().copies
        return float(np.sum(self._certain if copies is None else copies[self._certain]))
