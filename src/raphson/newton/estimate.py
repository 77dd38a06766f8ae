"""From a model to its estimate: start, climb, and look beyond the edge where the maximum lies at infinity.

Works for anything that offers an objective, starting values and limits.
"""

# pyright: strict

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, TypeVar, cast

import numpy as np

from raphson.errors import RaphsonError
from raphson.model.objective import Evaluation
from raphson.model.problem import Problem
from raphson.newton.directions import MANY_BLOCKS, PART_ROWS
from raphson.newton.kink import at_kink
from raphson.newton.maximize import Result, maximize
from raphson.newton.methods import METHODS, Method
from raphson.newton.path import Path, PathRow
from raphson.newton.solve import factorise
from raphson.newton.stationary import examined, higher, left_behind
from raphson.newton.stochastic import descend
from raphson.numeric import one_blas_thread
from raphson.status import Status

PART_TOLERANCE = 0.5
"""How near, in its own standard errors, the maximum over a part has to be found before one last step."""

SEARCHES, TRIALS, TRIAL_STEPS = 3, 12, 40
"""Searches made at most where an end is doubted, starts that each climbs from, and the steps that these may take."""

ESCAPES = 4
"""Stationary points that are no maxima which an iteration may leave behind."""

ENOUGH = 4
"""Starts that lead to the best maximum seen, after which a search ends."""

PASSED = "a stationary point that is no maximum was met on the way and left behind"
SADDLE = (
    "the score is zero there, but the log-likelihood curves upwards: it is a saddle, not a maximum; pass another start="
)

P = TypeVar("P", bound=Problem)


@dataclass(frozen=True)
class Options:
    """What the user says about the iteration, as :func:`maximize` takes it, and the seed of what is random in it."""

    method: Method
    tol: float = 1e-8
    max_iter: int | None = None
    damping: float = 0.0
    learning_rate: float | None = None
    watch: Callable[[PathRow], None] | None = None
    seed: int | None = None

    def maximum(self, model: Problem, start: np.ndarray | Evaluation, **more: Any) -> Result:
        """Climb from `start`; anything else is said as to :func:`maximize`."""
        said: dict[str, Any] = {"objective": model.objective, "start": start, "free": model.free}
        said |= {one.name: getattr(self, one.name) for one in fields(self) if one.name != "seed"}
        return maximize(**said | more)


@dataclass(frozen=True)
class Estimate(Generic[P]):
    """A fitted model.

    Attributes
    ----------
    model : the model whose maximum `result` is: the one asked for, or its limit.
    result : the iteration's end.
    status : how it ended; says "separated" or "boundary" where the result is that of a limit.
    infinite : (p,) sign of each parameter that is infinite, 0 for the others.
    direction : (p,) along which the likelihood rises for ever, or None.
    note : what a limit means, in words.
    met : other parameters (p,) at which a search found the likelihood as high.
    """

    model: P
    result: Result
    status: Status
    infinite: np.ndarray
    direction: np.ndarray | None = None
    note: str = ""
    met: tuple[np.ndarray, ...] = ()


def estimate(model: P, options: Options, start: np.ndarray | None = None) -> Estimate[P]:
    """Maximise a model's likelihood.

    Parameters
    ----------
    model : such as a :class:`raphson.model.base.Model`.
    options : method and limits of the iteration.
    start : (p,) where to begin; the model's own starting values by default.
    """
    with np.errstate(all="ignore"), one_blas_thread():
        # Trials may leave the domain: what is not finite there is looked at, not warned of. The p × p systems between
        # the sums are small: the threads of NumPy's and SciPy's BLAS would wait for one another, for milliseconds.
        return _estimate(model, options, start)


