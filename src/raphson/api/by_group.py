"""Many curves of one form: each group of rows is a least squares problem of its own, solved in compiled batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from raphson.api.arguments import executor_of
from raphson.errors import ConvergenceWarning, RankWarning, warn_user
from raphson.fit.fit import Fit
from raphson.fit.many import CurveOfGroups, Fits
from raphson.model.curve.code import CurveCode
from raphson.model.curve.least_squares import NonlinearModel
from raphson.model.curve.read import ReadCurve, nonlinear_model, one_curve
from raphson.newton.estimate import Options, estimate
from raphson.newton.many import problems
from raphson.newton.many.by_workers import solve_anywhere
from raphson.newton.many.problems import Solutions, TracedProblem
from raphson.newton.methods import resolve_method
from raphson.options import Curve, Inference, Iteration

POOLED = 16
"""How many curves are pooled and fitted as one, to find starting values. Their mean is four times as accurate as a
single curve."""

_PROBLEMS: WeakKeyDictionary[Any, Callable[..., Any]] = WeakKeyDictionary()


@dataclass(frozen=True)
class OneCurve:
    """Fits a single curve, given its number and starting values; see :func:`fit_groups` for the fields."""

    read: ReadCurve
    options: tuple[Any, ...]
    single: Callable[[NonlinearModel], Fit]

    def __call__(self, number: int, theta: np.ndarray) -> Fit:
        part = one_curve(self.read, number)
        initial = theta if np.isfinite(theta).all() else part.initial
        return self.single(nonlinear_model(replace(part, initial=initial), *self.options))


def fit_groups(
    read: ReadCurve,
    options: tuple[Any, ...],
    single: Callable[[NonlinearModel], Fit],
    asked: Curve,
    iteration: Iteration,
    inference: Inference,
) -> Fits:
    """Fit every curve separately.

    Parameters
    ----------
    read : the rows of all curves.
    options : arguments of :func:`nonlinear_model`.
    single : makes the Fit of one curve.
    asked, iteration, inference : the user's options.
    """
    assert read.by is not None
    count = len(read.labels)
    model = nonlinear_model(one_curve(read, 0) if not read.predictor.by_row else read, *options)
    start = _start(read, options, iteration.method)
    lower, upper = model.bounds or (np.full(len(start), -np.inf), np.full(len(start), np.inf))
    lower, upper = np.where(model.movable, lower, start), np.where(model.movable, upper, start)
    max_iter = iteration.max_iter or 200
    limits: dict[str, Any] = {"tol": iteration.tol, "max_iter": max_iter, "executor": executor_of(iteration)}
    found = _solve(read, np.tile(start, (count, 1)), lower, upper, limits)
    failed = ~found.converged
    if failed.any() and not failed.all():
        # The median of the curves that converged is a better start than the fit of the pooled curves.
        typical = np.median(found.theta[found.converged], axis=0)
        starts = np.where(failed[:, None], typical, found.theta)
        again = _solve(read, starts, lower, upper, limits, np.flatnonzero(failed))
        found = _merged(found, again, np.flatnonzero(failed))
    weight = np.ones(len(read.by)) if read.data.weights is None else read.data.weights
    n_rows = np.bincount(read.by, weights=weight > 0, minlength=count).astype(int)
    squares = np.bincount(read.by, weights=weight * np.asarray(read.data.response.values) ** 2, minlength=count)

    value = asked.dispersion if isinstance(asked.dispersion, float) else None
    fits = Fits(
        found,
        read.labels,
        model.names,
        n_rows,
        squares,
        model.movable,
        inference.information,
        value,
        OneCurve(read, options, single),
        CurveOfGroups(read.predictor, read.data.schema, asked.by),
    )
    if fits.failures:
        warn_user(f"not converged: {fits.failures}", ConvergenceWarning)
    if fits.open_groups:
        warn_user(f"rank: {fits.open_groups}", RankWarning)
    return fits


def _start(read: ReadCurve, options: tuple[Any, ...], method: str) -> np.ndarray:
    """The user's starting values if every parameter has one; otherwise the fit of some curves pooled."""
    if not np.isnan(read.initial).any():
        return read.initial
    assert read.by is not None
    chosen = np.linspace(0, len(read.labels) - 1, min(POOLED, len(read.labels))).astype(int)
    rows = np.flatnonzero(np.isin(read.by, chosen))
    data = read.data
    if not read.predictor.by_row:
        pooled = one_curve(read, 0)
        y = data.response.values.reshape(len(read.labels), -1)[chosen].mean(axis=0)
        pooled = replace(pooled, data=replace(pooled.data, response=replace(pooled.data.response, values=y)))
    else:
        response = replace(data.response, values=data.response.values[rows])
        weights = None if data.weights is None else data.weights[rows]
        part = replace(data, X=data.X[rows], response=response, weights=weights, index=None)
        pooled = replace(read, data=part, by=None)
    model = nonlinear_model(pooled, *options)
    return estimate(model, Options(resolve_method(method), max_iter=100)).result.theta


