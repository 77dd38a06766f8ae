"""What the first pass over streamed data collects, whatever is read of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from threading import Lock
from typing import Any, Self, TypeVar

import numpy as np

from raphson.data.extras import check_nonnegative, counted
from raphson.data.pieces import Rows, Sample, count, together
from raphson.data.places import Piece, usable_pieces
from raphson.data.rows import MissingRows, refuse_or_warn
from raphson.data.same_rows import Place, SameRows
from raphson.data.sources import Source
from raphson.errors import DataError
from raphson.execute.watched import Keeping
from raphson.numeric import one_blas_thread

PARTS = 64
"""Parts whose findings wait to be joined, at most."""


@dataclass
class Seen:
    """What has been found so far.

    Attributes
    ----------
    rows : the unusable rows.
    sampled : some of the rows.
    same : by which later readings are judged.
    read, dropped : numbers of rows.
    pieces : places of the usable rows.
    weighted : sum of the weights of the usable rows.
    """

    rows: MissingRows
    sampled: Sample
    same: SameRows
    read: int = 0
    dropped: int = 0
    pieces: list[Piece] = field(default_factory=list[Piece])
    weighted: float = 0.0

    @classmethod
    def of(cls, source: Source, columns: Sequence[str], wanted: int, /, **more: Any) -> Self:
        """Before anything is read of these columns, of which a sample of `wanted` rows is kept."""
        n_rows = source.n_rows or 0
        every = max(1, n_rows // wanted)
        sampled = Sample(every, wanted, every)
        return cls(rows=MissingRows(n_rows), sampled=sampled, same=SameRows(tuple(columns)), **more)

    @property
    def together(self) -> Sequence[str]:
        """The columns by whose number it is known how many rows are read at a time."""
        return self.same.columns

    def check_nonnegative(self, what: str, values: np.ndarray | None, kept: np.ndarray | None) -> None:
        """Raise a DataError if one of the values of the kept rows, which are not yet added, is negative."""
        if values is not None and len(values) and values.min() < 0:
            check_nonnegative(values, what, (np.arange(len(values)) if kept is None else kept) + self.read)

    def add(
        self, source: Source, place: Place, rows: Rows, kept: np.ndarray | None, weights: np.ndarray | None
    ) -> None:
        """Add rows that are read together, of which these are kept, with their weights."""
        n_rows = count(rows)
        n = n_rows if kept is None else len(kept)
        start = self.read - self.dropped
        self.pieces += usable_pieces(*place, n_rows, kept, source.piece_rows, start, weights)
        self.weighted += counted(weights, n)[1]
        self.sampled.take(rows, self.read)
        self.read += n_rows
        self.dropped += n_rows - n

    def join(self, other: Self) -> None:
        """Add what was found in rows that follow these ones, from their number on."""
        self.rows.absorb(other.rows)
        self.sampled.parts += other.sampled.parts
        self.same.join(other.same)
        # Their places are counted as if all the rows before them could be used.
        self.pieces += [replace(piece, start=piece.start - self.dropped) for piece in other.pieces]
        self.weighted += other.weighted
        self.read = other.read
        self.dropped += other.dropped

    def check(self, missing: str) -> None:
        """Refuse data without usable rows, and refuse the unusable ones or warn of them.

        Raises
        ------
        DataError
        """
        if not self.read:
            raise DataError("data: there are no rows; expected at least one")
        if self.dropped:
            refuse_or_warn(missing, self.rows.reasons(), self.dropped, self.read)
        if not self.weighted > 0:
            raise DataError("weights: all are 0, so no row counts; give some rows a positive weight")


S = TypeVar("S", bound=Seen)
Take = Callable[[S, Place, Rows], None]
"""Adds the pieces that are read together, from the piece of a place on."""


def first_pass(source: Source, keep: Keeping, begin: Callable[[], S], take: Take[S]) -> S:
    """What a first pass finds; of an interrupted fit what it found before, if the source can tell without a reading
    that its rows are the same.

    Where it is known how many rows each part has, each worker or thread of the executor reads some parts. Workers count
    them first where it is not: each part is then read twice, but all at the same time.
    """
    first = keep if source.files is not None else Keeping()
    seen: S = first(("first pass",), lambda: _all_read(source, keep, begin, take))
    keep(("rows", seen.same.found), lambda: None)
    return seen


def pass_over(source: Source, keep: Keeping, about: tuple[Any, ...], begin: Callable[[], S], take: Take[S]) -> S:
    """What another pass finds, some parts at a time, as all that is found of a part is kept until it is joined."""

    def one(part: int, told: Callable[[int], None] | None = None) -> S:
        here = begin()
        for _ in _read_part(source, part, here, take):
            if told is not None:
                told(here.read)
        return here

    def compute() -> S:
        seen = begin()
        step = source.parts if keep.workers is not None else PARTS
        for start in range(0, source.parts, step):
            for here in _by_parts(source, keep, one, range(start, min(start + step, source.parts))):
                read = seen.read + here.read
                seen.join(here)
                seen.read = read
        keep.show(seen.read, seen.read)
        return seen

    found: S = (keep if source.files is not None else Keeping())(about, compute)
    return found


def _all_read(source: Source, keep: Keeping, begin: Callable[[], S], take: Take[S]) -> S:
    """Read all rows once."""
    seen, rows, every = begin(), source.part_rows, None
    if rows is None and keep.workers is not None:
        rows = _counted(source, keep.workers, seen.same.columns)
        every = seen.sampled.stride(sum(rows)) if len(rows) > 1 else None
    if rows is not None and (source.parts > 1 or keep.workers is not None):
        starts = [0, *accumulate(rows)]

        def one(part: int, told: Callable[[int], None] | None = None) -> S:
            here = begin()
            here.read = at = starts[part]
            here.sampled.every = here.sampled.every if every is None else every
            for _ in _read_part(source, part, here, take):
                if told is not None:
                    told(here.read - at)
                at = here.read
            return here

        # Joined in order, whoever reads them: the sums have the same bits for any number of threads.
        for here in _by_parts(source, keep, one, range(source.parts)):
            seen.join(here)
        keep.show(seen.read, seen.read)
        return seen
    with one_blas_thread():  # as on workers, so that what is added up has the same bits
        for part in range(source.parts):
            for _ in _read_part(source, part, seen, take):
                if seen.read != source.n_rows:
                    keep.show(seen.read, source.n_rows)
    keep.show(seen.read, seen.read)
    return seen


def _counted(source: Source, workers: Any, columns: Sequence[str]) -> list[int]:
    """Number of rows of each part, counted by workers; of a single one, which nothing follows, it does not matter."""
    if source.parts == 1:
        return [0]
    # Of all columns, so that tables that lack one end here in the same error.
    return workers.map(
        lambda part: sum(count(rows) for _, rows in readings(source, part, columns)), Parts(source, range(source.parts))
    )


def _by_parts(source: Source, keep: Keeping, one: Callable[..., S], parts: range) -> list[S]:
    """What is found in each part: by workers elsewhere, which do not tell how far they are, or by threads."""
    if keep.workers is not None:
        return keep.workers.map(one, Parts(source, parts))
    lock, read = Lock(), 0

    def told(rows: int) -> None:
        nonlocal read
        with lock:
            read += rows
            if read != source.n_rows:
                keep.show(read, source.n_rows)

    return keep.threads.map(lambda part: one(part, told), Parts(source, parts))


def _read_part(source: Source, part: int, seen: S, take: Take[S]) -> Iterator[None]:
    seen.same.begin(part, source)
    for number, rows in readings(source, part, seen.together, seen.same.columns):
        take(seen, (part, number), rows)
        yield


class Parts(Sequence[int]):
    """The numbers of all parts of a source or of some, each of which a worker or a thread reads by itself."""

    def __init__(self, source: Source, parts: range | None = None) -> None:
        self.runs, self.held = range(source.parts) if parts is None else parts, source.held

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: Any) -> Any:
        return self.runs[index]

    reader = staticmethod(iter)


def readings(
    source: Source, part: int, columns: Sequence[str], read_too: Sequence[str] | None = None
) -> Iterator[tuple[int, Rows]]:
    """The rows of a part, some pieces at a time, each time with the number of the first piece.

    With `read_too` these are the columns that are read, of as many rows at a time as without.
    """
    rows = together(source.piece_rows, len(columns))
    for number, read in enumerate(source.read(part, columns if read_too is None else read_too, rows)):
        yield number * rows // source.piece_rows, read
