"""A curve over streamed data: the columns that its expression reads, piece by piece.

A first pass finds the rows that cannot be used, samples the others, and adds up what is needed of the response. From
then on each piece that is read gives the same numbers as if the data were in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from raphson.data.curve_data import CurveFormula, CurveVariables
from raphson.data.evaluate import Evaluator
from raphson.data.extras import check_nonnegative, take, weights_of_sigma
from raphson.data.messages import check_missing
from raphson.data.model_data import ModelData, Response
from raphson.data.not_in_memory import NotInMemory
from raphson.data.pieces import Rows, Sample, count, joined, variables_of
from raphson.data.places import usable_pieces
from raphson.data.rows import MissingRows, refuse_or_warn
from raphson.data.same_rows import Place, SameRows
from raphson.data.schema import ArraySchema
from raphson.data.sources import Source
from raphson.data.streams import (
    SAMPLE_ROWS,
    Piece,
    StreamedPieces,
    all_readings,
    check_named,
    computed,
)
from raphson.data.values import Levels, Table
from raphson.errors import DataError
from raphson.execute.watched import Keeping


@dataclass(frozen=True)
class CurveTotals:
    """Sums and extremes of the response over the usable rows.

    Attributes
    ----------
    rows, positive : number of rows, and of those of positive weight.
    weights : sum of the weights.
    squares : Σ w y².
    largest : the largest |y|.
    """

    rows: int = 0
    positive: int = 0
    weights: float = 0.0
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
            self.squares + other.squares,
            max(self.largest, other.largest),
        )

    @staticmethod
    def of(y: np.ndarray, weight: np.ndarray | None) -> CurveTotals:
        """Those of some rows."""
        n, largest = len(y), float(np.abs(y).max(initial=0.0))
        if weight is None:
            return CurveTotals(n, n, float(n), float(y @ y), largest)
        return CurveTotals(n, int(np.count_nonzero(weight)), float(weight.sum()), float(weight @ (y * y)), largest)


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
    totals: CurveTotals
    head: ModelData
    sample: ModelData

    @property
    def columns(self) -> tuple[str, ...]:
        return self.formula.read

    def _evaluated(self, rows: Rows, place: Place | None = None) -> EvaluatedCurve:
        table = variables_of(rows)
        if place is not None:
            self.same.check(place, table, self.source)
        return EvaluatedCurve(self, count(rows), *_variables(self.formula, table))


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
        cut = slice(start, min(start + size, self.n_rows))
        kept = None if self.bad is None else np.flatnonzero(~self.bad[cut])

        def used(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else take(values[cut], kept)

        head, n = self.of.head, cut.stop - cut.start if kept is None else len(kept)
        table = np.empty((len(head.names), n))  # a row for each column, as the curve reads them
        for row, name in zip(table, head.names, strict=True):
            row[:] = used(self.read.values[name])
        response = used(self.read.y)
        assert response is not None
        return replace(
            head,
            X=table.T,
            response=Response(head.response.name, response),
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
    arguments = {"weights": weights, "sigma": sigma, "groups": groups}
    check_named(arguments)
    asked = CurveFormula.of(formula, dict.fromkeys(source.names), parameters, arguments)
    source.check_columns(asked.read)
    first = keep if source.files is not None else computed  # elsewhere only a reading tells what the rows are
    seen: _Seen = first(("first pass",), lambda: _first_pass(asked, source, keep))
    keep(("rows", seen.same.found), lambda: None)
    _check(seen, missing)
    head = _head(asked, seen.dropped)
    data = StreamedCurveData(
        source=source,
        pieces=tuple(seen.pieces),
        same=seen.same,
        formula=asked,
        totals=seen.totals,
        head=head,
        sample=head,
    )
    return replace(data, sample=data.data_of(joined(seen.sampled.parts)))


@dataclass
class _Seen:
    """What the first pass has found so far.

    Attributes
    ----------
    rows : why rows are unusable.
    sampled : some of the rows.
    same : by which later readings are judged.
    totals : of the usable rows.
    read, dropped : numbers of rows.
    pieces : places of the usable rows.
    """

    rows: MissingRows
    sampled: Sample
    same: SameRows
    totals: CurveTotals
    read: int = 0
    dropped: int = 0
    pieces: list[Piece] = field(default_factory=list)


def _first_pass(asked: CurveFormula, source: Source, keep: Keeping) -> _Seen:
    """Read all rows once."""
    n_rows = source.n_rows or 0
    sampled = Sample(max(1, n_rows // SAMPLE_ROWS), SAMPLE_ROWS)
    seen = _Seen(MissingRows(n_rows), sampled, SameRows(asked.read), CurveTotals())
    for part, number, rows in all_readings(source, seen.same, keep):
        try:
            _take(seen, asked, source, (part, number), rows)
        except DataError as error:
            if source.parts == 1:
                raise
            raise DataError(f"{source.place(part)}: {error}") from error
    return seen


def _take(seen: _Seen, asked: CurveFormula, source: Source, place: Place, rows: Rows) -> None:
    """Add the pieces that are read together."""
    table = variables_of(rows)
    read, _ = _variables(asked, table)
    seen.same.note(place, table, source)
    seen.rows.absorb(read.rows)
    kept = None if read.rows.bad is None else np.flatnonzero(~read.rows.bad)
    n = table.n_rows if kept is None else len(kept)
    weight = weights_of(read, lambda values: take(values, kept), seen.read)
    if weight is not None and n and weight.min() < 0:
        check_nonnegative(weight, "weights", (np.arange(n) if kept is None else kept) + seen.read)
    y = take(read.y, kept)
    assert y is not None
    seen.totals = seen.totals + CurveTotals.of(y, weight)
    size, start = source.piece_rows, seen.read - seen.dropped
    seen.pieces += usable_pieces(*place, table.n_rows, kept, size, start, weight)
    seen.sampled.take(rows, seen.read)
    seen.read += table.n_rows
    seen.dropped += table.n_rows - n


def _variables(asked: CurveFormula, table: Table) -> tuple[CurveVariables, np.ndarray | None]:
    """What the curve reads, and the label of each row's cluster, a text or a number."""
    read, expression = CurveVariables.of(asked, table), asked.expressions["groups"]
    if expression is None:
        return read, None
    evaluator = Evaluator(table, {}, "groups")
    variable = evaluator.variable(expression)
    read.rows.note_expression(expression, variable, evaluator)
    return read, np.array(variable.labels)[variable.codes] if isinstance(variable, Levels) else variable.values


def _check(seen: _Seen, missing: str) -> None:
    """Refuse data without usable rows, and warn of the others."""
    if not seen.read:
        raise DataError("data: there are no rows; expected at least one")
    if seen.dropped:
        refuse_or_warn(missing, seen.rows.reasons(), seen.dropped, seen.read)
    if not seen.totals.weights > 0:
        raise DataError("weights: all are 0, so no row counts; give some rows a positive weight")


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
