"""A network whose rows are streamed; see :mod:`raphson.model.streamed`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data.blocks import BLOCK_ROWS, Block, StreamedBlocks
from raphson.data.extras import counted
from raphson.data.model_data import ModelData
from raphson.data.products import dense
from raphson.data.response_only import of_response
from raphson.data.streams import StreamedData, computed
from raphson.execute import Executor, tree_sum
from raphson.execute.journal import answering
from raphson.model.base import check_weights_kind
from raphson.model.families import resolve
from raphson.model.families.base import Family
from raphson.model.glm.streamed import ResponseTotals, StreamedModel
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.network.model import NetworkModel, network_of, nothing_to_train_on, trainable
from raphson.model.network.moments import Moments
from raphson.model.network.output_scale import ResponseMoments
from raphson.model.network.predictor import Scale
from raphson.model.problem import RowsStreamed
from raphson.model.streamed import fields_of
from raphson.model.streamed_means import (
    StreamedMeans,
    refuse_numbers_as_categories,
    rows_not_in_memory,
    rows_of_piece,
)

HELD_BYTES = 2**27
"""Size of the held-out rows' inputs up to which they are kept in memory, 128 MiB: 1,700,000 rows of 10. Where there are
more, each epoch is followed by a reading of them, which takes about a fifth of the time of the epoch."""

KEPT_BYTES = 2**25
"""Size up to which a checkpoint keeps them, so that going on from it reads nothing: 32 MiB. They are written once."""


@dataclass(frozen=True)
class NetworkTotals:
    """Sums and extremes over all rows.

    Attributes
    ----------
    positive : number of rows of positive weight.
    weights, count : sums of the weights, with and without trials.
    largest : absolute value of the response.
    inputs, response : what their scales are made of.
    """

    positive: int
    weights: float
    count: float
    largest: float
    inputs: Moments
    response: ResponseMoments

    def __add__(self, other: NetworkTotals) -> NetworkTotals:
        return NetworkTotals(
            self.positive + other.positive,
            self.weights + other.weights,
            self.count + other.count,
            max(self.largest, other.largest),
            self.inputs + other.inputs,
            self.response + other.response,
        )

    @staticmethod
    def of(held: NetworkModel) -> NetworkTotals:
        w = held.row_weight
        positive, count = counted(held.data.weights, len(held.y))
        inputs = dense(held.data.X)[:, Scale.inputs_among(held.data.names)]
        return NetworkTotals(
            positive,
            float(w.sum()),
            count,
            float(np.abs(held.y).max(initial=0.0)),
            Moments.of(inputs, held.weight),
            ResponseMoments.of(held.family, held.y, w),
        )


@dataclass(frozen=True)
class StreamedNetwork(StreamedMeans, NetworkModel):
    """Family and layers of a network whose rows are streamed.

    Attributes
    ----------
    streamed : the data.
    totals : sums over all rows.
    """

    streamed: StreamedData | None = None
    totals: NetworkTotals | None = None

    @staticmethod
    def over(
        streamed: StreamedData,
        family: Any,
        weights_kind: str,
        executor: Executor,
        structure: dict[str, Any],
        held_out: StreamedData | None,
    ) -> StreamedNetwork:
        """Check a response against a family, in one reading, and build the model; the arguments of `NetworkModel.of`.

        Raises
        ------
        DataError
            If the response is outside the family's support.
        ModelError
            If the family or an option is unknown.
        """
        check_weights_kind(weights_kind)
        observations = resolve(family).prepare(streamed.sample.response, streamed.sample.trials)
        known = trainable(observations.family, isinstance(family, Family))
        refuse_numbers_as_categories(known, streamed)
        columns = Scale.inputs_among(streamed.head.names)
        if not streamed.pieces or not any(piece.positive for piece in streamed.pieces):
            raise nothing_to_train_on()
        network = network_of(columns, known, structure)
        absent = rows_not_in_memory(streamed, observations.size is not None)
        model = StreamedNetwork(
            known, streamed.head, *absent, weights_kind, None, executor, network=network, streamed=streamed
        )
        totals: NetworkTotals = model.summed(NetworkTotals.of, "totals")
        known.check_units(streamed.head.response.name, totals.largest)
        centre, spread, divisor = totals.response.scale(known)
        scale, frozen = Scale.by(columns, totals.inputs), network.state(centre, spread)
        model = replace(model, totals=totals, scale=scale, frozen=frozen, divisor=divisor)
        return model if held_out is None else replace(model, held_out=model._held(held_out))

    def _held(self, streamed: StreamedData) -> NetworkModel:
        """The model of held-out rows: in memory if they are few, otherwise streamed."""
        size, split = 8 * streamed.n_rows * len(streamed.head.names), streamed.split
        if size <= HELD_BYTES and split is not None:
            keep = answering(self.executor) if size <= KEPT_BYTES else computed
            X, y, *others = keep(("held out", split.share, split.entropy), lambda: _arrays(streamed))
            given = dict(zip(("weights", "offset", "trials"), others, strict=True))
            response = replace(streamed.head.response, values=y)
            held = self._piece(replace(streamed.head, X=X, response=response, **given, n_dropped=0))
            return HeldRows(**fields_of(NetworkModel, held))
        model = replace(self, streamed=streamed)
        totals = model.summed(NetworkTotals.of, "totals")
        return replace(model, totals=totals)

    # -- the pieces --------------------------------------------------------------------------------------------

    def for_workers(self) -> StreamedNetwork:
        return replace(super().for_workers(), held_out=None)

    def _piece(self, data: ModelData) -> NetworkModel:
        return NetworkModel(
            self.family,
            data,
            *rows_of_piece(self.family, data),
            self.weights_kind,
            network=self.network,
            scale=self.scale,
            frozen=self.frozen,
            divisor=self.divisor,
            weight_decay=self.weight_decay,
        )

    @property
    def _about(self) -> tuple[Any, ...]:
        split = self._data.split
        return self.at_limit, self.frozen, None if split is None else (split.share, split.entropy, split.held)

    @cached_property
    def blocks(self) -> Any:
        """The blocks of each piece: a list of them, of as many rows as their Jacobian allows."""
        return StreamedBlocks(
            self.n_rows, len(self._data.pieces), self._read_blocks, self._shuffled_blocks, held=self._data.held
        )

    def _read_blocks(self, numbers: range) -> Iterator[Any]:
        for piece, held in self._read(numbers):
            yield [replace(block, start=piece.start + block.start) for block in held.blocks]

    def _shuffled_blocks(self, rng: np.random.Generator) -> Iterator[list[Block]]:
        for group in self._data.shuffled(rng):
            yield [block for data in group for block in self._piece(data).wide]

    # -- structure ---------------------------------------------------------------------------------------------

    @property
    def n_rows(self) -> int:
        return self._data.n_rows

    @property
    def total_weight(self) -> float:
        assert self.totals is not None
        return self.totals.weights

    @property
    def varying(self) -> np.ndarray:
        assert self.totals is not None
        return self.totals.inputs.varying

    @property
    def trained_rows(self) -> RowsStreamed:
        mean_weight = None if self.weight is None else self.total_weight / self.n_rows
        pieces = tuple(piece.rows for piece in self._data.pieces)
        return RowsStreamed(self.blocks, len(self.scale.columns), mean_weight, pieces, tuple(self._data.starts))

    @cached_property
    def likelihood(self) -> LogLikelihood:
        return PiecewiseLikelihood.of(super().likelihood)

    def null_model(self, family: Family) -> StreamedModel:  # type: ignore[override]
        streamed = self._data if self.data.offset is not None else of_response(self._data)
        head = replace(streamed.head, names=("Intercept",), has_intercept=True)
        given = (head, self.y, self.weight, self.size, self.weights_kind, None, self.executor)
        null = StreamedModel(family, *given, streamed=replace(streamed, head=head), constant=True)
        return replace(null, totals=null.summed(ResponseTotals.of, "null totals"))


@dataclass(frozen=True)
class HeldRows(NetworkModel):
    """Rows held out, in memory: sums over them are by pieces, so that only a piece of what follows from them is."""

    def summed(self, function: Callable[[NetworkModel], Any], *about: Any) -> Any:
        whole, n, size = fields_of(NetworkModel, self), len(self.y), BLOCK_ROWS[-1]
        parts = (NetworkModel(**whole).taken(slice(start, start + size)) for start in range(0, n, size))
        return sum(map(function, parts))


@dataclass(frozen=True)
class PiecewiseLikelihood(LogLikelihood):
    """The log-likelihood of pieces that are several blocks each: a piece is read once."""

    @staticmethod
    def of(likelihood: LogLikelihood) -> PiecewiseLikelihood:
        """The same likelihood, whose blocks are lists of blocks."""
        return PiecewiseLikelihood(**fields_of(LogLikelihood, likelihood))

    @property
    def _squares(self) -> None:  # type: ignore[override]
        return None

    def _sum(self, function: Callable[[Block], Any], *about: Any) -> Any:
        def one(piece: Any) -> Any:
            return tree_sum([function(block) for block in piece])

        return super()._sum(one, *about)


def _arrays(streamed: StreamedData) -> tuple[np.ndarray | None, ...]:
    """Design, response, weights, offset and trials of all rows."""
    found: list[np.ndarray | None] = []
    start = 0
    for _, data in streamed.read(streamed.pieces):
        rows = (dense(data.X), data.response.values, data.weights, data.offset, data.trials)
        if not start:
            found = [None if one is None else np.empty((streamed.n_rows, *one.shape[1:]), one.dtype) for one in rows]
        stop = start + len(rows[1])
        for whole, one in zip(found, rows, strict=True):
            if whole is not None:
                whole[start:stop] = one
        start = stop
    return tuple(found)
