"""From a model to its estimate: start, iterate, leave saddles, restart elsewhere, and go to the limit at infinity.

It works for every :class:`~raphson.model.problem.Problem`: an objective with starting values and limits.
"""

# pyright: strict

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import Any, Generic, TypeVar, cast

import numpy as np

from raphson.errors import ConvergenceError, RaphsonError
from raphson.frozen import frozen
from raphson.model.objective import Evaluation, Gram
from raphson.model.problem import Problem
from raphson.newton.directions import MANY_BLOCKS, part_rows
from raphson.newton.maximize import Result, maximize
from raphson.newton.methods import METHODS, Method
from raphson.newton.part import Part, carried_on
from raphson.newton.path import Path, PathRow
from raphson.newton.solve import factorise
from raphson.newton.stationary import examined, higher, left_behind
from raphson.numeric import one_blas_thread
from raphson.status import Status

PART_TOLERANCE = 0.25
"""Tolerance for the maximum over a subsample, in its own standard errors over √p: the maximum over all rows is about
√p of them away."""

SMALLEST_PART, FEWEST = 25, 1_000
"""Smallest number of rows per parameter of the subsample that the subsample's own maximum is started from, whose
information then has a relative error of about a fifth, and of rows in all: fewer save nothing."""

NESTED, LARGEST_NESTED = 8, 4
"""That subsample has an eighth of the rows, or as many more as it needs, up to a fourth."""

SEARCHES, TRIALS, TRIAL_STEPS = 3, 12, 40
"""Largest number of multi-start searches, starts of each, and steps from each start."""

ESCAPES = 4
"""Largest number of stationary points other than maxima that an iteration may leave."""

ENOUGH = 4
"""Number of starts leading to the best maximum so far, after which a search ends. If half of the starts led to a better
one, all four would miss it once in 16 times."""

PASSED = "on the way the iteration met and left a stationary point that is not a maximum"
SADDLE = "the score is zero at a saddle, not at a maximum: the log-likelihood is convex in some direction; pass start="

P = TypeVar("P", bound=Problem)


@frozen
class Options:
    """The user's options of the iteration: arguments of :func:`maximize`, the seed of methods that read batches, and
    whether the iteration of many rows begins with a part of them."""

    method: Method
    tol: float = 1e-8
    max_iter: int | None = None
    damping: float = 0.0
    learning_rate: float | None = None
    watch: Callable[[PathRow], None] | None = None
    seed: int | None = None
    polish: bool = True
    subsample: bool = True

    def maximum(self, model: Problem, start: np.ndarray | Evaluation, **more: Any) -> Result:
        """Maximise from `start`, with these options and other arguments of :func:`maximize`."""
        arguments: dict[str, Any] = {"objective": model.objective, "start": start, "free": model.free, **vars(self)}
        del arguments["seed"], arguments["subsample"]
        return maximize(**arguments | more)


@frozen
class Estimate(Generic[P]):
    """A fitted model.

    Attributes
    ----------
    model : the model that was maximised: the user's model, or its limit.
    result : of the iteration.
    status : how it ended; "separated" or "boundary" for a limiting model.
    infinite : (p,) sign of each infinite parameter, 0 for the others.
    direction : (p,) in which the likelihood rises for ever, or None.
    note : a sentence on how the iteration ended, in addition to the status.
    met : other parameters (p,) with an equally high likelihood that a search found.
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
    start : (p,) where to start; the model's own starting values by default.
    """
    with np.errstate(all="ignore"), _thread_limit(model):
        # Trials may leave the domain, where values that are not finite are checked, so NumPy need not warn.
        return _estimate(model, options, start)


def _thread_limit(model: Problem) -> AbstractContextManager[None]:
    """One BLAS thread: for the small p × p systems the thread pools of NumPy and SciPy would wait for each other.

    BLAS leaves few rows to the calling thread anyway, and setting the limit takes as long as two readings of them.
    """
    return nullcontext() if model.objective.few else one_blas_thread()


