"""Several formulas over one table: a design for each parameter of a distribution, on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.evaluate import Evaluator, States, states_before
from raphson.data.expressions import Expression
from raphson.data.extras import check_index, check_nonnegative, group_codes, parse_argument, per_row, renumber, take
from raphson.data.formula import Formula, check_sides, parse_formula
from raphson.data.frames import (
    describe,
    evaluate_all,
    make_plan,
    read_response,
    refuse_identifier,
    with_used_levels,
)
from raphson.data.messages import check_missing
from raphson.data.model_data import Matrix, NewData, Response, take_columns
from raphson.data.numbers_in_text import check_text
from raphson.data.readers import is_pandas, read_table
from raphson.data.rows import MissingRows
from raphson.data.schema import FormulaSchema, Schema
from raphson.data.values import Levels, Table, Variable
from raphson.data.watching import Watch
from raphson.errors import DataError, FormulaError

if TYPE_CHECKING:
    import pandas

INTERCEPT = "Intercept"


@dataclass(frozen=True, slots=True)
class Part:
    """The design of one distribution parameter.

    Attributes
    ----------
    X : (n, p) matrix.
    names : names of its columns.
    offset : (n,) or None.
    schema : rebuilds the design for new data, always with the intercept.
    has_intercept : whether the columns span the constant.
    without_intercept : whether the intercept was left out because the distribution has cut points in its place.
    terms : the columns of each term except the intercept.
    """

    X: Matrix
    names: tuple[str, ...]
    offset: np.ndarray | None
    schema: Schema
    has_intercept: bool
    without_intercept: bool = False
    terms: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def design(self, new: Any, missing: str) -> NewData:
        """The design of new data."""
        made = self.schema.design(new, missing=missing)
        if not self.without_intercept:
            return made
        return NewData(_without(made.X, self.schema.names)[0], made.offset, made.index, made.n_dropped, made.labels)


@dataclass(frozen=True, slots=True)
class PartsSchema(Schema):
    """The schema of a fit with several predictors: that of each design."""

    parts: dict[str, Part]
    columns: dict[str, tuple[str, tuple[str, ...] | None]] = field(default_factory=dict)
    """The expression of each keyword of the density, and the labels of its codes."""

    @property
    def n_design_columns(self) -> int:
        """How many columns its designs have together."""
        return sum(len(part.names) for part in self.parts.values())

    def read(self, name: str, new: Any) -> Column:
        """The column of new data that a keyword of the density gets."""
        text, labels = self.columns[name]
        table = Table(read_table(new))
        found = _column(name, parse_argument(text, table.known, name), Evaluator(table, {}), MissingRows(table.n_rows))
        if labels is None or found.labels is None:
            return found
        codes = np.array([labels.index(one) if one in labels else -1 for one in found.labels], dtype=float)
        values = np.where(found.values >= 0, codes[np.maximum(found.values, 0).astype(int)], np.nan)
        return Column(np.where(values < 0, np.nan, values), labels)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, text and lists, safe for JSON."""
        parts = [
            {"parameter": name, "schema": part.schema.to_dict(), "without_intercept": part.without_intercept}
            for name, part in self.parts.items()
        ]
        columns = {
            name: [text, None if labels is None else list(labels)] for name, (text, labels) in self.columns.items()
        }
        return {"kind": "parts", "parts": parts, "columns": columns}

    @staticmethod
    def from_dict(saved: Any) -> PartsSchema:
        """Read what :meth:`to_dict` wrote; formulas are checked as if a user had typed them."""
        parts: dict[str, Part] = {}
        for one in saved["parts"]:
            schema, without = Schema.from_dict(one["schema"]), bool(one["without_intercept"])
            X, names = np.zeros((0, len(schema.names))), schema.names
            if without:
                X, names = _without(X, names)
            parts[str(one["parameter"])] = Part(X, names, None, schema, False, without)
        columns: dict[str, tuple[str, tuple[str, ...] | None]] = {}
        for name, (text, labels) in saved.get("columns", {}).items():  # older files have none
            if not isinstance(text, str):
                raise DataError(f"columns: expected an expression for {name!r}; got {text!r}")
            columns[str(name)] = text, None if labels is None else tuple(map(str, labels))
        return PartsSchema(parts, columns)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a density or a likelihood reads besides its predictors.

    Attributes
    ----------
    values : (n,) or (n, d) numbers; codes 0 .. L-1 of text.
    labels : the L labels of a column of text or categories, otherwise None.
    """

    values: np.ndarray
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SeveralData:
    """The data of a model with several predictors; see :class:`~raphson.data.ModelData` for the other attributes.

    Attributes
    ----------
    parts : the design of each parameter.
    response : the response of the first formula.
    columns : the other columns that the density reads, by keyword.
    asked : the expression of each of these.
    """

    parts: dict[str, Part]
    response: Response
    columns: dict[str, Column]
    weights: np.ndarray | None
    groups: np.ndarray | None
    index: np.ndarray | None
    n_dropped: int
    labels: pandas.Index | None
    asked: dict[str, str] = field(default_factory=dict)
    watch: Watch | None = None


def from_formulas(
    formulas: Mapping[str, str],
    data: Any,
    *,
    columns: Mapping[str, str] | None = None,
    weights: Any = None,
    groups: Any = None,
    missing: str = "drop",
    without_intercept: tuple[str, ...] = (),
) -> SeveralData:
    """Read one formula for each parameter of a distribution over one table.

    Parameters
    ----------
    formulas : a formula for each parameter; only the first has a left side, the response.
    data : anything that :func:`raphson.data.read_table` reads; n rows.
    columns : for each keyword a column, an expression over columns, or a number as text.
    weights, groups, missing : as for :func:`raphson.data.from_formula`. A row with a missing value in any formula is
        left out of all. In the response and in `columns` infinity does not count as missing.
    without_intercept : parameters whose intercept column is left out; factors are coded as if it were there.

    Raises
    ------
    FormulaError, DataError
        As for :func:`raphson.data.from_formula`.

    Examples
    --------
    >>> table = {"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 2.0], "done": [1, 0, 1]}
    >>> made = from_formulas({"mu": "y ~ x", "log_sigma": "~ 1"}, table, columns={"event": "done"})
    >>> [part.names for part in made.parts.values()], made.columns["event"].values.tolist()
    ([('Intercept', 'x'), ('Intercept',)], [1.0, 0.0, 1.0])
    """
    check_missing(missing)
    table = Table(read_table(data))
    extras = {"weights": weights, "groups": groups}
    for what, value in extras.items():
        check_index(data, value, what)
    asked = {**extras, **(columns or {})}
    expressions = {what: parse_argument(value, table.known, what) for what, value in asked.items()}
    claimed = {column for one in expressions.values() if one is not None for column in one.columns}
    parsed = _parse(formulas, table, claimed)
    first = next(iter(parsed.values()))

    states = states_before(list(parsed.values()))
    rows = MissingRows(table.n_rows)
    evaluator = Evaluator(table, states)
    # Infinity may mean something to a density, such as a time that was not observed; a design cannot contain it.
    responses = evaluate_all(first.response, evaluator, rows, infinite=True)
    variables = {name: evaluate_all(one.factors, evaluator, rows) for name, one in parsed.items()}
    weight = per_row(weights, expressions["weights"], table, states, rows, "weights")
    offsets = {
        name: [per_row(o.text, o, table, states, rows, "offset") for o in one.offsets] for name, one in parsed.items()
    }
    read = {name: _column(name, expressions[name], evaluator, rows) for name in columns or {}}
    codes = group_codes(groups, expressions["groups"], table, rows)

    kept = rows.usable(missing)
    n_rows = table.n_rows if kept is None else len(kept)
    labels = table.frame.index if is_pandas(data) else None
    made: dict[tuple[str, bool], Part] = {}
    parts: dict[str, Part] = {}
    for name, one in parsed.items():
        # Parameters with the same right side share one matrix, so that it is stored and read once.
        key = (one.text.split("~", 1)[1].strip(), name in without_intercept)
        if key not in made:
            made[key] = _part(one, variables[name], offsets[name], kept, n_rows, states, key[1])
        parts[name] = made[key]
    weight = take(weight, kept)
    check_nonnegative(weight, "weights", kept)
    response, watch = read_response(first, responses, kept, n_rows, evaluator), Watch()
    if kept is None:  # else all are copies
        response = replace(response, values=watch.held(response.name, response.values))
        read = {name: replace(column, values=watch.held(name, column.values)) for name, column in read.items()}
        weight = watch.held("weights", weight)
    return SeveralData(
        parts=parts,
        response=response,
        columns={name: _kept(column, kept) for name, column in read.items()},
        weights=weight,
        groups=renumber(codes, kept),
        index=kept,
        n_dropped=table.n_rows - n_rows,
        labels=labels,
        asked={name: str(text) for name, text in (columns or {}).items()},
        watch=watch,
    )


def _parse(formulas: Mapping[str, str], table: Table, claimed: set[str]) -> dict[str, Formula]:
    parsed: dict[str, Formula] = {}
    for name, text in formulas.items():
        one = parse_formula(text, table.names, exclude=claimed)
        if not parsed:
            if not one.response:
                raise FormulaError(
                    f"formula: the first formula, that of {name!r}, has no response; write one on its left, as in "
                    f"'y {text}'"
                )
            claimed = claimed | {column for part in one.response for column in part.columns}
        elif one.response:
            raise FormulaError(
                "formula: only the first formula may have a response; write that of "
                f"{name!r} as {'~' + text.split('~', 1)[1]!r}"
            )
        parsed[name] = one
        check_sides(one, next(iter(parsed.values())).response)
    return parsed


def _part(
    formula: Formula,
    variables: list[Variable],
    offsets: list[np.ndarray | None],
    kept: np.ndarray | None,
    n_rows: int,
    states: States,
    without_intercept: bool,
) -> Part:
    variables = [with_used_levels(one, kept) for one in variables]
    for expression, variable in zip(formula.factors, variables, strict=True):
        refuse_identifier(expression, variable, n_rows)
    infos = [describe(one, variable) for one, variable in zip(formula.factors, variables, strict=True)]
    plan = make_plan(formula, infos)
    X, names = plan.build(variables, kept, n_rows), plan.names
    if without_intercept:
        X, names = _without(X, names)
    place = {name: number for number, name in enumerate(names)}
    terms = {
        term: tuple(place[plan.names[number]] for number in columns)
        for term, columns in plan.terms.items()
        if columns and plan.names[columns[0]] != INTERCEPT
    }
    present = [offset for offset in offsets if offset is not None]
    return Part(
        X=X,
        names=names,
        offset=take(np.sum(present, axis=0), kept) if present else None,
        schema=FormulaSchema(formula, plan, states, offset=None, offset_given=False),
        has_intercept=plan.has_intercept and not without_intercept,
        without_intercept=without_intercept,
        terms=terms,
    )


def _without(X: Matrix, names: tuple[str, ...]) -> tuple[Matrix, tuple[str, ...]]:
    others = [number for number, name in enumerate(names) if name != INTERCEPT]
    if isinstance(X, np.ndarray):
        return np.ascontiguousarray(X[:, others]), tuple(names[number] for number in others)
    return take_columns(X, others), tuple(names[number] for number in others)


def _column(name: str, expression: Expression | None, evaluator: Evaluator, rows: MissingRows) -> Column:
    if expression is None:
        raise DataError(f"columns: expected the name of a column, an expression or a number, for {name!r}")
    if not expression.columns:
        constant = evaluator.value(expression.tree)
        if isinstance(constant, str) or not np.isfinite(constant):
            raise DataError(f"columns: expected the name of a column, an expression or a number, for {name!r}")
        return Column(np.full(evaluator.table.n_rows, float(constant)))
    variable = evaluator.variable(expression)
    rows.note_expression(expression, variable, evaluator, infinite=True)
    if isinstance(variable, Levels):
        if variable.origin == "boolean":
            return Column(np.where(variable.codes < 0, np.nan, variable.codes).astype(float))
        if variable.origin == "text":
            check_text(variable.labels, variable.codes, expression.text, rows.n_rows, "")
        return Column(variable.codes.astype(float), variable.labels)
    return Column(variable.values)


def _kept(column: Column, kept: np.ndarray | None) -> Column:
    return column if kept is None else Column(column.values[kept], column.labels)