def _solve(
    read: ReadCurve,
    start: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    limits: dict[str, Any],
    only: np.ndarray | None = None,
) -> Solutions:
    assert read.by is not None
    derivatives: Any = read.predictor.derivatives
    problem = partial(_problem, derivatives)
    constants = None if derivatives.numbers is None else np.array(derivatives.numbers)
    shared = {"constants": constants, "x": None if read.predictor.by_row else read.data.X}
    y = np.asarray(read.data.response.values, dtype=float)
    weights = np.ones(len(y)) if read.data.weights is None else read.data.weights
    keywords: dict[str, Any] = {"lower": lower, "upper": upper, **limits}
    if not read.predictor.by_row:
        shape = (len(read.labels), -1)
        data = {"y": y.reshape(shape), "weight": weights.reshape(shape)}
        if only is not None:
            data, start = {name: values[only] for name, values in data.items()}, start[only]
        return solve_anywhere(problem, start, data, shared, **keywords)
    codes, X = read.by, np.asarray(read.data.X)
    if only is not None:
        kept = np.isin(codes, only)
        codes, X, y, weights = np.searchsorted(only, codes[kept]), X[kept], y[kept], weights[kept]
        start = start[only]
    columns = {f"x{k}": column for k, column in enumerate(X.T)} | {"y": y, "weight": weights}
    parts: list[tuple[np.ndarray, Solutions]] = []
    for groups, padded in problems.stacked(codes, columns):
        x = np.stack([padded.pop(f"x{k}") for k in range(X.shape[1])], axis=1) if X.shape[1] else None
        parts.append((groups, solve_anywhere(problem, start[groups], padded | {"x": x}, shared, **keywords)))
    whole = parts[0][1]
    if len(parts) == 1:
        return whole
    count = len(start)
    together = {}
    for field in fields(Solutions):
        pieces = [getattr(part, field.name) for _, part in parts]
        out = np.empty((count, *pieces[0].shape[1:]), dtype=pieces[0].dtype)
        for (groups, _), piece in zip(parts, pieces, strict=True):
            out[groups] = piece
        together[field.name] = out
    return Solutions(**together)


def _merged(found: Solutions, again: Solutions, places: np.ndarray) -> Solutions:
    """The first solutions, replaced by the second where those are better."""
    better = again.converged | (again.value > found.value[places])
    out = {}
    for field in fields(Solutions):
        values = getattr(found, field.name).copy()
        values[places[better]] = getattr(again, field.name)[better]
        out[field.name] = values
    return Solutions(**out)


def _problem(derivatives: Any) -> TracedProblem:
    """The problem of a curve's parameters."""
    return problems.least_squares(_curve(derivatives.code))


def _curve(code: CurveCode) -> Callable[..., Any]:
    """The curve as a function of one problem; the same code gives the same function, so that it compiles once."""
    if code not in _PROBLEMS:
        function = code.differentiable

        def curve(theta: Any, data: Any, shared: Any) -> Any:
            x = data.get("x", shared["x"])
            return function(theta, x if shared["constants"] is None else (x, shared["constants"]))

        _PROBLEMS[code] = curve
    return _PROBLEMS[code]
