"""Robust fits of curves: an M-estimate, and that of its maxima which outliers did not choose.

A robust objective has several maxima, and that next to the least squares fit may be a bad one: one gross outlier, far
enough away, moves the fit so far that the other rows are those that look wrong. So the iteration begins at the least
squares fit, at the user's start, and at the best points of a search by a criterion that needs no scale; the highest
maximum is kept. Objectives compare only at one scale. Where it is not given it is that of MM-estimation (Yohai 1987,
Ann. Statist. 15, 642): the smallest M-scale of the residuals that any of the starts led to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from raphson.errors import DataError, RaphsonError
from raphson.model.curve.least_squares import NonlinearModel
from raphson.model.families.robust import preliminary_scale, resolve_loss, robust_scale
from raphson.newton.estimate import Estimate

SCALE_ROUNDS = 30
"""Times that the scale of a robust loss is estimated anew."""

STARTS, SIMULATED = 6, 2
"""Points of the search that are climbed from; and where each evaluation may be a simulation of the user's."""

Climb = Callable[[NonlinearModel], Estimate]


def robust_estimate(
    squared: NonlinearModel, found: Estimate, loss: str, scale: float | None, climb: Climb, trial: Climb
) -> tuple[NonlinearModel, Estimate]:
    """The M-estimate of a curve.

    Parameters
    ----------
    squared, found : the curve with its square loss, and its least squares estimate.
    loss : name of the loss.
    scale : of its residuals; None to estimate it with the curve.
    climb : fits a model from its starting values.
    trial : does so for one of many.
    """
    resolve_loss(loss, 1.0)  # one that is not known is refused before the search
    first = found.result.theta
    best, told = _best_start(squared, first, loss, scale, trial)
    model, found = _alternated(squared, best, loss, scale, climb)
    if told:
        found = replace(found, note=f"{found.note or model.advice(found.status)}; {told}")
    return model, found


def _best_start(
    squared: NonlinearModel, first: np.ndarray, loss: str, scale: float | None, trial: Climb
) -> tuple[np.ndarray, str]:
    """Where the highest maximum was met, and what was done; the least squares fit itself where that leads there."""
    if loss == "huber" and not (squared.movable & ~squared.conditionally_linear).any():
        return first, ""  # its objective is concave then
    others = squared.robust_starts(STARTS if squared.curve.by_row else SIMULATED)
    with np.errstate(all="ignore"):
        starts = [first, *(theta for theta in others if np.isfinite(_residuals(squared, theta)).all())]
    if scale is None:
        starts, scale = _scaled(squared, starts, trial)
    if not scale > 0:
        return first, ""  # more than half of the rows are fitted exactly, as is told of where it is found again
    ends = [_end(squared, theta, loss, scale, trial) for theta in starts]
    value, number = max((end[1], -i) for i, end in enumerate(ends))
    same = 1e-9 * abs(value) + 1e-12
    if -number == 0 or not value > ends[0][1] + same:
        return first, ""
    return ends[-number][0], (
        f"from the least squares fit the robust objective has a lower maximum: the best of {len(starts) - 1} other "
        "starts, which outliers do not decide, is shown"
    )


def _scaled(squared: NonlinearModel, starts: Sequence[np.ndarray], trial: Climb) -> tuple[list[np.ndarray], float]:
    """The starts, each followed to a Huber fit with its own scale, and the smallest scale among them."""
    ends, scales = [], []
    for theta in starts:
        size = robust_scale(_residuals(squared, theta))
        end = _end(squared, theta, "huber", size, trial)[0] if size > 0 else theta
        ends.append(end)
        scales.append(preliminary_scale(_residuals(squared, end), int(squared.movable.sum())))
    return ends, min(scales)


def _end(squared: NonlinearModel, theta: np.ndarray, loss: str, scale: float, trial: Climb) -> tuple[np.ndarray, float]:
    """Where a start leads, by way of Huber's loss and straight, and the objective there."""
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


def _residuals(model: NonlinearModel, theta: np.ndarray) -> np.ndarray:
    residual = np.sqrt(model.row_weight) * (model.y - model.rows(theta).mean[0])
    return residual[model.row_weight > 0]


def _alternated(
    squared: NonlinearModel, theta: np.ndarray, loss: str, scale: float | None, climb: Climb
) -> tuple[NonlinearModel, Estimate]:
    """M-estimate from a start: scale and curve in turn, until neither moves.

    A loss that gives distant points no weight at all begins at Huber's estimate from there.
    """
    model, found = squared, None
    for name in dict.fromkeys(["huber", loss]):
        size = scale
        for _ in range(SCALE_ROUNDS if scale is None else 1):
            before, size = size, scale or robust_scale(_residuals(squared, theta))
            if not size > 0:
                raise DataError(
                    "scale: more than half of the rows are fitted without any residual, so that their scale is 0; "
                    "pass scale="
                )
            if before is not None and scale is None and abs(size - before) <= 1e-13 * size:
                break
            model = squared.with_loss(resolve_loss(name, size), theta)
            found = climb(model)
            theta = found.result.theta
    assert found is not None
    return model, found
