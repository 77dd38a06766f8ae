"""Several formulas over streamed data: a design for each parameter of a distribution, piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from raphson.data.evaluate import States
from raphson.data.extras import Column
from raphson.data.first_reading import FirstReading
from raphson.data.frames import CANNOT_VARY_STREAMED, FormulaArguments
from raphson.data.model_data import Response
from raphson.data.pieces import joined
from raphson.data.places import UsableRows
from raphson.data.several import Layout, Part, SeveralData, layouts_of, parts_of
from raphson.data.sources import Source
from raphson.data.streams import NotInMemory, Streamed, check_named, computed, first_reading
from raphson.execute.watched import Keeping


@dataclass(frozen=True)
class StreamedSeveral(Streamed):
    """The data of several formulas as pieces that are read when needed.

    Attributes
    ----------
    layouts : of the design of each parameter.
    head : names, schemas and counts, but nothing by row.
    sample : some of the rows, as data in memory.
    """

    layouts: dict[str, Layout]
    head: SeveralData
    sample: SeveralData

    def made(self, rows: UsableRows) -> SeveralData:
        variables = dict(zip(self.layouts, rows.variables, strict=True))
        return replace(
            self.head,
            parts=parts_of(self.layouts, variables, rows.offsets, rows.kept, rows.n_rows, {}, rows.by_columns),
            response=Response(self.head.response.name, rows.response, self.levels),
            columns=rows.columns,
            weights=rows.weights,
            groups=rows.groups,
            n_dropped=0,
        )


def from_streams(
    formulas: Mapping[str, str],
    source: Source,
    *,
    columns: Mapping[str, str],
    weights: Any = None,
    groups: Any = None,
    missing: str = "drop",
    without_intercept: tuple[str, ...] = (),
    keep: Keeping = computed,
) -> StreamedSeveral:
    """Read one formula for each parameter of a distribution over a stream.

    Parameters
    ----------
    formulas, columns, missing, without_intercept : as for :func:`raphson.data.several.from_formulas`.
    weights, groups : a column's name or an expression.
    source, keep : as for :func:`raphson.data.from_stream`.

    Raises
    ------
    FormulaError, DataError
        As for :func:`raphson.data.from_stream`.
    """
    asked = asked_of(formulas, source, columns, weights, groups)
    found, seen = first_reading(asked, source, missing, keep)
    data = described(asked, found, without_intercept, columns, seen.dropped)
    return replace(data, sample=data.data_of(joined(seen.sampled.parts)))


def asked_of(
    formulas: Mapping[str, str], source: Source, columns: Mapping[str, str], weights: Any, groups: Any
) -> FormulaArguments:
    """The formulas and their arguments, of a stream."""
    arguments = {"weights": weights, "groups": groups}
    check_named(arguments)
    return FormulaArguments.of_several(formulas, source.names, arguments, columns, CANNOT_VARY_STREAMED)


def described(
    asked: FormulaArguments,
    found: dict[str, Any],
    without_intercept: tuple[str, ...],
    columns: Mapping[str, str],
    dropped: int,
    first: FirstReading | None = None,
) -> StreamedSeveral:
    """The data of which this was found, without their sample."""
    layouts = layouts_of(asked, dict(zip(asked.formulas, found["factors"], strict=True)), without_intercept)
    given = {what: None if asked.arguments[what] is None else NotInMemory(what) for what in ("weights", "groups")}
    head = SeveralData(
        parts=_parts(layouts, asked, found["states"]),
        response=Response(asked.formula.response_name, NotInMemory("the response"), found["levels"]),  # type: ignore[arg-type]
        columns={name: _column(name, labels) for name, labels in found["labels"].items()},
        weights=given["weights"],  # type: ignore[arg-type]
        groups=given["groups"],  # type: ignore[arg-type]
        index=None,
        n_dropped=dropped,
        labels=None,
        asked={name: str(text) for name, text in columns.items()},
    )
    return StreamedSeveral(**found, layouts=layouts, head=head, sample=head, first=first)


def _parts(layouts: dict[str, Layout], asked: FormulaArguments, states: States) -> dict[str, Part]:
    """The parts without the rows."""
    parts: dict[str, Part] = {}
    for name, layout in layouts.items():
        offset: Any = NotInMemory("the offset") if asked.formulas[name].offsets else None
        parts[name] = parts.get(layout.like) or layout.part(NotInMemory("the design"), offset, states)
    return parts


def _column(name: str, labels: tuple[str, ...] | None) -> Column:
    values: Any = NotInMemory(f"the column {name}")
    return Column(values, labels)
