"""The parts of one iteration: solve for a direction, measure the distance to the maximum, and advance."""
# pyright: strict

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from raphson.model.objective import Evaluation, Gram, Kind, Need, Objective
from raphson.newton.convergence import Measured, rounding_floor
from raphson.newton.directions import DRIFT, MOST_PARAMETERS, NEAR, InRegion, Uphill, directions_of
from raphson.newton.methods import Method
from raphson.newton.part import Part, final_step
from raphson.newton.path import PathRow
from raphson.newton.search import Accepted
from raphson.newton.solve import Direction, Factor, direction
from raphson.newton.state import IterationState
from raphson.numeric import EPSILON

QUADRATIC = 1e-6
"""From within a distance d of n^¼ times this a full Newton step is the last one needed: it leaves about d²/√n = 1e-12.
Of many rows, where a reading takes long, so it is from ten times as far, which leaves 1e-10."""

UNSEEN = 1e-8
"""A step of so many standard errors raises ℓ by 5e-17, and moves M, and with it the standard errors, by 1e-8/√n."""

GLIDE, GLIDE_WITHIN = 5e-6, 0.5
"""Largest last step that is not read for, by an M that is the same everywhere, and share of the tolerance within which
it must lead. Along it ℓ rises by 1e-11, and φ̂ changes by 5e-6/√n of itself, of 65,536 rows in the eighth digit. With
very uneven weights it left 1.5 times what was expected."""

WITHIN = 0.1
"""Share of the tolerance within which a step must lead that no reading of all rows follows."""

SUMMED = 8.0
"""Errors of sums over many rows, in ε: of 81,920 rows five were found, with nearly collinear columns and a penalty."""

PATIENCE, PROGRESS = 8, 0.1
"""If so many steps do not reduce the distance to this fraction, the observed information takes over. A method that
takes a quarter off the distance with every step just does: 0.75⁸ = 0.1."""


def quadratic_from(rows: int) -> float:
    """The distance from within which a full Newton step over so many rows is the last one needed."""
    return QUADRATIC * rows**0.25