def _estimate(model: P, options: Options, start: np.ndarray | None) -> Estimate[P]:
    if options.method.solver == "batch":
        from raphson.newton.stochastic import descend

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
    result = _at_kink(model, options, _iterate(model, options, start, model.suspects_infinity))
    begun, led = result.begun, result.led
    result, passed = _leave_saddles(model, options, result)
    result, note, met = _multistart(model, options, result)
    twin = model.label_switched(result.theta)
    if twin is not None:
        again = options.maximum(model, twin)
        result = replace(again, path=result.path.then(again.path))
    start_note = model.start_note(begun) if start is None and begun is not None else ""
    for more in (start_note, led, passed, model.read_beforehand):
        if more:
            note = f"{note or model.advice(result.status)}; {more}"
    limit = model.limit(result.theta, result.evaluation, result.status.converged)
    restart = None if limit is not None or result.status.converged else model.rounding_restart(result.theta)
    if restart is not None:
        again = options.maximum(model, restart[0], free=restart[1])
        limit = model.limit(again.theta, again.evaluation, False)
    if limit is not None:
        inner = _resumed(limit.model, options, result, limit.start)
        # The maximum of the limiting model may be at infinity, too.
        while (further := limit.model.limit(inner.theta, inner.evaluation, inner.status.converged)) is not None:
            limit = limit.joined(further)
            inner = _resumed(limit.model, options, inner, limit.start)
        status = Status(limit.status) if inner.status.converged else inner.status
        held = cast(P, limit.model)  # a limit is of the same kind as its model
        return Estimate(held, inner, status, limit.infinite, limit.direction, limit.note)
    if result.status is Status.SEPARATED:
        result = _resumed(model, options, result)
    if result.blocked:
        note = model.stuck_at_edge
    return Estimate(model, result, result.status, np.zeros(model.objective.n_params), None, note, met)


