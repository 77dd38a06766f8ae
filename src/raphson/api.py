"""The front doors: each puts a model together, has it maximised, and returns a Fit."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from raphson.data import from_arrays, from_formula
from raphson.errors import ConvergenceWarning, ModelError, RankWarning, SeparationWarning
from raphson.execute import Executor, threads
from raphson.fit import Fit
from raphson.model.glm import GeneralisedLinearModel
from raphson.newton.estimate import Options, estimate
from raphson.newton.methods import METHODS, resolve_method
from raphson.newton.path import Step
from raphson.newton.status import Status
from raphson.uncertainty import COVARIANCES, INFORMATION

DISPERSION = ("pearson", "deviance", "ml")


def glm(
    formula: Any,
    data: Any = None,
    *,
    family: Any = "gaussian",
    method: str = "fisher-scoring",
    names: Sequence[str] | None = None,
    trials: Any = None,
    offset: Any = None,
    weights: Any = None,
    weights_kind: str = "precision",
    penalty: Any = None,
    information: str = "expected",
    cov: str | None = None,
    groups: Any = None,
    dispersion: str | float | None = None,
    start: Any = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    missing: str = "drop",
    seed: int | None = None,
    progress: bool | Callable[..., None] = False,
    executor: Executor | None = None,
) -> Fit:
    """Fit a generalised linear model by maximum likelihood.

    Maximises ℓ(β) = Σ w_i log f(y_i | g⁻¹(x_iᵀβ + offset_i)) − ½ βᵀPβ at unit dispersion, by
    θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ) with the M of `method` (McCullagh and Nelder 1989, section 2.5).

    Parameters
    ----------
    formula : a formula such as ``"low ~ age + C(race)"``, or the response as an array (n,).
    data : with a formula a data frame (pandas, polars, Arrow), a dict of columns, or the path of a CSV, TSV, Parquet
        or Arrow file; with arrays the design matrix X (n, p), used as given: no intercept is added.
    family : a name or an object such as ``rp.families.Gamma(link="log")``.
    method : "newton", "fisher-scoring" (default), "irls", "bhhh", "newton-cg" or "gradient-descent".
    names : column names of X.
    trials : group sizes of binomial counts: a column name or an array (n,); the response then counts successes.
    offset : added to the linear predictor: a column name, an expression or an array (n,).
    weights : column name or array (n,), not negative.
    weights_kind : "precision" (Var = φ V(μ)/w), "frequency" (w copies of the row) or "sampling" (pseudo-likelihood).
    penalty : ridge P: a number (spares the intercept), a vector (p,) or a matrix (p, p).
    information : which Fisher information the covariance uses: "expected", "observed" or "opg".
    cov : "model" (default; "HC0" with sampling weights), "HC0" to "HC3", or "cluster".
    groups : cluster of each row, for ``cov="cluster"``: a column name or an array (n,).
    dispersion : "pearson" (default), "deviance", "ml" or a number; families with φ = 1 take none.
    start : (p,) where to begin.
    tol : distance to the maximum, in standard errors, at which one last full step is taken.
    max_iter : steps allowed.
    damping : τ of the first step, a tenth after each accepted one; the maximum stays where it is.
    learning_rate : first trial step size α.
    missing : "drop" (counted and reported) or "raise".
    seed : accepted for symmetry with random methods; nothing here is random.
    progress : True shows a line on a terminal for work longer than a second; a function is called with each step's
        iteration and distance as keywords.
    executor : where sums over blocks run; ``rp.execute.threads()`` by default.

    Returns
    -------
    Fit

    Raises
    ------
    DataError, FormulaError, ModelError
        If the data, the formula or an option cannot be used; the message names it and says what to do.
    ConvergenceError
        If the log-likelihood is not finite at the start.

    Warns
    -----
    ConvergenceWarning, SeparationWarning, RankWarning, MissingDataWarning
        The Fit is still useful, and its ``message`` says how.

    Examples
    --------
    >>> import raphson as rp
    >>> data = {"x": [1, 2, 3, 4, 5, 6], "y": [0, 0, 1, 0, 1, 1]}
    >>> fit = rp.glm("y ~ x", data, family="binomial")
    >>> fit.params.round(4).to_dict()
    {'Intercept': -4.2491, 'x': 1.214}
    >>> fit.converged, fit.n_iter
    (True, 5)
    """
    del seed
    _check_choice("information", information, INFORMATION)
    cov = _covariance_kind(cov, weights_kind, groups)
    extras = {"weights": weights, "offset": offset, "trials": trials, "groups": groups, "missing": missing}
    by_formula = isinstance(formula, str)
    if by_formula:
        if names is not None:
            raise ModelError("names: a formula names its own columns; leave names= out")
        prepared = from_formula(formula, data, **extras)
    else:
        prepared = from_arrays(formula, data, names=names, **extras)
    model = GeneralisedLinearModel.of(prepared, family, weights_kind, penalty, _executor(executor))
    rule = _dispersion_rule(dispersion, model.family)
    chosen = resolve_method(method, tuple(METHODS))
    with _progress(progress) as show:
        watch = None if show is None else _watch(show)
        options = Options(
            chosen,
            _positive("tol", tol),
            None if max_iter is None else _count("max_iter", max_iter),
            _not_negative("damping", damping),
            None if learning_rate is None else _positive("learning_rate", learning_rate),
            watch,
        )
        found = estimate(model, options, _start(start, model.objective.n_params))
    keywords: dict[str, Any] = extras | {
        "family": family,
        "method": method,
        "weights_kind": weights_kind,
        "penalty": penalty,
        "information": information,
        "cov": cov,
        "dispersion": dispersion,
        "tol": tol,
        "max_iter": max_iter,
        "damping": damping,
        "learning_rate": learning_rate,
        "executor": executor,
    }
    fit = Fit(
        found,
        model,
        method=chosen.name,
        information=information,  # type: ignore[arg-type]
        cov=cov,
        groups=prepared.groups,
        dispersion=rule,
        formula=formula if by_formula else None,
        source=data,
        refit=partial(glm, data=data, **keywords) if by_formula else None,
    )
    _warn(fit)
    return fit


def _warn(fit: Fit) -> None:
    """One warning for what the user must know before using the numbers."""
    if fit.status is Status.SEPARATED:
        warnings.warn(f"separation: {fit.message}", SeparationWarning, stacklevel=3)
    elif not fit.converged:
        warnings.warn(f"not converged ({fit.status.value}): {fit.message}", ConvergenceWarning, stacklevel=3)
    if fit.has_aliased:
        warnings.warn(f"rank: {fit.message}", RankWarning, stacklevel=3)
    elif fit.use_t and fit.df_resid <= 0:
        warnings.warn(f"saturated: {fit.message}", RankWarning, stacklevel=3)


def _watch(show: Callable[..., None]) -> Callable[[Step], None]:
    return lambda step: show(iteration=step.iteration, distance=step.distance)


def _progress(progress: bool | Callable[..., None]) -> Any:
    if progress is True:
        from raphson.report.progress import Progress

        return Progress("Fitting")
    if progress and not callable(progress):
        raise ModelError(f"progress: expected True, False or a function; got {progress!r}")
    return nullcontext(progress or None)


def _executor(executor: Executor | None) -> Executor:
    if executor is None:
        return threads()
    if not callable(getattr(executor, "map", None)):
        raise ModelError(f"executor: expected rp.execute.threads(), rp.execute.serial() or None; got {executor!r}")
    return executor


def _covariance_kind(cov: str | None, weights_kind: str, groups: Any) -> str:
    if cov is None:
        return "cluster" if groups is not None else "HC0" if weights_kind == "sampling" else "model"
    _check_choice("cov", cov, COVARIANCES)
    if cov == "cluster" and groups is None:
        raise ModelError("groups: cov='cluster' needs groups=, the cluster of each row")
    return cov


def _dispersion_rule(dispersion: str | float | None, family: Any) -> str | float:
    if isinstance(dispersion, numbers.Real) and not isinstance(dispersion, bool):
        value = _positive("dispersion", float(dispersion))
        if family.dispersion_fixed and value != 1.0:
            raise ModelError(
                f"dispersion: it is 1 by definition for the {family.name} family; got {value:g}. "
                "Use family='quasipoisson' or 'quasibinomial' to have it estimated"
            )
        return value
    if dispersion is None:
        return "pearson"
    _check_choice("dispersion", dispersion, DISPERSION)
    return str(dispersion)


def _start(start: Any, n_params: int) -> np.ndarray | None:
    if start is None:
        return None
    try:
        values = np.asarray(start, dtype=float)
    except (TypeError, ValueError):
        raise ModelError(f"start: expected {n_params} numbers; got {start!r}") from None
    if values.shape != (n_params,) or not np.isfinite(values).all():
        raise ModelError(
            f"start: expected {n_params} finite numbers, one for each coefficient; got shape {values.shape}"
        )
    return values


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ModelError(f"{name}: expected one of {', '.join(choices)}; got {value!r}")


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
        raise ModelError(f"{name}: expected a positive number; got {value!r}")
    return float(value)


def _not_negative(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise ModelError(f"{name}: expected a number, 0 or more; got {value!r}")
    return float(value)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ModelError(f"{name}: expected a whole number, 0 or more; got {value!r}")
    return int(value)
