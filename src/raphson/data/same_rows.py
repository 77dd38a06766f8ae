"""Whether a source yields the same rows at each reading: by their number, and by sums of what a model reads of them.

Each value has a weight of its place in the sum, so that another value, a row more or less and rows in another order
change it. Sums over all rows do not depend on the order, but what is known by place does: how many rows of each piece
can be used, the batches that a seed draws, the last bits of the sums in a checkpoint, and the predictions that are
written to a file in the order of the rows. The sums also tell whether all values are finite.

Where the source says that its files are those of the first reading, by size and time, so are the rows and their sums.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.values import Levels, Numbers, Table, Variable
from raphson.errors import DataError

if TYPE_CHECKING:
    from raphson.data.sources import Source

COLUMNS = 1024
"""A column of numbers is added up as rows of so many: this takes 0.75 ns a value, NumPy's plain sum 1.0."""

ROW_WEIGHTS, COLUMN_WEIGHTS = (1.0 + np.arange(COLUMNS) * one % 1.0 for one in (0.6180339887498949, 0.7548776662466927))
"""Weights by place are products of these, fractions of multiples of two irrational numbers, and so all differ."""

MISSING, INFINITE = 0.5671432904097838, 1.7632228343518968
"""What stands for values that are not finite."""

Place = tuple[int, int]
"""A part, and the number of the first piece among those that are read together."""


@dataclass
class SameRows:
    """What the first reading found at each place; later ones are held to it.

    Attributes
    ----------
    columns : those that the model reads.
    found : sums at each place.
    last : the last place of each part.
    stamps : of the files of each part when its first reading began; None where they do not tell whether it changes.
    complete : the places where no value is missing or infinite.
    """

    columns: tuple[str, ...]
    found: dict[Place, list[float]] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    stamps: dict[int, Any] = field(default_factory=dict)
    complete: set[Place] = field(default_factory=set)

    def begin(self, part: int, source: Source) -> None:
        """The first reading of a part begins."""
        self.stamps[part] = source.stamp(part)

    def note(self, place: Place, table: Table, source: Source) -> None:
        """Take the rows of the first reading."""
        self.found[place] = sums(table, self.columns)
        self.last[place[0]] = place[1]
        if all(_complete(table.column(name)) for name in self.columns):
            self.complete.add(place)
        if not self._unchanged(place[0], source):
            self.stamps[place[0]] = None

    def join(self, other: SameRows) -> None:
        """Add what the first reading found of other parts."""
        self.found |= other.found
        self.last |= other.last
        self.stamps |= other.stamps
        self.complete |= other.complete

    def compare(self, earlier: SameRows, source: Source) -> None:
        """Raise a DataError if an earlier reading, of some of the columns, read other rows at the same places."""
        which = [1 + self.columns.index(name) for name in earlier.columns]
        for place in sorted(self.found.keys() | earlier.found.keys()):
            now, before = self.found.get(place), earlier.found.get(place)
            if before is None or (now is not None and before[0] < now[0]):
                raise changed(source.place(place[0]), "more rows")
            if now is None or before[0] > now[0]:
                raise changed(source.place(place[0]), "fewer rows")
            for name, at, total in zip(earlier.columns, which, before[1:], strict=True):
                if now[at] != total:
                    raise changed(source.place(place[0]), f"other values of {name!r}")

    def is_last(self, place: Place) -> bool:
        """Whether the first reading of the part ended here."""
        return self.last[place[0]] == place[1]

    def check(self, place: Place, table: Table, source: Source) -> None:
        """Raise a DataError if the rows, which were just read, are not those of the first reading."""
        where, before = source.place(place[0]), self.found.get(place)
        if before is not None and before[0] == table.n_rows and self._unchanged(place[0], source):
            if place in self.complete:
                self._known(table, before[1:])
            return
        now = sums(table, self.columns)
        if before is None or before[0] < now[0]:
            raise changed(where, "more rows")
        if before[0] > now[0]:
            raise changed(where, "fewer rows")
        for name, one, other in zip(self.columns, before[1:], now[1:], strict=True):
            if one != other:
                raise changed(where, f"other values of {name!r}")

    def _unchanged(self, part: int, source: Source) -> bool:
        """Whether the files of a part are those that its first reading began with."""
        stamp = self.stamps.get(part)
        return stamp is not None and stamp == source.stamp(part)

    def _known(self, table: Table, totals: Sequence[float]) -> None:
        """Say of numbers that are all finite that they are, so that they are not added up to find out."""
        for name, total in zip(self.columns, totals, strict=True):
            variable = table.column(name)
            if isinstance(variable, Numbers):
                variable.total = total


def _complete(variable: Variable) -> bool:
    return variable.bad() is None


def changed(where: str, what: str) -> DataError:
    """The error for a source with other rows than at first."""
    return DataError(
        f"{where}: a second reading gave other rows than the first ({what}); every reading has to give the same rows, "
        "in the same order. Fit again if the data were changed meanwhile, or correct the reader"
    )


def sums(table: Table, columns: Sequence[str]) -> list[float]:
    """The number of rows, and a sum of each column."""
    return [float(table.n_rows), *(_sum(table.column(name)) for name in columns)]


def _sum(variable: Variable) -> float:
    if isinstance(variable, Levels):
        labels = zlib.crc32("\0".join(variable.labels).encode())
        return float(zlib.crc32(np.ascontiguousarray(variable.codes).data, labels))
    values = variable.values
    with np.errstate(all="ignore"):
        found = _of_columns(values)
        if math.isfinite(found):
            variable.total = found  # so are all values, which need not be added up again to find out
            return found
        return _of_columns(2.0**-60 * np.nan_to_num(values, nan=MISSING, posinf=INFINITE, neginf=-INFINITE))


def _of_columns(values: np.ndarray) -> float:
    """The placed sum of a column; of a matrix that of its columns, each with a factor of its own."""
    if values.ndim == 1:
        return placed_sum(values)
    return sum((1 + k) * placed_sum(np.ascontiguousarray(column)) for k, column in enumerate(values.T))


def placed_sum(values: np.ndarray) -> float:
    """Sum of (n,) numbers, each with a weight of its place from 1 to 8; not finite if one of them is not. n ≤ 2²⁰.

    It has the same bits wherever the values lie in memory, as each of the columns is added up in order.
    """
    whole = len(values) // COLUMNS * COLUMNS
    rows = values[:whole].reshape(-1, COLUMNS)
    # einsum has loops of its own: a product by BLAS would depend on its number of threads.
    found = np.einsum("j,j->", np.einsum("i,ij->j", ROW_WEIGHTS[: len(rows)], rows), COLUMN_WEIGHTS) if whole else 0.0
    rest = values[whole:]
    return float(found) + 4.0 * float(np.einsum("j,j->", rest, COLUMN_WEIGHTS[: len(rest)]))
