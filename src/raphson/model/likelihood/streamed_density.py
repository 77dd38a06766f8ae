"""A density with a formula for each parameter, whose rows are streamed; see :mod:`raphson.model.streamed`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raphson.data.extras import counted
from raphson.data.first_reading import Contradicted, LaterTotals
from raphson.data.several import SeveralData
from raphson.data.several_streams import StreamedSeveral
from raphson.errors import DataError
from raphson.execute import Executor
from raphson.model.base import check_weights_kind
from raphson.model.likelihood.build import (
    DensityRows,
    LikelihoodData,
    model_of_rows,
    refuse_labels,
    response_levels,
    with_rows,
)
from raphson.model.likelihood.densities.ready import DensitySpec, Faults
from raphson.model.likelihood.model import LikelihoodModel
from raphson.model.likelihood.streamed import StreamedLikelihood, check_size, without_rows
from raphson.model.streamed import summed_pieces

MOST_LEVELS = 1_000
"""Most distinct whole numbers that are levels of an ordered response: each is a parameter."""


@dataclass(frozen=True)
class DensityTotals:
    """Sums and extremes over all rows.

    Attributes
    ----------
    positive : number of rows of positive weight.
    count : sum of the weights.
    low, high : the smallest and the largest finite response.
    values : the distinct responses of an ordered density, if they are numbers.
    faults : of a ready density.
    """

    positive: int
    count: float
    low: float
    high: float
    values: np.ndarray
    faults: Faults | None

    def __add__(self, other: DensityTotals) -> DensityTotals:
        return DensityTotals(
            self.positive + other.positive,
            self.count + other.count,
            min(self.low, other.low),
            max(self.high, other.high),
            np.union1d(self.values, other.values)[: MOST_LEVELS + 1],
            None if self.faults is None or other.faults is None else self.faults + other.faults,
        )

    @staticmethod
    def of(ready: DensitySpec | None, rows: DensityRows) -> DensityTotals:
        y = rows.y
        finite = y[np.isfinite(y)]
        distinct = ready is not None and ready.cut_points and rows.data.response.levels is None
        return DensityTotals(
            *counted(rows.data.weights, len(y)),
            float(finite.min(initial=np.inf)),
            float(finite.max(initial=-np.inf)),
            np.unique(y)[: MOST_LEVELS + 1] if distinct else np.zeros(0),
            None if ready is None else ready.faults(y, rows.columns),
        )


@dataclass(frozen=True)
class StreamedDensity(StreamedLikelihood):
    """A density with a formula for each parameter, over streamed rows.

    Attributes
    ----------
    parameters : of the density, in its order.
    """

    streamed: StreamedSeveral | None = None
    totals: DensityTotals | LaterTotals | None = None
    parameters: tuple[str, ...] = ()

    @staticmethod
    def over(
        ready: DensitySpec | None,
        density: Callable[..., Any],
        streamed: StreamedSeveral,
        parameters: tuple[str, ...],
        weights_kind: str,
        penalty: Any,
        executor: Executor,
    ) -> StreamedDensity:
        """Check the rows against a density, in one reading, and build the model. Of data that were never read before
        the first sum checks them.

        Raises
        ------
        DataError
            If the density is not defined for some row.
        ModelError
            If the kind of weights is unknown or the penalty does not match.
        """
        check_weights_kind(weights_kind)
        if ready is not None:
            refuse_labels(ready, streamed.head)

        def one(data: SeveralData) -> DensityTotals:
            return DensityTotals.of(ready, DensityRows.of(data, parameters))

        totals: DensityTotals | LaterTotals
        if streamed.unread is not None:
            if ready is not None and ready.cut_points and streamed.levels is None:
                raise Contradicted  # the levels are those of all rows

            def check(found: DensityTotals) -> None:
                _levels(ready, streamed, found)

            streamed.unread.expect(one, check)
            totals, levels = LaterTotals(streamed.unread), streamed.levels
        else:
            totals = read = summed_pieces(streamed, one, executor, "totals")
            levels = _levels(ready, streamed, read)
        part = model_of_rows(
            ready, density, DensityRows.of(streamed.sample, parameters), levels, weights_kind, penalty, executor
        )
        check_size(part.family.n_predictors, streamed.source.piece_rows)
        head = replace(streamed.head, parts={name: streamed.head.parts[name] for name in parameters})
        given = without_rows(part, LikelihoodData.of(head), head.columns)
        return StreamedDensity(**given, streamed=streamed, totals=totals, parameters=parameters)

    def with_rows(self, model: LikelihoodModel, data: SeveralData) -> LikelihoodModel:
        return with_rows(model, DensityRows.of(data, self.parameters))

    @property
    def some_responses(self) -> np.ndarray:
        assert self.totals is not None
        ends = [self.totals.low, self.totals.high]
        return np.concatenate([self.sample.y, [one for one in ends if np.isfinite(one)]])


def _levels(ready: DensitySpec | None, streamed: StreamedSeveral, totals: DensityTotals) -> tuple[str, ...] | None:
    """The levels of the response, after the rows have been checked."""
    if ready is None or totals.faults is None:
        return streamed.levels
    name = streamed.head.response.name
    ready.refuse_infinite(name, totals.faults)
    if len(totals.values) > MOST_LEVELS:
        raise DataError(
            f"response {name!r}: an ordered density expects levels; got more than {MOST_LEVELS} different numbers. "
            "Group them, or choose a density for numbers"
        )
    levels = response_levels(ready, name, streamed.levels, totals.values)
    ready.refuse(name, totals.faults)
    return levels
