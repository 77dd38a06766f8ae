"""The first reading of data that were not passed over before: what is supposed of them is checked while a sum is made.

Until then a model takes the rows to be like the first ones of some parts: usable, of the same types and levels. What
differs ends the reading, and a first pass over all rows takes its place, which says what is wrong or goes on with it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from raphson.data.same_rows import Place, SameRows
from raphson.data.seen_variables import SeenVariable
from raphson.data.values import Table, Variable
from raphson.errors import RaphsonError
from raphson.execute import tree_sum

if TYPE_CHECKING:
    from raphson.data.places import Piece
    from raphson.data.sources import Source


class Contradicted(Exception):  # noqa: N818 - it is no error, but ends a reading
    """Rows are not as they were supposed to be."""


class FirstReading:
    """What the first reading checks, and what it adds up beside the sum that it is made for.

    Parameters
    ----------
    same : what it notes of the rows, by which later readings are judged.
    seen : what the first rows of some parts contain of each variable.
    n_rows : number of all rows.

    Attributes
    ----------
    settled : whether all rows have been read, and were as supposed.
    totals : the sum over all rows of what :meth:`expect` asks for.
    """

    def __init__(self, same: SameRows, seen: Sequence[SeenVariable], n_rows: int) -> None:
        self.same, self.n_rows, self.settled = same, n_rows, False
        self.totals: Any = None
        self._seen, self._stamps, self._terms = seen, dict(same.stamps), dict[int, Any]()
        self._of: Callable[[Any], Any] | None = None
        self._check: Callable[[Any], None] | None = None

    def expect(self, of: Callable[[Any], Any], check: Callable[[Any], None]) -> None:
        """Add up `of` the data of each piece; `check` raises an error, or warns, where the sum is not as supposed."""
        self._of, self._check = of, check

    # -- while rows are read -------------------------------------------------------------------------------------

    def note(self, place: Place, table: Table, source: Source) -> None:
        """Take rows that are read together."""
        self.same.note(place, table, source)
        if self.same.stamps[place[0]] != self._stamps[place[0]]:
            raise Contradicted

    def agree(self, variables: Sequence[Variable], bad: Any) -> None:
        """Raise if variables, in the order of `seen`, are of other types or have other levels, or rows are unusable."""
        alike = (one.agrees(variable) for one, variable in zip(self._seen, variables, strict=True))
        if bad is not None or not all(alike):
            raise Contradicted

    def add(self, piece: Piece, n_rows: int, data: Any) -> None:
        """Take the data of a piece, which has so many rows."""
        if n_rows != piece.rows:
            raise Contradicted
        self._terms[piece.start] = None if self._of is None else self._of(data)

    # -- around the sum ------------------------------------------------------------------------------------------

    def beside(self, compute: Callable[[], Any]) -> tuple[Any, Any]:
        """A sum over all rows, and what else was found; None for both where the rows are not as supposed."""
        try:
            value = compute()
            totals = tree_sum([self._terms[start] for start in sorted(self._terms)])
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                if self._check is not None:
                    self._check(totals)
        except (Contradicted, RaphsonError, Warning):
            return None, None
        same = self.same
        return value, {
            "found": same.found,
            "last": same.last,
            "stamps": same.stamps,
            "complete": same.complete,
            "totals": totals,
        }

    def settle(self, found: Any) -> None:
        """Take what a first reading found, in this process or in an earlier one.

        Raises
        ------
        Contradicted
            If the rows were not as supposed.
        """
        if found is None:
            raise Contradicted
        self.same.found, self.same.last = found["found"], found["last"]
        self.same.stamps, self.same.complete = found["stamps"], found["complete"]
        self.totals, self.settled = found["totals"], True
        self._of, self._check, self._terms, self._seen = None, None, {}, ()


class LaterTotals:
    """Sums over all rows that the first reading makes; before it only the number of rows is known, each of weight 1.

    Parameters
    ----------
    first : that reading.
    """

    def __init__(self, first: FirstReading) -> None:
        self._first = first

    @property
    def positive(self) -> int:
        return self._first.n_rows

    @property
    def count(self) -> float:
        return float(self._first.n_rows)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not self._first.settled:
            raise AttributeError(name)
        return getattr(self._first.totals, name)