def _estimate(model: P, options: Options, start: np.ndarray | None) -> Estimate[P]:
    if options.method.solver == "batch":
        result, note = descend(
            model,
            options.method.name,
            start,
            tol=options.tol,
            max_iter=options.max_iter,
            learning_rate=options.learning_rate,
            seed=options.seed,
            watch=options.watch,
        )
        return Estimate(model, result, result.status, np.zeros(len(result.theta)), note=note)
    result = _settled(model, options, _climb(model, options, start, model.suspects_infinity))
    begun = result.begun
    result, passed = _beyond(model, options, result)
    result, note, met = _elsewhere(model, options, result)
    twin = model.label_switched(result.theta)
    if twin is not None:
        again = options.maximum(model, twin)
        result = replace(again, path=result.path.then(again.path))
    told = model.start_note(begun) if start is None and begun is not None else ""
    for more in (told, passed):
        if more:
            note = f"{note or model.advice(result.status)}; {more}"
    limit = model.limit(result.theta, result.evaluation, result.status.converged)
    restart = None if limit is not None or result.status.converged else model.rounding_restart(result.theta)
    if restart is not None:
        again = options.maximum(model, restart[0], free=restart[1])
        limit = model.limit(again.theta, again.evaluation, False)
    if limit is not None:
        inner = _resumed(limit.model, options, result, limit.start)
        # What is left may have its maximum at infinity in turn.
        while (further := limit.model.limit(inner.theta, inner.evaluation, inner.status.converged)) is not None:
            limit = limit.joined(further)
            inner = _resumed(limit.model, options, inner, limit.start)
        status = Status(limit.status) if inner.status.converged else inner.status
        held = cast(P, limit.model)  # a limit is a model like the one that it is the limit of
        return Estimate(held, inner, status, limit.infinite, limit.direction, limit.note)
    if result.status is Status.SEPARATED:
        result = _resumed(model, options, result)
    if result.blocked:
        note = model.stuck_at_edge
    return Estimate(model, result, result.status, np.zeros(model.objective.n_params), None, note, met)


def _beyond(model: Problem, options: Options, result: Result) -> tuple[Result, str]:
    """Go on from a stationary point that is no maximum; what was met, in words.

    A concave log-likelihood has no such points, and of others only those ends are looked at whose information is all
    but singular.
    """
    objective, escapes, passed = model.objective, 0, ""
    if model.concave or options.method.solver == "cg":
        return result, ""
    while escapes < ESCAPES and examined(result, objective):
        there, upwards = higher(result, objective)
        again = None
        if there is not None:
            try:
                again = options.maximum(model, there)
            except RaphsonError:
                again = None
        if again is None or not _better(again, result) or _level(again, result):
            if there is not None and upwards and result.status.converged:
                return replace(result, status=Status.SEARCH_FAILED), SADDLE
            break
        passed = PASSED if result.status.converged else passed
        result, escapes = left_behind(result, again), escapes + 1
    return result, passed


def _settled(model: Problem, options: Options, result: Result) -> Result:
    """An end that no step could better, at the kink that it came to, if it lies at one."""
    ended = result.status in (Status.SEARCH_FAILED, Status.STEP_LIMIT)
    return at_kink(model, result, options.tol) if ended else result


def _elsewhere(model: Problem, options: Options, first: Result) -> tuple[Result, str, tuple[np.ndarray, ...]]:
    """Look for a better maximum where the model has reason to doubt the one found.

    Gives the best, what was done, and the points at which others as high were met.

    As long as the best one is doubtful too, another search is made, until one finds nothing better.
    """
    # No other start can get nearer than the noise allows.
    arrived = first.status.converged or first.distance <= first.evaluation.noise_distance
    separated = first.status is Status.SEPARATED
    doubt = "" if separated else model.needs_multistart(first.theta, arrived, _condition(first), first.n_iter)
    if not doubt or options.max_iter == 0:
        return first, "", ()
    best, tried, ends = first, 0, [first]
    lucky = not model.reliable(first.theta)  # a likelihood made of rounding, which any other replaces
    method = METHODS[model.trial_method] if model.trial_method else options.method
    quick = replace(options, method=method, max_iter=min(options.max_iter or TRIAL_STEPS, TRIAL_STEPS), watch=None)
    for number in range(SEARCHES):
        before, met = best, 0
        for theta in model.candidates(TRIALS, number):
            try:
                trial = quick.maximum(model, theta)
            except RaphsonError:
                continue
            tried += 1
            if not model.reliable(trial.theta):
                continue
            ends.append(trial)
            if lucky or _better(trial, best):
                met = met if not lucky and _level(trial, best) else 0
                best, lucky = trial, False
            met += trial.status.converged and _level(trial, best)
            if met >= ENOUGH:
                break
        settled = not model.needs_multistart(best.theta, best.status.converged, _condition(best))
        if settled or (number and _level(best, before)):
            break
    if best is not first and best.status is Status.STEP_LIMIT:
        rest = options.maximum(model, best.theta)
        best = replace(rest, path=best.path.then(rest.path))
    if best is not first:
        best = _settled(model, options, best)
    level = tuple(end.theta for end in ends if end is not best and end.status.converged and _level(end, best))
    if best is first:
        return first, f"{model.advice(first.status)}; {doubt}, and {tried} other starts led to nothing better", level
    if _level(best, first) and first.status.converged:
        told = f"{model.advice(first.status)}; {doubt}, and the best of {tried} other starts led to the same"
        return first, told, (*level, best.theta)
    best = replace(best, path=first.path.then(Path([first.path.steps[-1], *best.path.steps])))
    return best, f"{model.advice(best.status)}; {doubt}: the best of {tried} other starts is shown", level


