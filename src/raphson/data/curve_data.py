"""From a curve and a table to a response, the columns that the curve reads, and weights and groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.arrays import from_arrays
from raphson.data.curves import Curve, columns_and_parameters, parse_curve, split_curve
from raphson.data.expressions import Expression
from raphson.data.extras import (
    array_argument,
    check_index,
    check_nonnegative,
    check_sigma,
    group_codes,
    group_labels,
    label_array,
    label_codes,
    parse_argument,
    per_row,
    renumber,
    take,
    weights_of_sigma,
)
from raphson.data.functions import numpy_function
from raphson.data.masks import unmasked
from raphson.data.messages import check_missing, listing, nearest, unknown_column
from raphson.data.model_data import ModelData, Response
from raphson.data.numbers_in_text import stray
from raphson.data.points import as_arrays, note_missing, per_response, require_finite, taken
from raphson.data.readers import is_pandas, table_of
from raphson.data.rows import MissingRows
from raphson.data.schema import ArraySchema, PointsSchema
from raphson.data.values import Levels, Table
from raphson.data.watching import Watch
from raphson.errors import DataError, FormulaError


@dataclass(frozen=True)
class CurveData:
    """A curve with its data.

    Attributes
    ----------
    curve : the right side of the formula.
    columns : names of the columns that it reads; ``data.X`` (n, d) holds them.
    parameters : its other names.
    response : the left side.
    data : response, covariates, weights, groups.
    by : (n,) number of the curve to which each row belongs, or None.
    labels : labels of these curves.
    """

    curve: Curve
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    response: Curve
    data: ModelData
    by: np.ndarray | None
    labels: tuple[Any, ...]


@dataclass(frozen=True)
class CurveFormula:
    """A checked ``response ~ curve``, with the arguments that give a value for each row.

    Attributes
    ----------
    curve, response : the two sides.
    columns, parameters : the names on the right.
    arguments : the user's ``weights=``, ``sigma=``, ``groups=`` and ``by=``.
    expressions : those of them that are text, parsed.
    """

    curve: Curve
    response: Curve
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    arguments: dict[str, Any]
    expressions: dict[str, Expression | None]

    @staticmethod
    def of(
        formula: str, names: Mapping[str, None], parameters: Mapping[str, str], arguments: dict[str, Any]
    ) -> CurveFormula:
        """Check a formula and its arguments, given the columns of the data in order."""
        left, right = split_curve(formula)
        known = {*names, *parameters}
        curve = parse_curve(right, known, "formula")
        columns, found = columns_and_parameters(curve, names, parameters)
        response = _response(left, names, found, known)
        _refuse_misspelt(found, parameters, {*response.names, *columns}, names)
        expressions = {what: parse_argument(value, names, what) for what, value in arguments.items()}
        return CurveFormula(curve, response, columns, found, arguments, expressions)

    @property
    def sides(self) -> tuple[str, ...]:
        """The columns of the two sides."""
        return tuple(dict.fromkeys([*self.response.names, *self.columns]))

    @property
    def read(self) -> tuple[str, ...]:
        """All columns that are read."""
        more = [name for one in self.expressions.values() if one is not None for name in one.columns]
        return tuple(dict.fromkeys([*self.sides, *more]))


@dataclass(frozen=True)
class CurveVariables:
    """What a curve reads of a table, in all rows, and the rows that cannot be used.

    Attributes
    ----------
    values : the columns of the two sides.
    y : (n,) the response.
    weight, deviation : (n,) weights and standard deviations, or None.
    rows : the unusable rows so far.
    """

    values: dict[str, np.ndarray]
    y: np.ndarray
    weight: np.ndarray | None
    deviation: np.ndarray | None
    rows: MissingRows

    @staticmethod
    def of(asked: CurveFormula, table: Table) -> CurveVariables:
        """Evaluate everything except the groups."""
        rows = MissingRows(table.n_rows)
        values = {name: _numbers(table, name, rows) for name in asked.sides}
        y = _evaluated(asked.response, values, rows)
        weight, deviation = (
            per_row(asked.arguments[what], asked.expressions[what], table, {}, rows, what)
            for what in ("weights", "sigma")
        )
        return CurveVariables(values, y, weight, deviation, rows)


def from_curve(
    formula: str,
    data: Any,
    parameters: Mapping[str, str],
    *,
    weights: Any = None,
    sigma: Any = None,
    groups: Any = None,
    by: str | None = None,
    missing: str = "drop",
) -> CurveData:
    """Read ``response ~ curve`` over a table.

    Parameters
    ----------
    formula : str
        Such as ``"log(y) ~ b1 - b2*x"``. Names that are not columns of the data are parameters.
    data : data frame, mapping, path or open file
        Anything that :func:`read_table` reads; n rows.
    parameters : mapping of str to str
        Names that are parameters because the user gave values or bounds for them, each with that argument's name.
    weights, groups : as in :func:`from_formula`.
    sigma : standard deviations in place of weights, which are then 1/σ².
    by : str, optional
        Column whose values separate independent curves.
    missing : {"drop", "raise"}

    Raises
    ------
    FormulaError
        If the formula is malformed or contains anything but arithmetic and listed functions, or a name is both a
        column and a parameter.
    DataError
        If a column is not numeric, or no row is left.

    Examples
    --------
    >>> read = from_curve("y ~ top*(1 - exp(-rate*x))", {"x": [1, 2, 3], "y": [2, 3, 3.5]}, {"rate": "start"})
    >>> read.columns, read.parameters
    (('x',), ('top', 'rate'))
    """
    check_missing(missing)
    table = table_of(data)
    arguments = {"weights": weights, "sigma": sigma, "groups": groups, "by": by}
    asked = CurveFormula.of(formula, table.known, parameters, arguments)
    check_sigma(sigma, (table.n_rows,))
    for what, value in arguments.items():
        check_index(data, value, what)
    read = CurveVariables.of(asked, table)
    codes = group_codes(groups, asked.expressions["groups"], table, read.rows)
    curves = group_codes(by, asked.expressions["by"], table, read.rows, "by")
    kept = read.rows.usable(missing)
    weight = take(read.weight, kept) if sigma is None else weights_of_sigma(take(read.deviation, kept), kept)
    check_nonnegative(weight, "weights", kept)
    watch = Watch()
    weight = weight if kept is not None or sigma is not None else watch.held("weights", weight)
    columns, y = asked.columns, read.y
    X = np.column_stack([read.values[name] for name in columns]) if columns else np.empty((table.n_rows, 0))
    n_rows = table.n_rows if kept is None else len(kept)
    model_data = ModelData(
        X=X if kept is None else X[kept],
        names=columns,
        response=Response(asked.response.text, y if kept is None else y[kept]),
        weights=weight,
        offset=None,
        trials=None,
        groups=renumber(codes, kept),
        index=kept,
        n_dropped=table.n_rows - n_rows,
        labels=table.frame.index if is_pandas(data) else None,
        schema=ArraySchema(columns, False),
        has_intercept=False,
        terms={},
        watch=watch,
    )
    curves = renumber(curves, kept)
    labels = () if curves is None else group_labels(by, table, curves, kept)
    return CurveData(asked.curve, columns, asked.parameters, asked.response, model_data, curves, labels)


def from_points(
    x: Any,
    y: Any,
    *,
    weights: Any = None,
    sigma: Any = None,
    groups: Any = None,
    missing: str = "drop",
    whole: bool = False,
) -> tuple[Any, ModelData]:
    """Read the arrays to which a function of ``(params, x)`` is fitted.

    Parameters
    ----------
    x : whatever the function takes: an array whose first (or last) axis is the rows, a data frame, a dict of arrays.
    y : array_like, (n,) or (n, m).
    weights, groups : (n,), or of the shape of y.
    sigma : standard deviations in place of weights, which are then 1/σ²; also a single number.
    missing : {"drop", "raise"}
        What is done with rows in which x, y, weights or groups have missing values.
    whole : whether integers in x stay integers, so that the function can index with them.

    Returns
    -------
    (x with arrays of numbers inside, ModelData of the n·m responses, row after row)

    Raises
    ------
    DataError
        If they contain anything but finite real numbers, or no row is left.
    """
    check_missing(missing)
    x = as_arrays(x, whole)
    values = np.asarray(unmasked(y))
    if values.dtype.kind not in "fiub":
        kind = "complex numbers" if values.dtype.kind == "c" else f"values of type {values.dtype}"
        raise DataError(f"y: expected real numbers; got {kind}")
    values = values.astype(float)
    if values.ndim not in (1, 2) or not values.size:
        raise DataError(f"y: expected numbers in one or two dimensions; got shape {values.shape}")
    if sigma is not None:
        check_sigma(sigma, values.shape)
        sigma = np.full(len(values), sigma, dtype=float) if np.ndim(sigma) == 0 else unmasked(sigma)
    rows = MissingRows(len(values))
    note_missing(rows, x, values)
    per_row_given = (("weights", weights, _no_number), ("sigma", sigma, _no_number), ("groups", groups, _no_label))
    for what, given, absent in per_row_given:
        if given is not None and len(np.shape(given)) in (1, 2) and len(given) == len(values):
            bad = np.asarray(absent(given).reshape(len(values), -1).any(axis=1))
            rows.note(bad if bad.any() else None, "missing values", what)
    kept = rows.usable(missing)
    if kept is not None:
        x, values = taken(x, kept, len(values)), values[kept]
    require_finite(x, "x")
    require_finite(values, "y")
    dropped = len(y) - len(values)
    design = np.ones((values.size, 1))
    weight = per_response(weights, values, kept)
    if sigma is not None:
        deviation = array_argument(per_response(sigma, values, kept), values.size, None, "sigma")
        weight = weights_of_sigma(deviation, kept if values.ndim == 1 else None)
    prepared = from_arrays(values.ravel(), design, weights=weight, groups=per_response(groups, values, kept))
    from dataclasses import replace

    labels = getattr(y, "index", None) if values.ndim == 1 else None
    name = getattr(y, "name", None)
    response = replace(prepared.response, name="y" if name is None else str(name))
    data = replace(
        prepared,
        response=response,
        has_intercept=False,
        index=kept,
        n_dropped=dropped,
        labels=labels,
        names=(),
        schema=PointsSchema(whole),
    )
    return x, data


def _no_number(values: Any) -> np.ndarray:
    array = np.asarray(unmasked(values))
    return np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, dtype=bool)


def _no_label(values: Any) -> np.ndarray:
    array = label_array(values)
    return label_codes(array.ravel()).reshape(array.shape) < 0


def _response(left: str, columns: Collection[str], names: Collection[str], known: Collection[str]) -> Curve:
    response = parse_curve(left, known, "response")
    for name in response.names:
        if name in names:
            raise FormulaError(
                f"formula: {name!r} is a parameter, but the response may only contain columns of the data; move it to "
                "the right of '~'"
            )
        if name not in columns:
            raise unknown_column(name, columns, "response")
    if not response.names:
        raise FormulaError(
            f"formula: the response {left!r} contains no column of the data; the columns are {listing(columns)}"
        )
    return response


def _refuse_misspelt(
    names: Collection[str], parameters: Collection[str], used: Collection[str], columns: Collection[str]
) -> None:
    """Refuse a name that is nearly a column's but neither a column nor a declared parameter: it is misspelt.

    It is accepted if the formula uses that column too: v ~ V*S/(K + S) and conc ~ conc0*exp(-k*t) are correct.
    """
    for name in names:
        guess = None if name in parameters else nearest(name, columns)
        if guess in used:
            continue
        if guess is not None and (name.casefold() == guess.casefold() or len(name) > 3):
            raise unknown_column(name, columns, "formula")


def _numbers(table: Table, name: str, rows: MissingRows) -> np.ndarray:
    variable = table.column(name)
    if isinstance(variable, Levels):
        raise DataError(
            f"column {name!r} holds {variable.origin} ({stray(variable.labels)}), but a curve needs numbers; "
            "convert it to numbers, or fit a curve for each value with by="
        )
    rows.note_numbers(variable.values, name)
    return variable.values


def _evaluated(response: Curve, values: dict[str, np.ndarray], rows: MissingRows) -> np.ndarray:
    with np.errstate(all="ignore"):
        y = np.array(response.evaluate(values, numpy_function), dtype=float)
    if y.shape != (rows.n_rows,):
        y = np.array(np.broadcast_to(y, (rows.n_rows,)))
    if np.isfinite(y).all():
        return y
    # Rows in which a column of the response is not finite are noted already.
    bad = ~np.isfinite(y) & np.logical_and.reduce([np.isfinite(values[name]) for name in response.names])
    if bad.any() and len(response.names):
        rows.note(bad, "values that are not finite", response.text)
    return y
