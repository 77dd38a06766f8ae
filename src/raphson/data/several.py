"""Several formulas over one table: a design for each parameter of a distribution, on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.coding import FactorInfo
from raphson.data.design import DesignPlan, make_plan
from raphson.data.evaluate import Evaluator, States, states_before
from raphson.data.extras import (
    Column,
    check_index,
    check_nonnegative,
    column_of,
    group_codes,
    parse_argument,
    renumber,
    take,
)
from raphson.data.formula import Formula
from raphson.data.frames import (
    CANNOT_VARY,
    FormulaArguments,
    TableVariables,
    described,
    read_response,
)
from raphson.data.messages import check_missing
from raphson.data.model_data import Matrix, NewData, Response, take_columns
from raphson.data.readers import is_pandas, table_of
from raphson.data.rows import MissingRows
from raphson.data.schema import FormulaSchema, Schema
from raphson.data.values import Variable, with_used_levels
from raphson.data.varying.plans import NOTHING_VARIES, VaryingPlan, read_variables
from raphson.data.varying.term import VaryingTerm
from raphson.data.watching import Watch
from raphson.errors import DataError

if TYPE_CHECKING:
    import pandas

INTERCEPT = "Intercept"

Varies = tuple[VaryingPlan, tuple[VaryingTerm, ...]]
"""How the terms of a formula are made whose coefficients vary, and the terms."""


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
    varying : the terms whose coefficients vary.
    """

    X: Matrix
    names: tuple[str, ...]
    offset: np.ndarray | None
    schema: Schema
    has_intercept: bool
    without_intercept: bool = False
    terms: dict[str, tuple[int, ...]] = field(default_factory=dict)
    varying: tuple[VaryingTerm, ...] = ()

    def design(self, new: Any, missing: str) -> NewData:
        """The design of new data."""
        made = self.schema.design(new, missing=missing)
        return replace(made, X=_without(made.X, self.schema.names)[0]) if self.without_intercept else made

    def population(self) -> Part:
        """The part for predictions without the effects of groups, for which new data need no groups."""
        return replace(self, schema=self.schema.population()) if isinstance(self.schema, FormulaSchema) else self


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

    @property
    def reference_levels(self) -> dict[str, str]:
        """Those of all designs."""
        return {name: level for part in self.parts.values() for name, level in part.schema.reference_levels.items()}

    def read(self, name: str, new: Any) -> Column:
        """The column of new data that a keyword of the density gets."""
        text, labels = self.columns[name]
        table = table_of(new)
        found = column_of(
            name, parse_argument(text, table.known, name), Evaluator(table, {}), MissingRows(table.n_rows)
        )
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
    storage: str = "float64",
    varying: bool = False,
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
    storage : "float64" or "float32", how the numbers of large dense designs are held.
    varying : whether the model can have terms whose coefficients vary.

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
    table = table_of(data)
    arguments = {"weights": weights, "groups": groups}
    for what, value in arguments.items():
        check_index(data, value, what)
    refusal = None if varying else CANNOT_VARY
    asked = FormulaArguments.of_several(formulas, table.names, arguments, columns or {}, refusal)
    states = states_before(list(asked.formulas.values()))
    read = TableVariables.of(asked, table, states)
    alike = asked.alike
    varied = {name: read_variables(asked.parts[name], read.evaluator, read.rows) for name in alike.values()}
    codes = group_codes(groups, asked.expressions["groups"], table, read.rows)

    kept = read.rows.usable(missing)
    n_rows = table.n_rows if kept is None else len(kept)
    used: dict[str, list[Variable]] = {}
    infos: dict[str, list[FactorInfo]] = {}
    varies: dict[str, Varies] = {}
    for (name, formula), own in zip(asked.formulas.items(), read.variables, strict=True):
        if alike[name] == name:
            used[name] = [with_used_levels(one, kept) for one in own]
            infos[name] = described(formula, used[name], n_rows)
            plan = VaryingPlan.of(asked.parts[name], varied[name], kept)
            terms, unpenalised = plan.build(varied[name], kept, n_rows)
            varies[name] = plan, terms
            used[name] += unpenalised
            infos[name] += plan.infos
    layouts = layouts_of(asked, infos, without_intercept, varies)
    offsets = [take(one, kept) for one in read.offsets]
    parts = parts_of(layouts, used, offsets, kept, n_rows, states, single=storage == "float32")
    weight = take(read.extra["weights"], kept)
    check_nonnegative(weight, "weights", kept)
    response, watch = read_response(asked.formula, read.responses, kept, n_rows, read.evaluator), Watch()
    held = read.columns
    if kept is None:  # else all are copies
        response = replace(response, values=watch.held(response.name, response.values))
        held = {name: replace(column, values=watch.held(name, column.values)) for name, column in held.items()}
        weight = watch.held("weights", weight)
    return SeveralData(
        parts=parts,
        response=response,
        columns={name: column.kept(kept) for name, column in held.items()},
        weights=weight,
        groups=renumber(codes, kept),
        index=kept,
        n_dropped=table.n_rows - n_rows,
        labels=table.frame.index if is_pandas(data) else None,
        asked={name: str(text) for name, text in (columns or {}).items()},
        watch=watch,
    )


