"""The one loop: θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ), for any M.

Each iteration solves for the direction, measures the distance to the maximum, decides whether to stop, and searches in
the direction. The method's three parts (:mod:`raphson.newton.methods`) say what M is, how the system is solved and how
α is found; :mod:`raphson.newton.ascent` has the details of an iteration. With the expected information and QR of √W X
this is iteratively reweighted least squares.
"""

# pyright: strict

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsFloat

import numpy as np

from raphson.frozen import frozen
from raphson.model.objective import Evaluation, Objective
from raphson.newton.ascent import Ascent
from raphson.newton.confined import Confined
from raphson.newton.convergence import Verdict, judge
from raphson.newton.face import Face, face_of
from raphson.newton.methods import Method
from raphson.newton.part import Part
from raphson.newton.path import Path, PathRow
from raphson.newton.solve import Factor
from raphson.newton.straight import Course, runs_straight, straight
from raphson.status import Status

PROVED = 1e-7
"""Largest distance, in standard errors, of the score from a combination of the walls' normals at a maximum: a larger
tolerance or more rounding takes its place. From 1e-11 to 1e-3 nothing changes for four models at the edge."""


@frozen
class Result:
    """The end of an iteration.

    Attributes
    ----------
    evaluation : the objective at the last accepted point, with the information evaluated there or one step before.
    status : how it ended.
    path : the iterations.
    free : (p,) mask of the estimated parameters; the others are aliased, fixed or at a bound.
    aliased : (p,) mask of the parameters that are linear combinations of earlier ones.
    at_bound : (p,) mask of the parameters at a bound beyond which ℓ would rise.
    distance : to the maximum in standard errors, as measured at the last point.
    floor_of : an upper bound on the part of the distance that is rounding: a number, or what becomes one when asked.
    root : whether QR of the rows was used instead of Cholesky.
    factor : of the last M, for another iteration to start with; None if M was never formed.
    begun : (p,) the start; None if it was drawn at random, or was the estimate of a part of the rows.
    face : of the domain that the maximum lies on; None if it is in the interior.
    blocked : whether the boundary of the domain stopped the last step without a proof of a maximum there.
    factor_at : (p,) where the M of `factor` was evaluated: at the last point or one step before; None if not known.
    led : how a part of the rows led to the start, in words; empty where that needs none.
    """

    evaluation: Evaluation
    status: Status
    path: Path
    free: np.ndarray
    aliased: np.ndarray
    at_bound: np.ndarray
    distance: float
    floor_of: SupportsFloat
    root: bool
    factor: Factor | None
    begun: np.ndarray | None = None
    face: Face | None = None
    blocked: bool = False
    factor_at: np.ndarray | None = None
    led: str = ""

    @property
    def floor(self) -> float:
        """The part of the distance that may be rounding."""
        return float(self.floor_of)

    @property
    def theta(self) -> np.ndarray:
        return self.evaluation.theta

    @property
    def n_iter(self) -> int:
        """Number of steps."""
        return max(len(self.path) - 1, 0)


