"""Where the rows of a large batch are read: at several places of the data at once, its *lanes*.

A lane has some parts of the source, the same in every epoch, reads them in an order that is drawn anew for each epoch,
and gives to each step the next of its rows; those of a piece come in an order drawn by chance. So an epoch reads every
row once, where it lies, and a step is told by the numbers of its rows alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from raphson.data.blocks import BLOCK_ROWS, Block, padded
from raphson.model.problem import RowsStreamed
from raphson.newton.training.streaming import columns_of, joined

LANE_ROWS, MOST_LANES = 2_048, 64
"""Rows that each lane gives to a batch, at least, and lanes at most. A lane holds what it reads at a time, some 16 MB,
so that a process that computes all of them holds 1 GB at most. The number of workers does not matter to it, so that the
training does not depend on them."""


class Stretch(NamedTuple):
    """Rows of a step that are read together, of one part.

    Attributes
    ----------
    lane : its number.
    size : number of rows, padding included, for which the gradient is compiled.
    pieces : number of each piece, and of the first row and the one behind the last in the piece's own order.
    """

    lane: int
    size: int
    pieces: tuple[tuple[int, int, int], ...]

    @property
    def n_rows(self) -> int:
        """Without the padding."""
        return sum(stop - start for _, start, stop in self.pieces)


class Rows(NamedTuple):
    """The rows of a stretch, padded with copies of the first at weight 0.

    Attributes
    ----------
    place : number of the first piece, and of the first row in it.
    y, weight : (size,).
    offset : (K, size) or None.
    design : (size, d).
    """

    place: tuple[int, int]
    y: np.ndarray
    weight: np.ndarray
    offset: np.ndarray | None
    design: np.ndarray


@dataclass
class _Place:
    """Where a lane's reading is: at a piece, whose rows are taken in the order of `drawn`."""

    reader: Iterator[Any]
    piece: int
    drawn: int | None = None
    order: np.ndarray = field(default_factory=lambda: np.arange(0))
    columns: list[np.ndarray | None] = field(default_factory=list[np.ndarray | None])


class Lanes:
    """Reads rows of pieces, and keeps each lane's place from one step to the next.

    Parameters
    ----------
    read : yields the blocks, or lists of blocks, of pieces of given numbers, in order.
    starts : numbers of the first pieces of the parts, and behind the last the number of all pieces.
    width : number of columns of the design.
    mean_weight : divisor of the weights; None if all are 1.
    dtype : of the batches.
    """

    def __init__(
        self,
        read: Callable[[range], Iterator[Any]],
        starts: tuple[int, ...],
        width: int,
        mean_weight: float | None,
        dtype: Any,
    ) -> None:
        self.read, self.starts, self.width, self.mean_weight, self.dtype = read, starts, width, mean_weight, dtype
        self._places: dict[int, _Place] = {}
        self._lock = Lock()

    def for_workers(self) -> Lanes:
        """The same before anything is read: a worker keeps places of its own."""
        return Lanes(self.read, self.starts, self.width, self.mean_weight, self.dtype)

    def __reduce__(self) -> Any:
        return Lanes, (self.read, self.starts, self.width, self.mean_weight, self.dtype)

    def rows(self, where: Stretch, drawn: int) -> Rows:
        """The rows of a stretch, where pieces are in the order that the epoch has `drawn`."""
        with self._lock:  # a worker that is given a step again may be computing it still: each reads by itself
            place = self._places.pop(where.lane, None)
        taken = []
        for piece, start, stop in where.pieces:
            place = self._at(piece, place)
            y = place.columns[0]
            assert y is not None
            if place.drawn != drawn:
                place.drawn, place.order = drawn, np.random.default_rng([drawn, piece]).permutation(len(y))
            which = place.order[start:stop]
            taken.append([None if one is None else one[which] for one in place.columns])
        assert place is not None
        with self._lock:
            self._places[where.lane] = place
        return self._padded(joined(taken), where)

    def _at(self, piece: int, place: _Place | None) -> _Place:
        """The place at a piece, which may be further on."""
        part = self.part(piece)
        if place is None or self.part(place.piece) != part or place.piece > piece:
            place = _Place(self.read(range(piece, self.starts[part + 1])), piece - 1)
        while place.piece < piece:
            blocks: list[Block] = next(place.reader)
            place.piece, place.drawn = place.piece + 1, None
            if place.piece == piece:
                sizes = [np.ones(self.width)]
                place.columns = joined([columns_of(block, sizes, self.mean_weight, self.dtype) for block in blocks])
        if place.piece + 1 == self.starts[part + 1]:
            next(place.reader, None)  # looks whether the part ends where it did
        return place

    def part(self, piece: int) -> int:
        """The number of the part that a piece is in."""
        return bisect_right(self.starts, piece) - 1

    def _padded(self, columns: list[np.ndarray | None], where: Stretch) -> Rows:
        n, size = where.n_rows, where.size
        y, weight, offset, X = (None if one is None else padded(one, size, 0) for one in columns)
        assert y is not None and X is not None
        counts = np.zeros(size, self.dtype)
        counts[:n] = 1.0 if weight is None else weight[:n]
        shift = None if offset is None else np.ascontiguousarray(offset.T)
        return Rows(where.pieces[0][:2], y, counts, shift, X)