@dataclass(frozen=True)
class Layout:
    """How the design of one parameter is made of its formula's variables.

    Attributes
    ----------
    formula : the formula.
    plan : columns of the design, with the intercept.
    without_intercept : whether the intercept is left out.
    right, like : the first parameter with the same right side, and with the same design.
    varies : how the terms are made whose coefficients vary, and the terms.
    """

    formula: Formula
    plan: DesignPlan
    without_intercept: bool
    right: str
    like: str
    varies: Varies = (NOTHING_VARIES, ())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the design's columns."""
        names = self.plan.names
        return tuple(name for name in names if name != INTERCEPT) if self.without_intercept else names

    def part(self, X: Any, offset: np.ndarray | None, states: States) -> Part:
        """The part with this design."""
        names = self.names
        place = {name: number for number, name in enumerate(names)}
        terms = {
            term: tuple(place[self.plan.names[number]] for number in columns)
            for term, columns in self.plan.terms.items()
            if columns and self.plan.names[columns[0]] != INTERCEPT
        }
        return Part(
            X=X,
            names=names,
            offset=offset,
            schema=FormulaSchema(self.formula, self.plan, states, None, False, self.varies[0]),
            has_intercept=self.plan.has_intercept and not self.without_intercept,
            without_intercept=self.without_intercept,
            terms=terms,
            varying=self.varies[1],
        )


def layouts_of(
    asked: FormulaArguments,
    infos: Mapping[str, Sequence[FactorInfo]],
    without_intercept: tuple[str, ...],
    varies: Mapping[str, Varies] | None = None,
) -> dict[str, Layout]:
    """The layout of each parameter's design, from what is known of the factors of unlike right sides, by name."""
    layouts: dict[str, Layout] = {}
    made: dict[tuple[str, bool], str] = {}
    for name, right in asked.alike.items():
        # Parameters with the same right side share one matrix, so that it is stored and read once.
        without = name in without_intercept
        like = made.setdefault((right, without), name)
        plan = make_plan(asked.formulas[like], list(infos[right]))
        own = varies[right] if varies else (NOTHING_VARIES, ())
        layouts[name] = Layout(asked.formulas[like], plan, without, right, like, own)
    return layouts


def parts_of(
    layouts: dict[str, Layout],
    variables: Mapping[str, list[Variable]],
    offsets: Sequence[np.ndarray | None],
    kept: np.ndarray | None,
    n_rows: int,
    states: States,
    by_columns: bool = False,
    single: bool = False,
) -> dict[str, Part]:
    """The design of each parameter in the kept rows, from the variables of unlike right sides, by name.

    `offsets` are those of the kept rows.
    """
    parts: dict[str, Part] = {}
    for (name, layout), offset in zip(layouts.items(), offsets, strict=True):
        if layout.like == name:
            X = layout.plan.build(variables[layout.right], kept, n_rows, by_columns, single)
            X = _without(X, layout.plan.names)[0] if layout.without_intercept else X
            parts[name] = layout.part(X, offset, states)
        else:
            parts[name] = parts[layout.like]
    return parts


def _without(X: Matrix, names: tuple[str, ...]) -> tuple[Matrix, tuple[str, ...]]:
    others = [number for number, name in enumerate(names) if name != INTERCEPT]
    if isinstance(X, np.ndarray):
        return np.ascontiguousarray(X[:, others]), tuple(names[number] for number in others)
    return take_columns(X, others), tuple(names[number] for number in others)
