"""From the arguments of :func:`raphson.nls` to a nonlinear model: read, traced and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raphson.data.curve_data import CurveData, from_curve, from_points
from raphson.data.extras import weights_of_sigma
from raphson.data.model_data import ModelData
from raphson.data.points import as_arrays, leaves
from raphson.data.schema import PointsSchema
from raphson.errors import DataError, ModelError
from raphson.execute import Executor
from raphson.model.curve.least_squares import NonlinearModel
from raphson.model.curve.nonlinear import Finite, NonlinearPredictor
from raphson.model.curve.structure import (
    CurveExplanation,
    CurveStructure,
    FunctionExplanation,
    refuse_absent,
    structure_of_curve,
)
from raphson.model.curve.written import curve_derivatives
from raphson.model.families import resolve
from raphson.model.parameters import Parameters
from raphson.model.penalty import penalty_matrix


@dataclass(frozen=True)
class ReadCurve:
    """A curve of either form, read and traced.

    Attributes
    ----------
    data, predictor, parameters : what the model is made of.
    initial : (p,) starting values, NaN where there is none.
    structure : what tracing showed.
    explain : explains why the curve is not finite.
    transformed : whether the response is a function of a column, not a column itself.
    by, labels : (n,) the curve that each row belongs to, where there are many, and their labels.
    """

    data: ModelData
    predictor: NonlinearPredictor
    parameters: Parameters
    initial: np.ndarray
    structure: CurveStructure
    explain: Callable[[np.ndarray], str]
    transformed: bool
    by: np.ndarray | None = None
    labels: tuple[Any, ...] = ()


def read_curve(
    formula: str,
    data: Any,
    start: Any,
    fixed: Any,
    bounds: Any,
    by: str | None = None,
    **rows: Any,
) -> ReadCurve:
    """Read an expression and its data, and trace it; `rows` is what :func:`raphson.data.from_curve` takes of each row.

    Raises
    ------
    FormulaError, DataError, ModelError
        If the expression, the data or the starting values cannot be used.
    """
    read = from_curve(formula, data, names_given(start, fixed, bounds), by=by, **rows)
    return traced_with(formula, read, start, fixed)


def names_given(start: Any, fixed: Any, bounds: Any) -> dict[str, str]:
    """The names for which the user gave values, each with the argument.

    Raises
    ------
    ModelError
        If an argument is no dict, or has values that are not finite.
    """
    said = {"bounds": bounds, "fixed": fixed, "start": start}
    named = {name: what for what, values in said.items() for name in values_by_name(values, what)}
    for what in ("start", "fixed"):
        _refuse_not_finite(values_by_name(said[what], what), what)
    return named


def traced_with(formula: str, read: CurveData, start: Any, fixed: Any) -> ReadCurve:
    """Trace an expression that was read with its data.

    Raises
    ------
    ModelError
        If the expression or the starting values cannot be used.
    """
    given = values_by_name(start, "start") | values_by_name(fixed, "fixed")
    parameters = Parameters.scalars(read.parameters)
    if not read.parameters:
        raise ModelError(
            f"formula: expected at least one parameter; every name in {formula!r} is a column of the data. Use a name "
            "that is not a column"
        )
    structure = structure_of_curve(read.curve, read.columns, read.parameters)
    initial = parameters.per_element(given, np.nan, "start")
    X = np.asarray(read.data.X)
    return ReadCurve(
        read.data,
        NonlinearPredictor(curve_derivatives(read.curve, read.columns, read.parameters), len(read.parameters), True),
        parameters,
        initial,
        structure,
        CurveExplanation(read.curve, read.columns, read.parameters, X, read.data.index),
        read.response.transformed,
        read.by,
        read.labels,
    )


def read_function(
    function: Callable[[Any, Any], Any],
    data: Any,
    start: Any,
    fixed: Any,
    derivatives: str = "exact",
    **rows: Any,
) -> ReadCurve:
    """Check a function of (params, x) against its data, and trace it unless finite differences were asked for.

    `rows` is what :func:`raphson.data.from_points` takes of each row.

    Raises
    ------
    DataError, ModelError
        If the data, the function or the starting values cannot be used.
    """
    # These need JAX, which an expression does without.
    from raphson.model.curve.user_functions import check_signature, function_derivatives, structure_of_function

    if not isinstance(data, tuple | list) or len(data) != 2:
        raise DataError("data: a model that is a function f(params, x) takes data=(x, y), such as data=(df, df['y'])")
    if start is None:
        raise ModelError("start: a model that is a function needs start=, a dict or array of starting values")
    check_signature(function, start)
    x, prepared = from_points(data[0], data[1], whole=True, **rows)
    values = {**start, **fixed} if isinstance(start, dict) and isinstance(fixed, dict) else start
    parameters, initial = Parameters.of(values, "start")
    if derivatives == "finite":
        nothing = np.zeros(len(initial), dtype=bool)
        made = Finite(function, parameters)
        found, x, whole = _as_taken(lambda x: made.shaped(initial, x).shape, x)
        structure, shape = CurveStructure(nothing, nothing), found
    else:
        found, x, whole = _as_taken(lambda x: structure_of_function(function, parameters, initial, x), x)
        structure, shape = found
        made = function_derivatives(function, parameters)
    prepared = replace(prepared, schema=PointsSchema(whole))
    y_shape = np.shape(data[1])
    if int(np.prod(shape)) != len(prepared.response.values):
        raise ModelError(f"model: expected predictions of the shape of y, {y_shape}; the function returns {shape}")
    return ReadCurve(
        replace(prepared, X=x),
        NonlinearPredictor(made, len(initial), False),
        parameters,
        initial,
        structure,
        FunctionExplanation(made, parameters, x),
        False,
    )


def predicts_one_row(function: Callable[[Any, Any], Any], data: Any, start: Any) -> bool:
    """Whether a function of (params, x) gives predictions for one row of a two-dimensional y."""
    from raphson.model.curve.user_functions import check_signature, structure_of_function

    check_signature(function, start)
    parameters, initial = Parameters.of(start, "start")
    x = as_arrays(data[0], whole=True)
    shape = _as_taken(lambda x: structure_of_function(function, parameters, initial, x), x)[0][1]
    return shape == np.shape(data[1])[1:]


def _as_taken(called: Callable[[Any], Any], x: Any) -> tuple[Any, Any, bool]:
    """The result of a call with x, x in the form used, and whether its integers stay integers.

    Integers become doubles, for which negative powers are allowed, unless the function uses them as indices, as in
    params["A"][x["set"]].
    """
    doubles = as_arrays(x)
    try:
        return called(doubles), doubles, False
    except ModelError:
        if not any(leaf.dtype.kind == "i" for leaf in leaves(x)):
            raise
        try:
            return called(x), x, True
        except ModelError:
            pass
        raise


def read_curves(
    function: Callable[[Any, Any], Any],
    data: Any,
    start: Any,
    fixed: Any,
    *,
    weights: Any,
    sigma: Any,
    **rows: Any,
) -> ReadCurve:
    """Read a function that predicts one row of y: each row is a curve of its own, over the same x.

    Raises
    ------
    DataError, ModelError
        If the data or the starting values cannot be used.
    """
    x, y = as_arrays(data[0]), np.asarray(data[1], dtype=float)
    if not np.isfinite(y).all():
        raise DataError(
            "y: expected no missing values in an array with a curve in each row; for curves with missing values pass "
            "data in long form and by="
        )
    if weights is not None and np.shape(weights) not in (y.shape, y.shape[1:]):
        raise DataError(f"weights: expected the shape of y, {y.shape}, or of one row; got {np.shape(weights)}")
    if sigma is not None:
        if np.shape(sigma) not in ((), y.shape, y.shape[1:]):
            raise DataError(f"sigma: expected the shape of y, {y.shape}, or of one row; got {np.shape(sigma)}")
        weights = weights_of_sigma(np.broadcast_to(np.asarray(sigma, dtype=float), y.shape).ravel(), None)
        weights = np.reshape(weights, y.shape)  # type: ignore[arg-type]
    w = None if weights is None else np.broadcast_to(np.asarray(weights, dtype=float), y.shape)
    first = read_function(function, (x, y[0]), start, fixed, weights=None if w is None else w[0], **rows)
    labels = getattr(data[1], "index", None)
    prepared = from_points(np.arange(y.size), y.ravel(), weights=None if w is None else w.ravel())[1]
    return replace(
        first,
        data=replace(prepared, X=x, labels=None),
        by=np.repeat(np.arange(len(y)), y.shape[1]),
        labels=tuple(range(len(y))) if labels is None else tuple(labels),
    )


def one_curve(read: ReadCurve, number: int) -> ReadCurve:
    """The rows of one of many curves."""
    assert read.by is not None
    rows = np.flatnonzero(read.by == number)
    data = read.data
    index = rows if data.index is None else data.index[rows]
    X = data.X[rows] if read.predictor.by_row else data.X
    weights = None if data.weights is None else data.weights[rows]
    response = replace(data.response, values=data.response.values[rows])
    kept = replace(data, X=X, response=response, weights=weights, index=index if read.predictor.by_row else None)
    if read.predictor.by_row and data.labels is None:
        # A curve's rows keep the numbers that they have among those of all curves.
        kept = replace(kept, labels=row_numbers(len(data.response.values) + data.n_dropped))
    return replace(read, data=kept, by=None, labels=())


def row_numbers(count: int) -> Any:
    """The index of rows that have no labels of their own."""
    import pandas as pd

    return pd.RangeIndex(count)


def nonlinear_model(
    read: ReadCurve,
    bounds: Any,
    fixed: Any,
    weights_kind: str,
    penalty: Any,
    executor: Executor,
    seed: int | None,
    counted: tuple[int, float] | None = None,
) -> NonlinearModel:
    """Build the model; of more rows than are read here, `counted` are those of positive weight, and the largest |y|.

    Raises
    ------
    ModelError
        If the model does not depend on a parameter, a start lies outside its bounds, or bounds or penalty do not match.
    DataError
        If there are fewer rows than parameters.
    """
    parameters, names = read.parameters, read.parameters.names
    refuse_absent(read.structure, names)
    p = len(names)
    movable = np.isnan(parameters.per_element(dict.fromkeys(fixed or (), 1.0), np.nan, "fixed"))
    box = _box(bounds, parameters)
    if box is not None:
        low, high = box
        outside = (read.initial < low) | (read.initial > high)
        for j in np.flatnonzero(outside):
            what, remedy = ("start", "choose a value inside") if movable[j] else ("fixed", "leave out one of the two")
            raise ModelError(
                f"{what}: {names[j]} = {read.initial[j]:g} lies outside its bounds ({low[j]:g}, {high[j]:g}); {remedy}"
            )
    y = np.asarray(read.data.response.values, dtype=float)
    n, largest = _counted(y, read.data.weights) if counted is None else counted
    normal = resolve("gaussian")
    normal.check_units(read.data.response.name, largest)
    if n < np.count_nonzero(movable) and penalty is None:
        raise DataError(
            f"data: expected at least as many rows as parameters; got {n} rows and {np.count_nonzero(movable)} "
            "parameters. Fix some with fixed=, add data, or pass penalty="
        )
    return NonlinearModel(
        normal,
        read.data,
        y,
        read.data.weights,
        None,
        weights_kind,
        penalty_matrix(penalty, p, np.zeros(p, dtype=bool)),
        executor,
        curve=read.predictor,
        parameter_names=names,
        initial=read.initial,
        movable=movable,
        box=box,
        conditionally_linear=read.structure.linear,
        dimensions=read.structure.dimensions,
        waves=read.structure.waves,
        phases=read.structure.phases,
        explain=read.explain,
        seed=0 if seed is None else seed,
        transformed=read.transformed,
    )


def _counted(y: np.ndarray, weights: np.ndarray | None) -> tuple[int, float]:
    """The number of rows of positive weight, and the largest |y|."""
    n = len(y) if weights is None else int(np.count_nonzero(weights))
    return n, float(np.abs(y).max(initial=0.0))


def values_by_name(values: Any, what: str) -> dict[str, Any]:
    """The user's dict of values by name; an empty one for None."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        such = "{'b1': (0, None)}" if what == "bounds" else "{'b1': 1.0}"
        raise ModelError(f"{what}: expected a dict of values by name, such as {such}; got {values!r}")
    return values


def _refuse_not_finite(values: dict[str, Any], what: str) -> None:
    for name, value in values.items():
        if isinstance(value, int | float | np.number) and not np.isfinite(value):
            raise ModelError(f"{what}: expected a finite number for {name!r}; got {value!r}")


def _box(bounds: Any, parameters: Parameters) -> tuple[np.ndarray, np.ndarray] | None:
    """(lower, upper) from a dict of (lower, upper) by name; None stands for infinity."""
    given = values_by_name(bounds, "bounds")
    if not given:
        return None
    for name, pair in given.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ModelError(f"bounds: expected (lower, upper) for {name!r}, with None for no bound; got {pair!r}")
    low = parameters.per_element({k: -np.inf if v[0] is None else v[0] for k, v in given.items()}, -np.inf, "bounds")
    high = parameters.per_element({k: np.inf if v[1] is None else v[1] for k, v in given.items()}, np.inf, "bounds")
    if not (low < high).all():
        j = int(np.flatnonzero(~(low < high))[0])
        raise ModelError(
            f"bounds: expected lower < upper for {parameters.names[j]!r}; got ({low[j]:g}, {high[j]:g}). To hold a "
            "parameter fixed, pass fixed="
        )
    return low, high