@dataclass(frozen=True)
class Reader:
    """Reads the rows of a step: of stretches of given numbers.

    Attributes
    ----------
    lanes : where they are.
    stretches : of the step.
    drawn : decides the order of the rows in each piece.
    """

    lanes: Lanes
    stretches: tuple[Stretch, ...]
    drawn: int

    def __call__(self, numbers: range) -> Iterator[Rows]:
        return (self.lanes.rows(self.stretches[number], self.drawn) for number in numbers)


class StepRows(Sequence[Rows]):
    """The rows of a step, as blocks that are read when they are needed.

    Parameters
    ----------
    reader : of all of them.
    held : gives the name and the future of the part that a piece is in, where a cluster has the parts in memory.
    numbers : of the stretches; None for all.
    """

    def __init__(self, reader: Reader, held: Callable[[int], Any] | None, numbers: range | None = None) -> None:
        self.reader = reader
        self.held = None if held is None else lambda number: held(reader.stretches[number].pieces[0][0])
        self._numbers = range(len(reader.stretches)) if numbers is None else numbers

    @property
    def runs(self) -> list[int]:
        """Where each lane begins, and each part of a lane."""
        lanes, same = self.reader.lanes, self.reader.stretches
        where = [(same[i].lane, lanes.part(same[i].pieces[0][0])) for i in self._numbers]
        return [k for k, one in enumerate(where) if k == 0 or one != where[k - 1]]

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Rows]:
        return self.reader(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return StepRows(self.reader, None, self._numbers[index])
        return next(self.reader(range(self._numbers[index], self._numbers[index] + 1)))


@dataclass(frozen=True)
class Plan:
    """Which parts each lane has, and how many steps an epoch takes.

    Attributes
    ----------
    pieces : numbers of rows of the pieces.
    starts : as of :class:`Lanes`.
    lanes : numbers of the parts of each.
    steps : of an epoch.
    size : most rows that a lane gives to a step, rounded up.
    """

    pieces: tuple[int, ...]
    starts: tuple[int, ...]
    lanes: tuple[tuple[int, ...], ...]
    steps: int
    size: int

    @staticmethod
    def of(rows: RowsStreamed, batch_size: int) -> Plan:
        """The parts are shared out so that all lanes have about as many rows.

        Examples
        --------
        >>> rows = RowsStreamed(None, 1, None, (300, 300, 300, 100), (0, 1, 2, 3))
        >>> Plan.of(rows, 2 * LANE_ROWS).lanes
        ((0, 2), (1, 3))
        """
        starts = (*rows.starts, len(rows.pieces))
        sizes = [sum(rows.pieces[start:stop]) for start, stop in pairwise(starts)]
        n = max(1, min(len(sizes), batch_size // LANE_ROWS, MOST_LANES))
        lanes, filled = [list[int]() for _ in range(n)], [0] * n
        for part in sorted(range(len(sizes)), key=lambda k: -sizes[k]):
            least = filled.index(min(filled))
            lanes[least].append(part)
            filled[least] += sizes[part]
        steps = max(1, sum(sizes) // batch_size)
        size = BLOCK_ROWS[0] * math.ceil(max(filled) / steps / BLOCK_ROWS[0])
        return Plan(rows.pieces, starts, tuple(map(tuple, lanes)), steps, size)

    def epoch(self, rng: np.random.Generator) -> Iterator[tuple[Stretch, ...]]:
        """The stretches of each step of an epoch: the same share of every lane's rows."""
        orders = [
            [piece for i in rng.permutation(len(parts)) for piece in range(*self.starts[parts[i] : parts[i] + 2])]
            for parts in self.lanes
        ]
        ends = [[0, *accumulate(self.pieces[piece] for piece in pieces)] for pieces in orders]
        for step in range(self.steps):
            yield tuple(
                one
                for lane, (pieces, edges) in enumerate(zip(orders, ends, strict=True))
                for one in self._between(lane, pieces, edges, *(edges[-1] * (step + k) // self.steps for k in (0, 1)))
            )

    def _between(self, lane: int, pieces: list[int], edges: list[int], start: int, stop: int) -> Iterator[Stretch]:
        """The rows of a lane from one number to another, by parts."""
        found: list[tuple[int, int, int]] = []
        for k in range(bisect_right(edges, start) - 1, len(pieces)):
            if edges[k] >= stop:
                break
            if found and pieces[k] in self.starts:
                yield self._stretch(lane, found)
                found = []
            found.append((pieces[k], max(start - edges[k], 0), min(stop, edges[k + 1]) - edges[k]))
        if found:
            yield self._stretch(lane, found)

    def _stretch(self, lane: int, pieces: list[tuple[int, int, int]]) -> Stretch:
        size, n = self.size, sum(stop - start for _, start, stop in pieces)
        while size // 4 >= max(n, BLOCK_ROWS[0]):
            size //= 4
        return Stretch(lane, size, tuple(pieces))
