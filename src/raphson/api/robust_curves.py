"""Robust fits of curves: M-estimates from several starting points.

A robust objective has several maxima, and the one next to the least squares fit may be a bad one: a single outlier, if
it is far enough away, moves that fit so much that the good rows look like the outliers. So the iteration begins at the
least squares fit, at the user's start, and at the best points of a search by a criterion that needs no scale, and the
highest maximum is kept. Objectives can be compared only at the same scale. Where none is given, it is that of
MM-estimation (Yohai 1987, Ann. Statist. 15, 642): the smallest M-scale of the residuals over all starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from raphson.errors import DataError, RaphsonError
from raphson.model.curve.least_squares import NonlinearModel
from raphson.model.families.robust import preliminary_scale, resolve_loss
from raphson.newton.estimate import Estimate

SCALE_ROUNDS = 30
"""Most times that the scale of a robust loss is estimated again."""

STARTS, SIMULATED = 6, 2
"""How many points of the search serve as starts, and how many where each evaluation may be a long simulation."""

Maximiser = Callable[[NonlinearModel], Estimate]


def robust_estimate(
    squared: NonlinearModel, found: Estimate, loss: str, scale: float | None, maximise: Maximiser, trial: Maximiser
) -> tuple[NonlinearModel, Estimate]:
    """The M-estimate of a curve.

    Parameters
    ----------
    squared, found : the curve with squared loss, and its least squares estimate.
    loss : name of the loss.
    scale : scale of the residuals; None to estimate it with the curve.
    maximise : fits a model from its starting values.
    trial : does the same more cheaply, for one of many starts.
    """
    resolve_loss(loss, 1.0)  # an unknown loss is refused before the search
    first = found.result.theta
    best, note = _best_start(squared.sample, first, loss, scale, trial)
    model, found = _alternated(squared, best, loss, scale, maximise)
    if note:
        found = replace(found, note=f"{found.note or model.advice(found.status)}; {note}")
    return model, found


def _best_start(
    squared: NonlinearModel, first: np.ndarray, loss: str, scale: float | None, trial: Maximiser
) -> tuple[np.ndarray, str]:
    """The start of the highest maximum and a note about it; the least squares fit and no note if that is as good."""
    if loss == "huber" and not (squared.movable & ~squared.conditionally_linear).any():
        return first, ""  # the objective is concave, so there is one maximum
    others = squared.robust_starts(STARTS if squared.curve.by_row else SIMULATED)
    with np.errstate(all="ignore"):
        starts = [first, *(theta for theta in others if np.isfinite(squared.counted_residuals(theta)).all())]
    if scale is None:
        starts, scale = _scaled(squared, starts, trial)
    if not scale > 0:
        return first, ""  # more than half of the rows are fitted exactly; _alternated raises the error
    ends = [_end(squared, theta, loss, scale, trial) for theta in starts]
    value, number = max((end[1], -i) for i, end in enumerate(ends))
    same = 1e-9 * abs(value) + 1e-12
    if -number == 0 or not value > ends[0][1] + same:
        return first, ""
    return ends[-number][0], (
        "the robust objective is higher at this maximum than at the one nearest to the least squares fit; it was "
        f"found from the best of {len(starts) - 1} other starts"
    )


def _scaled(squared: NonlinearModel, starts: Sequence[np.ndarray], trial: Maximiser) -> tuple[list[np.ndarray], float]:
    """The Huber fit from each start, with a scale of its own, and the smallest of their scales."""
    ends, scales = [], []
    for theta in starts:
        size = squared.residual_scale(theta)
        end = _end(squared, theta, "huber", size, trial)[0] if size > 0 else theta
        ends.append(end)
        scales.append(preliminary_scale(squared.counted_residuals(end), int(squared.movable.sum())))
    return ends, min(scales)


def _end(
    squared: NonlinearModel, theta: np.ndarray, loss: str, scale: float, trial: Maximiser
) -> tuple[np.ndarray, float]:
    """The better of the fits from a start, directly and by way of Huber's loss, and its objective."""
    ways = [[loss]] if loss == "huber" else [["huber", loss], [loss]]
    ends = []
    for way in ways:
        here, value = theta, -np.inf
        for name in way:
            try:
                result = trial(squared.with_loss(resolve_loss(name, scale), here)).result
            except RaphsonError:
                break
            here, value = result.theta, result.evaluation.value if name == loss else -np.inf
        ends.append((here, value))
    return max(ends, key=lambda end: end[1])


def _alternated(
    squared: NonlinearModel, theta: np.ndarray, loss: str, scale: float | None, maximise: Maximiser
) -> tuple[NonlinearModel, Estimate]:
    """M-estimate from a start: scale and curve are estimated in turn until the scale stops changing.

    Huber's estimate comes first, as other losses give distant points little or no weight.
    """
    model, found = squared, None
    for name in dict.fromkeys(["huber", loss]):
        size = scale
        for _ in range(SCALE_ROUNDS if scale is None else 1):
            before, size = size, scale or squared.residual_scale(theta)
            if not size > 0:
                raise DataError(
                    "scale: more than half of the rows are fitted exactly, so that the scale of the residuals is 0; "
                    "pass a positive scale="
                )
            if before is not None and scale is None and abs(size - before) <= 1e-13 * size:
                break
            model = squared.with_loss(resolve_loss(name, size), theta)
            found = maximise(model)
            theta = found.result.theta
    assert found is not None
    return model, found
