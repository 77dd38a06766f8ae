"""Curves: nonlinear least squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from raphson.api.arguments import (
    check_streamable,
    dispersion_rule,
    estimated,
    executor_of,
    inference_of,
    inputs_of,
    iteration_of,
    kept_in,
    sums_elsewhere,
    warn_about,
)
from raphson.choices import (
    Covariance,
    Derivatives,
    DispersionRule,
    Information,
    Loss,
    MethodName,
    Missing,
    SmallSample,
    WeightsKind,
)
from raphson.data.curve_data import CurveData
from raphson.data.curves import names_of_curve
from raphson.data.sources import Source, streamed
from raphson.errors import DataError, ModelError, named_arguments, one_line
from raphson.execute import Executor
from raphson.fit.fit import Fit
from raphson.fit.reading import Reading
from raphson.fit.state import FitState
from raphson.model.curve.least_squares import NonlinearModel
from raphson.model.curve.read import (
    ReadCurve,
    names_given,
    nonlinear_model,
    predicts_one_row,
    read_curve,
    read_curves,
    read_function,
    traced_with,
)
from raphson.newton.estimate import TRIAL_STEPS
from raphson.newton.methods import resolve_method
from raphson.options import Curve, Inference, Iteration

if TYPE_CHECKING:
    from raphson.data.curve_streams import StreamedCurveData
    from raphson.fit.many import Fits


@overload
def nls(
    model: Any,
    data: Any,
    *,
    start: Any = None,
    bounds: Any = None,
    fixed: Any = None,
    by: None = None,
    method: MethodName | str = "levenberg-marquardt",
    loss: Loss = "squared",
    scale: float | None = None,
    derivatives: Derivatives = "exact",
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    sigma: Any = None,
    absolute_sigma: bool = False,
    penalty: Any = None,
    information: Information | None = None,
    cov: Covariance | None = None,
    groups: Any = None,
    small_sample: SmallSample | None = "full",
    dispersion: DispersionRule | float | None = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: Missing = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Fit: ...
@overload
def nls(
    model: Any,
    data: Any,
    *,
    by: str,
    start: Any = None,
    bounds: Any = None,
    fixed: Any = None,
    method: MethodName | str = "levenberg-marquardt",
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    sigma: Any = None,
    absolute_sigma: bool = False,
    information: Information | None = None,
    dispersion: DispersionRule | float | None = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: Missing = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
) -> Fits: ...
@named_arguments
def nls(
    model: Any,
    data: Any,
    *,
    start: Any = None,
    bounds: Any = None,
    fixed: Any = None,
    by: str | None = None,
    method: MethodName | str = "levenberg-marquardt",
    loss: Loss = "squared",
    scale: float | None = None,
    derivatives: Derivatives = "exact",
    weights: Any = None,
    weights_kind: WeightsKind = "precision",
    sigma: Any = None,
    absolute_sigma: bool = False,
    penalty: Any = None,
    information: Information | None = None,
    cov: Covariance | None = None,
    groups: Any = None,
    small_sample: SmallSample | None = "full",
    dispersion: DispersionRule | float | None = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: Missing = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Fit | Fits:
    """Fit a curve by nonlinear least squares.

    Maximises −½ Σ w_i (y_i − f(θ, x_i))² − ½ θᵀPθ, a gaussian family with a nonlinear predictor, by
    θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ) with M = JᵀWJ, J = ∂f/∂θ (Bates and Watts 1988, section 2.2).

    Parameters in which f is linear when the others are held fixed need no starting values: they are recognised by
    tracing f, and solved for exactly at every step (Golub and Pereyra 1973).

    Parameters
    ----------
    model : an expression such as ``"y ~ top*(1 - exp(-rate*x))"``, whose names that are not columns are parameters and
        whose response may be transformed (``log(y) ~ ...``); or a function ``f(params, x)`` in jax.numpy that returns
        predictions in the shape of y.
    data : with an expression, a data frame, a dict of columns, or the path of a file; what :func:`raphson.stream` takes
        is streamed. With a function, the pair (x, y), where x is whatever the function takes. A y of two dimensions is
        a vector-valued response if f returns its shape, and one curve in each row if f returns the shape of a row.
    start : starting values by name; the others are searched for, and `message` says so. Numbers or arrays (with a
        function also one array); conditionally linear parameters need none.
    bounds : lower and upper bounds by name, None for no bound.
    fixed : values by name of parameters that are not estimated.
    by : column whose values separate independent curves: all are fitted in one compiled call, which returns a
        :class:`raphson.fit.many.Fits`.
    method : how each step is computed: "levenberg-marquardt" (default: a trust region, whose last steps are pure
        Gauss-Newton), "gauss-newton", "modified-gauss-newton" (backtracking), "newton" (full Hessian) or any other of
        :func:`raphson.glm`.
    loss : loss of the residuals: "squared", "huber", "cauchy" or "tukey", by iteratively reweighted least squares from
        the least squares fit, from `start` and from a search that resists outliers; the highest maximum is kept.
    scale : scale of a robust loss; if not given, estimated with the curve as the median absolute residual over 0.6745.
    derivatives : how derivatives are computed: "exact" (autodiff) or "finite", for a function that JAX cannot trace.
    sigma : standard deviations of the responses: weights 1/sigma**2, as ``scipy.optimize.curve_fit`` has them; a column
        name, an expression, an array (n,) or a number.
    absolute_sigma : whether sigma are the standard deviations themselves (dispersion 1), or only in proportion to them.
    penalty : ridge penalty P: a number, a vector (p,) or a matrix (p, p).
    information : Fisher information that the covariance uses: "expected" (Gauss-Newton, default), "observed" (full
        Hessian; default with a robust loss) or "opg".
    cov : covariance of the estimates, as for :func:`raphson.glm`; with a robust loss "HC0" by default.
    dispersion : how the dispersion is estimated: "pearson" (RSS over residual degrees of freedom) or "ml"; or its
        value, a number: 1 where weights are 1/σ².
    seed : seed of the random numbers: the search for starting values.
    checkpoint : file to which each pass over streamed data is saved, as for :func:`raphson.glm`.
    weights, weights_kind, groups, small_sample, tol, max_iter, damping, learning_rate, missing, progress, executor : as
        for :func:`raphson.glm`.

    Returns
    -------
    Fit
        Or :class:`raphson.fit.many.Fits` for many curves. Parameters at a bound have NaN standard errors. With a
        transformed response llf is that of the transformed values; with a robust loss it is NaN.

    Raises
    ------
    DataError, FormulaError, ModelError
        If the data, the expression or an option cannot be used.
    ConvergenceError
        If the curve is not finite at the start; the message says where.

    Examples
    --------
    >>> import raphson as rp
    >>> data = {"x": [0.0, 1.0, 2.0, 4.0, 8.0], "y": [0.1, 3.9, 6.4, 8.6, 9.9]}
    >>> fit = rp.nls("y ~ top*(1 - exp(-rate*x))", data, start={"rate": 1.0})
    >>> fit.params.round(4).to_dict()
    {'top': 10.0612, 'rate': 0.4954}
    """
    given = locals()
    asked, iteration = Curve.of(given), iteration_of(given)
    robust = asked.loss != "squared"
    inference = inference_of(given, "observed" if robust else "expected", "HC0" if robust else None)
    resolve_method(method)
    if sigma is not None and (weights is not None or weights_kind != "precision"):
        raise ModelError(
            "sigma: it means precision weights of 1/sigma**2, so it cannot be combined with weights= or weights_kind=; "
            "leave them out"
        )
    if asked.absolute_sigma and sigma is None:
        raise ModelError("absolute_sigma: it says what sigma= are; pass them, or leave it out")
    if asked.absolute_sigma:
        if dispersion is not None:
            raise ModelError("absolute_sigma: True means dispersion=1; leave out absolute_sigma= or dispersion=")
        asked = replace(asked, dispersion=1.0)
    flow = _source(model, data)
    with kept_in(asked.checkpoint, flow, "nls", given, iteration) as iteration:
        return _curve_or_curves(given, flow, asked, iteration, inference)


def _source(model: Any, data: Any) -> Source | None:
    """The source that streams the rows; None where they are in memory.

    Raises
    ------
    DataError
        If a function is to be fitted to a stream.
    """
    if isinstance(model, str):
        return streamed(data)
    if any(isinstance(one, Source) for one in (data if isinstance(data, tuple | list) else [data])):
        raise DataError(
            "data: a function f(params, x) gets all rows at once, and streamed rows are not in memory; write the curve "
            "as an expression of columns, such as 'y ~ top*exp(-rate*x)', or read the data: rp.read(source)"
        )
    return None


def _curve_or_curves(
    given: dict[str, Any], flow: Source | None, asked: Curve, iteration: Iteration, inference: Inference
) -> Fit | Fits:
    """Read the curve with its data, and fit it; or many of them."""
    model, data = given["model"], given["data"]
    options = (asked.bounds, asked.fixed, asked.weights_kind, asked.penalty, executor_of(iteration), iteration.seed)
    formula = model if isinstance(model, str) else None
    if formula is not None and asked.derivatives == "finite":
        raise ModelError("derivatives: those of an expression are always exact; leave derivatives= out")
    made = partial(
        _fit,
        asked=asked,
        iteration=iteration if iteration.seed is None else replace(iteration, seed=None),
        inference=inference,
        formula=formula,
        source=data,
        inputs=inputs_of(given),
        refit=None if formula is None else partial(_refitted, given),
    )
    if flow is not None:
        return _of_stream(flow, given, asked, iteration, options, made)
    read, many = _read(model, data, given, asked)
    if many:
        if asked.loss != "squared" or inference.cov != "model" or asked.penalty is not None:
            raise ModelError(
                "by: many curves are fitted by plain least squares only; leave out loss=, penalty=, cov= and groups="
            )
        from raphson.api.by_group import fit_groups  # one curve does without its compiled batches

        return fit_groups(read, options, made, asked, iteration, inference).in_library_of(data)
    return made(nonlinear_model(read, *options))


def _of_stream(
    flow: Source,
    given: dict[str, Any],
    asked: Curve,
    iteration: Iteration,
    options: tuple[Any, ...],
    fitted: Callable[[NonlinearModel], Fit],
) -> Fit:
    """The fit of an expression over streamed rows: without a first pass where the first sum can be one.

    Raises
    ------
    ModelError
        If a curve for each group is asked for, or another method than a stream has.
    """
    from raphson.data.curve_streams import from_curve_stream
    from raphson.data.supposed import begun_as_supposed, by_supposition, curve_supposed
    from raphson.execute.journal import answering
    from raphson.model.curve.streamed import StreamedCurve

    if asked.by is not None:
        raise ModelError(
            "by: curves of groups are fitted from data in memory, and these are streamed; read them into a data frame: "
            "rp.read(source)"
        )
    method = resolve_method(iteration.method)
    check_streamable(method)
    formula, parameters = given["model"], names_given(asked.start, asked.fixed, asked.bounds)
    extras = {name: given[name] for name in ("weights", "sigma", "groups")} | {"keep": answering(iteration.executor)}

    def built(rows: StreamedCurveData) -> NonlinearModel:
        found = rows.formula
        sample = CurveData(found.curve, found.columns, found.parameters, found.response, rows.sample, None, ())
        return StreamedCurve.over(traced_with(formula, sample, asked.start, asked.fixed), rows, *options)

    def suppose() -> StreamedCurveData | None:
        return curve_supposed(formula, flow, parameters, **extras)

    elsewhere = sums_elsewhere(iteration)  # what workers find stays with them
    if not elsewhere and method.solver not in ("batch", "cg"):
        fit = by_supposition(suppose, built, fitted)
        if fit is not None:
            return fit
    rows = from_curve_stream(formula, flow, parameters, missing=given["missing"], **extras)
    return fitted(built(begun_as_supposed(rows, suppose) if elsewhere else rows))


def _read(model: Any, data: Any, given: dict[str, Any], asked: Curve) -> tuple[ReadCurve, bool]:
    """The curve with its data, and whether it is many curves, each with parameters of its own."""
    extras = {name: given[name] for name in ("weights", "sigma", "groups", "missing")}
    if isinstance(model, str):
        read = read_curve(model, data, asked.start, asked.fixed, asked.bounds, by=asked.by, **extras)
        return read, asked.by is not None
    if not callable(model):
        raise ModelError(
            "model: expected an expression such as 'y ~ b1*exp(-b2*x)' or a function f(params, x); "
            f"got {one_line(model)}"
        )
    if asked.by is not None:
        raise ModelError(
            "by: a function's data (x, y) have no columns to name; leave by= out and give y two dimensions, one curve "
            "in each row"
        )
    if asked.derivatives == "exact" and _has_rows_of_curves(model, data, asked.start):
        return read_curves(model, data, asked.start, asked.fixed, **extras), True
    return read_function(model, data, asked.start, asked.fixed, derivatives=asked.derivatives, **extras), False


def _fit(
    model: NonlinearModel,
    *,
    asked: Curve,
    iteration: Iteration,
    inference: Inference,
    formula: str | None,
    source: Any,
    inputs: dict[str, Any],
    refit: Callable[..., Any] | None,
) -> Fit:
    found = estimated(model, iteration)
    if asked.loss != "squared":
        from raphson.api.robust_curves import robust_estimate

        most = TRIAL_STEPS if iteration.max_iter is None else min(iteration.max_iter, TRIAL_STEPS)
        trial = replace(iteration, max_iter=most, progress=False)  # one of many starts
        # Each climb but a trial's begins where the last one ended, so that a part of the rows leads no nearer.
        climb = partial(estimated, iteration=iteration, subsample=model.by_rows)
        model, found = robust_estimate(
            model, found, asked.loss, asked.scale, climb, partial(estimated, iteration=trial)
        )
    state = FitState.of(
        found,
        model,
        method=resolve_method(iteration.method).name,
        inference=inference,
        dispersion=dispersion_rule(asked.dispersion, model.family),
        formula=formula,
        source=source,
        inputs=inputs,
        refit=refit,
    )
    fit = Fit(Reading(state))
    warn_about(fit)
    return fit


def _refitted(given: dict[str, Any], formula: str, **options: Any) -> Any:
    """Another curve for the same data; options of parameters that it lacks are dropped."""
    names = names_of_curve(formula)
    kept = {name: value for name, value in given.items() if name not in ("model", "by", "checkpoint")}
    for what in ("start", "fixed", "bounds"):
        if isinstance(kept[what], dict):
            kept[what] = {name: value for name, value in kept[what].items() if name in names} or None
    return nls(formula, **kept | options)


def _has_rows_of_curves(function: Callable[[Any, Any], Any], data: Any, start: Any) -> bool:
    """Whether y has two dimensions and the function's value the shape of one row."""
    if not isinstance(data, tuple | list) or len(data) != 2 or start is None or np.ndim(data[1]) != 2:
        return False
    return predicts_one_row(function, data, start)
