"""Columns that a likelihood reads by name, over streamed data: numbers, codes of text, and matrices, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data.columns import RowData, as_whole
from raphson.data.evaluate import Evaluator
from raphson.data.expressions import column_expression
from raphson.data.extras import Column, column_of
from raphson.data.frames import FormulaArguments
from raphson.data.messages import unknown_column
from raphson.data.model_data import Response
from raphson.data.not_in_memory import NotInMemory
from raphson.data.pieces import Rows, joined, together, variables_of
from raphson.data.places import UsableRows
from raphson.data.rows import MissingRows
from raphson.data.seen_variables import SeenVariable
from raphson.data.sources import Source
from raphson.data.streams import Streamed, check_named, computed, first_reading
from raphson.data.values import Levels
from raphson.errors import DataError
from raphson.execute.watched import Keeping

FIRST_ROWS = 1024
"""Number of rows that tell which columns a function reads."""


@dataclass
class FirstRows:
    """The columns of the first rows of a source, each read on first use.

    Attributes
    ----------
    source : the source.
    keep : has what an interrupted fit found here, if the source can tell without a reading that its rows are the same.
    """

    source: Source
    keep: Keeping = computed
    _read: dict[str, Column] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Column:
        """A column; whole numbers are integers if none is missing in these rows.

        Raises
        ------
        DataError
            If there is no such column, or it holds neither numbers nor text.
        """
        if name not in self._read:
            if name not in self.source.names:
                raise unknown_column(name, self.source.names, "row")
            self.source.check_columns([name])
            keep = self.keep if self.source.files is not None else computed
            self._read[name] = keep(("first rows", name), lambda: self._column(name))
        return self._read[name]

    @cached_property
    def _together(self) -> Any:
        """The first rows with all columns, of a source that reads all of them whichever are asked for."""
        return self._first(self.source.names)

    def _first(self, names: Sequence[str]) -> Any:
        for part in range(self.source.parts):
            for rows in self.source.read(part, names, min(FIRST_ROWS, self.source.piece_rows)):
                return variables_of(rows)
        raise DataError("data: there are no rows; expected at least one")

    def _column(self, name: str) -> Column:
        table = self._together if self.source.files is None else self._first([name])
        evaluator, expression = Evaluator(table, {}, new=True), column_expression(name)
        column = column_of(name, expression, evaluator, MissingRows(table.n_rows), new=True)
        variable = evaluator.variable(expression)
        whole = getattr(variable, "whole", column.labels is None) and variable.absent() is None
        return as_whole(column, whole)


@dataclass(frozen=True)
class StreamedColumns(Streamed):
    """Columns as pieces that are read when needed.

    Attributes
    ----------
    head : names and counts, but nothing by row.
    sample : some of the rows, as data in memory.
    """

    head: RowData
    sample: RowData

    def made(self, rows: UsableRows) -> RowData:
        return replace(
            self.head,
            columns={name: as_whole(one, self.whole[name]) for name, one in rows.columns.items()},
            weights=rows.weights,
            groups=rows.groups,
            n_dropped=0,
            n_rows=rows.n_rows,
            response=Response("", rows.response),
        )

    def number_of(self, row: Mapping[str, Any]) -> int | None:
        """The number, among all rows, of the first usable one with these values; found by reading, None if not."""
        for piece, held in self.read(self.pieces):
            alike = np.ones(held.n_rows, dtype=bool)
            for name, value in row.items():
                alike &= (held.columns[name].values == value).reshape(held.n_rows, -1).all(axis=1)
            if alike.any():
                return int(self.numbers(piece)[np.argmax(alike)])
        return None

    @property
    def cells(self) -> dict[str, Column]:
        """The columns without their rows."""
        return {name: replace(one, values=one.values[:0]) for name, one in self.sample.columns.items()}


def columns_from_stream(
    used: Sequence[str],
    source: Source,
    *,
    weights: Any = None,
    groups: Any = None,
    missing: str = "drop",
    keep: Keeping = computed,
) -> StreamedColumns:
    """Read the used columns of a stream, on the rows where none is missing; infinity does not count as missing.

    Parameters
    ----------
    used, missing : as for :func:`raphson.data.columns.from_columns`.
    weights, groups : a column's name or an expression.
    source, keep : as for :func:`raphson.data.from_stream`.

    Raises
    ------
    DataError
        As for :func:`raphson.data.columns.from_columns` and :func:`raphson.data.from_stream`.
    """
    arguments = {"weights": weights, "groups": groups}
    check_named(arguments)
    asked = FormulaArguments.of_columns(used, source.names, arguments)
    found, seen = first_reading(asked, source, missing, keep)
    values: Any = {name: NotInMemory(f"the column {name}") for name in used}
    head = RowData(
        columns={name: Column(values[name], found["labels"][name]) for name in used},
        weights=None if weights is None else NotInMemory("the weights"),  # type: ignore[arg-type]
        groups=None if groups is None else NotInMemory("the clusters"),  # type: ignore[arg-type]
        index=None,
        n_dropped=seen.dropped,
        labels=None,
        n_rows=seen.read - seen.dropped,
        response=Response("", NotInMemory("the rows")),  # type: ignore[arg-type]
        watch=None,
    )
    data = StreamedColumns(**found, head=head, sample=head)
    return replace(data, sample=data.data_of(joined(seen.sampled.parts)))


def labels_of_source(source: Source, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The labels of the codes of those columns that are text, by reading them."""
    if not names:
        return {}
    rows = together(source.piece_rows, len(names))
    tables = (table for part in range(source.parts) for table in source.read(part, names, rows))
    return labels_of_pieces(tables, {name: source.declared(name) for name in names})


def labels_of_pieces(tables: Iterable[Rows], declared: Mapping[str, bool]) -> dict[str, tuple[str, ...]]:
    """The labels of the codes of those columns that are text, in the order that they have where all rows are one table.

    Parameters
    ----------
    tables : the rows, some at a time.
    declared : whether a column has declared categories, by the name of each that may be text.
    """
    seen = {name: SeenVariable(name) for name in declared}
    for rows in tables:
        evaluator = Evaluator(variables_of(rows), {}, new=True)
        for name, one in seen.items():
            variable = evaluator.variable(column_expression(name))
            one.take(variable, None, "declared" if declared[name] else "")
    found = {name: one.variable(name, unused=True) for name, one in seen.items() if not one.boolean}
    return {name: one.labels for name, one in found.items() if isinstance(one, Levels)}
