"""A reader of one's own: any object that yields tables again and again, or a function that returns such an iterator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from raphson.data.messages import one_line
from raphson.data.pieces import is_arrow, rows_of
from raphson.data.sources import Source, lacks
from raphson.errors import DataError, RaphsonError

TABLES = ("pandas", "polars", "pyarrow", "modin", "dask", "numpy", "scipy", "narwhals", "builtins")
"""Packages whose objects are tables or arrays themselves. Of those of Python only lists of tables are readers."""

ONCE = (
    "data: {kind} can be read only once, and a fit reads the data several times; pass the function that makes it, "
    "without calling it, or an object whose __iter__ begins anew each time"
)


class Batches(Source):
    """Tables that a function or an object yields.

    Parameters
    ----------
    tables : callable or iterable
        Called without arguments, or iterated over, for each reading. It yields record batches, frames or dicts of
        columns, of any number of rows. Columns are those of its `schema`, if it has one, or of the first table.
    """

    name = "batches"

    def __init__(self, tables: Any) -> None:
        self._tables = tables
        begun = self._begin()
        if begun is self._begin():
            raise DataError(ONCE.format(kind="what this reader gives"))
        schema = getattr(tables, "schema", None)
        if schema is None:
            with _reader_errors(0):
                first = next(begun, None)
            if first is None:
                raise DataError("data: the reader yields no table; expected record batches, frames or dicts of columns")
            schema = _columns(_rows(first, 0))
        self.names = tuple(getattr(schema, "names", schema))

    @classmethod
    def of(cls, given: Any) -> Batches | None:
        kind = type(given)
        if hasattr(given, "__next__") or kind.__name__ == "RecordBatchReader":
            if hasattr(given, "read"):
                return None  # an open file
            raise DataError(ONCE.format(kind=f"a {kind.__name__}"))
        if isinstance(given, type) or hasattr(given, "read"):
            return None
        if isinstance(given, (list, tuple)):
            return cls(given) if given and all(map(_is_table, given)) else None
        if callable(given):
            return cls(given)
        module = kind.__module__.partition(".")[0]
        table = module in TABLES or any(
            hasattr(given, one) for one in ("keys", "__arrow_c_stream__", "__dataframe__", "__array__")
        )
        return cls(given) if hasattr(given, "__iter__") and not table else None

    def _begin(self) -> Iterator[Any]:
        with _reader_errors(0):
            made: Any = self._tables() if callable(self._tables) else self._tables
            return iter(made)

    def _read(self) -> Iterator[tuple[int, Any]]:
        """The tables with their numbers; an error of the reader names the table."""
        begun = self._begin()
        for number in count():
            with _reader_errors(number):
                table = next(begun, None)
            if table is None:
                return
            yield number, table

    def rows(self, part: int, columns: Sequence[str]) -> Iterator[Any]:
        for number, table in self._read():
            rows = _rows(table, number)
            known = set(_columns(rows))
            for name in columns:
                if name not in known:
                    raise lacks(f"data: table {number + 1} of the reader", name)
            yield rows.select(list(columns)) if is_arrow(rows) else rows[list(columns)]


@contextmanager
def _reader_errors(number: int) -> Iterator[None]:
    """Raise a DataError for an error of the reader's own before it yields a table."""
    try:
        yield
    except RaphsonError:
        raise
    except Exception as error:
        raise DataError(
            f"data: the reader stopped before table {number + 1} with {type(error).__name__}: {one_line(error)}; a fit "
            "with checkpoint= goes on from its last complete pass when it is called again"
        ) from error


def _rows(table: Any, number: int) -> Any:
    try:
        return rows_of(table)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"data: expected record batches, frames or dicts of columns from the reader; table {number + 1} is a "
            f"{type(table).__name__}"
        ) from error


def _columns(rows: Any) -> list[str]:
    return list(map(str, rows.column_names if is_arrow(rows) else rows.columns))


def _is_table(given: Any) -> bool:
    return hasattr(given, "columns") or type(given).__name__ == "RecordBatch" or hasattr(given, "column_names")
