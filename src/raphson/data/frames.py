"""From a formula and a data frame to a response and a design matrix."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from raphson.data.coding import FactorInfo
from raphson.data.described import describe
from raphson.data.design import DesignPlan, make_plan
from raphson.data.evaluate import Evaluator, States, states_before
from raphson.data.expressions import Expression, column_expression
from raphson.data.extras import (
    Column,
    check_index,
    check_nonnegative,
    column_of,
    group_codes,
    group_labels,
    parse_argument,
    per_row,
    renumber,
    take,
)
from raphson.data.formula import Formula, check_sides, parse_formula
from raphson.data.messages import check_missing, listing, unknown_column
from raphson.data.model_data import ModelData, Response
from raphson.data.numbers_in_text import check_text
from raphson.data.readers import is_pandas, table_of
from raphson.data.rows import MissingRows, evaluate_all
from raphson.data.schema import FormulaSchema
from raphson.data.values import Levels, Table, Variable, with_used_levels
from raphson.data.varying.parts import Part, parse_parts
from raphson.data.varying.plans import NOTHING_VARIES, VaryingPlan, read_variables
from raphson.data.watching import Watch
from raphson.errors import DataError, FormulaError

_ID_LIKE = 50
"""A column of text with another value in every row is refused in more rows than this: as a factor it would have as many
columns as there are rows. In fewer, it may name them."""

MOST_LEVELS = 10_000
"""Most levels of a factor: the information matrix of its columns then takes 0.8 GB."""

CANNOT_VARY = "which this model cannot have; leave it out"
CANNOT_VARY_STREAMED = "which takes all rows at once, but the data are streamed; read them into memory"
"""Why coefficients cannot vary, for messages."""


def from_formula(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    trials: Any = None,
    groups: Any = None,
    by: Any = None,
    missing: str = "drop",
    storage: str = "float64",
    varying: bool = False,
) -> ModelData:
    """Read a formula over a table.

    Parameters
    ----------
    formula : str
        In R's syntax: ``low ~ age * smoke + C(race, contr.sum) + offset(log(t))``. Text,
        categorical and boolean columns are factors, with treatment contrasts unless ``C``
        names others. Names with dots can be written as they are, other unusual names in
        backticks. ``.`` stands for every column except the response's, those of the other
        arguments, and one without a name.
    data : data frame, mapping, path or open file
        Anything that :func:`read_table` reads; n rows.
    weights, offset, trials : str or array_like, shape (n,), optional
        A column, an expression over columns such as ``"log(Holders)"``, or numbers. An
        offset adds to the formula's ``offset()`` terms.
    groups, by : str or array_like, shape (n,), optional
        Labels of any type. A model is fitted to each group of `by`; a text is then the name of a column.
    missing : {"drop", "raise"}
        What is done with rows that have missing or infinite values in a column used, or
        in which a transform is not finite.
    storage : {"float64", "float32"}
        How the numbers of a large dense design are held.
    varying : bool
        Whether the model can have terms whose coefficients vary, ``(1 | g)`` and ``s(x)``.

    Returns
    -------
    ModelData

    Raises
    ------
    FormulaError
        If the formula is malformed, or contains anything but columns, constants and listed
        functions; nothing has been evaluated then.
    DataError
        If a column is missing or of the wrong type, no row is left, or an argument does not
        match the data.

    Warns
    -----
    MissingDataWarning
        If rows are dropped.

    Notes
    -----
    Levels are those that occur in the kept rows, in sorted order or in the order that a
    categorical column or ``C(x, levels=[...])`` declares, as in R's ``glm``
    (``drop.unused.levels``). The state of a transform (means, knots) is computed from all rows
    in which its argument is finite, as in R's ``model.frame``.

    A text column in which most values are numbers is refused, as a single ``"n/a"`` turns a numeric column into text;
    the message names the values that are not numbers. Text columns of a few repeated numbers (``"1", "2", "3"``) or of
    codes (``"001"``, ``"A12"``) are factors, and so is any column that ``C(x)`` or a categorical type declares.

    Examples
    --------
    >>> from raphson.data import from_formula
    >>> table = {"y": [1, 3, 2, 5], "x": [0.5, 1, 2, 4], "group": ["a", "b", "b", "a"]}
    >>> model = from_formula("y ~ log(x) + group", table)
    >>> model.names
    ('Intercept', 'log(x)', 'group[T.b]')
    >>> model.X.shape, model.response.name
    ((4, 3), 'y')
    """
    check_missing(missing)
    table = table_of(data)
    if isinstance(by, str) and by not in table.names:
        raise unknown_column(by, table.names, "by")
    arguments = {"weights": weights, "offset": offset, "trials": trials, "groups": groups, "by": by}
    for what, value in arguments.items():
        check_index(data, value, what)
    asked = FormulaArguments.of(formula, table.names, arguments, None if varying else CANNOT_VARY)
    states = states_before([asked.formula])
    read = TableVariables.of(asked, table, states)
    varied = read_variables(asked.parts[""], read.evaluator, read.rows)
    codes = group_codes(groups, asked.expressions["groups"], table, read.rows)
    parts = group_codes(by, asked.expressions["by"], table, read.rows, "by")

    kept = read.rows.usable(missing)
    parts = renumber(parts, kept)
    n_rows = table.n_rows if kept is None else len(kept)
    variables = [with_used_levels(one, kept) for one in read.variables[0]]
    varies = VaryingPlan.of(asked.parts[""], varied, kept)
    terms, unpenalised = varies.build(varied, kept, n_rows)
    plan = make_plan(asked.formula, [*described(asked.formula, variables, n_rows), *varies.infos])
    variables += unpenalised
    response = read_response(asked.formula, read.responses, kept, n_rows, read.evaluator)
    weight, trial = take(read.extra["weights"], kept), take(read.extra["trials"], kept)
    check_nonnegative(weight, "weights", kept)
    check_nonnegative(trial, "trials", kept)
    offset, watch = take(read.offsets[0], kept), Watch()
    if kept is None:  # otherwise all are copies
        response = replace(response, values=watch.held(response.name, response.values))
        weight, trial, offset = watch.held("weights", weight), watch.held("trials", trial), watch.held("offset", offset)
    return ModelData(
        X=plan.build(variables, kept, n_rows, single=storage == "float32"),
        names=plan.names,
        response=response,
        weights=weight,
        offset=offset,
        trials=trial,
        groups=renumber(codes, kept),
        index=kept,
        n_dropped=table.n_rows - n_rows,
        labels=table.frame.index if is_pandas(data) else None,
        schema=asked.schema(plan, states, varies),
        has_intercept=plan.has_intercept,
        terms=plan.terms,
        watch=watch,
        by=parts,
        by_labels=() if parts is None else group_labels(by, table, parts, kept),
        varying=terms,
    )


@dataclass(frozen=True)
class FormulaArguments:
    """Parsed formulas with the arguments that give a value for each row.

    Attributes
    ----------
    formulas : those of a distribution's parameters, by their names; the first has the response. A single formula has
        the name "".
    arguments : the user's ``weights=``, ``offset=``, ``trials=`` and ``groups=``.
    expressions : those of them that are text, parsed.
    keywords : the expression of each further column that a density reads, by keyword.
    infinite : whether a response may be infinite, as to a density that may be a time that was not observed.
    parts : the terms of each formula whose coefficients vary, by its name.
    """

    formulas: dict[str, Formula]
    arguments: dict[str, Any]
    expressions: dict[str, Expression | None]
    keywords: dict[str, Expression | None] = field(default_factory=dict)
    infinite: bool = False
    parts: dict[str, tuple[Part, ...]] = field(default_factory=dict[str, tuple[Part, ...]])

    @staticmethod
    def of(
        text: str, names: Sequence[str], arguments: dict[str, Any], refusal: str | None = CANNOT_VARY
    ) -> FormulaArguments:
        """Parse a formula and its arguments, given the columns of the data, and why coefficients cannot vary if so."""
        expressions, claimed = _parsed(arguments, names)
        formula = parse_formula(text, names, exclude=claimed)
        if not formula.response:
            raise FormulaError(f"formula: {formula.text!r} has no response on the left of '~'")
        check_sides(formula, formula.response)
        if refusal is not None:
            refuse_varying(formula, refusal)
        return FormulaArguments({"": formula}, arguments, expressions, parts={"": parse_parts(formula.varying, names)})

    @staticmethod
    def of_several(
        texts: Mapping[str, str],
        names: Sequence[str],
        arguments: dict[str, Any],
        columns: Mapping[str, str],
        refusal: str | None = CANNOT_VARY,
    ) -> FormulaArguments:
        """Parse the formulas of a distribution's parameters, their arguments, and the density's `columns`.

        `refusal` says why coefficients cannot vary; None if they can.
        """
        expressions, claimed = _parsed(arguments, names)
        keywords, more = _parsed(columns, names)
        claimed = claimed | more
        formulas: dict[str, Formula] = {}
        for name, text in texts.items():
            one = parse_formula(text, names, exclude=claimed)
            if refusal is not None:
                refuse_varying(one, refusal)
            if not formulas:
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
            formulas[name] = one
            check_sides(one, next(iter(formulas.values())).response)
        parts = {name: parse_parts(one.varying, names) for name, one in formulas.items()}
        return FormulaArguments(formulas, arguments, expressions, keywords, infinite=True, parts=parts)

    @staticmethod
    def of_columns(used: Sequence[str], names: Sequence[str], arguments: dict[str, Any]) -> FormulaArguments:
        """The arguments with columns that are read as they are, and no formula."""
        formula, keywords = parse_formula("~ 1", names), {name: column_expression(name) for name in used}
        return FormulaArguments({"": formula}, arguments, _parsed(arguments, names)[0], {**keywords}, infinite=True)

    @property
    def formula(self) -> Formula:
        """The formula with the response."""
        return next(iter(self.formulas.values()))

    @property
    def alike(self) -> dict[str, str]:
        """By formula, the first one with the same right side: what is made of it is made once."""
        first: dict[str, str] = {}
        return {name: first.setdefault(one.text.split("~", 1)[1].strip(), name) for name, one in self.formulas.items()}

    @property
    def factors(self) -> list[Expression]:
        """The variables of the right sides, formula by formula."""
        return [one for formula in self.formulas.values() for one in formula.factors]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that they read."""
        varied = [one for parts in self.parts.values() for part in parts for one in part.expressions]
        return tuple(dict.fromkeys(column for one in [*self.evaluated, *varied] for column in one.columns))

    @property
    def evaluated(self) -> list[Expression]:
        """All expressions that have a value for each row."""
        offsets = [one for formula in self.formulas.values() for one in formula.offsets]
        used = [*self.formula.response, *self.factors, *offsets, *self.expressions.values(), *self.keywords.values()]
        return [one for one in used if one is not None]

    def schema(self, plan: DesignPlan, states: States, varying: VaryingPlan = NOTHING_VARIES) -> FormulaSchema:
        """The schema of a single formula, which rebuilds the design for new data."""
        offset, expression = self.arguments["offset"], self.expressions["offset"]
        given = offset is not None and not isinstance(offset, str)
        return FormulaSchema(self.formula, plan, states, offset=expression, offset_given=given, varying=varying)


