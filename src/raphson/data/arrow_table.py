"""The columns of an Arrow table as variables: numbers and codes of text as Arrow holds them, not by way of pandas."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from raphson.data.messages import check_unicode
from raphson.data.values import Levels, Numbers, Table, Variable, read_series
from raphson.errors import DataError

if TYPE_CHECKING:
    import pandas


class ArrowTable(Table):
    """The columns of a pyarrow Table as variables, each converted on first use.

    A column has the values that :class:`raphson.data.values.Table` gives for the same column in pandas.

    Parameters
    ----------
    arrow : pyarrow.Table
        With unique column names.
    """

    def __init__(self, arrow: Any) -> None:
        self.arrow = arrow
        self.n_rows = arrow.num_rows
        self.names = tuple(arrow.column_names)
        self._variables = {}
        self._bad = {}

    @cached_property
    def frame(self) -> pandas.DataFrame:  # type: ignore[override]
        """The table in pandas."""
        return cast("pandas.DataFrame", as_pandas(self.arrow))

    def column(self, name: str) -> Variable:
        if name not in self._variables:
            column = self.arrow.column(name)
            found = _variable(column, name)
            self._variables[name] = (
                read_series(column.unify_dictionaries().to_pandas(), name) if found is None else found
            )
        return self._variables[name]


def as_pandas(arrow: Any) -> Any:
    """A pyarrow Table as a frame. Columns of numbers without missing values are not copied."""
    return arrow.to_pandas(split_blocks=True, use_threads=False)


def _variable(column: Any, name: str) -> Variable | None:
    """A column of numbers or text as a variable; None for other types, which pandas reads."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return Numbers(_floats(column), whole=pa.types.is_integer(kind))
    if pa.types.is_fixed_size_list(kind):
        return _matrix(column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _levels(column, name)
    return None


def _floats(column: Any) -> np.ndarray:
    """Numbers as float64, missing ones as NaN; what Arrow holds in one run of memory is not copied."""
    # to_numpy gives NaN for missing values, and a view if there are none.
    chunks = [one.to_numpy(zero_copy_only=False) for one in column.chunks]
    if len(chunks) == 1:
        return chunks[0].astype(np.float64, copy=False)
    out = np.empty(len(column))
    at = 0
    for chunk in chunks:
        out[at : at + len(chunk)] = chunk
        at += len(chunk)
    return out


def _matrix(column: Any) -> Variable | None:
    """Lists of the same number of numbers as a matrix; None for lists of anything else."""
    import pyarrow as pa

    inner, width = column.type.value_type, column.type.list_size
    if not (pa.types.is_floating(inner) or pa.types.is_integer(inner)):
        return None
    chunks = [_floats(pa.chunked_array([_filled(chunk, inner, width)])) for chunk in column.chunks]
    values = np.concatenate(chunks) if len(chunks) != 1 else chunks[0]
    return Numbers(values.reshape(len(column), width), whole=pa.types.is_integer(inner))


def _filled(chunk: Any, inner: Any, width: int) -> Any:
    """The numbers of lists one after the other, those of a missing list as missing ones."""
    import pyarrow as pa

    if not chunk.null_count:
        return chunk.flatten()
    return pa.array([one for row in chunk.to_pylist() for one in row or [None] * width], inner)


def _levels(column: Any, name: str) -> Variable:
    """Text as codes of its distinct values in order, as pandas.factorize(sort=True) gives them; -1 where missing."""
    coded = column.combine_chunks().dictionary_encode()
    try:
        labels = coded.dictionary.to_pylist()
    except UnicodeDecodeError as error:
        raise DataError(f"column {name!r} holds text that is not UTF-8; write the file anew in UTF-8") from error
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    order = sorted(range(len(labels)), key=labels.__getitem__)
    place = np.empty(len(labels) + 1, dtype=np.intp)  # the last one is that of the code -1
    place[order] = np.arange(len(labels))
    place[-1] = -1
    ordered = tuple(labels[k] for k in order)
    check_unicode(ordered, f"column {name!r}")
    return Levels(place[codes], ordered, "text")
