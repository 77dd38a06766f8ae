"""Tables of any kind and length as pieces of equal length: a pyarrow Table, or a pandas frame of anything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raphson.data.arrow_table import ArrowTable, as_pandas
from raphson.data.sample_rows import second_of_pair, spread_rows
from raphson.data.values import Table
from raphson.errors import DataError

MOST_PIECES, READ_NUMBERS = 8, 2**21
"""Pieces that are read and evaluated together at most, and numbers (16 MB): each reading has a cost of its own."""

Rows = Any
"""A pyarrow Table or a pandas frame."""


def rows_of(table: Any) -> Rows:
    """What a source yields: record batches and polars' frames as Arrow holds them, all else as a frame of pandas."""
    kind = type(table).__module__.partition(".")[0]
    if kind == "pyarrow":
        import pyarrow as pa

        return pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
    if kind == "polars" and hasattr(table, "to_arrow"):
        import polars

        # Categories of polars are in the order of the alphabet, as text is; in Arrow they would be in that of the rows.
        return rows_of(table.with_columns(polars.col(polars.Categorical).cast(polars.String)).to_arrow())
    import pandas as pd

    if isinstance(table, dict) and any(getattr(values, "ndim", 1) == 2 for values in table.values()):
        return _with_matrices(table)
    if isinstance(table, (pd.DataFrame, dict)):
        return pd.DataFrame(table)
    import narwhals as nw

    return nw.from_native(table, eager_only=True).to_pandas()


def _with_matrices(columns: dict[str, Any]) -> Rows:
    """Columns of which some are matrices (n, d), whose rows Arrow holds as lists of d numbers."""
    import pyarrow as pa

    made: dict[str, Any] = {}
    for name, values in columns.items():
        if getattr(values, "ndim", 1) != 2:
            made[name] = pa.array(values, from_pandas=True)
            continue
        matrix = np.asarray(values)
        if matrix.dtype.kind not in "fiub":
            raise DataError(f"data: expected numbers in the matrix {name!r}; got {matrix.dtype}")
        flat = pa.array(matrix.ravel() if matrix.dtype.kind != "b" else matrix.ravel().astype(np.int64))
        made[name] = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
    if len({len(one) for one in made.values()}) != 1:
        lengths = ", ".join(f"{name} {len(one)}" for name, one in made.items())
        raise DataError(f"data: expected columns of the same length; got {lengths}")
    return pa.table(made)


def together(piece_rows: int, n_columns: int) -> int:
    """Number of rows that are read at a time, a multiple of those of a piece.

    >>> together(16384, 11), together(16384, 1000)
    (131072, 16384)
    """
    return piece_rows * min(MOST_PIECES, max(1, READ_NUMBERS // (piece_rows * max(1, n_columns))))


def kind_of(arrow_type: Any) -> str:
    """What a column of an Arrow type is to a formula: "numbers", "text", "nothing" if all are missing, or the type."""
    import pyarrow as pa

    kind = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "numbers" if kind is arrow_type else str(arrow_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return "text"
    return "nothing" if pa.types.is_null(kind) else str(arrow_type)


def is_arrow(rows: Rows) -> bool:
    """Whether it is a pyarrow Table, without importing pyarrow."""
    return type(rows).__module__.startswith("pyarrow")


def count(rows: Rows) -> int:
    """Number of rows."""
    return rows.num_rows if is_arrow(rows) else len(rows)


def variables_of(rows: Rows) -> Table:
    """The columns as variables."""
    return ArrowTable(rows) if is_arrow(rows) else Table(rows)


def taken(rows: Rows, which: np.ndarray) -> Rows:
    """The rows at these positions."""
    return rows.take(which) if is_arrow(rows) else rows.iloc[which].reset_index(drop=True)


def with_columns(rows: Rows, frame: Any) -> Rows:
    """Rows with the columns of a frame of pandas beside them, or in place of columns of the same name."""
    if not is_arrow(rows):
        return rows.reset_index(drop=True).assign(**{name: frame[name].to_numpy() for name in frame})
    import pyarrow as pa

    table = rows.replace_schema_metadata(None).drop_columns([one for one in rows.column_names if one in frame])
    for name in frame:
        table = table.append_column(name, pa.array(frame[name].to_numpy()))
    return table


def joined(several: Sequence[Rows]) -> Rows:
    """Tables with the same columns, one below the other."""
    if len(several) == 1:
        return several[0]
    if all(map(is_arrow, several)) and all(one.schema.equals(several[0].schema) for one in several):
        import pyarrow as pa

        return pa.concat_tables(several)
    import pandas as pd

    _check_widths(several)
    frames = [as_pandas(one) if is_arrow(one) else one for one in several]
    return pd.concat(frames, ignore_index=True)


def _check_widths(several: Sequence[Rows]) -> None:
    """Refuse matrices with another number of columns than before."""
    before: dict[str, int] = {}
    for one in (one for rows in several if is_arrow(rows) for one in rows.schema):
        width = getattr(one.type, "list_size", None)
        if width is not None and before.setdefault(one.name, width) != width:
            raise DataError(
                f"column {one.name!r} has {before[one.name]} numbers and {width} numbers in a row; give it the same "
                "number in all rows"
            )


def pieces(tables: Iterable[Any], size: int) -> Iterator[Rows]:
    """Tables of any length as pieces of `size` rows, of which the last may be shorter."""
    waiting: list[Rows] = []
    here = 0
    for table in tables:
        rows = rows_of(table)
        if not count(rows):
            continue
        waiting.append(rows)
        here += count(rows)
        if here >= size:
            held, start = joined(waiting), 0
            while here - start >= size:
                yield _cut(held, start, start + size)
                start += size
            waiting, here = [_cut(held, start, here)] if start < here else [], here - start
            del held  # the next table need not be in memory beside it
        del table, rows
    if here:
        yield joined(waiting)


def _cut(rows: Rows, start: int, stop: int) -> Rows:
    if is_arrow(rows):
        return rows.slice(start, stop - start)
    return rows.iloc[start:stop].reset_index(drop=True)


@dataclass
class Sample:
    """One row in each run of `every` rows; half of them once there are twice as many as wanted.

    Attributes
    ----------
    every, wanted : rows of a run, and of the sample; at the end it has up to twice as many.
    base : rows of a run at first.
    parts : the rows, in order.
    """

    every: int
    wanted: int
    base: int
    parts: list[Rows] = field(default_factory=list)

    def stride(self, n_rows: int) -> int:
        """What `every` comes to after so many rows."""
        every = self.every
        while -(-n_rows // every) > 2 * self.wanted:
            every *= 2
        return every

    def take(self, rows: Rows, first: int) -> None:
        """Add rows, of which the first has this number; where the number of all was not known, after those before."""
        # Copies: slices would keep all rows in memory.
        self.parts.append(taken(rows, spread_rows(first, count(rows), self.every, self.base)))
        longer = self.stride(first + count(rows))
        while self.every < longer:
            held = joined(self.parts)
            pairs = np.arange(-(-count(held) // 2))
            chosen = 2 * pairs + second_of_pair(pairs, self.every)
            self.parts = [taken(held, chosen[chosen < count(held)])]
            self.every *= 2
