"""Arguments that front doors share: each has one check, and one way from a checked model to its estimate."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from raphson.errors import (
    ConvergenceWarning,
    ModelError,
    RankWarning,
    SeparationWarning,
    check_choice,
    one_line,
    warn_user,
)
from raphson.execute import Executor, threads
from raphson.fit.fit import Fit
from raphson.fit.uncertainty import COVARIANCES, check_small_sample
from raphson.model.base import check_weights_kind
from raphson.newton.estimate import Estimate, Options, estimate
from raphson.newton.methods import resolve_method
from raphson.status import Status

DISPERSION = ("pearson", "deviance", "ml")


def estimated(
    model: Any,
    method: str,
    *,
    start: np.ndarray | None,
    tol: float,
    max_iter: int | None,
    damping: float,
    learning_rate: float | None,
    progress: bool | Callable[..., None],
    seed: int | None = None,
) -> Estimate:
    """Check what the user says about the iteration, and run it."""
    with progress_shown(progress) as show:
        options = Options(
            resolve_method(method),
            positive("tol", tol),
            None if max_iter is None else count("max_iter", max_iter),
            not_negative("damping", damping),
            None if learning_rate is None else positive("learning_rate", learning_rate),
            None if show is None else lambda step: show(iteration=step.iteration, distance=step.distance),
            None if seed is None else count("seed", seed),
        )
        return estimate(model, options, start)


def warn_of(fit: Fit) -> None:
    """One warning for what the user must know before using the numbers."""
    if fit.status is Status.SEPARATED:
        warn_user(f"separation: {fit.message}", SeparationWarning)
    elif not fit.converged:
        warn_user(f"not converged ({fit.status.value}): {fit.message}", ConvergenceWarning)
    if fit.has_aliased or fit.has_undetermined:
        warn_user(f"rank: {fit.lacking}", RankWarning)
    elif fit.use_t and fit.df_resid <= 0:
        warn_user(fit.lacking, RankWarning)


def progress_shown(progress: bool | Callable[..., None]) -> Any:
    """A context that shows progress as asked for: gives a function, or None."""
    if progress is True:
        from raphson.report.progress import Progress

        return Progress("Fitting")
    if progress and not callable(progress):
        raise ModelError(f"progress: expected True, False or a function; got {progress!r}")
    return nullcontext(progress or None)


def executor_of(executor: Executor | None) -> Executor:
    """The executor asked for; threads by default."""
    if executor is None:
        return threads()
    # An executor of the standard library has a map too, which gives an iterator and no list.
    if not callable(getattr(executor, "map", None)) or hasattr(executor, "submit"):
        raise ModelError(
            f"executor: expected rp.execute.threads(n), rp.execute.serial() or None; got {one_line(executor)}"
        )
    return executor


def covariance_kind(cov: str | None, weights_kind: str, groups: Any, small_sample: str | None = "full") -> str:
    """The covariance asked for, checked; the default goes with the weights and groups."""
    check_weights_kind(weights_kind)
    if cov is None:
        cov = "cluster" if groups is not None else "HC0" if weights_kind == "sampling" else "model"
    check_choice("cov", cov, COVARIANCES)
    if cov == "cluster" and groups is None:
        raise ModelError("groups: cov='cluster' needs groups=, the cluster of each row")
    check_small_sample(small_sample, cov)
    return cov


def inputs_of(weights_kind: str, **given: Any) -> dict[str, Any]:
    """What a model was given beside its formula, as a summary tells it: a name or a number itself, else "array".

    Examples
    --------
    >>> inputs_of("frequency", weights="w", offset=[0.0, 1.0], penalty=2, trials=None)
    {'weights': 'w', 'offset': 'array', 'penalty': 2.0, 'weights_kind': 'frequency'}
    """
    told: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, str):
            told[name] = value
        elif isinstance(value, numbers.Real):
            told[name] = float(value)
        elif value is not None:
            told[name] = "array"
    return told | ({"weights_kind": weights_kind} if "weights" in told else {})


def dispersion_rule(dispersion: str | float | None, family: Any) -> str | float:
    """How φ is found: the name of a rule, or its value."""
    if isinstance(dispersion, numbers.Real) and not isinstance(dispersion, bool):
        value = positive("dispersion", float(dispersion))
        if family.dispersion_fixed and value != 1.0:
            raise ModelError(
                f"dispersion: it is 1 by definition for the {family.name} family; got {value:g}. "
                "Use family='quasipoisson' or 'quasibinomial' to have it estimated"
            )
        return value
    if dispersion is None:
        return "pearson"
    check_choice("dispersion", dispersion, DISPERSION)
    return str(dispersion)


def start_vector(start: Any, n_params: int) -> np.ndarray | None:
    """The starting values asked for, checked; None for the model's own."""
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


def positive(name: str, value: Any) -> float:
    """A positive number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
        raise ModelError(f"{name}: expected a positive number; got {value!r}")
    return float(value)


def not_negative(name: str, value: Any) -> float:
    """A number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise ModelError(f"{name}: expected a number, 0 or more; got {value!r}")
    return float(value)


def count(name: str, value: Any) -> int:
    """A whole number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ModelError(f"{name}: expected a whole number, 0 or more; got {value!r}")
    return int(value)
