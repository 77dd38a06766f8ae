"""A formula over streamed data.

A first pass over all rows finds the levels of each factor and of the response and the rows that cannot be used, and
samples the others. From then on each piece that is read gives the same design as if the data were in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.blocks import BLOCK_ROWS
from raphson.data.evaluate import States
from raphson.data.extras import check_nonnegative, take
from raphson.data.frames import MOST_LEVELS, FormulaArguments, TableVariables, describe, make_plan, refuse_identifier
from raphson.data.messages import check_missing, listing
from raphson.data.model_data import ModelData, Response
from raphson.data.pieces import Rows, count, every, joined, together, variables_of
from raphson.data.rows import MissingRows, refuse_or_warn
from raphson.data.same_rows import Place, SameRows, changed
from raphson.data.sources import Source
from raphson.data.values import Levels, Numbers, Variable, as_levels, recode
from raphson.errors import DataError, FormulaError

if TYPE_CHECKING:
    from raphson.data.design import DesignPlan

READERS = 4
"""Number of places of the data from which shuffled pieces are read at a time."""

SAMPLE_ROWS = 50_000
"""Approximate number of rows of the sample, evenly spaced over the data. A mean of them has a standard error of
1/√50,000 = 0.4% of a standard deviation."""


@dataclass(frozen=True)
class Piece:
    """The location of some rows: the `number`-th piece of a part.

    Attributes
    ----------
    part, number : location.
    rows : number of usable rows.
    start : number of its first row among the usable rows of all pieces.
    """

    part: int
    number: int
    rows: int
    start: int


class NotInMemory:
    """Placeholder for values by row that are not in memory: any use of it raises a DataError."""

    def __init__(self, what: str) -> None:
        self._what = what

    def _refuse(self, *_: Any) -> Any:
        raise DataError(
            f"data: streamed rows are not kept in memory, so there is no access to {self._what}; for quantities by row "
            "fit a part of the data as a data frame, or predict for the rows of interest"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self._refuse()

    __len__ = __iter__ = __getitem__ = __array__ = __eq__ = __ne__ = _refuse  # type: ignore[assignment]
    __mul__ = __rmul__ = __add__ = __radd__ = __sub__ = __rsub__ = __gt__ = __lt__ = _refuse
    __hash__ = object.__hash__


@dataclass(frozen=True)
class StreamedData:
    """The data of a model as pieces that are read when needed.

    Attributes
    ----------
    source : the source of the rows.
    asked : formula and arguments.
    plan : layout of the design.
    levels : levels of the response, or None.
    pieces : the pieces with usable rows.
    head : a :class:`ModelData` with names, schema and counts, but nothing by row.
    sample : about SAMPLE_ROWS of the rows, as data in memory.
    same : what the first reading found, by which later ones are judged.
    """

    source: Source
    asked: FormulaArguments
    plan: DesignPlan
    levels: tuple[str, ...] | None
    pieces: tuple[Piece, ...]
    head: ModelData
    sample: ModelData
    same: SameRows

    @property
    def n_rows(self) -> int:
        """Usable rows."""
        return self.pieces[-1].start + self.pieces[-1].rows

    def read(self, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, ModelData]]:
        """Read pieces; those of a part have to follow one another."""
        wanted: dict[int, dict[int, Piece]] = {}
        for piece in pieces:
            wanted.setdefault(piece.part, {})[piece.number] = piece
        for part, inside in wanted.items():
            yield from self._read_part(part, inside)

    def _read_part(self, part: int, inside: dict[int, Piece]) -> Iterator[tuple[Piece, ModelData]]:
        size, left = self.source.piece_rows, len(inside)
        reader = readings(self.source, part, self.asked.columns)
        for first, rows in reader:
            here = [k for k in range(first, first - (-count(rows) // size)) if k in inside]
            if not here:
                continue
            held = self._evaluated(rows, (part, first))
            for k in here:
                yield inside[k], held.data((k - first) * size, size)
            left -= len(here)
            if not left:
                if self.same.is_last((part, first)) and next(reader, None) is not None:
                    raise changed(self.source.place(part), "more rows")
                return
        raise changed(self.source.place(part), "fewer rows")

    def shuffled(self, rng: np.random.Generator) -> Iterator[list[ModelData]]:
        """Read all pieces in an order as random as the source allows: groups of pieces from several places."""
        parts = sorted({piece.part for piece in self.pieces})
        waiting = [parts[i] for i in rng.permutation(len(parts))]
        by_part: dict[int, list[Piece]] = {}
        for piece in self.pieces:
            by_part.setdefault(piece.part, []).append(piece)
        readers: list[Iterator[tuple[Piece, ModelData]]] = []
        while waiting or readers:
            while waiting and len(readers) < READERS:
                readers.append(self.read(by_part[waiting.pop()]))
            group = []
            for reader in list(readers):
                found = next(reader, None)
                if found is None:
                    readers.remove(reader)
                else:
                    group.append(found[1])
            if group:
                yield group

    def data_of(self, rows: Rows) -> ModelData:
        """The usable ones of some rows, as for data in memory."""
        return self._evaluated(rows).data(0, count(rows))

    def _evaluated(self, rows: Rows, place: Place | None = None) -> EvaluatedRows:
        table = variables_of(rows)
        if place is not None:
            self.same.check(place, table, self.source.place(place[0]))
        read = TableVariables.of(self.asked, table, {}, new=True)
        variables = [
            recode(_usable(one, read), info.labels, info.text) if info.categorical and info.labels else one
            for one, info in zip(read.variables, self.plan.factors, strict=True)
        ]
        return EvaluatedRows(self, count(rows), read, variables, self._response(read))

    def _response(self, read: TableVariables) -> np.ndarray:
        if len(read.responses) == 2:
            return np.column_stack([read.evaluator.numbers(one).values for one in self.asked.formula.response])
        variable = read.responses[0]
        if self.levels is not None:
            return recode(_usable(variable, read), self.levels, "response").codes
        assert isinstance(variable, Numbers)
        return variable.values


@dataclass(frozen=True)
class EvaluatedRows:
    """Some rows, as the values of the formula's variables.

    Attributes
    ----------
    of : the data that they are of.
    n_rows : their number.
    read : what was evaluated.
    variables : of the right side, coded by the levels of all data.
    response : (n,) or (n, 2) values, or codes of levels.
    """

    of: StreamedData
    n_rows: int
    read: TableVariables
    variables: list[Variable]
    response: np.ndarray

    def data(self, start: int, size: int) -> ModelData:
        """The usable rows among `size` ones, from number `start` on. Where all are usable these are views."""
        cut = slice(start, min(start + size, self.n_rows))
        bad = self.read.rows.bad
        kept = None if bad is None else np.flatnonzero(~bad[cut])
        variables = [_sliced(one, cut) for one in self.variables]
        response = self.response[cut] if kept is None else self.response[cut][kept]
        extra = {what: None if values is None else take(values[cut], kept) for what, values in self.read.extra.items()}
        name, levels = self.of.asked.formula.response_name, self.of.levels
        n = cut.stop - cut.start if kept is None else len(kept)
        return replace(
            self.of.head,
            X=self.of.plan.build(variables, kept, n, by_columns=n <= BLOCK_ROWS[-1]),
            response=Response(name, response if levels is None else response.astype(np.float64), levels),
            weights=extra["weights"],
            offset=extra["offset"],
            trials=extra["trials"],
            n_dropped=0,
        )


def _usable(variable: Variable, read: TableVariables) -> Levels:
    """A variable as a factor without the levels of unusable rows, which other rows may not have."""
    levels, bad = as_levels(variable), read.rows.bad
    return levels if bad is None else replace(levels, codes=np.where(bad, -1, levels.codes))


def _sliced(variable: Variable, rows: slice) -> Variable:
    if isinstance(variable, Levels):
        return Levels(variable.codes[rows], variable.labels, variable.origin, variable.contrasts)
    return Numbers(variable.values[rows], variable.labels, variable.spans_intercept, variable.boolean)


def readings(source: Source, part: int, columns: Sequence[str]) -> Iterator[tuple[int, Rows]]:
    """The rows of a part, some pieces at a time, each time with the number of the first piece."""
    rows = together(source.piece_rows, len(columns))
    for number, read in enumerate(source.read(part, columns, rows)):
        yield number * rows // source.piece_rows, read


def _computed(about: tuple[Any, ...], compute: Callable[[], Any]) -> Any:
    return compute()


def from_stream(
    formula: str,
    source: Source,
    arguments: dict[str, Any],
    missing: str = "drop",
    keep: Callable[[tuple[Any, ...], Callable[[], Any]], Any] = _computed,
) -> StreamedData:
    """Read a formula over a stream.

    Parameters
    ----------
    formula : str
    source : Source
    arguments : dict
        ``weights``, ``offset``, ``trials`` and ``groups``: names of columns, expressions, or None.
    missing : {"drop", "raise"}
    keep : keep(about, compute)
        What the first pass found: that of an interrupted fit, or ``compute()``.

    Raises
    ------
    FormulaError
        As :func:`raphson.data.from_formula`; also if a transform needs all rows at once (``scale``, ``bs``).
    DataError
        As :func:`raphson.data.from_formula`; also if an argument is an array.
    """
    check_missing(missing)
    for what, value in arguments.items():
        if value is not None and not isinstance(value, str):
            raise DataError(
                f"{what}: expected a column's name or an expression of columns, as streamed rows are not kept in "
                f"memory; got {type(value).__name__}. Write it into the files"
            )
    asked = FormulaArguments.of(formula, source.names, arguments)
    source.check_columns(asked.columns)
    first_pass = _FirstPass(asked, source)
    first_pass.seen = keep(("first pass",), first_pass.run)
    return first_pass.finish(missing)


@dataclass
class _Summary:
    """What the first pass has found so far.

    Attributes
    ----------
    rows : the unusable rows.
    factors, response : of each variable.
    sampled : some of the rows.
    same : by which later readings are judged.
    read, dropped : numbers of rows.
    pieces : places of the usable rows.
    weighted : sum of the weights.
    """

    rows: MissingRows
    factors: list[_VariableSummary]
    response: _VariableSummary
    sampled: _Sample
    same: SameRows
    read: int = 0
    dropped: int = 0
    pieces: list[Piece] = field(default_factory=list)
    weighted: float = 0.0


class _FirstPass:
    """The first pass: collects what is needed of each piece, and makes the data's description of it."""

    def __init__(self, asked: FormulaArguments, source: Source) -> None:
        self.asked, self.source = asked, source
        factors = [_VariableSummary() for _ in asked.formula.factors]
        n_rows, same = source.n_rows or 0, SameRows(asked.columns)
        sampled = _Sample(max(1, n_rows // SAMPLE_ROWS))
        self.seen = _Summary(MissingRows(n_rows), factors, _VariableSummary(), sampled, same)

    def run(self) -> _Summary:
        """Read all rows."""
        for part in range(self.source.parts):
            for number, rows in readings(self.source, part, self.asked.columns):
                self.take(part, number, rows)
        return self.seen

    def take(self, part: int, number: int, rows: Rows) -> None:
        """Add the pieces that are read together, from the piece of this number on."""
        table = variables_of(rows)
        states: States = {}
        read = TableVariables.of(self.asked, table, states, new=True)
        if states:
            raise FormulaError(
                f"formula: {listing(map(repr, states))} needs all rows at once, but streamed rows are read in "
                "pieces; write such a column into the files, or fit a data frame"
            )
        self.seen.same.note((part, number), table)
        self.seen.rows.absorb(read.rows)
        kept = None if read.rows.bad is None else np.flatnonzero(~read.rows.bad)
        n = table.n_rows if kept is None else len(kept)
        for what in ("weights", "trials"):
            values = take(read.extra[what], kept)
            if values is not None and n and values.min() < 0:
                check_nonnegative(values, what, (np.arange(n) if kept is None else kept) + self.seen.read)
            if what == "weights":
                self.seen.weighted += n if values is None else float(values.sum())
        for one, expression, variable in zip(
            self.seen.factors, self.asked.formula.factors, read.variables, strict=True
        ):
            one.take(variable, kept, expression.text, self._kind(expression.columns))
        if len(read.responses) == 1:
            response = self.asked.formula.response[0]
            self.seen.response.take(read.responses[0], kept, response.text, self._kind(response.columns))
        self._place(part, number, table.n_rows, kept)
        self.seen.sampled.take(rows, self.seen.read)
        self.seen.read += table.n_rows
        self.seen.dropped += table.n_rows - n

    def _place(self, part: int, number: int, n_rows: int, kept: np.ndarray | None) -> None:
        """Note the places of the usable rows."""
        size = self.source.piece_rows
        usable = np.ones(n_rows, dtype=np.intp) if kept is None else np.bincount(kept, minlength=n_rows)
        start = self.seen.read - self.seen.dropped
        for k in range(0, n_rows, size):
            n = int(usable[k : k + size].sum())
            if n:
                self.seen.pieces.append(Piece(part, number + k // size, n, start))
            start += n

    def _kind(self, columns: Sequence[str]) -> str:
        """ "declared" for a single column with declared categories, otherwise ""."""
        declared = len(columns) == 1 and self.source.declared(columns[0])
        return "declared" if declared else ""

    def finish(self, missing: str) -> StreamedData:
        """The data, after all pieces have been added."""
        if not self.seen.read:
            raise DataError("data: there are no rows; expected at least one")
        if self.seen.dropped:
            refuse_or_warn(missing, self.seen.rows.reasons(), self.seen.dropped, self.seen.read)
        if not self.seen.weighted > 0:
            raise DataError("weights: all are 0, so no row counts; give some rows a positive weight")
        formula = self.asked.formula
        n_rows = self.seen.read - self.seen.dropped
        infos = []
        for expression, one in zip(formula.factors, self.seen.factors, strict=True):
            variable = one.variable(expression.text)
            refuse_identifier(expression, variable, n_rows)
            infos.append(describe(expression, variable))
        plan = make_plan(formula, infos)
        levels = None
        if len(formula.response) == 1:
            response = self.seen.response.variable(formula.response_name, response=True)
            refuse_identifier(formula.response[0], response, n_rows)
            if isinstance(response, Levels):
                levels = response.labels
            elif response.values.ndim != 1:
                raise DataError(
                    f"response: {formula.response_name!r} has several columns; expected one, or cbind(successes, "
                    "failures)"
                )
        asked = self.asked.arguments
        given = {what: None if asked[what] is None else NotInMemory(what) for what in ("weights", "trials")}
        offset = NotInMemory("the offset") if formula.offsets or self.asked.arguments["offset"] is not None else None
        head = ModelData(
            X=NotInMemory("the design"),  # type: ignore[arg-type]
            names=plan.names,
            response=Response(formula.response_name, NotInMemory("the response"), levels),  # type: ignore[arg-type]
            weights=given["weights"],  # type: ignore[arg-type]
            offset=offset,  # type: ignore[arg-type]
            trials=given["trials"],  # type: ignore[arg-type]
            groups=None,
            index=None,
            n_dropped=self.seen.dropped,
            labels=None,
            schema=self.asked.schema(plan, {}),
            has_intercept=plan.has_intercept,
            terms=plan.terms,
        )
        seen = self.seen
        found = StreamedData(self.source, self.asked, plan, levels, tuple(seen.pieces), head, head, seen.same)
        return replace(found, sample=found.data_of(joined(seen.sampled.parts)))


@dataclass
class _Sample:
    """Every `every`-th row of the pieces so far; half of them once there are twice as many as wanted."""

    every: int
    parts: list[Rows] = field(default_factory=list)
    n_rows: int = 0

    def take(self, rows: Rows, first: int) -> None:
        """Add rows, of which the first has this number."""
        self.parts.append(every(rows, -first % self.every, self.every))
        self.n_rows += count(self.parts[-1])
        if self.n_rows > 2 * SAMPLE_ROWS:  # where the number of rows was not known
            self.parts = [every(joined(self.parts), 0, 2)]
            self.every *= 2
            self.n_rows = count(self.parts[0])


@dataclass
class _VariableSummary:
    """What the pieces so far contain of one variable."""

    first: Variable | None = None
    orders: dict[tuple[str, ...], None] = field(default_factory=dict)
    occurring: set[str] = field(default_factory=set)
    numeric: bool = False
    declared: bool = False

    def take(self, variable: Variable, kept: np.ndarray | None, text: str, kind: str) -> None:
        """Add one piece."""
        if isinstance(variable, Numbers):
            if self.first is None or not np.isnan(variable.values).all():
                self.numeric = self.numeric or not np.isnan(variable.values).all()
                if self.first is None:
                    # Of numbers only the names of the columns are needed.
                    self.first = replace(variable, values=variable.values[:1])
        else:
            self.declared = self.declared or kind == "declared"
            if not isinstance(self.first, Levels):
                self.first = variable
            codes = variable.codes if kept is None else variable.codes[kept]
            self.orders.setdefault(variable.labels)
            here = np.bincount(codes[codes >= 0], minlength=len(variable.labels)) > 0
            self.occurring.update(label for label, occurs in zip(variable.labels, here, strict=True) if occurs)
            if len(self.occurring) > MOST_LEVELS or len(self.orders) > MOST_LEVELS:
                raise DataError(
                    f"column {text!r} has more than {MOST_LEVELS} different values; leave it out if it is an "
                    "identifier, or convert it if it is numbers stored as text"
                )
        if self.numeric and isinstance(self.first, Levels):
            raise DataError(f"column {text!r} is text in some files and numbers in others; give it one type in all")

    def variable(self, text: str, response: bool = False) -> Variable:
        """The variable of all pieces together, with its levels but no data (a single row at most)."""
        if self.first is None:
            raise DataError(f"data: no row of {text!r} could be read; check the files")
        if not isinstance(self.first, Levels):
            return self.first
        labels = self._ordered(self.first.origin)
        if not (response and self.first.origin == "boolean"):  # a boolean response always has both levels
            labels = tuple(label for label in labels if label in self.occurring)
        return replace(self.first, labels=labels, codes=np.arange(len(labels)))

    def _ordered(self, origin: str) -> tuple[str, ...]:
        orders = list(self.orders)
        if len(orders) == 1:
            return orders[0]
        every = dict.fromkeys(label for order in orders for label in order)
        if self.declared:
            return tuple(every)
        if origin == "number":
            return tuple(sorted(every, key=float))
        leads = {order[0] for order in orders if order}
        if len(leads) == 1 and any(list(order) != sorted(order) for order in orders):
            lead = leads.pop()  # relevel(x, ref=lead)
            return (lead, *sorted(label for label in every if label != lead))
        return tuple(sorted(every))
