"""The loop of :mod:`raphson.newton.maximize` where nothing is in its way: straight to the end, in full or in a region.

With few rows the loop's decisions take longer than its arithmetic. Nearly always they are the same: the matrix has a
good factor, the full step, or that of the trust region, raises ℓ, and nothing is aliased or bounded. Here that course
is written out, with the same directions, judged by the same rules, so that the path is the same step for step; tests
compare the two. At the first thing that is not as expected there is no result, and the loop begins anew.
"""
# pyright: strict

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from raphson.model.objective import Evaluation, Objective, Root
from raphson.newton.ascent import LARGEST_FLOOR, PATIENCE, PROGRESS, QUADRATIC
from raphson.newton.confined import PATIENCE as STEPS_TO_A_WALL
from raphson.newton.convergence import Measured, Verdict, judge, rounding_floor
from raphson.newton.directions import NEAR
from raphson.newton.methods import Method
from raphson.newton.path import LatePath, Path, PathRow
from raphson.newton.search import POOR, acceptable, backtracking, value_noise
from raphson.newton.solve import Direction, Factor, direction, measured
from raphson.newton.trust_region import Proposal, TrustRegion
from raphson.status import Status


class Step(NamedTuple):
    """A step of a course, from which a row of its path is made; the names are those of the row and of the course."""

    here: Evaluation
    found: Direction
    decrement: float
    distance: float
    size: float
    damping: float
    rows: int


class Course(NamedTuple):
    """The end of a straight course; the names are those of :class:`raphson.newton.maximize.Result`."""

    evaluation: Evaluation
    status: Status
    path: Path
    free: np.ndarray
    distance: float
    floor: float
    root: bool
    factor: Factor | None
    begun: np.ndarray


def runs_straight(objective: Objective, method: Method, free: np.ndarray | None) -> bool:
    """Whether a course may be straight: few rows, no bounds, and steps by an information, in full or in a region."""
    if not objective.few or not (free is None or bool(free.all())):
        return False
    if objective.bounds is not None or objective.prior is not None:
        return False
    kind = method.curvature.kind
    if method.search is None:
        return method.solver == "qr" and kind == "expected"
    in_full = method.solver == "cholesky" and method.search is backtracking and objective.projected is None
    return in_full and kind in ("expected", "observed")


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
    course = (_InRegion if method.search is None else _InFull)(objective, method, start)
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


class _Straight(ABC):
    """A running course."""

    root = False
    """Whether matrices come in root form."""

    def __init__(self, objective: Objective, method: Method, start: np.ndarray | Evaluation) -> None:
        self.objective, self.method = objective, method
        kind = method.curvature.kind
        assert kind is not None
        self.kind, self.own = kind, kind == objective.same("observed")
        self.need = method.need(self.root, False)
        self.here = start if isinstance(start, Evaluation) else objective.evaluate(start, self.need)
        self.begun, self.rows_read = self.here.theta, self.here.rows
        self.free = np.ones(len(self.begun), dtype=bool)
        self.steps: list[Step] = []
        self.near = self.polished = False
        self.distance = self.polished_from = math.inf
        self.size, self.damping = math.nan, 0.0
        self.found = self.newton = Direction(self.begun, math.nan, None)

    @abstractmethod
    def solve(self) -> Direction | None:
        """The direction at the current point; None where it is not as expected."""

    def measured(self) -> bool:
        """Measure the distance at the current point, as ``Ascent.solve`` and ``Ascent.measure`` do."""
        here = self.here
        found = self.solve()
        if found is None:
            return False
        scale = math.sqrt(here.dispersion)
        own = found.decrement / scale
        if own > 100.0 * NEAR:
            self.near = False
        elif not self.near and own <= NEAR:
            self.near = True
            if "observed" not in here.information:
                self.need = self.method.need(self.root, True)
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
        full = self.size == 1.0 and not self.damping
        self.now = Measured(self.distance, previous, floor, self.polished, full, here.noise_distance)
        self.steps.append(Step(here, found, own, self.distance, self.size, self.damping, self.rows_read))
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

    @abstractmethod
    def search(self) -> bool:
        """Take the step that the search would; whether there is one."""

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
        kept = None if self.root else self.found.factor
        steps, solver = self.steps, self.method.solver
        path = LatePath(len(steps), lambda: [_row(number, step, solver) for number, step in enumerate(steps)])
        return Course(here, status, path, self.free, self.distance, floor, self.root, kept, self.begun)


class _InFull(_Straight):
    """By full steps with the Cholesky factor of an information."""

    def solve(self) -> Direction | None:
        found = direction(self.here.information[self.kind], self.here.score, self.free)
        return None if found is None or found.ill_conditioned else found

    def search(self) -> bool:
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


class _InRegion(_Straight):
    """By the steps of a trust region, from rows in root form; parameters that the objective solves for are solved for.

    A trial that is no better shrinks the region, as in :class:`raphson.newton.directions.InRegion`.
    """

    root = True

    def __init__(self, objective: Objective, method: Method, start: np.ndarray | Evaluation) -> None:
        super().__init__(objective, method, start)
        self.region = TrustRegion(objective.projected)

    def solve(self) -> Direction | None:
        part = self.here.information[self.kind]
        if not isinstance(part, Root) or not np.isfinite(part.triangle).all():
            return None
        whole = measured(part, self.free)
        if whole is None or not whole.factor.whole:
            return None
        self.triangle = part.triangle
        self.proposal = self._propose()
        self.damping = self.proposal.damping
        return Direction(self.proposal.step, whole.decrement, whole.factor)

    def _propose(self) -> Proposal:
        return self.region.propose(self.triangle, self.here.theta, self.free)

    def crawls(self) -> bool:
        if any([step.damping for step in self.steps[-PATIENCE:]]) or self.found.ill_conditioned:
            return False
        return super().crawls()

    def search(self) -> bool:
        here, proposal = self.here, self.proposal
        while proposal.gain > 0:
            step = proposal.step
            slope = float(here.score.dot(step))
            if not slope > 0:
                return False
            there = self.objective.evaluate(self.objective.moved(here.theta, step), self.need)
            self.rows_read += there.rows
            if not there.finite:
                return False
            accepted = acceptable(here, there, 1.0, slope, step)
            rise = there.value - here.value
            ratio = 1.0 if accepted and abs(rise) <= value_noise(here) else rise / proposal.gain
            self.region.learn(ratio if accepted else min(ratio, 0.25), proposal)
            if accepted:
                self.polished, self.polished_from = False, math.inf
                self.here, self.size = there, 1.0
                return True
            if not proposal.length or self.region.exhausted(here.theta) or proposal.gain <= value_noise(here):
                return False
            proposal = self._propose()
        return False


def _row(number: int, step: Step, solver: str) -> PathRow:
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
        step.damping,
        factor.condition,
        step.rows,
        solver,
        here.added,
    )
