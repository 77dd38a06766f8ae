"""What the first pass over streamed data collects, whatever is read of the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import numpy as np

from raphson.data.extras import check_nonnegative, counted
from raphson.data.pieces import Rows, Sample, count
from raphson.data.places import Piece, usable_pieces
from raphson.data.rows import MissingRows, refuse_or_warn
from raphson.data.same_rows import Place, SameRows
from raphson.data.sources import Source
from raphson.errors import DataError
from raphson.execute.watched import Keeping


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
        sampled = Sample(max(1, n_rows // wanted), wanted)
        return cls(rows=MissingRows(n_rows), sampled=sampled, same=SameRows(tuple(columns)), **more)

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


def first_pass(source: Source, keep: Keeping, run: Callable[[], S]) -> S:
    """What a first pass finds; of an interrupted fit what it found before, if the source can tell without a reading
    that its rows are the same."""
    first = keep if source.files is not None else Keeping()
    seen: S = first(("first pass",), run)
    keep(("rows", seen.same.found), lambda: None)
    return seen
