"""The state of an iteration, and what one turn of the loop does with it.

Only accepted points replace the present one, so a trial that fails leaves nothing behind.

Where the data are many blocks, M need not be renewed at every step. A step by the M of an earlier point shrinks the
distance to the maximum, not to its square, but by a constant factor: about that distance, at which M was taken,
over √n. So with many rows one M serves several steps that read the data for the score alone, at a third of the cost.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from raphson.errors import ConvergenceError
from raphson.model.objective import Evaluation, Gram, Kind, Need, Objective, Root
from raphson.newton.convergence import Measured, rounding_floor
from raphson.newton.indefinite import uphill
from raphson.newton.methods import Method
from raphson.newton.path import Path, PathRow
from raphson.newton.search import Accepted, acceptable, backtracking, value_noise
from raphson.newton.solve import (
    ILL_CONDITIONED,
    Direction,
    Factor,
    conjugate_gradients,
    direction,
    factorise,
)
from raphson.newton.trust_region import Proposal, TrustRegion

NEAR = 1e-2
"""Distance, in standard errors, from which on the observed information is evaluated to measure it."""

QUADRATIC = 1e-6
"""A full Newton step from within this distance leaves no more than its square, about: it is the last one needed."""

FINAL = 3e-10
"""An information matrix taken within this distance × √n gives ten digits of the standard errors: it changes by about
the distance over √n."""

MANY_BLOCKS = 4
"""Blocks beyond which keeping M for several steps pays."""

LARGEST_FLOOR = 1e-2
"""Part of a standard error, of a model whose dispersion is known, that rounding is believed to make up."""

SMALLEST_DAMPING, LARGEST_DAMPING = 1e-6, 1e6

PATIENCE, PROGRESS = 8, 0.1
"""Steps within which a method has to bring the distance down to this share, or the observed information takes over."""

MOST_PARAMETERS = 1000
"""Parameters up to which it may: a matrix of theirs is formed and its eigenvalues found."""


class IterationState:
    """An iteration under way.

    Parameters
    ----------
    objective, method : what is maximised, and how.
    start : (p,) parameters, or the objective evaluated there with what the method needs.
    free : (p,) mask of the parameters that move.
    damping : τ of the first step; each accepted step divides it by ten.
    learning_rate : first trial step size; by default 1, or one that follows the last step where M is the identity.
    tolerance : distance to the maximum at which to stop.
    warm : factor of the information near the maximum, if one is known from a part of the data.
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
    ) -> None:
        self.objective, self.method = objective, method
        self.wanted, self.free, self.tolerance = free, free, tolerance
        self.at_bound = np.zeros_like(free)
        """Parameters held at a bound, beyond which ℓ rises."""
        self.region = None if method.search is not None else TrustRegion(objective.projected)
        self.proposal: Proposal | None = None
        self.damping = damping
        self.first, self.size = learning_rate or 1.0, math.nan
        self.spectral = method.curvature is None and learning_rate is None
        """Whether trial step sizes follow the last step, for want of a matrix that would scale it."""
        self.root = method.solver == "qr"
        self.many = objective.n_blocks > MANY_BLOCKS and method.solver == "cholesky"
        self.path = Path()
        self.rows_read = 0
        self.near = self.polished = False
        self.refuted = False
        """Whether a search found no rise where M promised one: then only the observed information is believed."""
        self.taken_over = False
        """Whether steps are by the observed information because those of the method's own M led no further."""
        self.blocked = False
        """Whether the last search ran into the edge of the model's domain."""
        self.distance = self.previous = self.floor = math.inf
        self.found: Direction | None = None
        """The method's own direction at the present point."""
        self.newton: Direction | None = None
        """The full step by the observed information (the expected one where that is indefinite)."""
        self.factor = warm if self.many else None
        """Factor of the last M."""
        self.factor_distance = math.inf
        """Distance of the point where it was taken."""
        self.shrinks = 0.1
        """By what a step with `factor` is expected to shrink the distance."""
        self.fresh = self.factor is None
        """Whether M was evaluated at the present point."""
        if isinstance(start, Evaluation):
            self.here = start
            self.rows_read = start.rows
        else:
            self.here = self._evaluate(start, self._need() if self.fresh else Need())
        if not self.here.finite:
            raise ConvergenceError(
                "start: expected parameters at which the log-likelihood is finite; it is "
                f"{self.here.value} there. Pass start= inside the model's domain"
            )
        self.last_good: tuple[Evaluation, float] | None = None

    # -- evaluation --------------------------------------------------------------------------------------------

    def _need(self) -> Need:
        return self.method.need(self.root, self.near)

    def _evaluate(self, theta: np.ndarray, need: Need) -> Evaluation:
        evaluation = self.objective.evaluate(theta, need)
        self.rows_read += evaluation.rows
        return evaluation

    def _renew(self) -> None:
        """Evaluate M at the present point."""
        self.here = self._evaluate(self.here.theta, self._need())
        self.fresh = True

    @property
    def _part(self) -> Gram | Root:
        assert self.method.curvature is not None
        return self.here.information[self.method.curvature]

    # -- one turn ----------------------------------------------------------------------------------------------

    def _free_from_bounds(self) -> None:
        """Let go of the parameters that ℓ no longer pushes against a bound, and hold those that it does."""
        blocked = self.objective.blocked(self.here.theta, self.here.score)
        if blocked is not None:
            aliased = self.wanted & ~self.free & ~self.at_bound
            self.at_bound = blocked & self.wanted & ~aliased
            self.free = self.wanted & ~aliased & ~self.at_bound

    def solve(self) -> bool:
        """Find the direction: (M + τD) d = ∇ℓ. False if there is none, whatever the damping."""
        self._free_from_bounds()
        return self._solve() or self._take_over()

    def _solve(self) -> bool:
        if self.taken_over:
            if not self.fresh:
                self._renew()
            self.found = self._solve_uphill()
            return self.found is not None
        if not self.fresh and self._solve_with_kept_factor():
            return True
        if not self.fresh:
            self._renew()
        solver = self.method.solver
        if not len(self.path) and solver in ("cg", "none"):
            self._drop_aliased()
        if solver == "none":
            step = np.where(self.free, self.here.score, 0.0)
            self.found = Direction(step, float(np.linalg.norm(step)), None)
        elif solver == "cg":
            self.found = self._solve_by_products()
        elif self.region is not None:
            self.found = self._solve_in_region(self.region)
        else:
            self.found = self._solve_by_factor()
        return self.found is not None

    def _solve_with_kept_factor(self) -> bool:
        """Step by the M of an earlier point, unless it no longer serves or the end is reached."""
        assert self.factor is not None
        half = self.factor.half_solve(self.here.score)
        decrement = math.sqrt(half @ half)
        distance = decrement / math.sqrt(self.here.dispersion)
        if not self.polished and (distance <= self.tolerance or distance > 0.5 * self.distance):
            return False
        self.found = Direction(self.factor.expand(self.factor.back_solve(half)), decrement, self.factor)
        return True

    def _drop_aliased(self) -> None:
        """Hold the columns that earlier ones explain: a method that never factors M would not see them."""
        for root in (False, True):
            kind = self.objective.main_kind
            part = self._evaluate(self.here.theta, Need(kinds=(kind,), root=root)).information[kind]
            factor = factorise(part, self.free)
            if factor is not None and (root or factor.smallest_pivot**2 >= ILL_CONDITIONED):
                self._hold(factor, part)
                return

    def _explained(self, kept: np.ndarray) -> bool:
        """Whether the design alone says that the columns not kept are combinations of the others."""
        design = self.objective.design_root(self.here.theta)
        if design is None:
            return True
        factor = factorise(design, self.free)
        return factor is not None and not (factor.kept & ~kept).any()

    def _hold(self, factor: Factor, part: Gram | Root) -> bool:
        """Hold the columns that `factor` leaves out at 0; True if that has changed θ.

        Let θ be h on these and X_h = X_k C: their share C h, which solves M_kk C h = M_kh h, goes to the columns
        that explain them, so that η stays where it is. Where η is not linear in θ they are held where they are.
        """
        held = np.where(self.free & ~factor.kept, self.here.theta, 0.0)
        self.free = factor.kept
        if not held.any() or not self.objective.linear:
            return False
        self.here = self._evaluate(self.here.theta - held + factor.solve(part.matrix @ held), self._need())
        return True

    def _solve_by_products(self) -> Direction:
        operator = self.here.operator
        assert operator is not None
        return conjugate_gradients(
            operator.product,
            operator.diagonal(),
            self.here.score,
            self.free,
            tolerance=1e-12 if self.near else 1e-2,
        )

    def _solve_in_region(self, region: TrustRegion) -> Direction | None:
        """The step within the trust region; M need not have full rank."""
        part = self._part
        if not isinstance(part, Root) or not np.isfinite(part.triangle).all():
            return None
        self.proposal = region.propose(part.triangle, self.here.theta, self.free, self.objective.bounds)
        self.damping = self.proposal.damping
        whole = direction(part, self.here.score, self.free)
        if whole is None:
            return None
        return Direction(self.proposal.step, whole.decrement, whole.factor)

    def _search_region(self, region: TrustRegion, part: Root, need: Need) -> Accepted | None:
        """Try the step, and shorter ones with ever more damping, until one is accepted."""
        proposal = self.proposal
        while proposal is not None and proposal.gain > 0:
            trial = self._try(proposal.step, need)
            slope = float(self.here.score @ proposal.step)
            accepted = acceptable(self.here, trial, 1.0, slope, proposal.step)
            rise = trial.value - self.here.value if trial.finite else -math.inf
            ratio = 1.0 if accepted and abs(rise) <= value_noise(self.here) else rise / proposal.gain
            # A trial that is refused always shrinks the region, or the same one would be tried for ever.
            region.learn(ratio if accepted else min(ratio, 0.25), proposal)
            if accepted:
                self.damping = proposal.damping
                return Accepted(trial, 1.0)
            if not proposal.length:
                return None  # no step of what the region bounds: a smaller region proposes the same again
            if region.exhausted(self.here.theta) or proposal.gain <= value_noise(self.here):
                return None  # what is left to gain cannot be told from rounding
            proposal = region.propose(part.triangle, self.here.theta, self.free, self.objective.bounds)
        return None

    def _solve_by_factor(self) -> Direction | None:
        found = direction(self._part, self.here.score, self.free, self.damping)
        if not self.root and (found is None or found.ill_conditioned):
            # Cholesky fails or would lose digits: decompose the tall matrix itself.
            self.root = True
            self._renew()
            found = direction(self._part, self.here.score, self.free, self.damping)
        while found is None and self.damping < LARGEST_DAMPING:
            self.damping = max(10.0 * self.damping, 1e-3)
            found = direction(self._part, self.here.score, self.free, self.damping)
        if found is None or found.factor is None:
            return None
        dropped = (found.factor.kept != self.free).any() and not self.objective.at_limit
        if dropped and (len(self.path) or not self._explained(found.factor.kept)):
            return None  # not the design but the weights, all but zero here, make M singular
        if not len(self.path) and self._hold(found.factor, self._part):
            return self._solve_by_factor()
        if found.factor.smallest_pivot**2 > 10.0 * ILL_CONDITIONED:
            self.root = self.method.solver == "qr"
        self.factor = found.factor
        return found

    def _take_over(self) -> bool:
        """Step by the observed information from here on, made positive definite where it is not. False if in vain."""
        method = self.method
        if self.taken_over or method.solver not in ("cholesky", "qr") or self.objective.n_params > MOST_PARAMETERS:
            return False
        if self._observes and self.found is not None and not self.damping:
            return False  # that was its full step
        before, region, damping = self.here, self.region, self.damping
        self.taken_over = True
        self.method = replace(method, curvature="observed", solver="cholesky", search=backtracking)
        self.region, self.root, self.damping, self.factor = None, False, 0.0, None
        self._renew()
        self.found = self._solve_uphill()
        if self.found is None or not self.found.decrement > 0:
            self.method, self.here, self.region, self.damping = method, before, region, damping
            self.found, self.root = None, method.solver == "qr"
            return False
        self.newton = self.found
        self.last_good = None
        return True

    @property
    def _observes(self) -> bool:
        """Whether the method's own M is the observed information."""
        kind = self.method.curvature
        return kind is not None and self.objective.same(kind) == self.objective.same("observed")

    def _solve_uphill(self) -> Direction | None:
        """The full step by the observed information; by one made positive definite where it is indefinite."""
        found = direction(self._part, self.here.score, self.free)
        if not self.root and found is not None and found.ill_conditioned:
            self.root = True
            self._renew()
            found = direction(self._part, self.here.score, self.free)
        if found is not None:
            self.factor = found.factor
            return found
        kinds: tuple[Kind, ...] = (self.objective.main_kind, "opg")
        for kind in kinds:
            if self.objective.same(kind) == self.objective.same("observed"):
                continue  # a metric of its own is wanted
            metric = self._evaluate(self.here.theta, Need(kinds=(kind,))).information[kind].matrix
            M = self._part.matrix
            # Where second derivatives are not finite the metric itself stands for them.
            found = uphill(M if np.isfinite(M).all() else metric, metric, self.here.score, self.free)
            if found is not None:
                return found
        return None

    def _crawls(self) -> bool:
        """Whether the method's last steps, all as long as it would have them, have hardly shrunk the distance.

        Its M then differs from the information by a large factor in some direction, and will go on doing so: steps by
        M multiply the distance there by 1 − λ, with λ the eigenvalue of M⁻¹ times the observed information.
        """
        steps = self.path.steps
        if self.polished or len(steps) <= PATIENCE or self.method.curvature is None:
            return False
        if self._observes and not all(step.damping for step in steps[-PATIENCE:]):
            return False  # its steps are Newton's own, or were damped for a while where it is indefinite
        if self.region is not None and any(step.damping for step in steps[-PATIENCE:]):
            return False
        if self.found is not None and self.found.ill_conditioned:
            return False  # the tall matrix knows what its square, in which the observed information comes, has lost
        return steps[-1].distance > PROGRESS * steps[-1 - PATIENCE].distance

    def measure(self) -> Measured:
        """How far the maximum is, in standard errors, by the observed information once it is near."""
        assert self.found is not None
        self.previous = self.distance
        scale = math.sqrt(self.here.dispersion)
        own = self.found.decrement / scale
        self.newton = self.found
        if not self.fresh:
            self.distance, self.floor = own, 0.0
        else:
            self._look_closer(own)
            self._newton_direction()
            self.distance = self.newton.decrement / scale
            self.floor = self._floor() if self.near or self.distance > 0.5 * self.previous else 0.0
        if self.last_good is not None and self.distance > self.last_good[1]:
            # The last full step moved by less than the score is rounded: the point before it was as good.
            information = self.here.information or self.last_good[0].information
            self.here, self.distance = replace(self.last_good[0], information=information), self.last_good[1]
        full = self.size == 1.0 and not self.damping and self.fresh
        self._record()
        if self.fresh:
            self.factor_distance = self.distance
            self.shrinks = min(0.5, self.distance / math.sqrt(self.here.rows))
        elif not self.polished and 0 < self.previous < math.inf:
            self.shrinks = min(0.5, self.distance / self.previous)
        return self._measured(full)

    def _measured(self, full: bool) -> Measured:
        return Measured(self.distance, self.previous, self.floor, self.polished, full, self.here.blur)

    def _look_closer(self, own: float) -> None:
        """Near the maximum, have the observed information evaluated too."""
        if self.refuted:
            return
        if own > 100.0 * NEAR and self.method.curvature is not None:
            self.near = False
        elif not self.near and (own <= NEAR or self.method.curvature is None):
            self.near = True
            if self.method.solver == "cg":
                self.found = self._solve_by_products()
            elif "observed" not in self.here.information:
                self._renew()

    def _newton_direction(self) -> None:
        assert self.found is not None
        self.newton = self.found
        if self.method.solver == "cg" or "observed" not in self.here.information:
            return
        if self.method.curvature == self.objective.same("observed") and not self.damping:
            return
        kinds: tuple[Kind, ...] = ("observed", "expected")
        for kind in kinds:
            # Far away, or at a saddle, the observed information may be indefinite: then the expected one serves.
            measured = self._step_by(kind)
            if measured is not None:
                self.newton = measured
                return

    def _floor(self, condition: float = 1.0) -> float:
        theta = np.where(self.free, self.here.theta, 0.0)
        floor = rounding_floor(self._diagonal(), theta, self.here.dispersion, self.here.rows, condition)
        # With a known dispersion no good part of a standard error is rounding, whatever the scores have become, as
        # where a variance runs to 0. An estimated one may itself be rounding: data without error are at any distance.
        return min(floor, LARGEST_FLOOR) if self.here.dispersion == 1.0 else floor

    @property
    def at_floor(self) -> bool:
        """Whether rounding or noise may make up the distance that is left, as where the data have no error."""
        return self.newton is not None and (self.distance <= self._floor() or self._measured(False).hidden)

    @property
    def resolution(self) -> float:
        """The rounding floor at its worst, κ included: what the certificate allows for, and no reason to stop."""
        factor = self.newton.factor if self.newton is not None else None
        return max(self._floor(1.0 if factor is None else factor.condition), self.here.blur)

    def _diagonal(self) -> np.ndarray:
        factor = self.newton.factor if self.newton is not None else None
        if factor is not None:
            return factor.expand(factor.diagonal)
        if self.here.operator is not None:
            return self.here.operator.diagonal()
        return np.zeros_like(self.here.theta)

    def advance(self, polish: bool) -> bool:
        """Take a step: the method's own, searched for, or the full Newton step to polish. False if none is found."""
        if polish and self._reverted:
            return False
        if not polish and self._crawls() and not self.at_floor:
            self._take_over()
        accepted = self._polish() if polish else self._search()
        if accepted is None and not polish and (self.near or self._refute()) and not self._reverted:
            # So near the maximum that the search sees only rounding: the observed information knows the way.
            polish = True
            accepted = self._polish()
        if accepted is None and not self.at_floor and self._take_over():
            polish = False
            accepted = self._search()
        if accepted is None:
            return False
        self.last_good = (self.here, self.distance) if polish else None
        self.polished = polish or self._was_newton(accepted.size)
        if self.spectral:
            self.first = self._spectral_size(accepted.evaluation) or accepted.size
        there = accepted.evaluation
        if not there.information and self.factor_distance <= FINAL * math.sqrt(there.rows):
            there = replace(there, information=self.here.information)
        self.here, self.size = there, accepted.size
        if self.region is None:
            self.damping = self.damping / 10.0 if self.damping > SMALLEST_DAMPING else 0.0
        return True

    def _refute(self) -> bool:
        """Whether the observed information sees the maximum near, where the search found no rise that M promised.

        A unit of a network whose weights decay to w ≈ 0 has a bias b of which the fit depends by w alone: its score is
        w g and its Gauss-Newton information w² h, so that it is g/√h standard errors from its maximum for ever,
        however small w.
        """
        if self.method.curvature is None or self.method.solver == "cg":
            return False
        before = self.here
        self.near = self.refuted = True
        if "observed" not in self.here.information:
            self._renew()
        seen = self._step_by("observed")
        if seen is None or seen.decrement > NEAR * math.sqrt(self.here.dispersion):
            self.near = self.refuted = False
            self.here = before
        else:
            self.newton = seen
        return self.refuted

    def _step_by(self, kind: Kind) -> Direction | None:
        """The full step by an information at the present point; None if it is not there or not positive definite."""
        part = self.here.information.get(kind)
        if part is not None and self.refuted and self.objective.prior is not None:
            part = Gram(part.matrix + self.here.dispersion * np.diag(self.objective.prior))
        return None if part is None else direction(part, self.here.score, self.free)

    def _spectral_size(self, there: Evaluation) -> float | None:
        """Step size of Barzilai and Borwein (1988, IMA J. Numer. Anal. 8, equation 5): Δθᵀ Δθ / −Δθᵀ Δ∇ℓ.

        It makes α I the multiple of the identity that comes nearest to M⁻¹ along the last step.
        """
        moved = there.theta - self.here.theta
        second = float(moved @ (self.here.score - there.score))
        return float(moved @ moved) / second if second > 0 else None

    def _was_newton(self, size: float) -> bool:
        """Whether the step just taken was a full Newton step from so near that it serves as the last one."""
        exact = self.newton is self.found and self.factor_distance == self.distance and not self.damping
        return exact and size == 1.0 and self.distance <= QUADRATIC and self.method.solver == "cholesky"

    @property
    def _reverted(self) -> bool:
        return self.last_good is not None and self.here.theta is self.last_good[0].theta

    def _search(self) -> Accepted | None:
        assert self.found is not None
        slope = float(self.here.score @ self.found.step)
        if not slope > 0:
            return None
        self.fresh = not (self.many and not self.root) or self._wants_renewal()
        need = self._need() if self.fresh else Need()
        self.blocked = False
        if self.method.search is None:
            assert self.region is not None and isinstance(self._part, Root)
            return self._search_region(self.region, self._part, need)
        return self.method.search(lambda step: self._try(step, need), self.here, self.found.step, slope, self.first)

    def _try(self, step: np.ndarray, need: Need) -> Evaluation:
        """The objective a step away."""
        evaluation = self._evaluate(self.objective.moved(self.here.theta, step), need)
        self.blocked = self.blocked or not evaluation.finite
        return evaluation

    def _wants_renewal(self) -> bool:
        """Whether M should be evaluated at the next point: at the end, or where that more than pays for itself."""
        if not len(self.path) or self.factor is None:
            return True
        if self.factor_distance <= FINAL * math.sqrt(self.here.rows):
            return False
        ahead = self.distance * self.shrinks
        return ahead <= FINAL * math.sqrt(self.here.rows) or ahead / math.sqrt(self.here.rows) < self.shrinks**2

    def _polish(self) -> Accepted | None:
        assert self.newton is not None
        self.fresh = not (self.many and not self.root)
        there = self.objective.moved(self.here.theta, self.newton.step, project=False)
        trial = self._evaluate(there, self._need() if self.fresh else Need())
        return Accepted(trial, 1.0) if trial.finite else None

    def _record(self) -> None:
        assert self.found is not None
        solver = "qr" if self.root and self.method.solver == "cholesky" else self.method.solver
        self.path.append(
            PathRow(
                iteration=len(self.path),
                llf=self.here.value,
                score_norm=math.sqrt(sum(s * s for s in self.here.score[self.free].tolist())),
                decrement=self.found.decrement / math.sqrt(self.here.dispersion),
                distance=self.distance,
                step=self.size,
                damping=self.damping,
                condition=math.nan if self.found.factor is None else self.found.factor.condition,
                rows=self.rows_read,
                penalty=self.here.added,
                solver="observed" if self.taken_over else solver if self.fresh else f"{solver} (kept)",
            )
        )
        self.rows_read = 0