def _leave_saddles(model: Problem, options: Options, result: Result) -> tuple[Result, str]:
    """Go on from stationary points that are not maxima; also returns a note on them.

    A concave log-likelihood has none. Otherwise only ends with a nearly singular information are examined.
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
        if again is None or not _better(again, result) or _equally_high(again, result):
            if there is not None and upwards and result.status.converged:
                return replace(result, status=Status.SEARCH_FAILED), SADDLE
            break
        passed = PASSED if result.status.converged else passed
        result, escapes = left_behind(result, again), escapes + 1
    return result, passed


def _at_kink(model: Problem, options: Options, result: Result) -> Result:
    """The result at a nearby kink of the objective, if the iteration got stuck near one."""
    if result.status not in (Status.SEARCH_FAILED, Status.STEP_LIMIT):
        return result
    from raphson.newton.kink import at_kink

    return at_kink(model, result, options.tol)


def _multistart(model: Problem, options: Options, first: Result) -> tuple[Result, str, tuple[np.ndarray, ...]]:
    """Search for a better maximum from other starts, if the model has a reason to doubt the one found.

    Returns the best result, a note, and the parameters of other maxima that are equally high. Searches are repeated
    while the best result is doubtful, until one finds nothing better.
    """
    # No other start can get nearer than the noise allows.
    arrived = first.status.converged or first.distance <= first.evaluation.noise_distance
    # Of a concave likelihood there is one maximum.
    single = first.status is Status.SEPARATED or model.concave
    reason = "" if single else model.needs_multistart(first.theta, arrived, _condition(first), first.n_iter)
    if not reason or options.max_iter == 0:
        return first, "", ()
    best, tried, ends = first, 0, [first]
    spurious = not model.reliable(first.theta)  # its likelihood is rounding, so any other result replaces it
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
            if spurious or _better(trial, best):
                met = met if not spurious and _equally_high(trial, best) else 0
                best, spurious = trial, False
            met += trial.status.converged and _equally_high(trial, best)
            if met >= ENOUGH:
                break
        doubtful = model.needs_multistart(best.theta, best.status.converged, _condition(best))
        if not doubtful or (number and _equally_high(best, before)):
            break
    if best is not first and best.status is Status.STEP_LIMIT:
        rest = options.maximum(model, best.theta)
        best = replace(rest, path=best.path.then(rest.path))
    if best is not first:
        best = _at_kink(model, options, best)
    equal = tuple(end.theta for end in ends if end is not best and end.status.converged and _equally_high(end, best))
    if best is first:
        return first, f"{model.advice(first.status)}; {reason}, and {tried} other starts led to nothing better", equal
    if _equally_high(best, first) and first.status.converged:
        note = f"{model.advice(first.status)}; {reason}, and the best of {tried} other starts led to the same"
        return first, note, (*equal, best.theta)
    best = replace(best, path=first.path.then(Path([first.path.steps[-1], *best.path.steps])))
    return best, f"{model.advice(best.status)}; {reason}: the best of {tried} other starts is shown", equal


def _condition(result: Result) -> float:
    """The condition number of the root of the scaled information; infinite if it is singular."""
    part = next(iter(result.evaluation.information.values()), None)
    factor = None if part is None else factorise(part, result.free)
    return np.inf if factor is None or (result.free & ~factor.kept).any() else factor.condition


def _equally_high(a: Result, b: Result) -> bool:
    """Whether two maxima have the same likelihood, up to rounding."""
    within = 1e-9 * abs(b.evaluation.value) + b.evaluation.noise
    return bool(abs(a.evaluation.value - b.evaluation.value) <= within)


def _better(trial: Result, best: Result) -> bool:
    """Whether a maximum is higher, or equally high and the only one that converged."""
    if _equally_high(trial, best):
        return trial.status.converged and not best.status.converged
    return bool(trial.evaluation.value > best.evaluation.value)


def _resumed(model: Problem, options: Options, before: Result, start: np.ndarray | None = None) -> Result:
    """Continue an iteration with another model of the same or fewer parameters, from `start` or where it stopped."""
    theta = (before.theta if start is None else start)[: model.objective.n_params]
    result = options.maximum(model, theta)
    return replace(result, path=before.path.then(result.path))


def _iterate(
    model: Problem, options: Options, start: np.ndarray | None, suspect: Callable[[Evaluation], bool] | None
) -> Result:
    method, objective = options.method, model.objective
    if start is not None:
        inner = objective.likelihood
        if inner is not objective and not objective.evaluate(start).finite and inner.evaluate(start).finite:
            # A penalty may be finite only where the information is positive definite, near the likelihood's maximum.
            start = options.maximum(model, start, objective=inner).theta
        return options.maximum(model, start, suspect=suspect)
    many = objective.n_blocks > MANY_BLOCKS and method.informed
    if many and objective.quadratic:
        return options.maximum(model, np.zeros(objective.n_params))  # any start is one step away
    part = model.part_to_search
    if part is not None and options.subsample:
        return _iterate_from_estimate_of(part, model, options, suspect)
    if many and options.subsample:
        return _iterate_from_subsample(model, options, suspect)
    return _iterate_from_start(model, options, suspect)


def _iterate_from_start(model: Problem, options: Options, suspect: Callable[[Evaluation], bool] | None) -> Result:
    """Start from the model's own starting values."""
    return options.maximum(model, _begin(model, options), suspect=suspect)


def _begin(model: Problem, options: Options) -> Evaluation:
    """The objective at the model's own starting values."""
    method = options.method
    return model.start(method.need(method.solver == "qr", near=False), plain=not method.informed)


