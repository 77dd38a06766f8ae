"""A likelihood whose rows are streamed; see :mod:`raphson.model.streamed`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data.blocks import Block, make_blocks
from raphson.data.not_in_memory import NotInMemory
from raphson.errors import ModelError
from raphson.execute import sum_blocks
from raphson.model.likelihood.build import LikelihoodData
from raphson.model.likelihood.model import LikelihoodModel
from raphson.model.likelihood.start import starting_point
from raphson.model.objective import Evaluation, Need
from raphson.model.streamed import StreamedRows, StreamedRowTable, fields_of

MOST_NUMBERS = 2**26
"""How many second derivatives are held for one piece: 512 MiB."""


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


@dataclass
class Count:
    """The numbers of some rows and of all."""

    some: int
    every: int

    def __add__(self, other: Count) -> Count:
        return Count(self.some + other.some, self.every + other.every)


@dataclass(frozen=True)
class StreamedLikelihood(StreamedRows, LikelihoodModel):
    """A likelihood over streamed rows.

    Attributes
    ----------
    streamed : the data.
    totals : sums over all rows, among them `positive`, the number of rows of positive weight.
    """

    streamed: Any = None
    totals: Any = None

    # -- the pieces --------------------------------------------------------------------------------------------

    def with_rows(self, model: LikelihoodModel, data: Any) -> LikelihoodModel:
        """A model with some rows in memory."""
        raise NotImplementedError

    def _piece(self, data: Any) -> LikelihoodModel:
        given = fields_of(LikelihoodModel, self, penalty=None)  # a sum over rows is without it
        return self.with_rows(LikelihoodPiece(**given), data)

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
        number = starts.index(found.start)
        ((_, held),) = self._read([number])
        return replace(held, data=replace(held.data, index=self._data.numbers(self._data.pieces[number])))

    def counted(self, which: Callable[[LikelihoodModel], np.ndarray], *about: Any) -> tuple[int, int]:
        found: Count = self.summed(lambda held: Count(*held.counted(which)), "count", *about)
        return found.some, found.every

    # -- what the Fit reads ------------------------------------------------------------------------------------

    @property
    def single_row(self) -> bool:
        return bool(self.totals.positive == 1)

    def sampler(self, rows: Any, dispersion: float) -> Any:
        raise ModelError(
            "simulate: streamed rows are not kept in memory, so that no responses are drawn for them; fit a part of "
            "the data as a data frame"
        )

    def log_likelihood(self, rows: StreamedRowTable, dispersion: float) -> float:  # type: ignore[override]
        return self.value_of(rows)


@dataclass(frozen=True)
class LikelihoodPiece(LikelihoodModel):
    """The model of one piece, which is one block: it was cut for that."""

    @cached_property
    def blocks(self) -> list[Block]:
        return make_blocks(self.matrices, self.y, self.weight, self.offset, self.extra)


def check_size(n_predictors: int, piece_rows: int) -> None:
    """Refuse pieces whose second derivatives would take too much memory."""
    if n_predictors**2 * piece_rows > MOST_NUMBERS:
        raise ModelError(
            f"data: the second derivatives by {n_predictors} predictors of {piece_rows} rows would take "
            f"{8e-9 * n_predictors**2 * piece_rows:.1f} GB; read fewer rows at a time, as in rp.stream(path, "
            "piece_rows=1024)"
        )


def without_rows(part: LikelihoodModel, data: LikelihoodData, columns: Iterable[str]) -> dict[str, Any]:
    """The fields of a model of some rows, for that of all rows.

    Parameters
    ----------
    data : with nothing by row.
    columns : names of the columns that the likelihood reads besides the response.
    """

    def absent(what: str) -> Any:
        return NotInMemory(what)

    return fields_of(
        LikelihoodModel,
        part,
        data=data,
        y=absent("the response"),
        weight=None if data.weights is None else absent("the weights"),
        matrices=tuple(absent("the design") for _ in part.matrices),
        offset=None if part.offset is None else absent("the offset"),
        extra=tuple(absent(f"the column {name}") for name in columns),
    )
