"""The loop of :mod:`raphson.newton.maximize` where nothing is in its way: full steps by Cholesky, straight to the end.

With few rows the loop's decisions take longer than its arithmetic. Nearly always they are the same: the matrix has a
good factor, the full step raises ℓ, nothing is aliased, bounded or damped. Here that course is written out, with the
same directions, judged by the same rules, so that the path is the same step for step; tests compare the two. At the
first thing that is not as expected there is no result, and the loop begins anew.
"""
# pyright: strict

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from raphson.model.objective import Evaluation, Objective
from raphson.newton.ascent import LARGEST_FLOOR, PATIENCE, PROGRESS, QUADRATIC
from raphson.newton.confined import PATIENCE as STEPS_TO_A_WALL
from raphson.newton.convergence import Measured, Verdict, judge, rounding_floor
from raphson.newton.directions import NEAR
from raphson.newton.methods import Method
from raphson.newton.path import LatePath, Path, PathRow
from raphson.newton.search import POOR, acceptable, backtracking, value_noise
from raphson.newton.solve import Direction, direction
from raphson.status import Status


class Step(NamedTuple):
    """A step of a course, from which a row of its path is made; the names are those of the row and of the course."""

    here: Evaluation
    found: Direction
    decrement: float
    distance: float
    size: float
    rows: int


class Course(NamedTuple):
    """The end of a straight course; the names are those of :class:`raphson.newton.maximize.Result`."""

    evaluation: Evaluation
    status: Status
    path: Path
    free: np.ndarray
    distance: float
    floor: float
    found: Direction
    begun: np.ndarray


def runs_straight(objective: Objective, method: Method, free: np.ndarray | None) -> bool:
    """Whether a course may be straight: few rows, no bounds, and steps by the factor of an information."""
    return (
        objective.few
        and method.solver == "cholesky"
        and method.search is backtracking
        and method.curvature.kind in ("expected", "observed")
        and (free is None or bool(free.all()))
    )


def straight(
    objective: Objective,
    start: np.ndarray | Evaluation,
    method: Method,
    tolerance: float,
    limit: int,
    suspect: Callable[[Evaluation], bool] | None,
    polish: bool,
) -> Course | None:
    """The course from `start` to the maximum; None where it is not straight. Arguments as of ``maximize``."""
    course = _Straight(objective, method, start)
    if not course.here.finite or (objective.walled and len(objective.walls(course.begun))):
        return None
    while course.measured():
        verdict = judge(course.now, tolerance)
        if verdict is Verdict.CONVERGED or (verdict is Verdict.POLISH and not polish):
            return course.ended(Status.CONVERGED)
        if verdict is Verdict.ROUNDING_FLOOR:
            return course.ended(Status.ROUNDING_FLOOR)
        if (suspect is not None and suspect(course.here)) or len(course.steps) > limit or course.crawls():
            return None
        if not (course.polish() if verdict is Verdict.POLISH else course.search()):
            return None
    return None


class _Straight:
    """A running course."""

    def __init__(self, objective: Objective, method: Method, start: np.ndarray | Evaluation) -> None:
        self.objective, self.method = objective, method
        kind = method.curvature.kind
        assert kind is not None
        self.kind, self.own = kind, kind == objective.same("observed")
        self.need = method.need(False, False)
        self.here = start if isinstance(start, Evaluation) else objective.evaluate(start, self.need)
        self.begun, self.rows_read = self.here.theta, self.here.rows
        self.free = np.ones(len(self.begun), dtype=bool)
        self.steps: list[Step] = []
        self.near = self.polished = False
        self.distance = self.polished_from = math.inf
        self.size = math.nan
        self.found = self.newton = Direction(self.begun, math.nan, None)

    def measured(self) -> bool:
        """Measure the distance at the current point, as ``Ascent.solve`` and ``Ascent.measure`` do."""
        here = self.here
        found = direction(here.information[self.kind], here.score, self.free)
        if found is None or found.ill_conditioned:
            return False
        scale = math.sqrt(here.dispersion)
        own = found.decrement / scale
        if own > 100.0 * NEAR:
            self.near = False
        elif not self.near and own <= NEAR:
            self.near = True
            if "observed" not in here.information:
                self.need = self.method.need(False, True)
                here = self.here = self.objective.evaluate(here.theta, self.need)
                self.rows_read += here.rows
        newton: Direction | None = found
        if "observed" in here.information and not self.own:
            newton = direction(here.information["observed"], here.score, self.free)
        if newton is None:
            return False
        previous, self.distance = self.distance, newton.decrement / scale
        if self.distance > self.polished_from:
            return False
        self.found, self.newton = found, newton
        floor = self._floor() if self.near or self.distance > 0.5 * previous else 0.0
        self.now = Measured(self.distance, previous, floor, self.polished, self.size == 1.0, here.noise_distance)
        self.steps.append(Step(here, found, own, self.distance, self.size, self.rows_read))
        self.rows_read = 0
        return True

    def _floor(self, condition: float = 1.0) -> float:
        here, factor = self.here, self.newton.factor
        assert factor is not None
        floor = rounding_floor(factor.scale * factor.scale, here.theta, here.dispersion, here.rows, condition)
        return min(floor, LARGEST_FLOOR) if here.dispersion == 1.0 else floor

    def crawls(self) -> bool:
        """Whether the general loop might give up this M, or look for walls."""
        steps = self.steps
        if self.objective.walled and len(steps) > STEPS_TO_A_WALL:
            return True
        return len(steps) > PATIENCE and steps[-1].distance > PROGRESS * steps[-1 - PATIENCE].distance

    def search(self) -> bool:
        """Take the full step if the search would; whether it does."""
        here, step = self.here, self.found.step
        slope = float(here.score.dot(step))
        if not slope > 0:
            return False
        there = self.objective.evaluate(here.theta + step, self.need)
        self.rows_read += there.rows
        if not acceptable(here, there, 1.0, slope, step):
            return False
        rise = there.value - here.value
        if rise < POOR * slope and rise > value_noise(here):
            return False
        self.polished = self.newton is self.found and self.distance <= QUADRATIC
        self.polished_from = math.inf
        self.here, self.size = there, 1.0
        return True

    def polish(self) -> bool:
        """Take the last full step; whether it leads to a point of the domain."""
        there = self.objective.evaluate(self.here.theta + self.newton.step, self.need)
        self.rows_read += there.rows
        if not there.finite:
            return False
        self.polished, self.polished_from = True, self.distance
        self.here, self.size = there, 1.0
        return True

    def ended(self, status: Status) -> Course | None:
        """The end; None where it lies at the edge of the domain."""
        here, factor = self.here, self.newton.factor
        assert factor is not None
        if self.objective.walled and len(self.objective.walls(here.theta)):
            return None
        floor = max(self._floor(factor.condition), here.noise_distance)
        steps = self.steps
        path = LatePath(len(steps), lambda: [_row(number, step) for number, step in enumerate(steps)])
        return Course(here, status, path, self.free, self.distance, floor, self.found, self.begun)


def _row(number: int, step: Step) -> PathRow:
    """A row of the path."""
    here, factor = step.here, step.found.factor
    assert factor is not None
    return PathRow(
        number,
        here.value,
        math.sqrt(sum([s * s for s in here.score.tolist()])),
        step.decrement,
        step.distance,
        step.size,
        0.0,
        factor.condition,
        step.rows,
        "cholesky",
        here.added,
    )
