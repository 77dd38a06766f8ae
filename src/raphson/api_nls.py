"""The front door for curves: nonlinear least squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.arguments import check_choice, covariance_kind, dispersion_rule, estimated, executor_of, warn_of
from raphson.data.curve_data import from_curve, from_points
from raphson.data.messages import listing
from raphson.data.model_data import ModelData
from raphson.errors import DataError, ModelError
from raphson.execute import Executor
from raphson.fit import Fit
from raphson.model.base import check_weights_kind
from raphson.model.curves import (
    Structure,
    explain_function,
    explanation,
    function_derivatives,
    refuse_absent,
    structure_of_curve,
    structure_of_function,
)
from raphson.model.families import Gaussian
from raphson.model.least_squares import NonlinearModel
from raphson.model.nonlinear import NonlinearPredictor, curve_derivatives
from raphson.model.parameters import Parameters
from raphson.model.penalty import penalty_matrix
from raphson.newton.methods import resolve_method
from raphson.uncertainty import INFORMATION


@dataclass(frozen=True)
class _Read:
    """A curve of either form, read and traced."""

    data: ModelData
    predictor: NonlinearPredictor
    parameters: Parameters
    initial: np.ndarray
    structure: Structure
    explain: Callable[[np.ndarray], str]


def nls(
    model: Any,
    data: Any,
    *,
    start: Any = None,
    bounds: Any = None,
    fixed: Any = None,
    method: str = "levenberg-marquardt",
    weights: Any = None,
    weights_kind: str = "precision",
    penalty: Any = None,
    information: str = "expected",
    cov: str | None = None,
    groups: Any = None,
    dispersion: str | float | None = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: str = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
) -> Fit:
    """Fit a curve by nonlinear least squares.

    Maximises −½ Σ w_i (y_i − f(θ, x_i))² − ½ θᵀPθ: a gaussian family with a nonlinear predictor.

    Examples
    --------
    >>> import raphson as rp
    >>> data = {"x": [0.0, 1.0, 2.0, 4.0, 8.0], "y": [0.1, 3.9, 6.4, 8.6, 9.9]}
    >>> fit = rp.nls("y ~ top*(1 - exp(-rate*x))", data, start={"rate": 1.0})
    >>> fit.params.round(4).to_dict()
    {'top': 9.9852, 'rate': 0.5007}
    """
    check_choice("information", information, INFORMATION)
    check_weights_kind(weights_kind)
    cov = covariance_kind(cov, weights_kind, groups)
    if isinstance(model, str):
        read = _read_curve(model, data, start, fixed, bounds, weights=weights, groups=groups, missing=missing)
    elif callable(model):
        read = _read_function(model, data, start, fixed, weights=weights, groups=groups, missing=missing)
    else:
        raise ModelError(
            f"model: expected an expression such as 'y ~ b1*exp(-b2*x)' or a function f(params, x); got {model!r}"
        )
    asked = _model(read, bounds, fixed, weights_kind, penalty, executor, seed)
    found = estimated(
        asked,
        method,
        start=None,
        tol=tol,
        max_iter=max_iter,
        damping=damping,
        learning_rate=learning_rate,
        progress=progress,
    )
    fit = Fit(
        found,
        asked,
        method=resolve_method(method).name,
        information=information,  # type: ignore[arg-type]
        cov=cov,
        groups=read.data.groups,
        dispersion=dispersion_rule(dispersion, asked.family),
        formula=model if isinstance(model, str) else None,
        source=data,
    )
    warn_of(fit)
    return fit


def _read_curve(
    formula: str, data: Any, start: Any, fixed: Any, bounds: Any, *, weights: Any, groups: Any, missing: str
) -> _Read:
    given = _values_by_name(start, "start") | _values_by_name(fixed, "fixed")
    named = dict.fromkeys([*given, *_values_by_name(bounds, "bounds")])
    read = from_curve(formula, data, named, weights=weights, groups=groups, missing=missing)
    parameters = Parameters.scalars(read.parameters)
    if not read.parameters:
        raise ModelError(f"formula: {formula!r} has no parameters; every name in it is a column of the data")
    structure = structure_of_curve(read.curve, read.columns, read.parameters)
    initial = parameters.per_element(given, np.nan, "start")
    unknown = np.isnan(initial) & ~structure.linear
    if start is not None and unknown.any():
        names = [name for name, missed in zip(read.parameters, unknown, strict=True) if missed]
        raise ModelError(
            f"start: {listing(map(repr, names))} is neither a column of the data nor given a starting value, and the "
            f"curve is not linear in it; add it to start=, or correct its spelling (columns: "
            f"{listing(read.data.names)})"
        )
    X = np.asarray(read.data.X)
    return _Read(
        read.data,
        NonlinearPredictor(curve_derivatives(read.curve, read.columns, read.parameters), len(read.parameters), True),
        parameters,
        initial,
        structure,
        explanation(read.curve, read.columns, read.parameters, X, read.data.index),
    )


def _read_function(
    function: Callable[[Any, Any], Any], data: Any, start: Any, fixed: Any, *, weights: Any, groups: Any, missing: str
) -> _Read:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise DataError("data: a model that is a function f(params, x) takes data=(x, y)")
    if start is None:
        raise ModelError("start: a model that is a function needs start=, a dict or array of starting values")
    x, prepared = from_points(data[0], data[1], weights=weights, groups=groups, missing=missing)
    values = {**start, **fixed} if isinstance(start, dict) and isinstance(fixed, dict) else start
    parameters, initial = Parameters.of(values, "start")
    structure, shape = structure_of_function(function, parameters, initial, x)
    y_shape = np.shape(data[1])
    if int(np.prod(shape)) != len(prepared.response.values):
        raise ModelError(f"model: expected predictions of the shape of y, {y_shape}; the function returns {shape}")
    from dataclasses import replace

    return _Read(
        replace(prepared, X=x),
        NonlinearPredictor(function_derivatives(function, parameters), len(initial), False),
        parameters,
        initial,
        structure,
        explain_function(function, parameters, x),
    )


def _model(
    read: _Read,
    bounds: Any,
    fixed: Any,
    weights_kind: str,
    penalty: Any,
    executor: Executor | None,
    seed: int | None,
) -> NonlinearModel:
    parameters, names = read.parameters, read.parameters.names
    refuse_absent(read.structure, names)
    p = len(names)
    movable = np.isnan(parameters.per_element(dict.fromkeys(fixed or (), 1.0), np.nan, "fixed"))
    box = _box(bounds, parameters)
    if box is not None:
        low, high = box
        outside = (read.initial < low) | (read.initial > high)
        for j in np.flatnonzero(outside):
            raise ModelError(
                f"start: {names[j]} = {read.initial[j]:g} lies outside its bounds ({low[j]:g}, {high[j]:g}); start "
                "inside them"
            )
    y = np.asarray(read.data.response.values, dtype=float)
    n = len(y) if read.data.weights is None else int(np.count_nonzero(read.data.weights))
    if n < np.count_nonzero(movable) and penalty is None:
        raise DataError(
            f"data: expected at least as many rows as parameters; got {n} rows and {np.count_nonzero(movable)} "
            "parameters. Fix some with fixed=, bring more data, or pass penalty="
        )
    return NonlinearModel(
        Gaussian(),
        read.data,
        y,
        read.data.weights,
        None,
        weights_kind,
        penalty_matrix(penalty, p, np.zeros(p, dtype=bool)),
        executor_of(executor),
        curve=read.predictor,
        parameter_names=names,
        initial=read.initial,
        movable=movable,
        box=box,
        conditionally_linear=read.structure.linear,
        explain=read.explain,
        seed=0 if seed is None else seed,
    )


def _values_by_name(values: Any, what: str) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ModelError(f"{what}: expected a dict of values by name, such as {{'b1': 1.0}}; got {values!r}")
    return values


def _box(bounds: Any, parameters: Parameters) -> tuple[np.ndarray, np.ndarray] | None:
    """(lower, upper) from a dict of (lower, upper) by name; None stands for infinity."""
    given = _values_by_name(bounds, "bounds")
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
            "parameter use fixed="
        )
    return low, high
