"""A density whose rows are streamed; see :mod:`raphson.model.streamed`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data.blocks import Block, StreamedBlocks, make_blocks
from raphson.data.several import SeveralData
from raphson.data.several_streams import StreamedSeveral
from raphson.data.streams import NotInMemory
from raphson.errors import DataError, ModelError
from raphson.execute import Executor, sum_blocks
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
from raphson.model.likelihood.start import starting_point
from raphson.model.objective import Evaluation, Need
from raphson.model.streamed import StreamedRows, StreamedRowTable

MOST_NUMBERS = 2**26
"""How many second derivatives are held for one piece: 512 MiB."""

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
        y, weights = rows.y, rows.data.weights
        finite = y[np.isfinite(y)]
        distinct = ready is not None and ready.cut_points and rows.data.response.levels is None
        return DensityTotals(
            len(y) if weights is None else int(np.count_nonzero(weights)),
            float(len(y)) if weights is None else float(weights.sum()),
            float(finite.min(initial=np.inf)),
            float(finite.max(initial=-np.inf)),
            np.unique(y)[: MOST_LEVELS + 1] if distinct else np.zeros(0),
            None if ready is None else ready.faults(y, rows.columns),
        )


@dataclass
class Extreme:
    """The row with the highest log density, or the first whose log density or score is not finite.

    Attributes
    ----------
    height : its log density; infinite if it, or its score, is not finite.
    start : of the piece that it is in.
    """

    height: float
    start: int

    def __add__(self, other: Extreme) -> Extreme:
        return other if other.height > self.height else self


@dataclass
class Largest:
    """The largest of some numbers."""

    value: float

    def __add__(self, other: Largest) -> Largest:
        return Largest(max(self.value, other.value))


@dataclass(frozen=True)
class StreamedLikelihood(StreamedRows, LikelihoodModel):
    """A density with a formula for each parameter, over streamed rows.

    Attributes
    ----------
    streamed : the data.
    totals : sums over all rows.
    parameters : of the density, in its order.
    """

    streamed: StreamedSeveral | None = None
    totals: DensityTotals | None = None
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
    ) -> StreamedLikelihood:
        """Check the rows against a density, in one reading, and build the model.

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
        pieces: Any = StreamedBlocks(
            streamed.n_rows,
            len(streamed.pieces),
            lambda numbers: (data for _, data in streamed.read([streamed.pieces[k] for k in numbers])),  # type: ignore[misc]
            lambda rng: iter(()),
            streamed.starts,
        )

        def one(data: SeveralData) -> DensityTotals:
            return DensityTotals.of(ready, DensityRows.of(data, parameters))

        totals = sum_blocks(executor, one, pieces, lambda: ("totals",))
        levels = _levels(ready, streamed, totals)
        part = model_of_rows(
            ready, density, DensityRows.of(streamed.sample, parameters), levels, weights_kind, penalty, executor
        )
        _check_size(part.family.n_predictors, streamed.source.piece_rows)
        return _without_rows(part, streamed, totals, parameters)

    # -- the pieces --------------------------------------------------------------------------------------------

    def _piece(self, data: SeveralData) -> LikelihoodModel:
        given: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(LikelihoodModel)}
        given["penalty"] = None  # a sum over rows is without it
        return with_rows(LikelihoodPiece(**given), DensityRows.of(data, self.parameters))

    # -- the iteration -----------------------------------------------------------------------------------------

    def start(self, need: Need, plain: bool = False) -> Evaluation:
        """The objective at the best constants for the predictors of the sample."""
        return starting_point(self.sample, need, self.objective)

    def largest_move(self, theta: np.ndarray, direction: np.ndarray) -> float:
        """As in memory, by a reading."""
        given = (theta, direction)
        found: Largest = self.summed(lambda held: Largest(held.largest_move(*given)), "move", *given)
        return found.value

    def examined(self, theta: np.ndarray) -> LikelihoodModel:
        """The piece with the first row whose log density is not finite, otherwise the one with the highest."""

        def of(block: Block) -> Extreme:
            with np.errstate(all="ignore"):
                rows = self.family.own_rows(block, self.predictor.eta(block, theta))
            counted = block.weight[: block.rows] > 0
            found = np.concatenate([rows.value[None], rows.score])[:, counted]
            height = float(found[0].max(initial=-np.inf)) if np.isfinite(found).all() else np.inf
            return Extreme(height, block.start)

        found: Extreme = sum_blocks(self.executor, of, self.blocks, lambda: ("extreme", theta))
        starts = [piece.start for piece in self._data.pieces]
        ((_, held),) = self._read([starts.index(found.start)])
        return held

    # -- what the Fit reads ------------------------------------------------------------------------------------

    @property
    def single_row(self) -> bool:
        assert self.totals is not None
        return self.totals.positive == 1

    @property
    def some_responses(self) -> np.ndarray:
        assert self.totals is not None
        ends = [self.totals.low, self.totals.high]
        return np.concatenate([self.sample.y, [one for one in ends if np.isfinite(one)]])

    def sampler(self, rows: Any, dispersion: float) -> Any:
        raise ModelError(
            "simulate: streamed rows are not kept in memory, so that no responses are drawn for them; fit a part of "
            "the data as a data frame"
        )

    def log_likelihood(self, rows: StreamedRowTable, dispersion: float) -> float:  # type: ignore[override]
        found = self.likelihood.evaluate(rows.theta)
        return found.value - found.added


@dataclass(frozen=True)
class LikelihoodPiece(LikelihoodModel):
    """The model of one piece, which is one block: it was cut for that."""

    @cached_property
    def blocks(self) -> list[Block]:
        return make_blocks(self.matrices, self.y, self.weight, self.offset, self.extra)


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


def _check_size(n_predictors: int, piece_rows: int) -> None:
    """Refuse pieces whose second derivatives would take too much memory."""
    if n_predictors**2 * piece_rows > MOST_NUMBERS:
        raise ModelError(
            f"data: the second derivatives by {n_predictors} predictors of {piece_rows} rows would take "
            f"{8e-9 * n_predictors**2 * piece_rows:.1f} GB; read fewer rows at a time, as in rp.stream(path, "
            "piece_rows=1024)"
        )


def _without_rows(
    part: LikelihoodModel, streamed: StreamedSeveral, totals: DensityTotals, parameters: tuple[str, ...]
) -> StreamedLikelihood:
    """The model of all rows, from that of some of them."""

    def absent(what: str) -> Any:
        return NotInMemory(what)

    head = replace(streamed.head, parts={name: streamed.head.parts[name] for name in parameters})
    given: dict[str, Any] = {one.name: getattr(part, one.name) for one in fields(LikelihoodModel)}
    given |= {
        "data": LikelihoodData.of(head),
        "y": absent("the response"),
        "weight": None if head.weights is None else absent("the weights"),
        "matrices": tuple(absent("the design") for _ in part.matrices),
        "offset": None if part.offset is None else absent("the offset"),
        "extra": tuple(absent(f"the column {name}") for name in head.columns),
    }
    return StreamedLikelihood(**given, streamed=streamed, totals=totals, parameters=parameters)
