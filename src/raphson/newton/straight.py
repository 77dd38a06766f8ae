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
from typing import NamedTuple, SupportsFloat

import numpy as np

from raphson.linalg import ALIASED, all_finite
from raphson.model.objective import Evaluation, Gram, Objective, Root
from raphson.newton.ascent import PATIENCE, PROGRESS, path_row, quadratic_from
from raphson.newton.by_numbers import MOST_BY_NUMBERS, MOST_CURVED, Curved, column_lengths, curved
from raphson.newton.confined import PATIENCE as STEPS_TO_A_WALL
from raphson.newton.convergence import Measured, Verdict, judge, rounding_floor
from raphson.newton.directions import NEAR
from raphson.newton.methods import Method
from raphson.newton.path import LatePath, Path, PathRow
from raphson.newton.search import POOR, acceptable, backtracking, value_noise
from raphson.newton.solve import ILL_CONDITIONED, Direction, Factor, direction, factorise
from raphson.newton.trust_region import TrustRegion
from raphson.status import Status


class Step(NamedTuple):
    """A step of a course, from which a row of its path is made; the names are those of the row and of the course."""

    here: Evaluation
    part: Gram | Root
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
    floor: SupportsFloat
    root: bool
    factor: Factor | None
    begun: np.ndarray


class LateFloor(NamedTuple):
    """The rounding floor at an end, computed when it is asked for, as the condition number of M takes a factor.

    Attributes
    ----------
    here : the end.
    part, free : M that the distance was measured by, and the mask of its columns.
    lengths : (p,) square roots of M's diagonal.
    """

    here: Evaluation
    part: Gram | Root
    free: np.ndarray
    lengths: np.ndarray

    def __float__(self) -> float:
        factor, here = factorise(self.part, self.free), self.here
        condition = math.inf if factor is None else factor.condition
        floor = rounding_floor(self.lengths, here.theta, here.dispersion, here.rows, condition)
        return max(floor, here.noise_distance)


def runs_straight(objective: Objective, method: Method, free: np.ndarray | None) -> bool:
    """Whether a course may be straight: few rows, no bounds, and steps by an information, in full or in a region."""
    if not objective.few or not (free is None or bool(free.all())):
        return False
    if objective.bounds is not None or objective.prior is not None:
        return False
    kind = method.curvature.kind
    if method.search is None:
        return method.solver == "qr" and kind == "expected" and objective.n_params <= MOST_BY_NUMBERS
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
    part: Gram | Root
    """The method's M at the current point."""
    closer: Gram | Root
    """The information that the distance is measured by, near the maximum the observed one; elsewhere it is `part`."""

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

    @abstractmethod
    def solve(self) -> float | None:
        """Find the step by `part`; returns its decrement at unit dispersion, or None if it is not as expected."""

    @abstractmethod
    def observe(self) -> float | None:
        """The decrement of the full step by `closer`; None if that is not positive definite."""

    @property
    @abstractmethod
    def lengths(self) -> np.ndarray:
        """(p,) square roots of the diagonal of `closer`."""

    @abstractmethod
    def newton_step(self) -> np.ndarray:
        """The full step by `closer`."""

    def measured(self) -> bool:
        """Measure the distance at the current point, as ``Ascent.solve`` and ``Ascent.measure`` do."""
        here = self.here
        self.part = self.closer = here.information[self.kind]
        decrement = exact = self.solve()
        if decrement is None:
            return False
        scale = math.sqrt(here.dispersion)
        own = decrement / scale
        if own > 100.0 * NEAR:
            self.near = False
        elif not self.near and own <= NEAR:
            self.near = True
            if "observed" not in here.information:
                self.need = self.method.need(self.root, True)
                here = self.here = self.objective.evaluate(here.theta, self.need)
                self.rows_read += here.rows
        if "observed" in here.information and not self.own:
            self.closer = here.information["observed"]
            exact = self.observe()
        if exact is None:
            return False
        previous, self.distance = self.distance, exact / scale
        if self.distance > self.polished_from:
            return False
        floor = self._floor() if self.near or self.distance > 0.5 * previous else 0.0
        full = self.size == 1.0 and not self.damping
        self.now = Measured(self.distance, previous, floor, self.polished, full, here.noise_distance)
        self.steps.append(Step(here, self.part, decrement, self.distance, self.size, self.damping, self.rows_read))
        self.rows_read = 0
        return True

    def _floor(self) -> float:
        here = self.here
        return rounding_floor(self.lengths, here.theta, here.dispersion, here.rows)

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
        there = self.objective.evaluate(self.here.theta + self.newton_step(), self.need)
        self.rows_read += there.rows
        if not there.finite:
            return False
        self._step_to(there, polished=True)
        self.polished_from = self.distance
        return True

    def _step_to(self, there: Evaluation, polished: bool) -> None:
        """Go on from the end of a step."""
        self.here, self.size = there, 1.0
        self.polished, self.polished_from = polished, math.inf

    def ended(self, status: Status) -> Course | None:
        """The end; None where it lies at the edge of the domain."""
        here = self.here
        if self.objective.walled and len(self.objective.walls(here.theta)):
            return None
        floor = LateFloor(here, self.closer, self.free, self.lengths)
        kept = None if self.root else factorise(self.part, self.free)
        steps, free, solver = self.steps, self.free, self.method.solver
        path = LatePath([step.distance for step in steps], lambda: _rows(steps, free, solver))
        return Course(here, status, path, free, self.distance, floor, self.root, kept, self.begun)


