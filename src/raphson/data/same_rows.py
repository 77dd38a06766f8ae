"""Whether a source yields the same rows at each reading: by their number, and by sums of what a model reads of them.

The sums are those that tell whether all values are finite. Another value, a row more or less, and rows that moved to
another piece change them. Rows that changed places within a piece may not, nor do they change the sums of a model.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from raphson.data.values import Levels, Table, Variable
from raphson.errors import DataError

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
    """

    columns: tuple[str, ...]
    found: dict[Place, list[float]] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)

    def note(self, place: Place, table: Table) -> None:
        """Take the rows of the first reading."""
        self.found[place] = sums(table, self.columns)
        self.last[place[0]] = place[1]

    def is_last(self, place: Place) -> bool:
        """Whether the first reading of the part ended here."""
        return self.last[place[0]] == place[1]

    def check(self, place: Place, table: Table, where: str) -> None:
        """Raise a DataError if the rows are not those of the first reading."""
        before, now = self.found.get(place), sums(table, self.columns)
        if before is None or before[0] < now[0]:
            raise changed(where, "more rows")
        if before[0] > now[0]:
            raise changed(where, "fewer rows")
        for name, one, other in zip(self.columns, before[1:], now[1:], strict=True):
            if one != other:
                raise changed(where, f"other values of {name!r}")


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
        return labels + float(variable.codes.sum(dtype=np.int64)) / (1 + len(variable.codes))
    if math.isfinite(variable.total):
        return variable.total
    with np.errstate(all="ignore"):
        return float(variable.values[np.isfinite(variable.values)].sum())
