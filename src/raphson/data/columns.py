"""The columns that a likelihood reads by name: numbers, codes of text, and matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np

from raphson.data.extras import (
    Column,
    check_index,
    check_nonnegative,
    group_codes,
    parse_argument,
    per_row,
    renumber,
    take,
)
from raphson.data.masks import unmasked
from raphson.data.messages import check_missing, unknown_column
from raphson.data.model_data import Response
from raphson.data.numbers_in_text import check_text
from raphson.data.readers import is_pandas, table_of
from raphson.data.rows import MissingRows
from raphson.data.schema import Schema
from raphson.data.values import Levels, Table
from raphson.data.watching import Watch
from raphson.errors import DataError


class ColumnsByName(Protocol):
    """Where a function's columns are read from."""

    def __getitem__(self, name: str, /) -> Column: ...


@dataclass
class Columns:
    """The columns of a table or a dict of arrays, each read on first use.

    Parameters
    ----------
    data : anything that :func:`raphson.data.read_table` reads, or a dict of arrays with n rows each, some of them
        matrices.
    """

    data: Any
    _read: dict[str, Column] = field(default_factory=dict)

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray] | None:
        """The arrays of a dict if one of them is a matrix, which a table cannot hold."""
        if not isinstance(self.data, Mapping):
            return None
        arrays = {str(name): unmasked(value) for name, value in self.data.items()}
        if not any(np.ndim(value) > 1 for value in arrays.values()):
            return None
        found = {name: np.asarray(value) for name, value in arrays.items()}
        lengths = {name: len(value) if value.ndim else 0 for name, value in found.items()}
        if len(set(lengths.values())) != 1:
            found = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise DataError(f"data: expected arrays of the same length; got {found}")
        return found

    @cached_property
    def table(self) -> Table:
        """The table; of a dict with matrices, that of its other columns."""
        if self._arrays is None:
            return table_of(self.data)
        return table_of({name: value for name, value in self._arrays.items() if value.ndim == 1})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._arrays) if self._arrays is not None else self.table.names

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self._arrays.values()))) if self._arrays is not None else self.table.n_rows

    def __getitem__(self, name: str) -> Column:
        """A column; whole numbers stay integers if none is missing.

        Raises
        ------
        DataError
            If there is no such column, or it holds neither numbers nor text.
        """
        if name not in self._read:
            self._read[name] = self._column(name)
        return self._read[name]

    def _column(self, name: str) -> Column:
        if name not in self.names:
            raise unknown_column(name, self.names, "row")
        if self._arrays is not None and self._arrays[name].ndim > 1:
            array = self._arrays[name]
            if array.dtype.kind not in "fiub":
                raise DataError(f"data: expected numbers in the matrix {name!r}; got {array.dtype}")
            return Column(_whole(array.astype(float), array.dtype.kind in "iub"))
        variable = self.table.column(name)
        if isinstance(variable, Levels):
            if variable.origin == "text":
                check_text(variable.labels, variable.codes, name, self.n_rows, "")
            labels = None if variable.origin == "boolean" else variable.labels
            return Column(_whole(np.where(variable.codes < 0, np.nan, variable.codes).astype(float), True), labels)
        return Column(_whole(variable.values, variable.whole))


def _whole(values: np.ndarray, whole: bool) -> np.ndarray:
    return values.astype(np.int64) if whole and np.isfinite(values).all() else values


def as_whole(column: Column, whole: bool) -> Column:
    """A column's usable rows with whole numbers, which codes are, as integers."""
    return Column(_whole(column.values, whole or column.labels is not None), column.labels)