def refuse_varying(formula: Formula, refusal: str) -> None:
    """Refuse terms whose coefficients vary, for a model that cannot have them."""
    if formula.varying:
        raise FormulaError(f"formula: the coefficients of {formula.varying[0]} vary, {refusal}")


def _parsed(arguments: Mapping[str, Any], names: Sequence[str]) -> tuple[dict[str, Expression | None], set[str]]:
    """The arguments that are text, parsed, and the columns that they read."""
    known = dict.fromkeys(names)
    found = {what: parse_argument(value, known, what) for what, value in arguments.items()}
    return found, {column for one in found.values() if one is not None for column in one.columns}


@dataclass(frozen=True)
class TableVariables:
    """The variables of formulas over all rows of a table, and the rows that cannot be used.

    Attributes
    ----------
    responses : of the left side.
    variables : of the right side of each formula.
    offsets : the total offset of each formula, (n,) or None.
    extra : weights and trials, each (n,) or None.
    columns : what a density reads besides, by keyword.
    rows : the unusable rows.
    evaluator : the evaluator that computed them.
    """

    responses: list[Variable]
    variables: list[list[Variable]]
    offsets: list[np.ndarray | None]
    extra: dict[str, np.ndarray | None]
    columns: dict[str, Column]
    rows: MissingRows
    evaluator: Evaluator

    @staticmethod
    def of(asked: FormulaArguments, table: Table, states: States, new: bool = False) -> TableVariables:
        """Evaluate the formulas and their arguments, except the groups."""
        rows = MissingRows(table.n_rows)
        evaluator = Evaluator(table, states, new=new)
        # Infinity may mean something to a density, such as a time that was not observed; a design cannot contain it.
        responses = evaluate_all(asked.formula.response, evaluator, rows, asked.infinite)
        alike, variables = asked.alike, {}
        for name, one in asked.formulas.items():
            variables[name] = variables.get(alike[name]) or evaluate_all(one.factors, evaluator, rows)
        extra = {
            what: per_row(asked.arguments.get(what), asked.expressions.get(what), table, states, rows, what)
            for what in ("weights", "offset", "trials")
        }
        given = extra.pop("offset")
        offsets = []
        for formula in asked.formulas.values():
            own = [per_row(one.text, one, table, states, rows, "offset") for one in formula.offsets]
            parts = [part for part in (*own, given) if part is not None]
            offsets.append(np.sum(parts, axis=0) if parts else None)
        columns = {name: column_of(name, one, evaluator, rows, new) for name, one in asked.keywords.items()}
        return TableVariables(responses, list(variables.values()), offsets, extra, columns, rows, evaluator)


