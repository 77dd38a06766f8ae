"""What models have in common whose rows are streamed: read piece by piece in each pass, never all in memory.

A sum over rows is the sum over pieces, each a model in memory. Whatever has a value for each row is refused with a
message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data.blocks import Block, StreamedBlocks
from raphson.data.streams import NotInMemory, Piece
from raphson.errors import ModelError
from raphson.execute import sum_blocks
from raphson.model.objective import Evaluation


@dataclass
class StreamedRowTable:
    """A placeholder for the rows at one θ: sums over them are computed on demand, values for single rows refused.

    Attributes
    ----------
    theta : where.
    value : Σ w log f at unit dispersion; None if it was not found yet.
    sums : what else was found.
    best : the φ that maximises the likelihood, and the likelihood there; None if they were not found yet.
    """

    theta: np.ndarray
    value: float | None = None
    sums: np.ndarray | None = None
    best: tuple[float, float] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(NotInMemory(f"what has a value for each row ({name})"), name)


class BlockCopies(NotInMemory):
    """How many copies each row stands for, where its weight in a block says that."""

    def __call__(self, block: Block) -> np.ndarray:
        return block.weight[: block.rows]


class StreamedRows:
    """What a model whose rows are streamed does in its own way; it comes before the class of the model in memory.

    That has `data`, `executor`, `penalty`, `weights_kind`, `predictor` and `at_limit`. A subclass adds

    Attributes
    ----------
    streamed : the data, a :class:`raphson.data.streams.Streamed`.
    totals : sums over all rows: `positive`, the number of rows of positive weight, `count`, the sum of the weights, and
        others.
    """

    by_rows = False

    def _piece(self, data: Any) -> Any:
        """The model of some rows, in memory."""
        raise NotImplementedError

    def of_piece(self, data: Any) -> Any:
        """The model of some rows, in memory, without the penalty."""
        return self._piece(data)

    @property
    def _about(self) -> tuple[Any, ...]:
        """What the sums of the model depend on, besides what they are of."""
        return (self._model.at_limit,)

    @property
    def _model(self) -> Any:
        return self

    # -- the pieces --------------------------------------------------------------------------------------------

    @property
    def _data(self) -> Any:
        return self._model.streamed

    def _read(self, numbers: Sequence[int]) -> Iterator[tuple[Piece, Any]]:
        for piece, data in self._data.read([self._data.pieces[k] for k in numbers]):
            yield piece, self._piece(data)

    def summed(self, function: Callable[[Any], Any], *about: Any) -> Any:
        """Sum of a function of the pieces; `about` says of which."""
        return summed_pieces(
            self._data, lambda data: function(self._piece(data)), self._model.executor, *self._about, *about
        )

    @cached_property
    def blocks(self) -> Any:
        return StreamedBlocks(
            self._data.n_rows,
            len(self._data.pieces),
            self._read_blocks,
            self._shuffled_blocks,
            self._data.starts,
            self._data.held,
            self._data.first,
        )

    def _read_blocks(self, numbers: range) -> Iterator[Block]:
        for piece, held in self._read(numbers):
            (block,) = held.blocks
            yield replace(block, start=piece.start)

    def _shuffled_blocks(self, rng: np.random.Generator) -> Iterator[list[Block]]:
        for group in self._data.shuffled(rng):
            yield [held.blocks[0] for held in map(self._piece, group)]

    @cached_property
    def sample(self) -> Any:
        """The model of some of the rows, evenly spread, in memory."""
        return replace(self._piece(self._data.sample), penalty=self._model.penalty)

    # -- structure ---------------------------------------------------------------------------------------------

    @property
    def replicates(self) -> None:
        return None

    @property
    def copies(self) -> Any:
        data = self._model.data
        if data.weights is None:
            return None
        return (BlockCopies if data.trials is None else NotInMemory)("the number of copies of each row")

    @cached_property
    def nobs(self) -> float:
        totals = self._model.totals
        return totals.count if self._model.weights_kind == "frequency" else float(totals.positive)

    @property
    def total_weight(self) -> float:
        return self._model.totals.count

    def subsampled(self, every: int) -> Any:
        """The model of about one of `every` rows, in memory."""
        beside = max(1, round(every * len(self.sample.y) / self._data.n_rows))
        return self.sample if beside == 1 else self.sample.subsampled(beside)

    def subset(self, rows: slice | np.ndarray) -> Any:
        raise ModelError("data: streamed rows have no subsets; select the rows in a data frame and fit that")

    # -- the iteration -----------------------------------------------------------------------------------------

    @property
    def read_beforehand(self) -> str:
        """How often some columns were read to find the states of transforms."""
        passes = getattr(self._data, "passes", 0)
        plural = "es" if passes > 1 else ""
        return f"{passes} pass{plural} over some columns found states of transforms beforehand" if passes else ""

    def needs_multistart(self, theta: np.ndarray, converged: bool, condition: float, steps: int | None = None) -> str:
        """Empty: every other start would read all rows many times."""
        return ""

    # -- what the Fit reads ------------------------------------------------------------------------------------

    def rows(self, theta: np.ndarray) -> Any:
        return StreamedRowTable(theta)

    def rows_at(self, found: Evaluation) -> Any:
        return StreamedRowTable(found.theta, found.value - found.added)

    def value_of(self, rows: StreamedRowTable) -> float:
        """Σ w log f at unit dispersion, without the penalty; by a reading if no evaluation has found it."""
        value = rows.value
        if value is None:
            found = self._model.likelihood.evaluate(rows.theta)
            rows.value = value = float(found.value - found.added)
        return value


def fields_of(kind: Any, model: Any, **others: Any) -> dict[str, Any]:
    """The fields of a dataclass as an object of a subclass has them, but for `others`, to make another of that kind."""
    return {one.name: getattr(model, one.name) for one in fields(kind)} | others


def summed_pieces(streamed: Any, function: Callable[[Any], Any], executor: Any, *about: Any) -> Any:
    """Sum of a function of the data of each piece; `about` says of which."""
    pieces: Any = StreamedBlocks(
        streamed.n_rows,
        len(streamed.pieces),
        lambda numbers: (data for _, data in streamed.read([streamed.pieces[k] for k in numbers])),  # type: ignore[misc]
        lambda rng: iter(()),
        streamed.starts,
        streamed.held,
        streamed.first,
    )
    return sum_blocks(executor, function, pieces, lambda: about)


def refuse_bias(bias: str | None) -> None:
    """Refuse bias reduction, whose information is that of all rows at once.

    Raises
    ------
    ModelError
    """
    if bias is not None:
        raise ModelError(
            "bias: bias reduction needs all rows in memory, but these are streamed; leave it out, or pass a frame"
        )
