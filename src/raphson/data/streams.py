"""Formulas over streamed data.

A first pass over all rows, for any number of formulas and columns, finds the levels of each factor and of the response
and the rows that cannot be used, and samples the others. From then on each piece that is read gives the same design as
if the data were in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from raphson.data.blocks import SAMPLE_ROWS
from raphson.data.coding import FactorInfo
from raphson.data.design import make_plan
from raphson.data.evaluate import Evaluator, States
from raphson.data.expressions import Expression
from raphson.data.extras import Column, take
from raphson.data.first_pass import Seen, first_pass, readings
from raphson.data.first_reading import FirstReading
from raphson.data.frames import CANNOT_VARY_STREAMED, FormulaArguments, TableVariables, described, refuse_identifier
from raphson.data.messages import check_missing
from raphson.data.model_data import ModelData, Response
from raphson.data.not_in_memory import NotInMemory
from raphson.data.numbers_in_text import check_text
from raphson.data.pieced_design import WrittenDesign
from raphson.data.pieces import Rows, count, joined, taken, variables_of
from raphson.data.places import Piece, Selection, UsableRows
from raphson.data.row_split import RowSplit
from raphson.data.rows import MissingRows
from raphson.data.same_rows import Place, SameRows, changed
from raphson.data.sample_rows import sample_rows
from raphson.data.seen_states import argument
from raphson.data.seen_variables import SeenVariable
from raphson.data.sources import Source
from raphson.data.state_passes import Beforehand, states_beforehand
from raphson.data.values import Levels, Numbers, Variable, as_levels, recode, sliced
from raphson.errors import DataError
from raphson.execute.watched import Keeping

if TYPE_CHECKING:
    from raphson.data.design import DesignPlan

READERS, FEWEST_READERS, READERS_BYTES = 4, 2, 3 * 2**26
"""Number of places of the data from which shuffled pieces are read at a time: the first, or fewer where the parts that
are read would take more than 192 MB, as some kinds of sources decode a part at once."""


@dataclass(frozen=True)
class StreamedPieces:
    """Base class of the data of a model as pieces that are read when needed.

    Attributes
    ----------
    source : the source of the rows.
    pieces : the pieces with usable rows.
    same : what the first reading found, by which later ones are judged.
    first : that reading, if it is a sum over rows that were not passed over before; None otherwise.
    """

    source: Source
    pieces: tuple[Piece, ...]
    same: SameRows
    first: FirstReading | None = field(default=None, kw_only=True)

    def for_workers(self) -> Self:
        """The same without the sample of the rows: what reads pieces in another process."""
        return replace(self, **({"sample": NotInMemory("the sample")} if hasattr(self, "sample") else {}))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        raise NotImplementedError

    def _evaluated(self, rows: Rows, place: Place | None = None) -> Any:
        """Some rows as :class:`EvaluatedRows` or the like; those of a place have to be those of the first reading."""
        raise NotImplementedError

    @property
    def unread(self) -> FirstReading | None:
        """The first reading, if it is still to come."""
        return None if self.first is None or self.first.settled else self.first

    @property
    def n_rows(self) -> int:
        """Usable rows."""
        return self.pieces[-1].start + self.pieces[-1].rows

    @property
    def held(self) -> Callable[[int], Any] | None:
        """What gives the name and the future of the part of a piece; None where no cluster has the parts."""
        held = self.source.held
        return None if held is None else lambda number: held(self.pieces[number].part)

    @cached_property
    def starts(self) -> list[int]:
        """Numbers of the first pieces of the parts."""
        parts = [piece.part for piece in self.pieces]
        return [k for k, part in enumerate(parts) if k == 0 or part != parts[k - 1]]

    def read(self, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Any]]:
        """Read pieces; those of a part have to follow one another."""
        wanted: dict[int, dict[int, Piece]] = {}
        for piece in pieces:
            wanted.setdefault(piece.part, {})[piece.number] = piece
        for part, inside in wanted.items():
            yield from self._read_part(part, inside)

    def _read_part(self, part: int, inside: dict[int, Piece]) -> Iterator[tuple[Piece, Any]]:
        size, left = self.source.piece_rows, len(inside)
        reader = readings(self.source, part, self.columns)
        for first, rows in reader:
            here = [k for k in range(first, first - (-count(rows) // size)) if k in inside]
            if not here:
                continue
            held = self._evaluated(rows, (part, first))
            for k in here:
                data = held.data((k - first) * size, size)
                if self.unread is not None:
                    self.unread.add(inside[k], min(size, count(rows) - (k - first) * size), data)
                yield inside[k], data
            left -= len(here)
            if not left:
                if self.same.is_last((part, first)) and next(reader, None) is not None:
                    raise changed(self.source.place(part), "more rows")
                return
        raise changed(self.source.place(part), "fewer rows")

    def numbers(self, piece: Piece) -> np.ndarray:
        """(rows,) the numbers of a piece's usable rows among all rows, by reading them again."""
        size = self.source.piece_rows
        for number, rows in readings(self.source, piece.part, self.columns):
            start = (piece.number - number) * size
            if 0 <= start < count(rows):
                place = (piece.part, number)
                before = sum(int(sums[0]) for at, sums in self.same.found.items() if at < place)
                bad, stop = self._evaluated(rows, place).bad, min(start + size, count(rows))
                usable = np.arange(start, stop) if bad is None else start + np.flatnonzero(~bad[start:stop])
                return before + usable
        raise changed(self.source.place(piece.part), "fewer rows")

    def shuffled(self, rng: np.random.Generator) -> Iterator[list[Any]]:
        """Read all pieces in an order as random as the source allows: groups of pieces from several places."""
        parts = sorted({piece.part for piece in self.pieces})
        waiting = [parts[i] for i in rng.permutation(len(parts))]
        by_part: dict[int, list[Piece]] = {}
        for piece in self.pieces:
            by_part.setdefault(piece.part, []).append(piece)
        largest = 8 * len(self.columns) * max(sum(one.rows for one in part) for part in by_part.values())
        places = min(READERS, max(FEWEST_READERS, READERS_BYTES // largest))
        readers: list[Iterator[tuple[Piece, Any]]] = []
        while waiting or readers:
            while waiting and len(readers) < places:
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

    def beside(self, only: int | None = None) -> Iterator[tuple[Rows, Any]]:
        """The usable rows with all columns of the source, in order and some pieces at a time, and their data.

        Those of `only` one part, or all.
        """
        for part in range(self.source.parts) if only is None else (only,):
            last = None
            for last, rows in readings(self.source, part, self.columns, self.source.names):
                held = self._evaluated(rows, (part, last))
                bad = held.bad
                if bad is None:
                    yield rows, held.data(0, held.n_rows)
                elif not bad.all():
                    yield taken(rows, np.flatnonzero(~bad)), held.data(0, held.n_rows)
            if last != self.same.last.get(part):
                raise changed(self.source.place(part), "fewer rows")

    def data_of(self, rows: Rows) -> Any:
        """The usable ones of some rows, as for data in memory."""
        return self._evaluated(rows).data(0, count(rows))


@dataclass(frozen=True)
class Streamed(StreamedPieces):
    """Base class of the data of formulas.

    Attributes
    ----------
    asked : formulas and arguments.
    factors : of the variables on the right side of each formula, with the levels of all rows.
    levels : levels of the response, or None.
    labels : by keyword of a density, the labels of its column's codes, or None.
    whole : by keyword, whether its column has a type of whole numbers, none of them missing.
    split : the part of the rows that these are, chosen by chance; None for all.
    states : of transforms, computed from all rows.
    passes : over some of the columns, that found states before the first pass.
    """

    asked: FormulaArguments
    factors: tuple[tuple[FactorInfo, ...], ...]
    levels: tuple[str, ...] | None
    labels: dict[str, tuple[str, ...] | None]
    whole: dict[str, bool]
    split: RowSplit | None = field(default=None, kw_only=True)
    states: States = field(default_factory=dict, kw_only=True)
    passes: int = field(default=0, kw_only=True)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.asked.columns

    def made(self, rows: UsableRows) -> Any:
        """The data of some rows, as a model in memory has them."""
        raise NotImplementedError

    def _evaluated(self, rows: Rows, place: Place | None = None) -> EvaluatedRows:
        table = variables_of(rows)
        unread = None if place is None else self.unread
        if unread is not None and place is not None:
            unread.note(place, table, self.source)
        elif place is not None:
            self.same.check(place, table, self.source)
        read = TableVariables.of(self.asked, table, self.states, new=True)
        groups = clusters(self.asked.expressions.get("groups"), read.evaluator, read.rows)
        if unread is not None:
            response = read.responses if len(read.responses) == 1 else []
            unread.agree([*(one for own in read.variables for one in own), *response], read.rows.bad)
        variables = [
            [
                recode(_usable(one, read), info.labels, info.text) if info.categorical and info.labels else one
                for one, info in zip(own, infos, strict=True)
            ]
            for own, infos in zip(read.variables, self.factors, strict=True)
        ]
        columns = {name: _recoded(name, one, self.labels[name]) for name, one in read.columns.items()}
        bad = read.rows.bad
        if self.split is not None and place is not None:
            bad = ~self.split.kept(place, self.source.piece_rows, bad, read.extra["weights"], count(rows))
        return EvaluatedRows(self, count(rows), read, bad, variables, self._response(read), columns, groups)

    def _response(self, read: TableVariables) -> np.ndarray:
        if not read.responses:
            return np.zeros(read.evaluator.table.n_rows)
        if len(read.responses) == 2:
            return np.column_stack([read.evaluator.numbers(one).values for one in self.asked.formula.response])
        variable = read.responses[0]
        if self.levels is not None:
            return recode(_usable(variable, read), self.levels, "response").codes
        assert isinstance(variable, Numbers)
        return variable.values


@dataclass(frozen=True)
class EvaluatedRows:
    """Some rows, as the values of the formulas' variables.

    Attributes
    ----------
    of : the data that they are of.
    n_rows : their number.
    read : what was evaluated.
    bad : (n,) mask of the rows that are not used; None if all are.
    variables : of each right side, coded by the levels of all data.
    response : (n,) or (n, 2) values, or codes of levels.
    columns : of a density, by keyword.
    groups : (n,) labels of clusters, or None.
    """

    of: Streamed
    n_rows: int
    read: TableVariables
    bad: np.ndarray | None
    variables: list[list[Variable]]
    response: np.ndarray
    columns: dict[str, Column]
    groups: np.ndarray | None

    def data(self, start: int, size: int) -> Any:
        """The usable rows among `size` ones, from number `start` on. Where all are usable these are views."""
        used = Selection.of(self.bad, start, min(start + size, self.n_rows))
        response = used(self.response)
        rows = UsableRows(
            variables=[[sliced(one, used.cut) for one in own] for own in self.variables],
            kept=used.kept,
            n_rows=used.n_rows,
            response=response if self.of.levels is None else response.astype(np.float64),
            offsets=[used(one) for one in self.read.offsets],
            weights=used(self.read.extra["weights"]),
            trials=used(self.read.extra["trials"]),
            columns={name: one.kept(used.cut).kept(used.kept) for name, one in self.columns.items()},
            groups=used(self.groups),
        )
        return self.of.made(rows)


@dataclass(frozen=True)
class StreamedData(Streamed):
    """The data of a formula as pieces that are read when needed.

    Attributes
    ----------
    plan : layout of the design.
    head : a :class:`ModelData` with names, schema and counts, but nothing by row.
    sample : SAMPLE_ROWS of the rows or more, as data in memory.
    """

    plan: DesignPlan
    head: ModelData
    sample: ModelData

    def data_of(self, rows: Rows) -> ModelData:
        data = super().data_of(rows)
        return replace(data, X=data.X.toarray()) if isinstance(data.X, WrittenDesign) else data

    def made(self, rows: UsableRows) -> ModelData:
        make = self.plan.written if rows.by_columns else self.plan.build
        return replace(
            self.head,
            X=make(rows.variables[0], rows.kept, rows.n_rows),
            response=Response(self.asked.formula.response_name, rows.response, self.levels),
            weights=rows.weights,
            offset=rows.offsets[0],
            trials=rows.trials,
            groups=rows.groups,
            n_dropped=0,
        )


def _usable(variable: Variable, read: TableVariables) -> Levels:
    """A variable as a factor without the levels of unusable rows, which other rows may not have."""
    levels, bad = as_levels(variable), read.rows.bad
    return levels if bad is None else replace(levels, codes=np.where(bad, -1, levels.codes))


def _recoded(name: str, column: Column, labels: tuple[str, ...] | None) -> Column:
    """A density's column with its codes in all data."""
    if labels is None or column.labels is None:
        return column
    found = recode(Levels(column.values.astype(np.intp), column.labels, "text", None), labels, name)
    return Column(found.codes.astype(float), labels)


def clusters(expression: Expression | None, evaluator: Evaluator, rows: MissingRows) -> np.ndarray | None:
    """(n,) the label of each row's cluster, a text or a number; rows without one are noted as unusable."""
    if expression is None:
        return None
    variable = evaluator.variable(expression)
    rows.note_expression(expression, variable, evaluator)
    return np.array(variable.labels)[variable.codes] if isinstance(variable, Levels) else variable.values


computed = Keeping()
"""Where nothing is kept, and nothing is shown."""


def from_stream(
    formula: str,
    source: Source,
    arguments: dict[str, Any],
    missing: str = "drop",
    keep: Keeping = computed,
) -> StreamedData:
    """Read a formula over a stream.

    Parameters
    ----------
    formula : str
    source : Source
    arguments : dict
        ``weights``, ``offset``, ``trials`` and ``groups``: names of columns, expressions, or None.
    missing : {"drop", "raise"}
    keep : Keeping
        It has what the first pass of an interrupted fit found, and shows how far the pass is.

    Raises
    ------
    FormulaError
        As :func:`raphson.data.from_formula`.
    DataError
        As :func:`raphson.data.from_formula`; also if an argument is an array.
    """
    check_named(arguments)
    asked = FormulaArguments.of(formula, source.names, arguments, CANNOT_VARY_STREAMED)
    wanted = sample_rows(source.n_rows or 0, len(asked.columns), SAMPLE_ROWS)
    found, seen = first_reading(asked, source, missing, keep, wanted)
    plan = make_plan(asked.formula, list(found["factors"][0]))
    head = head_of(asked, plan, found["levels"], seen.dropped, found["states"])
    data = StreamedData(**found, plan=plan, head=head, sample=head)
    return replace(data, sample=data.data_of(joined(seen.sampled.parts)))


def check_named(arguments: dict[str, Any]) -> None:
    """Refuse arguments that are given as arrays: streamed rows are not in memory.

    Raises
    ------
    DataError
    """
    for what, value in arguments.items():
        if value is not None and not isinstance(value, str):
            raise DataError(
                f"{what}: expected a column's name or an expression of columns, as streamed rows are not kept in "
                f"memory; got {type(value).__name__}. Write it into the files"
            )


def first_reading(
    asked: FormulaArguments, source: Source, missing: str, keep: Keeping, rows: int = SAMPLE_ROWS
) -> tuple[dict[str, Any], _Summary]:
    """Read all rows once: what :class:`Streamed` consists of, and what else was found, with a sample of `rows` rows."""
    check_missing(missing)
    source.check_columns(asked.columns)
    passing = FirstPass(asked, source, rows, states_beforehand(asked, source, keep))
    seen = first_pass(source, keep, passing.begin, passing.take)
    return passing.finish(seen, missing), seen


def head_of(
    asked: FormulaArguments, plan: DesignPlan, levels: tuple[str, ...] | None, dropped: int, states: States
) -> ModelData:
    """The data of a formula, without the rows."""
    given = {what: None if asked.arguments[what] is None else NotInMemory(what) for what in ("weights", "trials")}
    offset = asked.formula.offsets or asked.arguments["offset"] is not None
    return ModelData(
        X=NotInMemory("the design"),  # type: ignore[arg-type]
        names=plan.names,
        response=Response(asked.formula.response_name, NotInMemory("the response"), levels),  # type: ignore[arg-type]
        weights=given["weights"],  # type: ignore[arg-type]
        offset=NotInMemory("the offset") if offset else None,  # type: ignore[arg-type]
        trials=given["trials"],  # type: ignore[arg-type]
        groups=None if asked.arguments["groups"] is None else NotInMemory("the clusters"),  # type: ignore[arg-type]
        index=None,
        n_dropped=dropped,
        labels=None,
        schema=asked.schema(plan, states),
        has_intercept=plan.has_intercept,
        terms=plan.terms,
    )


@dataclass(kw_only=True)
class _Summary(Seen):
    """What the first pass over the variables of formulas has found so far.

    Attributes
    ----------
    factors, response, columns : of each variable; columns are those of a density, by keyword.
    states : of each transform that has one.
    """

    factors: list[SeenVariable]
    response: SeenVariable
    columns: dict[str, SeenVariable]
    states: dict[str, Any]

    def join(self, other: Self) -> None:
        super().join(other)
        for one, same in zip(self.factors, other.factors, strict=True):
            one.join(same)
        self.response.join(other.response)
        for name, one in self.columns.items():
            one.join(other.columns[name])
        for text, state in self.states.items():
            state.join(other.states[text])


class FirstPass:
    """The first pass: collects what is needed of each piece, and makes the data's description of it."""

    def __init__(
        self,
        asked: FormulaArguments,
        source: Source,
        wanted: int = SAMPLE_ROWS,
        before: Beforehand = Beforehand({}, {}),  # noqa: B008 - it does not change
    ) -> None:
        self.asked, self.source, self.wanted, self.before = asked, source, wanted, before
        placeholders = {text: stage.placeholder() for text, stage in before.stages.items()}
        self.states: States = before.states | placeholders

    def begin(self) -> _Summary:
        """Before anything is read."""
        factors = [SeenVariable(one.text) for one in self.asked.factors]
        keywords = {name: one for name, one in self.asked.keywords.items() if one is not None and one.columns}
        columns = {name: SeenVariable(one.text) for name, one in keywords.items()}
        response = SeenVariable(self.asked.formula.response[0].text if self.asked.formula.response else "")
        states = {text: stage.begin() for text, stage in self.before.stages.items()}
        more = {"factors": factors, "response": response, "columns": columns, "states": states}
        return _Summary.of(self.source, self.asked.columns, self.wanted, **more)

    def take(self, seen: _Summary, place: Place, rows: Rows) -> None:
        """Add the pieces that are read together, from the piece of this place on."""
        table = variables_of(rows)
        seen.same.note(place, table, self.source)
        for text, stage in self.before.stages.items():
            seen.states[text].take(argument(stage.node, table, self.before.states))
        states = {text: dict(state) for text, state in self.states.items()}  # which evaluating may fill
        read = TableVariables.of(self.asked, table, states, new=True)
        clusters(self.asked.expressions.get("groups"), read.evaluator, read.rows)
        seen.rows.absorb(read.rows)
        kept = None if read.rows.bad is None else np.flatnonzero(~read.rows.bad)
        weights, trials = (take(read.extra[what], kept) for what in ("weights", "trials"))
        seen.check_nonnegative("weights", weights, kept)
        seen.check_nonnegative("trials", trials, kept)
        self._take_variables(seen, read, kept)
        seen.add(self.source, place, rows, kept, weights)

    def _take_variables(self, seen: _Summary, read: TableVariables, kept: np.ndarray | None) -> None:
        """Note the levels of a table's variables."""
        variables = [one for own in read.variables for one in own]
        for one, expression, variable in zip(seen.factors, self.asked.factors, variables, strict=True):
            if isinstance(variable, Numbers) and variable.values.ndim > 1 and variable.labels is None:
                raise DataError(f"column {expression.text!r} has several numbers in a row; a formula expects one")
            one.take(variable, kept, self._kind(expression.columns))
        if len(read.responses) == 1:
            seen.response.take(read.responses[0], kept, self._kind(self.asked.formula.response[0].columns))
        for name, one in seen.columns.items():
            expression = self.asked.keywords[name]
            assert expression is not None
            one.take(read.evaluator.variable(expression), None, self._kind(expression.columns))

    def _kind(self, columns: Sequence[str]) -> str:
        """ "declared" for a single column with declared categories, otherwise ""."""
        declared = len(columns) == 1 and self.source.declared(columns[0])
        return "declared" if declared else ""

    def finish(self, seen: _Summary, missing: str) -> dict[str, Any]:
        """What :class:`Streamed` consists of, after all pieces have been added."""
        seen.check(missing)
        self.before.check(seen.same, self.source)
        n_rows, stages = seen.read - seen.dropped, self.before.stages
        summaries = iter(seen.factors)
        factors = tuple(
            tuple(described(formula, [next(summaries).variable(one.text) for one in formula.factors], n_rows))
            for formula in self.asked.formulas.values()
        )
        levels, labels = self._levels(seen, n_rows), dict.fromkeys(self.asked.keywords)
        labels |= {name: self._labels(seen, name, one) for name, one in seen.columns.items()}
        return {
            "source": self.source,
            "asked": self.asked,
            "factors": factors,
            "levels": levels,
            "labels": labels,
            "whole": {name: one.whole for name, one in seen.columns.items()},
            "pieces": tuple(seen.pieces),
            "same": seen.same,
            "states": self.before.states | {text: one.after(seen.states[text]) for text, one in stages.items()},
            "passes": len(self.before.readings),
        }

    def _levels(self, seen: _Summary, n_rows: int) -> tuple[str, ...] | None:
        """The levels of the response, if it has any."""
        formula = self.asked.formula
        if len(formula.response) != 1:
            return None
        name = formula.response_name
        response = seen.response.variable(name, unused=seen.response.boolean)
        refuse_identifier(formula.response[0], response, n_rows)
        if isinstance(response, Levels):
            return response.labels
        if response.values.ndim != 1:
            raise DataError(f"response: {name!r} has several columns; expected one, or cbind(successes, failures)")
        return None

    def _labels(self, seen: _Summary, name: str, one: SeenVariable) -> tuple[str, ...] | None:
        """The labels of the codes of a density's column: those of all rows, also of the unusable ones."""
        expression = self.asked.keywords[name]
        assert expression is not None
        variable = one.variable(expression.text, unused=True)
        if not isinstance(variable, Levels) or one.boolean:
            return None
        if variable.origin == "text":
            check_text(variable.labels, variable.codes, expression.text, seen.read, "")
        return variable.labels