def described(formula: Formula, variables: Sequence[Variable], n_rows: int) -> list[FactorInfo]:
    """What has to be kept of a formula's variables to code them in new data; identifiers are refused."""
    for expression, variable in zip(formula.factors, variables, strict=True):
        refuse_identifier(expression, variable, n_rows)
    return [describe(one, variable) for one, variable in zip(formula.factors, variables, strict=True)]


def refuse_identifier(expression: Expression, variable: Variable, n_rows: int) -> None:
    """Refuse a text column without repeated values, which would fit every row: probably it is an identifier.

    A column of numbers with stray text is refused too: see :func:`raphson.data.numbers_in_text.check_text`.
    """
    if isinstance(variable, Levels) and len(variable.labels) > MOST_LEVELS:
        count = len(variable.labels)
        raise DataError(
            f"the factor {expression.text!r} has {count} levels; expected at most {MOST_LEVELS}, as its information "
            f"matrix would take {8e-9 * count**2:.1f} GB several times. Merge the rare levels, subtract the group "
            "means from the response and the covariates (a within-group regression), or leave it out if it is an "
            "identifier"
        )
    if not (isinstance(variable, Levels) and variable.origin == "text" and isinstance(expression.tree, ast.Name)):
        return
    check_text(variable.labels, variable.codes, expression.tree.id, n_rows, f"write C({expression.text})")
    if len(variable.labels) == n_rows > _ID_LIKE:
        raise DataError(
            f"column {expression.tree.id!r} is text with {n_rows} different values in {n_rows} rows (such as "
            f"{listing(map(repr, variable.labels), 3)}); leave it out if it is an identifier, or convert it if it is "
            "numbers stored as text"
        )


def read_response(
    formula: Formula, variables: list[Variable], kept: np.ndarray | None, n_rows: int, evaluator: Evaluator
) -> Response:
    name = formula.response_name
    if len(variables) == 2:
        pair = [evaluator.numbers(expression).values for expression in formula.response]
        both = np.column_stack(pair)
        return Response(name, both if kept is None else both[kept])
    variable = variables[0]
    if isinstance(variable, Levels):
        refuse_identifier(formula.response[0], variable, n_rows)
        if variable.origin != "boolean":
            variable = with_used_levels(variable, kept)
        assert isinstance(variable, Levels)
        codes = variable.codes if kept is None else variable.codes[kept]
        return Response(name, codes.astype(np.float64), variable.labels)
    if variable.values.ndim != 1:
        raise DataError(f"response: {name!r} has several columns; expected one, or cbind(successes, failures)")
    values = variable.values if kept is None else variable.values[kept]
    return Response(name, values)