def _condition(result: Result) -> float:
    """The condition number of the scaled information's root; infinite where it has lost its rank."""
    part = next(iter(result.evaluation.information.values()), None)
    factor = None if part is None else factorise(part, result.free)
    return np.inf if factor is None or (result.free & ~factor.kept).any() else factor.condition


def _level(a: Result, b: Result) -> bool:
    """Whether two maxima are equally high."""
    within = 1e-9 * abs(b.evaluation.value) + b.evaluation.noise
    return bool(abs(a.evaluation.value - b.evaluation.value) <= within)


def _better(trial: Result, best: Result) -> bool:
    """Whether a maximum is higher; of two that are equally high the one that is converged."""
    if _level(trial, best):
        return trial.status.converged and not best.status.converged
    return bool(trial.evaluation.value > best.evaluation.value)


def _resumed(model: Problem, options: Options, before: Result, start: np.ndarray | None = None) -> Result:
    """Go on from `start` or where an iteration stopped, on another model of the same parameters or fewer."""
    theta = (before.theta if start is None else start)[: model.objective.n_params]
    result = options.maximum(model, theta)
    return replace(result, path=before.path.then(result.path))


def _climb(
    model: Problem, options: Options, start: np.ndarray | None, suspect: Callable[[Evaluation], bool] | None
) -> Result:
    method, objective = options.method, model.objective
    if start is not None:
        inner = objective.likelihood
        if inner is not objective and not objective.evaluate(start).finite and inner.evaluate(start).finite:
            # A penalty may be finite only where the information is positive definite: near the likelihood's maximum.
            start = options.maximum(model, start, objective=inner).theta
        return options.maximum(model, start, suspect=suspect)
    many = objective.n_blocks > MANY_BLOCKS and method.informed
    if many and objective.quadratic:
        return options.maximum(model, np.zeros(objective.n_params))  # one step away, as every point is
    if many:
        return _climb_from_a_part(model, options, suspect)
    begin = model.start(method.need(method.solver == "qr", near=False), plain=not method.informed)
    return options.maximum(model, begin, suspect=suspect)


def _climb_from_a_part(model: Problem, options: Options, suspect: Callable[[Evaluation], bool] | None) -> Result:
    """Begin with the maximum over a part of the rows, spread evenly.

    It lies some √(p·every) standard errors from that over all rows, and its information, times `every`, estimates
    that of all rows to about √(p/part): near enough for the first full step to read the data for the score alone.
    """
    objective, method = model.objective, options.method
    every = max(2, objective.n_rows // PART_ROWS)
    try:
        first = _climb(model.subsampled(every), replace(options, tol=PART_TOLERANCE, watch=None), None, suspect)
    except RaphsonError:
        first = None  # the part may be degenerate where the whole is not
    usable = first is not None and first.status in (Status.CONVERGED, Status.ROUNDING_FLOOR) and first.free.all()
    # At the edge of what the part's rows allow others may have left the domain.
    if first is None or not usable or (objective.walled and not objective.evaluate(first.theta).finite):
        start = model.start(method.need(method.solver == "qr", near=False))
        return options.maximum(model, start, suspect=suspect)
    factor = first.factor
    warm = None if factor is None else replace(factor, scale=factor.scale * np.sqrt(every))
    result = options.maximum(model, first.theta, warm=warm, suspect=suspect)
    path = first.path.scaled(every).then(Path([result.path.steps[0], *result.path.steps]))
    return replace(result, path=path, begun=first.begun)
