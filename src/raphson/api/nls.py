"""The front door for curves: nonlinear least squares."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from raphson.api.arguments import (
    covariance_kind,
    dispersion_rule,
    estimated,
    executor_of,
    inputs_of,
    positive,
    warn_of,
)
from raphson.api.by_group import fit_groups
from raphson.api.robust_curves import robust_estimate
from raphson.data.curves import names_of_curve
from raphson.errors import ModelError, check_choice
from raphson.execute import Executor
from raphson.fit.fit import Fit
from raphson.fit.many import Fits
from raphson.fit.uncertainty import INFORMATION
from raphson.model.base import check_weights_kind
from raphson.model.curve.least_squares import NonlinearModel
from raphson.model.curve.read import (
    ReadCurve,
    nonlinear_model,
    predicts_one_row,
    read_curve,
    read_curves,
    read_function,
)
from raphson.newton.estimate import TRIAL_STEPS
from raphson.newton.methods import resolve_method


def nls(
    model: Any,
    data: Any,
    *,
    start: Any = None,
    bounds: Any = None,
    fixed: Any = None,
    by: str | None = None,
    method: str = "levenberg-marquardt",
    loss: str = "squared",
    scale: float | None = None,
    derivatives: str = "exact",
    weights: Any = None,
    weights_kind: str = "precision",
    sigma: Any = None,
    absolute_sigma: bool = False,
    penalty: Any = None,
    information: str | None = None,
    cov: str | None = None,
    groups: Any = None,
    small_sample: str | None = "full",
    dispersion: str | float | None = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: str = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
) -> Fit | Fits:
    """Fit a curve by nonlinear least squares.

    Maximises −½ Σ w_i (y_i − f(θ, x_i))² − ½ θᵀPθ, a gaussian family with a nonlinear predictor, by
    θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ) with M = JᵀWJ, J = ∂f/∂θ (Bates and Watts 1988, section 2.2).

    Parameters that f is linear in, the others held, are found by tracing f and solved for exactly at every step
    (Golub and Pereyra 1973): they need no starting values.

    Parameters
    ----------
    model : an expression such as ``"y ~ top*(1 - exp(-rate*x))"``, whose names that are not columns are parameters and
        whose response may be transformed (``log(y) ~ ...``); or a function ``f(params, x)`` in jax.numpy that returns
        predictions in the shape of y.
    data : with an expression a data frame, a dict of columns, or the path of a file; with a function the pair (x, y),
        x being whatever the function takes. A y of two dimensions is a vector-valued response if f returns that
        shape, and one curve in each row if f returns the shape of one.
    start : starting values by name, numbers or arrays (with a function also one array). Those of conditionally
        linear parameters may be left out; the others that have none are looked for, as `message` says.
    bounds : (lower, upper) by name, None for no bound.
    fixed : values by name of parameters that are not estimated.
    by : column whose values tell independent curves apart: all are fitted in one compiled call.
    method : "levenberg-marquardt" (default: a trust region, whose last steps are pure Gauss-Newton), "gauss-newton",
        "modified-gauss-newton" (backtracking), "newton" (full Hessian) or any other of :func:`raphson.glm`.
    loss : "squared", "huber", "cauchy" or "tukey", by iteratively reweighted least squares from the least squares fit,
        from `start` and from a search that outliers do not decide; the highest maximum is kept.
    scale : of a robust loss; by default the residuals' median absolute value over 0.6745, estimated with the curve.
    derivatives : "exact" (autodiff) or "finite", for a function that JAX cannot trace.
    weights : column name or array (n,), not negative.
    weights_kind : "precision" (Var = φ/w), "frequency" (w copies of the row) or "sampling".
    sigma : column name, expression, array (n,) or number: standard deviations of the responses, as
        ``scipy.optimize.curve_fit`` has them. The same as ``weights=1/sigma**2``.
    absolute_sigma : whether sigma are the standard deviations themselves, and not only in proportion to them. The same
        as ``dispersion=1``.
    penalty : ridge P: a number, a vector (p,) or a matrix (p, p).
    information : "expected" (Gauss-Newton, default), "observed" (full Hessian; default with a robust loss) or "opg".
    cov : "model" (default; "HC0" with sampling weights or a robust loss), "HC0" to "HC3", or "cluster".
    groups : cluster of each row, for ``cov="cluster"``.
    small_sample : the factor of ``cov="cluster"`` with G clusters: "full" (default), G/(G − 1) · (n − 1)/(n − p);
        "clusters", G/(G − 1) alone; or None.
    dispersion : "pearson" (RSS over residual degrees of freedom), "ml", or a number: 1 where weights are 1/σ².
    tol : distance to the minimum, in standard errors, at which one last full step is taken.
    max_iter, damping, learning_rate : of the iteration.
    missing : "drop" (counted and reported) or "raise".
    seed : of the search for starting values.
    progress, executor : as for :func:`raphson.glm`.

    Returns
    -------
    Fit
        Or :class:`raphson.fit.many.Fits`, where there are many curves. Parameters at a bound have NaN standard errors.
        With a transformed response llf is that of the transformed values; with a robust loss it is NaN.

    Raises
    ------
    DataError, FormulaError, ModelError
        If the data, the expression or an option cannot be used.
    ConvergenceError
        If the curve is not finite at the start; says where.

    Examples
    --------
    >>> import raphson as rp
    >>> data = {"x": [0.0, 1.0, 2.0, 4.0, 8.0], "y": [0.1, 3.9, 6.4, 8.6, 9.9]}
    >>> fit = rp.nls("y ~ top*(1 - exp(-rate*x))", data, start={"rate": 1.0})
    >>> fit.params.round(4).to_dict()
    {'top': 10.0612, 'rate': 0.4954}
    """
    options_given = {name: value for name, value in locals().items() if name not in ("model", "data", "by")}
    information = information or ("expected" if loss == "squared" else "observed")
    check_choice("information", information, INFORMATION)
    check_choice("derivatives", derivatives, ("exact", "finite"))
    check_weights_kind(weights_kind)
    resolve_method(method)
    usual = "HC0" if loss != "squared" and groups is None else None
    cov = covariance_kind(cov or usual, weights_kind, groups, small_sample)
    if sigma is not None and (weights is not None or weights_kind != "precision"):
        raise ModelError("sigma: it stands for weights=1/sigma**2, of the kind 'precision'; leave out one of the two")
    if absolute_sigma:
        if dispersion is not None:
            raise ModelError("absolute_sigma: it stands for dispersion=1; leave out one of the two")
        dispersion = 1.0
    extras = {"weights": weights, "sigma": sigma, "groups": groups, "missing": missing}
    many = by is not None
    if isinstance(model, str):
        if derivatives == "finite":
            raise ModelError("derivatives: an expression always has exact ones; leave derivatives= out")
        read = read_curve(model, data, start, fixed, bounds, by=by, **extras)
    elif callable(model):
        if many:
            raise ModelError("by: a function takes its data as (x, y); give y two dimensions, one curve in each row")
        many = derivatives == "exact" and _has_rows_of_curves(model, data, start)
        read = (read_curves if many else partial(read_function, derivatives=derivatives))(
            model, data, start, fixed, **extras
        )
    else:
        raise ModelError(
            f"model: expected an expression such as 'y ~ b1*exp(-b2*x)' or a function f(params, x); got {model!r}"
        )
    iteration: dict[str, Any] = {
        "tol": tol,
        "max_iter": max_iter,
        "damping": damping,
        "learning_rate": learning_rate,
        "progress": progress,
    }
    made = partial(
        _fit,
        method=method,
        iteration=iteration,
        loss=loss,
        scale=None if scale is None else positive("scale", scale),
        information=information,
        cov=cov,
        dispersion=dispersion,
        formula=model if isinstance(model, str) else None,
        source=data,
        small_sample=small_sample,
        refit=partial(_refitted, data, options_given) if isinstance(model, str) else None,
        inputs=inputs_of(weights_kind, weights=weights, sigma=sigma, penalty=penalty, groups=groups),
    )
    options = (bounds, fixed, weights_kind, penalty, executor_of(executor), seed)
    if many:
        if loss != "squared" or cov != "model" or penalty is not None:
            raise ModelError(
                "by: many curves are fitted by least squares without penalty, with model-based covariances"
            )
        return fit_groups(read, options, made, method, iteration, information, dispersion)
    return made(nonlinear_model(read, *options), read)


def _fit(
    asked: NonlinearModel,
    read: ReadCurve,
    *,
    method: str,
    iteration: dict[str, Any],
    loss: str,
    scale: float | None,
    information: str,
    cov: str,
    dispersion: str | float | None,
    formula: str | None,
    source: Any,
    small_sample: str | None,
    inputs: dict[str, Any],
    refit: Callable[..., Any] | None,
) -> Fit:
    found = estimated(asked, method, start=None, **iteration)
    if loss != "squared":
        asked, found = robust_estimate(
            asked,
            found,
            loss,
            scale,
            partial(estimated, method=method, start=None, **iteration),
            partial(estimated, method=method, start=None, **_shortened(iteration)),
        )
    fit = Fit(
        found,
        asked,
        method=resolve_method(method).name,
        information=information,  # type: ignore[arg-type]
        cov=cov,
        groups=read.data.groups,
        dispersion=dispersion_rule(dispersion, asked.family),
        formula=formula,
        source=source,
        small_sample=small_sample,
        inputs=inputs,
        refit=refit,
    )
    warn_of(fit)
    return fit


def _refitted(data: Any, given: dict[str, Any], formula: str, **options: Any) -> Any:
    """Another curve for the same data: what was said of parameters that it lacks no longer applies."""
    names = names_of_curve(formula)
    kept = dict(given)
    for what in ("start", "fixed", "bounds"):
        if isinstance(kept[what], dict):
            kept[what] = {name: value for name, value in kept[what].items() if name in names} or None
    return nls(formula, data, **kept | options)


def _shortened(iteration: dict[str, Any]) -> dict[str, Any]:
    """The iteration of one start of many."""
    steps = iteration["max_iter"]
    return {**iteration, "max_iter": TRIAL_STEPS if steps is None else min(steps, TRIAL_STEPS), "progress": False}


def _has_rows_of_curves(function: Callable[[Any, Any], Any], data: Any, start: Any) -> bool:
    """Whether y has two dimensions and the function predicts one row of it."""
    if not isinstance(data, tuple | list) or len(data) != 2 or start is None or np.ndim(data[1]) != 2:
        return False
    return predicts_one_row(function, data, start)