class _InFull(_Straight):
    """By full steps with the Cholesky factor of an information."""

    found: Direction
    """The method's own step, by `part`."""
    newton: Direction
    """The full step by `closer`."""

    def solve(self) -> float | None:
        found = direction(self.part, self.here.score, self.free)
        if found is None or found.ill_conditioned:
            return None
        self.found = self.newton = found
        return found.decrement

    def observe(self) -> float | None:
        found = direction(self.closer, self.here.score, self.free)
        if found is None:
            return None
        self.newton = found
        return found.decrement

    def newton_step(self) -> np.ndarray:
        return self.newton.step

    @property
    def lengths(self) -> np.ndarray:
        assert self.newton.factor is not None
        return self.newton.factor.scale

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
        self._step_to(there, self.newton is self.found and self.distance <= quadratic_from(here.rows))
        return True


class _InRegion(_Straight):
    """By the steps of a trust region, from rows in root form; parameters that the objective solves for are solved for.

    A trial that is no better shrinks the region, as in :class:`raphson.newton.directions.InRegion`.
    """

    root = True
    curved: Curved | None
    """The full step by `closer`, where that has a second-order term and few parameters."""

    def __init__(self, objective: Objective, method: Method, start: np.ndarray | Evaluation) -> None:
        super().__init__(objective, method, start)
        self.region = TrustRegion(objective.projected)

    def solve(self) -> float | None:
        part, p = self.part, len(self.begun)
        if not isinstance(part, Root) or len(part.triangle) < p or not all_finite(part.triangle):
            return None
        self.proposal = self.region.propose(part.triangle, self.here.theta, self.free)
        self.damping = self.proposal.damping
        rows, lengths = self.region.seen or _read(part.triangle)
        if not all([abs(rows[j][j]) > ALIASED * lengths[j] for j in range(p)]):
            return None
        self.rows, self._lengths, self.curved = rows, lengths, None
        return math.hypot(*[row[p] for row in rows[:p]])

    def observe(self) -> float | None:
        closer, p = self.closer, len(self.begun)
        if not isinstance(closer, Root):
            return None
        z = [row[p] for row in self.rows[:p]]
        if closer.second_order is None:
            return math.hypot(*z)
        B: list[list[float]] = closer.second_order.tolist()
        self._lengths = [math.sqrt(max(v * v + B[j][j], 0.0)) for j, v in enumerate(self._lengths)]
        if p > MOST_CURVED:
            found = direction(closer, self.here.score, self.free)
            return None if found is None else found.decrement
        self.curved = curved(self.rows, z, B)
        return None if self.curved is None else self.curved.length

    def newton_step(self) -> np.ndarray:
        if self.curved is not None:
            return np.array(self.curved.step())
        found = direction(self.closer, self.here.score, self.free)  # whose factor is known
        assert found is not None
        return found.step

    @property
    def lengths(self) -> np.ndarray:
        return np.array(self._lengths)

    def crawls(self) -> bool:
        if not super().crawls() or any([step.damping for step in self.steps[-PATIENCE:]]):
            return False
        factor = factorise(self.part, self.free)
        return factor is None or factor.smallest_pivot**2 >= ILL_CONDITIONED

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
            if self.region.accepts(here, there, slope, proposal):
                self._step_to(there, polished=False)
                return True
            if self.region.spent(here, proposal):
                return False
            assert isinstance(self.part, Root)
            proposal = self.region.propose(self.part.triangle, here.theta, self.free)
        return False


def _read(triangle: np.ndarray) -> tuple[list[list[float]], list[float]]:
    """The rows of a triangle [R, z], and the lengths of R's columns."""
    rows: list[list[float]] = triangle.tolist()
    return rows, column_lengths(rows, triangle.shape[1] - 1)


def _rows(steps: list[Step], free: np.ndarray, solver: str) -> list[PathRow]:
    """The path."""
    return [
        path_row(
            number,
            step.here,
            step.here.score,
            step.decrement,
            factorise(step.part, free),
            distance=step.distance,
            step=step.size,
            damping=step.damping,
            rows=step.rows,
            solver=solver,
        )
        for number, step in enumerate(steps)
    ]