@dataclass(frozen=True, slots=True)
class RowSchema(Schema):
    """The schema of a fit of loglik(params, row).

    Attributes
    ----------
    names : of the columns that it read.
    labels : of the codes of text, by column.
    """

    names: tuple[str, ...]
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    n_design_columns: ClassVar[int] = 0

    def to_dict(self) -> dict[str, Any]:
        """Safe for JSON."""
        labels = {name: list(one) for name, one in self.labels.items()}
        return {"kind": "rows", "names": list(self.names), "labels": labels}

    @staticmethod
    def from_dict(saved: Any) -> RowSchema:
        """Read what :meth:`to_dict` wrote."""
        given = saved.get("labels", {})  # older files have none
        if not isinstance(given, dict):
            raise DataError(f"labels: expected a dict of texts; got {given!r}")
        labels = {str(name): tuple(map(str, one)) for name, one in given.items()}
        return RowSchema(tuple(map(str, saved["names"])), labels)


@dataclass(frozen=True)
class CodedColumns:
    """Columns of new data, text coded by the levels of the data that were fitted.

    Attributes
    ----------
    columns : the new ones.
    labels : of the codes, by column; a column without has its own.
    """

    columns: Columns
    labels: Mapping[str, tuple[str, ...]]

    def __getitem__(self, name: str) -> Column:
        column, labels = self.columns[name], self.labels.get(name)
        if labels is None or column.labels is None or column.labels == labels:
            return column
        place = {label: code for code, label in enumerate(labels)}
        codes = np.array([place.get(label, np.nan) for label in column.labels] + [np.nan])
        at = np.where(np.isfinite(column.values), column.values, -1).astype(np.int64)
        return as_whole(Column(codes[at], labels), True)


@dataclass(frozen=True, slots=True)
class RowData:
    """The data of a likelihood: its columns, and the attributes of :class:`raphson.data.ModelData`."""

    columns: dict[str, Column]
    weights: np.ndarray | None
    groups: np.ndarray | None
    index: np.ndarray | None
    n_dropped: int
    labels: Any
    n_rows: int
    response: Response
    watch: Watch | None


def from_columns(
    columns: Columns, used: Sequence[str], *, weights: Any = None, groups: Any = None, missing: str = "drop"
) -> RowData:
    """Take the used columns, on the rows where none is missing; infinity does not count as missing.

    Examples
    --------
    >>> made = from_columns(Columns({"y": [1, 2, 3], "x": [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]}), ["x"])
    >>> made.columns["x"].values.shape, made.n_rows
    ((3, 2), 3)
    """
    check_missing(missing)
    data, n = columns.data, columns.n_rows
    for what, value in (("weights", weights), ("groups", groups)):
        check_index(data, value, what)
    rows = MissingRows(n)
    for name in used:
        values = columns[name].values
        if values.dtype.kind == "f":
            absent = np.isnan(values.reshape(n, -1)).any(axis=1)  # infinity may mean something to the function
            rows.note(np.asarray(absent) if absent.any() else None, "missing values", name)
    weight, codes = weights, None
    if isinstance(weights, str) or isinstance(groups, str):
        table = columns.table
        expressions = {what: parse_argument(v, table.known, what) for what, v in (("w", weights), ("g", groups))}
        weight = per_row(weights, expressions["w"], table, {}, rows, "weights")
        codes = group_codes(groups, expressions["g"], table, rows)
    else:
        from raphson.data.extras import array_argument

        weight = None if weights is None else array_argument(weights, n, rows, "weights")
        codes = group_codes(groups, None, None, rows)
    kept = rows.usable(missing)
    weight = take(weight, kept)
    check_nonnegative(weight, "weights", kept)

    watch = Watch()
    weight = weight if kept is not None else watch.held("weights", weight)

    def whole_again(name: str) -> Column:
        column = columns[name]
        values = watch.held(name, column.values) if kept is None else column.values[kept]
        return as_whole(Column(values, column.labels), False)

    n_rows = n if kept is None else len(kept)
    return RowData(
        columns={name: whole_again(name) for name in used},
        weights=weight,
        groups=renumber(codes, kept),
        index=kept,
        n_dropped=n - n_rows,
        labels=data.index if is_pandas(data) else None,
        n_rows=n_rows,
        response=Response("", np.zeros(0)),
        watch=watch,
    )