def maximize(
    objective: Objective,
    start: np.ndarray | Evaluation,
    method: Method,
    *,
    free: np.ndarray | None = None,
    tol: float = 1e-8,
    max_iter: int | None = None,
    damping: float = 0.0,
    learning_rate: float | None = None,
    warm: Factor | None = None,
    part: Part | None = None,
    suspect: Callable[[Evaluation], bool] | None = None,
    watch: Callable[[PathRow], None] | None = None,
    polish: bool = True,
) -> Result:
    """Iterate from `start` to the maximum of an objective.

    Parameters
    ----------
    objective : what is maximised.
    start : (p,) where to start, with a finite objective. Pass an evaluation made with ``method.need(root, near=False)``
        to save evaluating it again.
    method : curvature, solver and search.
    free : (p,) mask of the parameters to estimate; all by default.
    tol : distance to the maximum, in standard errors, at which one last full step is taken.
    max_iter : largest number of steps; the method's default if None.
    damping : τ of the first step, which adds τ diag(M) to M; each accepted step divides τ by ten. It does not change
        the maximum.
    learning_rate : first trial step size α; by default 1, or, where M is the identity, adapted to the last step.
    warm : factor of the information as estimated from a part of the data, if `start` comes from that part.
    part : that part, which may then spare the last reading of all rows.
    suspect : whether an accepted point looks as if the maximum were at infinity. The iteration then stops with status
        "separated", and the caller decides by the design.
    watch : called with every step.
    polish : whether one last full step is taken from within `tol`; without it the iteration ends there.

    Raises
    ------
    ConvergenceError
        If the objective is not finite at `start`.
    """
    limit = method.max_iter if max_iter is None else max_iter
    plain = warm is None and watch is None and not damping and learning_rate is None
    if plain and runs_straight(objective, method, free):
        course = straight(objective, start, method, tol, limit, suspect, polish)
        if course is not None:
            return _arrived(course)
    wanted = np.ones(objective.n_params, dtype=bool) if free is None else free
    ascent = Ascent(objective, method, start, wanted, damping, learning_rate, tol, warm, part)
    begun = ascent.here.theta

    def ended(status: Status) -> Result:
        return _result(ascent, status, begun, tol)

    while True:
        if Confined.takes_over(ascent):
            ascent = Confined(ascent)
        if not ascent.solve():
            if Confined.serves(ascent):
                ascent = Confined(ascent)
                continue
            return ended(Status.SINGULAR)
        verdict = judge(ascent.measure(), tol)
        seen = len(ascent.path)
        if watch is not None:
            watch(ascent.path.steps[-1])
        if verdict is Verdict.CONVERGED or (verdict is Verdict.POLISH and not polish):
            if objective.quadratic:
                ascent.refine()
            return ended(Status.CONVERGED)
        if verdict is Verdict.ROUNDING_FLOOR:
            return ended(Status.ROUNDING_FLOOR)
        if suspect is not None and suspect(ascent.here):
            return ended(Status.SEPARATED)
        if len(ascent.path) > limit:
            if verdict is Verdict.POLISH:
                return ended(Status.CONVERGED)  # within `tol` already; polishing would only add digits
            return ended(Status.STEP_LIMIT)
        if (verdict is Verdict.POLISH and ascent.refine()) or ascent.finish():
            if watch is not None and len(ascent.path) > seen:
                watch(ascent.path.steps[-1])
            return ended(Status.CONVERGED)
        if not ascent.advance(polish=verdict is Verdict.POLISH):
            if verdict is Verdict.POLISH:
                return ended(Status.CONVERGED)
            if ascent.at_floor:
                return ended(Status.ROUNDING_FLOOR)
            if Confined.serves(ascent):
                ascent = Confined(ascent)
                continue
            return ended(Status.SEARCH_FAILED)


def _arrived(course: Course) -> Result:
    """The result of a straight course, on which every parameter is free."""
    none = np.zeros(len(course.free), dtype=bool)
    return Result(
        course.evaluation,
        course.status,
        course.path,
        course.free,
        none,
        none,
        course.distance,
        course.floor,
        course.root,
        course.factor,
        course.begun,
    )


def _result(ascent: Ascent, status: Status, begun: np.ndarray, tolerance: float) -> Result:
    """The result of an iteration, which may have ended at the boundary of the domain."""
    status, face, stuck = at_edge(ascent, status, tolerance)
    return Result(
        ascent.here,
        status,
        ascent.path,
        ascent.free,
        ascent.wanted & ~ascent.free & ~ascent.at_bound,
        ascent.at_bound,
        ascent.distance,
        ascent.resolution,
        ascent.directions.root,
        ascent.directions.factor,
        begun,
        face,
        stuck,
        ascent.directions.factor_at,
    )


def at_edge(ascent: Ascent, status: Status, tolerance: float) -> tuple[Status, Face | None, bool]:
    """The status, the face if the iteration ended at the boundary of the domain, and whether it is stuck there.

    An end at the boundary is a maximum only if its multipliers prove it.
    """
    stuck = ascent.blocked and not status.converged
    if not ascent.objective.walled or status is Status.SEPARATED:
        return status, None, stuck
    theta = ascent.here.theta
    walls = ascent.objective.walls(theta)
    if not len(walls):
        return status, None, stuck
    if status.converged:
        face = face_of(ascent.objective, theta, ascent.free, walls)
        allowed = max(10.0 * tolerance, 10.0 * ascent.resolution, PROVED)
        if face is not None and face.residual <= allowed and (face.curved or ascent.objective.concave):
            return Status.BOUNDARY, face, False
    return Status.SEARCH_FAILED, None, True