class Ascent(IterationState):
    """A running iteration.

    Parameters
    ----------
    objective, method : what is maximised, and how.
    start : (p,) parameters, or an evaluation of the objective there with the information that the method needs.
    free : (p,) mask of the parameters that move.
    damping : τ of the first step; each accepted step divides it by ten.
    learning_rate : first trial step size; by default 1, or, where M is the identity, adapted to the last step.
    tolerance : distance to the maximum at which to stop.
    warm : factor of the information near the maximum, if known from a part of the data.
    part : that part.
    """

    def __init__(
        self,
        objective: Objective,
        method: Method,
        start: np.ndarray | Evaluation,
        free: np.ndarray,
        damping: float,
        learning_rate: float | None,
        tolerance: float,
        warm: Factor | None,
        part: Part | None = None,
    ) -> None:
        super().__init__(objective, free, tolerance)
        self.directions = directions_of(method, objective, damping, learning_rate, warm, part)
        self.part, self.near = part, self.directions.begins_near
        self.refuted = False
        """Whether a search found no increase where M predicted one; then only the observed information is used."""
        self.taken_over = False
        """Whether the observed information has replaced the method's own M, which made no more progress."""
        self.found: Direction | None = None
        """The method's own direction at the current point."""
        self.newton: Direction | None = None
        """The full step by the observed information (by the expected one if that is indefinite)."""
        self.before: Evaluation | None = None
        """The point before the last step."""
        self.last_good: tuple[Evaluation, float] | None = None
        """The point before the polishing step, and its distance."""
        self.begin(start, self.need() if self.directions.fresh else Need())

    def need(self) -> Need:
        """What the next evaluation has to compute."""
        return self.directions.need(self.near)

    # -- the direction -------------------------------------------------------------------------------------------

    def solve(self) -> bool:
        """Solve (M + τD) d = ∇ℓ for the direction. False if there is none at any damping."""
        self.free_from_bounds()
        self.found = self.directions.solve(self)
        return self.found is not None or self._take_over()

    def _take_over(self) -> bool:
        """Use the observed information from here on, made positive definite if necessary. False if that fails."""
        if self.taken_over or not self.directions.factors or self.objective.n_params > MOST_PARAMETERS:
            return False
        if self._observes and self.found is not None and not self.directions.damping:
            return False  # the method uses it already
        before = self.here, self.directions, self.found
        self.taken_over = True
        self.directions = Uphill(self.directions, self.objective)
        self.found = self.directions.solve(self)
        if self.found is None or not self.found.decrement > 0:
            self.here, self.directions, self.found = before
            return False
        self.newton, self.last_good = self.found, None
        return True

    @property
    def _observes(self) -> bool:
        return self.directions.observes(self.objective)

    def _crawls(self) -> bool:
        """Whether the method's last steps, none of them damped, have hardly reduced the distance.

        Its M then differs from the observed information by a large factor in some direction: a step multiplies the
        distance there by 1 − λ, with λ the eigenvalue of M⁻¹ times the observed information.
        """
        steps = self.path.steps
        if self.polished or len(steps) <= PATIENCE or not self.directions.factors:
            return False
        damped = [bool(step.damping) for step in steps[-PATIENCE:]]
        if self._observes and not all(damped):
            return False  # its steps are Newton's, or were damped for a while where the information is indefinite
        if isinstance(self.directions, InRegion) and any(damped):
            return False
        if self.found is not None and self.found.ill_conditioned:
            return False  # QR of the rows keeps digits that the observed information, a Gram matrix, has lost
        return steps[-1].distance > PROGRESS * steps[-1 - PATIENCE].distance

    # -- the distance --------------------------------------------------------------------------------------------

    def measure(self) -> Measured:
        """The distance to the maximum in standard errors, near it by the observed information."""
        assert self.found is not None
        self.previous = self.distance
        scale = math.sqrt(self.here.dispersion)
        own = self.found.decrement / scale
        self.newton = self.found
        if not self.directions.fresh:
            # A kept M is that of every point where ℓ is quadratic; elsewhere a stall says that it is time for another.
            self.distance, self.floor = own, self._floor() if self._one_step else 0.0
        else:
            self._look_closer(own)
            self.newton = self._newton_direction()
            self.distance = self.newton.decrement / scale
            self.floor = self._floor() if self.near or self.distance > 0.5 * self.previous else 0.0
        if self.last_good is not None and self.distance > self.last_good[1]:
            # The last full step was shorter than the rounding of the score, and the point before it as good.
            information = self.here.information or self.last_good[0].information
            self.here, self.distance = replace(self.last_good[0], information=information), self.last_good[1]
        full = self.size == 1.0 and not self.directions.damping and (self.directions.fresh or self._one_step)
        self._record()
        self.directions.measured(self)
        return self._measured(full)

    def _measured(self, full: bool) -> Measured:
        return Measured(self.distance, self.previous, self.floor, self.polished, full, self.here.noise_distance)

    def _look_closer(self, own: float) -> None:
        """Near the maximum, evaluate the observed information too."""
        assert self.found is not None
        if self.refuted:
            return
        if own > 100.0 * self.directions.near_at:
            self.near = False
        elif not self.near and own <= self.directions.near_at:
            self.near = True
            self.found = self.directions.look_closer(self, self.found)

    def _newton_direction(self) -> Direction:
        assert self.found is not None
        if "observed" not in self.here.information:
            return self.found
        if self.directions.kind == self.objective.same("observed") and not self.directions.damping:
            return self.found
        kinds: tuple[Kind, ...] = ("observed", "expected")
        for kind in kinds:
            # Far away, or at a saddle, the observed information may be indefinite; then use the expected one.
            measured = self._step_by(kind)
            if measured is not None:
                return measured
        return self.found

    def _step_by(self, kind: Kind) -> Direction | None:
        """The full step by an information at the current point; None if missing or not positive definite."""
        part = self.here.information.get(kind)
        if part is not None and self.refuted and self.objective.prior is not None:
            part = Gram(part.matrix + self.here.dispersion * np.diag(self.objective.prior))
        return None if part is None else direction(part, self.here.score, self.free)

    def _floor(self, condition: float = 1.0) -> float:
        theta = np.where(self.free, self.here.theta, 0.0)
        lengths = np.sqrt(np.maximum(self._diagonal(), 0.0))
        return rounding_floor(lengths, theta, self.here.dispersion, self.here.rows, condition)

    def _diagonal(self) -> np.ndarray:
        factor = self.newton.factor if self.newton is not None else None
        if factor is not None:
            return factor.expand(factor.diagonal)
        if self.here.operator is not None:
            return self.here.operator.diagonal()
        return np.zeros_like(self.here.theta)

    @property
    def at_floor(self) -> bool:
        """Whether the remaining distance may be rounding or noise, as with data without error."""
        return self.newton is not None and (self.distance <= self._floor() or self._measured(False).hidden)

    @property
    def resolution(self) -> float:
        """An upper bound on the rounding floor, with the factor κ. The certificate uses it; stopping does not."""
        factor = self.newton.factor if self.newton is not None else None
        return max(self._floor(1.0 if factor is None else factor.condition), self.here.noise_distance)

    # -- the step ------------------------------------------------------------------------------------------------

    def advance(self, polish: bool) -> bool:
        """Take a step: the method's own with a search, or the full Newton step to polish. False if none is found."""
        if polish and self._reverted:
            return False
        polish = polish or self._last_one()
        if not polish and self._crawls() and not self.at_floor:
            self._take_over()
        accepted = self._polish() if polish else self._search()
        if accepted is None and not polish and (self.near or self._refute()) and not self._reverted:
            # So near the maximum the search compares rounding only; take the full Newton step instead.
            polish = True
            accepted = self._polish()
        if accepted is None and not self.at_floor and self._take_over():
            polish = False
            accepted = self._search()
        if accepted is None:
            return False
        self.before = self.here
        self.last_good = (self.here, self.distance) if polish else None
        self.polished = polish or self._was_newton(accepted.size)
        self.here, self.size = self.directions.accept(self, accepted), accepted.size
        return True

    def _search(self) -> Accepted | None:
        assert self.found is not None
        return self.directions.search(self, self.found)

    def _polish(self) -> Accepted | None:
        assert self.newton is not None
        self.directions.fresh = self.directions.renews_at_the_end
        there = self.objective.moved(self.here.theta, self.newton.step, project=False)
        trial = self.evaluate(there, self.need() if self.directions.fresh else Need())
        return Accepted(trial, 1.0) if trial.finite else None

    def _refute(self) -> bool:
        """Whether, by the observed information, the maximum is near although the search found no increase.

        In a network, weight decay may shrink a unit's output weight to w ≈ 0. Its bias b then has score w g and
        Gauss-Newton information w² h, so by that matrix it stays g/√h standard errors from its maximum, however small
        w is.
        """
        if not self.directions.factors:
            return False
        before = self.here
        self.near = self.refuted = True
        if "observed" not in self.here.information:
            self.renew(self.need())
            self.directions.fresh = True
        seen = self._step_by("observed")
        if seen is None or seen.decrement > NEAR * math.sqrt(self.here.dispersion):
            self.near = self.refuted = False
            self.here = before
        else:
            self.newton = seen
        return self.refuted

    def _was_newton(self, size: float) -> bool:
        """Whether the last step was a full Newton step from so near that no polishing step is needed."""
        exact = self.newton is self.found and self.directions.exact(self)
        return exact and size == 1.0 and self._quadratic

    @property
    def _quadratic(self) -> bool:
        """Whether a full Newton step from here leads to the maximum."""
        if self._one_step:
            return True
        return self.distance <= quadratic_from(self.here.rows) * (10.0 if self.directions.many else 1.0)

    @property
    def _one_step(self) -> bool:
        """Whether ℓ is quadratic and its M, of many rows, has kept its digits in a Cholesky factor."""
        return self.objective.quadratic and self.directions.many and not self.directions.root

    def refine(self) -> bool:
        """Take the last, tiny step over many rows without another reading. False if that is not possible here.

        The direction has been solved for to measure the distance d. Along its step s the score falls by M s, and ℓ
        rises by d²/2, which is below its last digit. Where ℓ is quadratic this step removes the error of ε κ² that the
        first one leaves; elsewhere it leaves the share of d by which M is not that of the maximum.
        """
        return self.distance <= (self.tolerance if self._one_step else UNSEEN) and self._stepped()

    def _stepped(self) -> bool:
        """Take the full step, if M has its digits and the domain no edge."""
        part = self.here.information.get(self.directions.kind or "")
        if part is None or self.newton is None or not self.directions.many or self.directions.root:
            return False
        if not self.objective.linear or self.objective.walled or self._reverted:
            return False
        step = self.newton.step
        theta = self.objective.moved(self.here.theta, step, project=False)
        self.here = replace(self.here, theta=theta, score=self.here.score - part.matrix @ step)
        return True

    def finish(self) -> bool:
        """Take the last full step without another reading of all rows. False if that is not possible, or not certain
        enough to lead to within the tolerance.

        ℓ may be quadratic, or M the same everywhere; otherwise the part of the rows that the iteration started with
        tells.
        """
        kind = self.directions.kind
        if self._one_step:
            return self._jump()
        if kind is not None and not self.directions.fresh and self.objective.constant(kind):
            return self._glide()
        return self._land()

    def _land(self) -> bool:
        """Take the last step where the part of the rows judges it. False if that is not possible, or not certain.

        The part says what the step leaves, and how far the last step, by its M, led towards the maximum, how much the
        part errs by.
        """
        part, before, directions = self.part, self.before, self.directions
        if part is None or before is None or not self._open or self.taken_over or self.refuted:
            return False
        if not directions.many or not directions.fresh or directions.root or directions.damping:
            return False
        known = self.near or self._observes  # by the observed information
        if not known or not 0 < self.distance < self.previous < math.inf:
            return False
        newton = self._step_by("observed")
        if newton is None or newton.factor is None or not newton.factor.kept.all():
            return False
        error = max(part.error, self.distance / self.previous)
        # Over d standard errors M changes by some d/√n of itself.
        if self.distance * self.distance * error > self.tolerance * math.sqrt(self.here.rows):
            return False
        found = final_step(part, self.objective, before, self.here, newton)
        if found is None:
            return False
        left = max(error * found.left, found.unseen)
        if left > WITHIN * self.tolerance or found.drift > DRIFT * self.tolerance:
            directions.reach = 1.0
            return False
        directions.factor_at = None  # M has been carried to the end
        self.rows_read += found.rows
        self._end_at(found.there, left, "part")
        return True

    @property
    def _open(self) -> bool:
        """Whether rows depend on θ through Xθ alone, and no step meets a bound or the edge of the domain."""
        return self.objective.linear and not self.objective.walled and self.objective.bounds is None

    def _end_at(self, there: Evaluation, left: float, solver: str = "") -> None:
        """Make a full step, of which the distance `left` is known, the last row of the path."""
        self.here, self.previous, self.distance, self.size = there, self.distance, left, 1.0
        self._record(solver)

    def _jump(self) -> bool:
        """Take the one step to the maximum of a quadratic ℓ without another reading. False if digits would be lost.

        The score Xᵀr and M are sums with errors of a few ε, so that the step is off by that times κ ‖r‖ in the metric
        of M, whose unit is √φ̂ standard errors.
        """
        newton, directions = self.newton, self.directions
        if newton is None or newton.factor is None or not directions.fresh or directions.damping or self.blocked:
            return False
        there = self.objective.expanded(self.here, newton.step) if self._open else None
        if there is None:
            return False
        length = math.sqrt(2.0 * abs(self.here.value - self.here.added) * len(there.theta) / there.dispersion)
        error = SUMMED * EPSILON * newton.factor.condition * length
        if not error <= WITHIN * self.tolerance:
            return False
        directions.fresh = False
        self._end_at(there, error)
        return True

    def _glide(self) -> bool:
        """Take the last step by an M that is the same everywhere without another reading. False if that is too early.

        It leaves about as much of the distance as the worse of the last two steps did, and half the tolerance allows
        that. From so near the dispersion changes by 1e-6/√n of itself.
        """
        distances = [step.distance for step in self.path.steps[-3:]]
        if len(distances) < 3 or self.distance > GLIDE or not 0 < distances[2] < distances[1] < distances[0]:
            return False
        left = self.distance * max(distances[2] / distances[1], distances[1] / distances[0])
        if not left <= GLIDE_WITHIN * self.tolerance or not self._stepped():
            return False
        self._end_at(self.here, left)
        return True

    def _last_one(self) -> bool:
        """Whether a full step by the observed information, just evaluated over many rows, leads to the maximum."""
        return self.directions.many and self.directions.fresh and self.newton is not self.found and self._quadratic

    @property
    def _reverted(self) -> bool:
        return self.last_good is not None and self.here.theta is self.last_good[0].theta

    def _record(self, solver: str = "") -> None:
        assert self.found is not None
        self.path.append(
            path_row(
                len(self.path),
                self.here,
                self.here.score[self.free],
                self.found.decrement,
                self.found.factor,
                distance=self.distance,
                step=self.size,
                damping=self.directions.damping,
                rows=self.rows_read,
                solver=solver or self.directions.label,
            )
        )
        self.rows_read = 0


def path_row(
    iteration: int, here: Evaluation, score: np.ndarray, decrement: float, factor: Factor | None, **more: Any
) -> PathRow:
    """A row of the path.

    Parameters
    ----------
    here, score : the point, and its score by the parameters that move.
    decrement : of the method's own M at unit dispersion.
    factor : of that M; None if it was never formed.
    more : the other fields.
    """
    return PathRow(
        iteration,
        here.value,
        math.sqrt(sum([s * s for s in score.tolist()])),
        decrement / math.sqrt(here.dispersion),
        condition=math.nan if factor is None else factor.condition,
        penalty=here.added,
        **more,
    )