def _iterate_from_subsample(
    model: Problem, options: Options, suspect: Callable[[Evaluation], bool] | None, rows: int | None = None
) -> Result:
    """Start from the maximum over an evenly spread subsample of about `rows` rows, by default :func:`part_rows`.

    It is about √(p·share) standard errors from the maximum over all rows, of which there are `share` times as many.
    `share` times its information estimates theirs with a relative error of about √(p/rows of the subsample), which is
    good enough for the first full step to read the data for the score alone.
    """
    objective = model.objective
    p = objective.n_params
    rows = part_rows(objective.n_cases, p, objective.curvature_cost) if rows is None else rows
    every = max(2, objective.n_cases // rows)
    rough = replace(options, tol=PART_TOLERANCE * math.sqrt(p), polish=False, watch=None)
    part, sampled = model.subsampled(every), objective.n_cases // every
    fewer = max(sampled // NESTED, SMALLEST_PART * p, FEWEST)
    try:
        nested = fewer <= sampled // LARGEST_NESTED
        first = _iterate_from_subsample(part, rough, suspect, fewer) if nested else _of_part(part, rough, suspect)
    except RaphsonError:
        first = None  # the subsample may be degenerate although the whole is not
    usable = first is not None and first.status in (Status.CONVERGED, Status.ROUNDING_FLOOR) and first.free.all()
    # At the boundary of the subsample's domain, other rows may be outside theirs.
    if first is None or not usable or (objective.walled and not objective.evaluate(first.theta).finite):
        return _iterate_from_start(model, options, suspect)
    return _iterate_from_part(first, part, model, options, suspect)


def _of_part(part: Problem, options: Options, suspect: Callable[[Evaluation], bool] | None) -> Result | None:
    """The maximum over a part of the rows; None where a column is 0 in all of them, as of a rare level's may be."""
    if part.objective.n_blocks > MANY_BLOCKS or part.part_to_search is not None:
        return _iterate(part, options, None, suspect)
    begin = _begin(part, options)
    # Of so few rows no information is kept, and the first one says which columns there are.
    lacking = any(isinstance(M, Gram) and (M.matrix.diagonal() == 0).any() for M in begin.information.values())
    return None if lacking else options.maximum(part, begin, suspect=suspect)


def _iterate_from_estimate_of(
    part: Problem, model: Problem, options: Options, suspect: Callable[[Evaluation], bool] | None
) -> Result:
    """Start from the estimate of a part of the rows, for which other starts were tried too."""
    try:
        found = _estimate(part, replace(options, watch=None), None)
    except RaphsonError:
        found = None  # the part may be degenerate although the whole is not
    if found is not None:
        note = found.note.removeprefix(part.advice(found.status)).removeprefix("; ")
        of, n = part.objective.n_cases, model.objective.n_cases
        note = f"{note} (on {of:,} of the {n:,} rows)" if note and of < n else note
        with suppress(ConvergenceError):  # other rows may be outside their domain there
            result = _iterate_from_part(found.result, part, model, options, suspect)
            return replace(result, begun=None, led=note)
    return _iterate_from_start(model, options, suspect)


def _iterate_from_part(
    first: Result, part: Problem, model: Problem, options: Options, suspect: Callable[[Evaluation], bool] | None
) -> Result:
    """Start from the maximum over a part of the rows, with its information."""
    objective, method = model.objective, options.method
    # A stream keeps a sample, which may have fewer rows than were asked for.
    factor, of_all = first.factor, Part(part.objective, objective.n_cases / part.objective.n_cases)
    kind = method.curvature.kind
    # An M that is the same everywhere is evaluated with the first score, and serves to the end.
    serves = factor is not None and first.free.all() and not (kind is not None and objective.constant(kind))
    warm = None
    if factor is not None and serves and not of_all.light(objective):
        warm = factor.scaled(math.sqrt(of_all.share))
    result = options.maximum(model, first.theta, warm=warm, part=of_all if serves else None, suspect=suspect)
    if serves and result.factor_at is not None:
        here = carried_on(result.evaluation, result.factor_at, of_all, options.tol)
        result = replace(result, evaluation=here)
    path = first.path.scaled(of_all.share).then(Path([result.path.steps[0], *result.path.steps]))
    return replace(result, path=path, begun=first.begun)
