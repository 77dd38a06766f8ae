"""A generalised linear model whose rows are streamed; see :mod:`raphson.model.streamed`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data.blocks import SAMPLE_ROWS
from raphson.data.extras import counted
from raphson.data.first_reading import LaterTotals
from raphson.data.model_data import ModelData
from raphson.data.response_only import of_response
from raphson.data.streams import StreamedData
from raphson.errors import ConvergenceError
from raphson.execute import Executor
from raphson.model.base import check_weights_kind
from raphson.model.families import resolve
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.glm.separation import Moves, separated_everywhere
from raphson.model.limits import Limit
from raphson.model.objective import Evaluation, Need
from raphson.model.penalty import penalty_matrix
from raphson.model.spread import Spread
from raphson.model.streamed import StreamedRowTable, refuse_bias
from raphson.model.streamed_means import (
    StreamedMeans,
    refuse_numbers_as_categories,
    rows_not_in_memory,
    rows_of_piece,
)
from raphson.numeric import EPSILON


@dataclass(frozen=True)
class ResponseTotals:
    """Sums and extremes of the response and the weights over all rows.

    Attributes
    ----------
    positive : number of rows of positive weight.
    weights, count : sums of the weights, with and without trials.
    total, low, high : weighted sum and extremes of the response.
    open_ended : whether the log density of some row never stops rising in some direction of its predictor.
    certain : whether the perfect fit of every row is certain: of single trials that fail or succeed.
    """

    positive: int
    weights: float
    count: float
    total: float
    low: float
    high: float
    open_ended: bool
    certain: bool

    def __add__(self, other: ResponseTotals) -> ResponseTotals:
        return ResponseTotals(
            self.positive + other.positive,
            self.weights + other.weights,
            self.count + other.count,
            self.total + other.total,
            min(self.low, other.low),
            max(self.high, other.high),
            self.open_ended or other.open_ended,
            self.certain and other.certain,
        )

    @staticmethod
    def of(model: GeneralisedLinearModel) -> ResponseTotals:
        y, w = model.y, model.row_weight
        positive, count = counted(model.data.weights, len(y))
        single = model.family.support == "proportion" and model.size is None
        return ResponseTotals(
            positive,
            float(w.sum()),
            count,
            float(y @ w),
            float(y.min()),
            float(y.max()),
            model._may_separate,
            single and bool(((y == 0.0) | (y == 1.0)).all()),
        )


@dataclass(frozen=True)
class StreamedModel(StreamedMeans, GeneralisedLinearModel):
    """Family and formula of a GLM whose rows are streamed.

    Attributes
    ----------
    streamed : the data.
    totals : of the response.
    constant : whether the design is that of the null model.
    recession_direction : (p,) towards the maximum of separated responses at infinity; None where it is finite.
    still : move along it up to which a row counts as not moving.
    """

    streamed: StreamedData | None = None
    totals: ResponseTotals | LaterTotals | None = None
    constant: bool = False
    recession_direction: np.ndarray | None = None
    still: float = 0.0

    def _without_error(self, dispersion: float) -> bool:
        return False  # the responses are not in memory

    @staticmethod
    def over(
        streamed: StreamedData, family: Any, weights_kind: str, penalty: Any, executor: Executor, bias: str | None
    ) -> StreamedModel:
        """Check a response against a family, in one reading, and build the model. Of data that were never read before
        the first sum checks it.

        Raises
        ------
        DataError
            If the response is outside the family's support.
        ModelError
            If the family or the kind of weights is unknown, the penalty does not match, or bias reduction is asked for.
        """
        check_weights_kind(weights_kind)
        refuse_bias(bias)
        asked = resolve(family)
        sample = streamed.sample
        observations = asked.prepare(sample.response.weighted(sample.weights, weights_kind), sample.trials)
        refuse_numbers_as_categories(observations.family, streamed)
        absent = rows_not_in_memory(streamed, observations.size is not None and not observations.weights_are_trials)
        model = StreamedModel(
            observations.family, streamed.head, *absent, weights_kind, None, executor, streamed=streamed
        )
        if penalty is not None:
            model = replace(model, penalty=penalty_matrix(penalty, model.predictor.n_params, model._intercepts))
        if streamed.unread is not None:
            streamed.unread.expect(lambda data: ResponseTotals.of(model._piece(data)), model._check_totals)
            return replace(model, totals=LaterTotals(streamed.unread))
        totals = replace(model, streamed=of_response(streamed)).summed(ResponseTotals.of, "totals")
        model._check_totals(totals)
        return replace(model, totals=totals)

    def _check_totals(self, totals: ResponseTotals) -> None:
        self._check_response(totals.positive, totals.total / totals.weights, totals.low, totals.high)

    # -- the pieces --------------------------------------------------------------------------------------------

    def _piece(self, data: ModelData) -> GeneralisedLinearModel:
        """The model of some rows, in memory."""
        held = GeneralisedLinearModel(self.family, data, *rows_of_piece(self.family, data), self.weights_kind)
        if self.constant:
            return held.null_model(self.family)
        if self.recession_direction is None:
            return held
        return held.with_rows_at_infinity(self.recession_direction, self.still, self._least_weight)

    @property
    def _about(self) -> tuple[Any, ...]:
        return (self.constant, self.at_limit, repr(self.family))

    # -- structure ---------------------------------------------------------------------------------------------

    @property
    def at_limit(self) -> bool:
        return self.recession_direction is not None

    def designs(self, theta: np.ndarray) -> list[Any]:
        return [self.data.X] * self.predictor.n_predictors

    def null_model(self, family: Any) -> StreamedModel:  # type: ignore[override]
        """The model with only the intercept (if it has one) and the offset, with the family's parameters fixed."""
        names = ("Intercept",)[: int(self.data.has_intercept)]
        data = replace(self.data, names=names)
        return replace(self, family=family, data=data, penalty=None, constant=True)

    # -- the iteration -----------------------------------------------------------------------------------------

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The objective at the starting values of the sample, or at those of a constant mean."""
        for modest in dict.fromkeys((plain, True)):
            here = self.objective.evaluate(self.sample.start(Need(), modest).theta, need)
            if here.finite:
                return here
        raise ConvergenceError(
            "start: found no starting values inside the link's domain; pass start= with coefficients at which every "
            "mean is possible, or use a link that is defined for every η, such as 'log' or 'logit'"
        )

    @cached_property
    def _may_separate(self) -> bool:
        assert self.totals is not None
        return self.recession_direction is None and self.penalty is None and self.totals.open_ended

    def limit_evidence(self, theta: np.ndarray) -> np.ndarray:
        return self.summed(lambda held: held.limit_evidence(theta), "limit", theta)

    def _rules_out_a_level(self, theta: np.ndarray) -> bool:
        if self.family.predictor_labels is None or not self._may_separate:
            return False
        return self.summed(lambda held: int(held._rules_out_a_level(theta)), "levels", theta) > 0

    def _separation(self) -> Limit | None:
        """As in memory. All rows are read only if the sample leaves separation possible, which is rare."""
        least = self._least_weight
        part = self.subsampled(max(1, self._data.n_rows // SAMPLE_ROWS)).constraints(least)
        found = separated_everywhere(
            part, lambda news: self.summed(lambda held: news(held.constraints(least, part.scale)), "constraints")
        )
        if found is None:
            return None
        gaps: Moves = self.summed(lambda held: Moves.of(held.gaps(found.direction)), "moves", found.direction)
        model = replace(self, recession_direction=found.direction, still=gaps.still)
        return self._at_infinity(found, model, gaps)

    @property
    def _least_weight(self) -> float:
        """As :func:`raphson.model.glm.separation.least_weight`, for all rows."""
        assert self.totals is not None
        return EPSILON * self.totals.weights / self._data.n_rows

    @cached_property
    def fitted_exactly(self) -> float:
        return (
            0.0 if self.recession_direction is None else float(self.summed(lambda held: held.fitted_exactly, "exact"))
        )

    # -- what the Fit reads ------------------------------------------------------------------------------------

    @property
    def _certain(self) -> bool:
        """Whether Σ w log f, which every evaluation has, is the log-likelihood, and −2 times it the deviance."""
        assert self.totals is not None
        return self.totals.certain and not self.family.quasi and not self.at_limit

    def deviance(self, rows: StreamedRowTable) -> float:  # type: ignore[override]
        return -2.0 * self.value_of(rows) if self._certain else super().deviance(rows)

    def log_likelihood(self, rows: StreamedRowTable, dispersion: float) -> float:  # type: ignore[override]
        if self._certain and dispersion == 1.0:
            return self.value_of(rows)
        return super().log_likelihood(rows, dispersion)

    def spread(self, rows: StreamedRowTable) -> Spread | None:  # type: ignore[override]
        if self._certain and self.data.weights is None and self.weights_kind != "sampling":
            return Spread(0.0, 0.0, 0.0)  # a single trial varies as much as it must
        return super().spread(rows)
