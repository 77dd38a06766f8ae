"""A likelihood in plain Python over streamed rows, differentiated by finite differences; see
:mod:`raphson.model.likelihood.finite`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.blocks import Block
from raphson.data.column_streams import FirstRows, StreamedColumns
from raphson.data.columns import RowData
from raphson.data.extras import Column
from raphson.errors import ModelError
from raphson.model.likelihood.finite import (
    Differences,
    FiniteFamily,
    RowValues,
    check_first,
    family_of_differences,
    scales_of,
)
from raphson.model.parameters import Parameters

LOOKED_AT = 1_000
"""Rows on which the function is evaluated to see which columns it reads, as it may read others in some rows."""


class ReadColumns(dict[str, Column]):
    """The columns that are read; any other one is an error that says so."""

    def __missing__(self, name: str) -> Column:
        raise ModelError(
            f"row: the column {name!r} is read in some rows only, and in none of the first {LOOKED_AT}; streamed data "
            f"are read column by column, so read it in every row, as by a line {name} = row.{name} at the beginning"
        )


class PieceValues(RowValues):
    """Rows of a piece, which messages call by their numbers among all rows."""

    def __init__(
        self, loglik: Callable[..., Any], name: str, layout: Parameters, columns: ReadColumns, data: StreamedColumns
    ) -> None:
        super().__init__(loglik, name, layout, columns, {})
        self.read, self.data = columns, data

    def called(self, number: int) -> str:
        # A piece does not say where it is from. A row with the same values, all that is read of it, fails as well.
        found = self.data.number_of({name: one.values[number] for name, one in self.read.items()})
        return "a row" if found is None else super().called(found)


@dataclass(frozen=True)
class RowsOfBlocks:
    """The rows of a block, from the columns that it carries.

    Attributes
    ----------
    loglik, name, layout : the function.
    data : all rows.
    labels : of the codes of each column, by its name, in the order in which a block has them.
    """

    loglik: Callable[..., Any]
    name: str
    layout: Parameters
    data: StreamedColumns
    labels: dict[str, tuple[str, ...] | None]

    def __call__(self, block: Block) -> Callable[[np.ndarray], np.ndarray]:
        columns = ReadColumns(
            {
                name: Column(values[: block.rows], labels)
                for (name, labels), values in zip(self.labels.items(), block.extra, strict=True)
            }
        )
        return PieceValues(self.loglik, self.name, self.layout, columns, self.data).of(range(block.rows))


def columns_read(
    loglik: Callable[..., Any], name: str, layout: Parameters, first: FirstRows, theta: np.ndarray
) -> tuple[str, ...]:
    """The columns that a function in plain Python reads in the first rows.

    Raises
    ------
    ModelError
        If it fails in the first row, gives other values there when called again, or reads no column.
    """
    used = dict[str, None]()
    values = RowValues(loglik, name, layout, first, used)
    check_first(values, theta)
    for number in range(1, min(LOOKED_AT, len(first[next(iter(used))].values))):
        with suppress(ModelError):  # the row may lack a value
            values(theta, (number,))
    return tuple(used)


def finite_family_of_pieces(
    loglik: Callable[..., Any], name: str, layout: Parameters, data: StreamedColumns, theta: np.ndarray
) -> FiniteFamily:
    """The family of a function in plain Python, whose rows are those of the blocks that it is given."""
    sample: RowData = data.sample
    values = PieceValues(loglik, name, layout, ReadColumns(sample.columns), data)
    scales = scales_of(values, theta, range(0, sample.n_rows, max(1, sample.n_rows // 10)))
    labels = {one: column.labels for one, column in sample.columns.items()}
    return family_of_differences(name, layout, Differences(RowsOfBlocks(loglik, name, layout, data, labels), scales))
