"""A curve over streamed data: the columns that its expression reads, piece by piece.

A first pass finds the rows that cannot be used, samples the others, and adds up what is needed of the response. From
then on each piece that is read gives the same numbers as if the data were in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from raphson.data.blocks import SAMPLE_ROWS
from raphson.data.curve_data import CurveFormula, CurveVariables
from raphson.data.evaluate import Evaluator
from raphson.data.extras import counted, take, weights_of_sigma
from raphson.data.first_pass import Seen, first_pass
from raphson.data.first_reading import FirstReading, LaterTotals
from raphson.data.messages import check_missing
from raphson.data.model_data import ModelData, Response
from raphson.data.not_in_memory import NotInMemory
from raphson.data.pieces import Rows, count, joined, variables_of
from raphson.data.places import Piece, Selection
from raphson.data.same_rows import Place, SameRows
from raphson.data.schema import ArraySchema
from raphson.data.sources import Source
from raphson.data.streams import (
    StreamedPieces,
    check_named,
    clusters,
    computed,
)
from raphson.data.values import Table
from raphson.errors import DataError
from raphson.execute import tree_sum
from raphson.execute.watched import Keeping


@dataclass(frozen=True)
class CurveTotals:
    """Sums and extremes of the response over the usable rows.

    Attributes
    ----------
    rows, positive : number of rows, and of those of positive weight.
    weights, logarithms : sums of the weights, and of the logarithms of those that are positive.
    first, squares : Σ w y and Σ w y².
    largest : the largest |y|.
    """

    rows: int = 0
    positive: int = 0
    weights: float = 0.0
    logarithms: float = 0.0
    first: float = 0.0
    squares: float = 0.0
    largest: float = 0.0

    @property
    def count(self) -> float:
        """How many observations the rows are, where weights are counts."""
        return self.weights

    def __add__(self, other: CurveTotals) -> CurveTotals:
        return CurveTotals(
            self.rows + other.rows,
            self.positive + other.positive,
            self.weights + other.weights,
            self.logarithms + other.logarithms,
            self.first + other.first,
            self.squares + other.squares,
            max(self.largest, other.largest),
        )

    @staticmethod
    def of(y: np.ndarray, weight: np.ndarray | None) -> CurveTotals:
        """Those of some rows."""
        positive, weights = counted(weight, len(y))
        moment = y if weight is None else weight * y
        logarithms = 0.0 if weight is None else float(np.log(weight[weight > 0]).sum())
        largest = float(np.abs(y).max(initial=0.0))
        return CurveTotals(
            len(y), positive, weights, logarithms, float(moment.sum()), float((moment * y).sum()), largest
        )


@dataclass(frozen=True)
class StreamedCurveData(StreamedPieces):
    """The data of a curve as pieces that are read when needed.

    Attributes
    ----------
    formula : the two sides.
    totals : of the response.
    head : a :class:`ModelData` with names and counts, but nothing by row.
    sample : about SAMPLE_ROWS of the rows, as data in memory.
    """

    formula: CurveFormula
    totals: CurveTotals | LaterTotals
    head: ModelData
    sample: ModelData

    @property
    def columns(self) -> tuple[str, ...]:
        return self.formula.read

    def _evaluated(self, rows: Rows, place: Place | None = None) -> EvaluatedCurve:
        table = variables_of(rows)
        unread = None if place is None else self.unread
        if unread is not None and place is not None:
            unread.note(place, table, self.source)
        elif place is not None:
            self.same.check(place, table, self.source)
        found = EvaluatedCurve(self, count(rows), *_variables(self.formula, table))
        if unread is not None:
            unread.agree((), found.bad)
        return found

    def rows_of(self, rows: Rows) -> EvaluatedCurve:
        """Some rows that need not be of the data."""
        return self._evaluated(rows)


@dataclass(frozen=True)
class EvaluatedCurve:
    """Some rows, as the numbers that the curve reads.

    Attributes
    ----------
    of : the data that they are of.
    n_rows : their number.
    read : what was evaluated.
    groups : (n,) labels of clusters, or None.
    """

    of: StreamedCurveData
    n_rows: int
    read: CurveVariables
    groups: np.ndarray | None

    @property
    def bad(self) -> np.ndarray | None:
        """(n,) mask of the rows that cannot be used; None if all can."""
        return self.read.rows.bad

    def data(self, start: int, size: int) -> ModelData:
        """The usable rows among `size` ones, from number `start` on."""
        used, head = Selection.of(self.bad, start, min(start + size, self.n_rows)), self.of.head
        table = np.empty((len(head.names), used.n_rows))  # a row for each column, as the curve reads them
        for row, name in zip(table, head.names, strict=True):
            row[:] = used(self.read.values[name])
        return replace(
            head,
            X=table.T,
            response=Response(head.response.name, used(self.read.y)),
            weights=weights_of(self.read, used),
            groups=used(self.groups),
            n_dropped=0,
        )


def weights_of(
    read: CurveVariables, used: Callable[[np.ndarray | None], np.ndarray | None], first: int = 0
) -> np.ndarray | None:
    """The weights of the rows that `used` selects of n: given, or 1/σ². `first` is the number of the first of the n."""
    if read.deviation is None:
        return used(read.weight)
    deviation = used(read.deviation)
    assert deviation is not None
    if (deviation > 0).all():
        return weights_of_sigma(deviation, None)
    return weights_of_sigma(deviation, used(np.arange(first, first + len(read.deviation))))


def from_curve_stream(
    formula: str,
    source: Source,
    parameters: Mapping[str, str],
    *,
    weights: Any = None,
    sigma: Any = None,
    groups: Any = None,
    missing: str = "drop",
    keep: Keeping = computed,
) -> StreamedCurveData:
    """Read ``response ~ curve`` over a stream.

    Parameters
    ----------
    formula, parameters, missing : as for :func:`raphson.data.curve_data.from_curve`.
    weights, sigma, groups : a column's name or an expression.
    source, keep : as for :func:`raphson.data.from_stream`.

    Raises
    ------
    FormulaError, DataError
        As for :func:`raphson.data.curve_data.from_curve`.
    """
    check_missing(missing)
    asked = curve_asked(formula, source, parameters, weights, sigma, groups)
    source.check_columns(asked.read)
    seen = first_pass(
        source,
        keep,
        lambda: _Seen.of(source, asked.read, SAMPLE_ROWS),
        lambda seen, place, rows: _take(seen, asked, source, place, rows),
    )
    seen.check(missing)
    data = curve_data(asked, source, tuple(seen.pieces), seen.same, seen.totals, seen.dropped)
    return replace(data, sample=data.data_of(joined(seen.sampled.parts)))


def curve_asked(
    formula: str, source: Source, parameters: Mapping[str, str], weights: Any, sigma: Any, groups: Any
) -> CurveFormula:
    """The formula and its arguments, of a stream."""
    arguments = {"weights": weights, "sigma": sigma, "groups": groups}
    check_named(arguments)
    return CurveFormula.of(formula, dict.fromkeys(source.names), parameters, arguments)


def curve_data(
    asked: CurveFormula,
    source: Source,
    pieces: tuple[Piece, ...],
    same: SameRows,
    totals: CurveTotals | LaterTotals,
    dropped: int,
    first: FirstReading | None = None,
) -> StreamedCurveData:
    """The data of which this was found, without their sample."""
    head = _head(asked, dropped)
    return StreamedCurveData(source, pieces, same, asked, totals, head, head, first=first)


@dataclass
class _Seen(Seen):
    """What the first pass over the columns of a curve has found so far.

    Attributes
    ----------
    readings : of the usable rows of each piece, which are added by the fixed tree, as a first sum adds them.
    """

    readings: list[CurveTotals] = field(default_factory=list[CurveTotals])

    def join(self, other: Self) -> None:
        super().join(other)
        self.readings += other.readings

    @property
    def totals(self) -> CurveTotals:
        """Of all usable rows."""
        return tree_sum(self.readings) if self.readings else CurveTotals()


def _take(seen: _Seen, asked: CurveFormula, source: Source, place: Place, rows: Rows) -> None:
    """Add the pieces that are read together."""
    try:
        _note(seen, asked, source, place, rows)
    except DataError as error:
        if source.parts == 1:
            raise
        raise DataError(f"{source.place(place[0])}: {error}") from error


def _note(seen: _Seen, asked: CurveFormula, source: Source, place: Place, rows: Rows) -> None:
    table = variables_of(rows)
    read, _ = _variables(asked, table)
    seen.same.note(place, table, source)
    seen.rows.absorb(read.rows)
    kept = None if read.rows.bad is None else np.flatnonzero(~read.rows.bad)
    weight = weights_of(read, lambda values: take(values, kept), seen.read)
    seen.check_nonnegative("weights", weight, kept)
    for start in range(0, count(rows), source.piece_rows):
        used = Selection.of(read.rows.bad, start, min(start + source.piece_rows, count(rows)))
        if used.n_rows:
            seen.readings.append(CurveTotals.of(used(read.y), weights_of(read, used, seen.read)))
    seen.add(source, place, rows, kept, weight)


def _variables(asked: CurveFormula, table: Table) -> tuple[CurveVariables, np.ndarray | None]:
    """What the curve reads, and the label of each row's cluster, a text or a number."""
    read = CurveVariables.of(asked, table)
    return read, clusters(asked.expressions["groups"], Evaluator(table, {}, "groups"), read.rows)


def _head(asked: CurveFormula, dropped: int) -> ModelData:
    """The data without the rows."""

    def absent(what: str) -> Any:
        return NotInMemory(what)

    weighted = any(asked.arguments[what] is not None for what in ("weights", "sigma"))
    return ModelData(
        X=absent("the columns"),
        names=asked.columns,
        response=Response(asked.response.text, absent("the response")),
        weights=absent("the weights") if weighted else None,
        offset=None,
        trials=None,
        groups=None if asked.arguments["groups"] is None else absent("the clusters"),
        index=None,
        n_dropped=dropped,
        labels=None,
        schema=ArraySchema(asked.columns, False),
        has_intercept=False,
        terms={},
    )
