"""How an iteration solves (M + τD) d = ∇ℓ: by a factor of M, by products with M, or by the curvature's own `solve`.

With many blocks of data, M is not evaluated at every step. A step by the M of an earlier point reduces the distance to
the maximum by a constant factor: the distance at which M was evaluated, over √n. So with many rows one M can serve
several steps that read the data for the score alone, at a third of the cost.
"""
# pyright: strict

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from raphson.linalg import all_finite
from raphson.model.objective import Evaluation, Gram, Kind, Need, Objective, Root
from raphson.newton.curvature import OBSERVED, Curvature
from raphson.newton.indefinite import uphill
from raphson.newton.methods import Method
from raphson.newton.part import Part
from raphson.newton.search import Accepted, backtracking
from raphson.newton.secant import Secant
from raphson.newton.solve import ILL_CONDITIONED, Direction, Factor, conjugate_gradients, direction, measured
from raphson.newton.state import IterationState
from raphson.newton.trust_region import Proposal, TrustRegion

NEAR = 1e-2
"""Distance, in standard errors, within which the observed information is evaluated to measure the distance. From 1e-5
to 1 neither an estimate nor a number of steps changes for a logistic, a gamma, a negative binomial and a zero-inflated
Poisson regression and a curve."""

LEAST_PART_ROWS = 8_192
"""Smallest number of rows of the part that the iteration over a large data set starts with."""

MANY_BLOCKS = 4
"""Number of blocks above which keeping M for several steps pays."""

DRIFT = 10.0
"""Factor of the tolerance within which the last M of many rows is that of the maximum, where a part of them says how M
changes over what is left. It says so to within √(p/m) of the change, so M may be taken farther away by as much. Of the
standard errors that leaves seven digits at the default tolerance, five times the tolerance."""

CORRECTED = 0.1
"""As :data:`NEAR`, where a part of the rows corrects the steps: share of √(p/m) √n, the distance of the maximum of m
rows from that of n. The part's own expected information differs from its observed one by as much as would spoil the
correction, so that all steps are by the observed one; from a hundred times as far they are not."""

SMALLEST_DAMPING, LARGEST_DAMPING = 1e-6, 1e6
"""τ below the first alters a step by less than a millionth of it, and is 0 from then on; above the second a step is a
millionth of M⁻¹∇ℓ, and a matrix that still has no factor is given up."""

MOST_PARAMETERS = 1000
"""Largest number of parameters for which a p × p matrix is formed to measure the distance, or decomposed. The matrix
takes 8 MB, and its eigenvalues about 10 p³ = 10¹⁰ operations, a second."""

EXACT, ROUGH = 1e-12, 1e-2
"""Relative residuals at which conjugate gradients stop: near the maximum, where rounding ends it, and far from it,
where the steps then converge linearly with that factor at worst (Dembo, Eisenstat and Steihaug 1982, SIAM J. Numerical
Analysis 19, 400)."""


def part_rows(n_rows: int, n_params: int, curvature_cost: float) -> int:
    """Number of rows of the part that the iteration over a large data set starts with, where it takes the least time.

    The information of m rows has a relative error of about √(p/m), by which each step reduces the distance: from about
    √(p n/m) standard errors to 1e-8 √n these are 30/log(m/p) steps, each a reading of n rows for the score. The part's
    own maximum takes about 2.7 readings of m rows for an information, each of which takes as long as q for the score.
    The sum is smallest where (m/n) log²(m/p) = 11/q.

    Parameters
    ----------
    n_rows, n_params : n and p.
    curvature_cost : q.

    Examples
    --------
    >>> part_rows(1_000_000, 20, 2.0), part_rows(200_000, 80, 5.0), part_rows(1_000_000, 228, 2.5)
    (79946, 15734, 113996)
    """
    share = 0.1
    for _ in range(5):
        share = min(0.5, 11.0 / (curvature_cost * math.log(max(share * n_rows / n_params, math.e)) ** 2))
    return max(int(share * n_rows), LEAST_PART_ROWS)


def _shrinks(objective: Objective) -> float:
    """Factor by which a step by the M of a part of many rows, from the maximum of that part, reduces the distance."""
    rows = part_rows(objective.n_rows, objective.n_params, objective.curvature_cost)
    return math.sqrt(objective.n_params / min(rows, objective.most_part_rows))


class Directions(ABC):
    """Finds the directions of an iteration, and keeps what they need from one step to the next.

    Parameters
    ----------
    method : curvature, solver and search.
    damping : τ of the first step; each accepted step divides it by ten.
    learning_rate : first trial step size; 1 by default.
    """

    kind: Kind | None = None
    """The information that M is, or None."""
    factors = False
    """Whether M is factorised, so that the observed information may replace it if M makes no more progress."""
    near_at = NEAR
    """Distance, as measured by M, within which the observed information is evaluated."""
    begins_near = False
    """Whether the iteration begins so near the maximum."""

    def __init__(self, method: Method, damping: float, learning_rate: float | None) -> None:
        self.method, self.damping = method, damping
        self.size = learning_rate or 1.0
        """First trial step size."""
        self.factor: Factor | None = None
        """Factor of the last M."""
        self.factor_at: np.ndarray | None = None
        """(p,) where that was evaluated; None if it was evaluated with the last score."""
        self.fresh = True
        """Whether M was evaluated at the current point."""
        self.root = False
        """Whether M comes as a triangle, from QR of the rows."""

    @property
    def label(self) -> str:
        """The name of the solver in the path."""
        return self.method.solver

    def need(self, near: bool) -> Need:
        """What the next evaluation has to compute."""
        return self.method.need(self.root, near)

    @abstractmethod
    def solve(self, state: IterationState) -> Direction | None:
        """The direction at the current point; None if there is none at any damping."""

    def observes(self, objective: Objective) -> bool:
        """Whether M is the observed information."""
        return self.kind is not None and objective.same(self.kind) == objective.same("observed")

    def exact(self, state: IterationState) -> bool:
        """Whether the direction comes from an undamped Cholesky factor at the current point."""
        return False

    many = False
    """Whether M is kept for several steps."""
    reach = 1.0
    """Factor by which the last M may be evaluated farther from the maximum than the tolerance: see :data:`DRIFT`."""

    def look_closer(self, state: IterationState, found: Direction) -> Direction:
        """Evaluate the observed information, as the maximum is near, and return the direction."""
        if "observed" not in state.here.information:
            state.renew(self.need(near=True))
        return found

    def renews(self, state: IterationState) -> bool:
        """Whether to evaluate M at the next point."""
        return True

    @property
    def renews_at_the_end(self) -> bool:
        """Whether to evaluate M after the polishing step."""
        return True

    def measured(self, state: IterationState) -> None:  # noqa: B027
        """Record the measured distance; by default nothing."""

    def search(self, state: IterationState, found: Direction) -> Accepted | None:
        """An acceptable point in the direction; None if there is none."""
        slope = float(state.here.score @ found.step)
        if not slope > 0:
            return None
        self.fresh = self.renews(state)
        state.blocked = False
        return self.along(state, found, slope, self.need(self.nearing(state)) if self.fresh else Need())

    def nearing(self, state: IterationState) -> bool:
        """Whether the observed information will be wanted at the next point."""
        return state.near

    def along(self, state: IterationState, found: Direction, slope: float, need: Need) -> Accepted | None:
        """The method's own search."""
        search = self.method.search
        assert search is not None
        return search(lambda step: state.trial(step, need), state.here, found.step, slope, self.size)

    def accept(self, state: IterationState, accepted: Accepted) -> Evaluation:
        """Update the state after an accepted step, and return the evaluation to continue from."""
        self.damping = self.damping / 10.0 if self.damping > SMALLEST_DAMPING else 0.0
        return accepted.evaluation


class ByFactor(Directions):
    """Directions by Cholesky of M, or by QR of the rows where Cholesky would lose digits.

    Parameters
    ----------
    objective : what is maximised.
    warm : factor of the information near the maximum, if known from a part of the data.
    part : that part.
    """

    factors = True

    def __init__(
        self,
        method: Method,
        damping: float,
        learning_rate: float | None,
        objective: Objective,
        warm: Factor | None = None,
        part: Part | None = None,
    ) -> None:
        super().__init__(method, damping, learning_rate)
        self.kind = method.curvature.kind
        self.root = method.solver == "qr"
        self.many = objective.n_blocks > MANY_BLOCKS and method.solver == "cholesky"
        self.factor = warm if self.many else None
        self.secant = None if self.factor is None else Secant(self.factor)
        self.fresh = self.factor is None
        self.factor_distance = math.inf
        """Distance to the maximum at the point where the factor was evaluated."""
        self.reach = 1.0 if part is None else DRIFT / part.error
        corrects = self.many and part is not None and part.light(objective) and _unbounded(objective)
        self.corrects = part if corrects else None
        """The part of the rows that corrects a step by the M of all, which begins at the part's own maximum."""
        if self.corrects is not None:
            self.begins_near, self.near_at = True, max(NEAR, CORRECTED * self.corrects.error * objective.n_rows**0.5)
        self.shrinks = _shrinks(objective) if part is None else part.error
        """Factor by which a step is expected to reduce the distance."""
        self.patience = objective.patience

    @property
    def label(self) -> str:
        solver = "qr" if self.root else self.method.solver
        return solver if self.fresh else f"{solver} (kept)"

    def solve(self, state: IterationState) -> Direction | None:
        if not self.fresh:
            found = self._with_kept_factor(state)
            if found is not None:
                return found
            self.renew(state)
        return self._by_factor(state)

    def renew(self, state: IterationState) -> None:
        """Evaluate M at the current point."""
        state.renew(self.need(state.near))
        self.fresh = True

    def part(self, state: IterationState) -> Gram | Root:
        """M at the current point."""
        assert self.kind is not None
        return state.here.information[self.kind]

    def _with_kept_factor(self, state: IterationState) -> Direction | None:
        """The direction by the M of an earlier point; None if progress is too slow or the maximum is reached."""
        assert self.secant is not None
        found = self.secant.direction(state.here.score)
        distance = found.decrement / math.sqrt(state.here.dispersion)
        slow = distance > 0.5 * state.distance
        if state.polished or self._close(state) or state.objective.quadratic:
            return found
        if slow or (distance <= state.tolerance and not self._constant(state)):
            # So near that the observed information is wanted too, it comes with the same reading of the data.
            state.near = state.near or distance <= self.near_at
            return None
        return found

    def _by_factor(self, state: IterationState) -> Direction | None:
        found = direction(self.part(state), state.here.score, state.free, self.damping)
        if not self.root and (found is None or found.ill_conditioned):
            # Cholesky fails or would lose digits: use QR of the rows.
            self.root = True
            self.renew(state)
            found = direction(self.part(state), state.here.score, state.free, self.damping)
        while found is None and self.damping < LARGEST_DAMPING:
            self.damping = max(10.0 * self.damping, 1e-3)
            found = direction(self.part(state), state.here.score, state.free, self.damping)
        if found is None or found.factor is None:
            return None
        dropped = (found.factor.kept != state.free).any() and not state.objective.at_limit
        if dropped and not (state.first and state.explained(found.factor.kept)):
            return None  # M is singular not by the design but by the weights, which are nearly 0 here
        if state.first and state.hold(found.factor, self.part(state), self.need(state.near)):
            return self._by_factor(state)
        if found.factor.smallest_pivot**2 > 10.0 * ILL_CONDITIONED:
            self.root = self.method.solver == "qr"
        self.factor, self.secant = found.factor, Secant(found.factor)
        self.factor_at = state.here.theta
        return found

    # -- one M for several steps ---------------------------------------------------------------------------------

    @property
    def renews_at_the_end(self) -> bool:
        return not (self.many and not self.root)

    def renews(self, state: IterationState) -> bool:
        """Whether to evaluate M: near the maximum, or where it saves more passes than it costs."""
        if self.renews_at_the_end or state.first or self.factor is None:
            return True
        if self._final(state):
            return False
        final = self.reach * state.tolerance * math.sqrt(state.here.rows)
        ahead = state.distance * self.shrinks
        return ahead <= final or ahead * self.shrinks**self.patience > final

    def search(self, state: IterationState, found: Direction) -> Accepted | None:
        if self.corrects is not None and self.fresh and not self.root and not self.damping:
            assert self.kind is not None
            kind: Kind = "observed" if "observed" in state.here.information else self.kind
            full = found if kind == self.kind else direction(state.here.information[kind], state.here.score, state.free)
            found = found if full is None else self.corrects.corrected(state.here, full, kind)
        return super().search(state, found)

    def nearing(self, state: IterationState) -> bool:
        return state.near or (self.many and not self.root and state.distance * self.shrinks <= self.near_at)

    def _final(self, state: IterationState) -> bool:
        """Whether the last M serves as that of the maximum.

        Taken a distance d away, in standard errors, it differs from that by some d/√n of itself, and the standard
        errors by half as much: no more than the tolerance.
        """
        return self._constant(state) or self._close(state)

    def _constant(self, state: IterationState) -> bool:
        """Whether the last M is that of every point."""
        assert self.kind is not None
        return self.factor_distance < math.inf and state.objective.constant(self.kind)

    def _bends(self, state: IterationState) -> bool:
        """Whether a step says less about the information at the maximum than an expected one of all rows does.

        Over d standard errors the observed information changes by some d/√n of itself; from the expected one it differs
        by √(p/n). A gamma regression of 1,000,000 rows and 20 columns, begun 18 standard errors away, is after three
        more readings 8e-7 away without that step, and 1.3e-6 with it; one of rare indicators 1.6e-6 and 1e-5.
        """
        far = state.distance * state.distance > state.objective.n_params
        return far and self._constant(state) and not state.objective.quadratic

    def _close(self, state: IterationState) -> bool:
        return self.factor_distance <= self.reach * state.tolerance * math.sqrt(state.here.rows)

    def measured(self, state: IterationState) -> None:
        if self.fresh:
            self.factor_distance = state.distance
            left = 1.0 if self.corrects is None else self.corrects.error
            self.shrinks = min(0.5, left * state.distance / math.sqrt(state.here.rows))
        elif not state.polished and 0 < state.previous < math.inf:
            self.shrinks = min(0.5, state.distance / state.previous)

    def exact(self, state: IterationState) -> bool:
        return self.method.solver == "cholesky" and self.factor_distance == state.distance and not self.damping

    def accept(self, state: IterationState, accepted: Accepted) -> Evaluation:
        there = super().accept(state, accepted)
        if self.many and self.secant is not None and not self._bends(state):
            fall = np.where(state.free, state.here.score - there.score, 0.0)
            self.secant = self.secant.after(there.theta - state.here.theta, fall)
        if not there.information and self._final(state):
            return replace(there, information=state.here.information)
        return there


def _unbounded(objective: Objective) -> bool:
    """Whether no step meets a bound or the edge of the domain."""
    return objective.bounds is None and not objective.walled


class Uphill(ByFactor):
    """Directions by the observed information, made positive definite if necessary. They replace those of another M.

    Parameters
    ----------
    before : the directions that made no more progress.
    """

    def __init__(self, before: Directions, objective: Objective) -> None:
        method = replace(before.method, curvature=OBSERVED, solver="cholesky", search=backtracking)
        super().__init__(method, 0.0, before.size, objective)
        self.many = isinstance(before, ByFactor) and before.many
        self.fresh = False

    @property
    def label(self) -> str:
        return "observed"

    def solve(self, state: IterationState) -> Direction | None:
        if not self.fresh:
            self.renew(state)
        if self.kind not in state.here.information:
            return None  # some row's second derivatives are not finite here
        found = direction(self.part(state), state.here.score, state.free)
        if not self.root and found is not None and found.ill_conditioned:
            self.root = True
            self.renew(state)
            found = direction(self.part(state), state.here.score, state.free)
        if found is None:
            return self._indefinite(state)
        self.factor = found.factor
        return found

    def _indefinite(self, state: IterationState) -> Direction | None:
        objective, here = state.objective, state.here
        kinds: tuple[Kind, ...] = (objective.main_kind, "opg")
        for kind in kinds:
            if objective.same(kind) == objective.same("observed"):
                continue  # the metric has to differ from M
            metric = state.evaluate(here.theta, Need(kinds=(kind,))).information[kind].matrix
            M = self.part(state).matrix
            # If second derivatives are not finite, use the metric instead of M.
            found = uphill(M if np.isfinite(M).all() else metric, metric, here.score, state.free)
            if found is not None:
                return found
        return None


EARLY = 10.0
"""Factor by which a curve over many rows asks early for the observed information: with the reading of a step it costs a
third of that, afterwards a reading of its own. From a sample's minimum a step of a saturation curve over 10,000,000
rows led from 9 to 0.009 standard errors, where the sample's size says 0.06."""


class InRegion(Directions):
    """Directions by QR of the rows in a trust region, which determines τ; M need not have full rank."""

    factors = True

    def __init__(self, method: Method, damping: float, learning_rate: float | None, objective: Objective) -> None:
        super().__init__(method, damping, learning_rate)
        self.kind = method.curvature.kind
        self.root = True
        self.many = objective.n_blocks > MANY_BLOCKS
        self.shrinks = _shrinks(objective)
        """Factor by which a step is expected to reduce the distance."""
        self.region = TrustRegion(objective.projected)
        self.proposal: Proposal | None = None

    def nearing(self, state: IterationState) -> bool:
        return state.near or (self.many and state.distance * self.shrinks <= EARLY * self.near_at)

    def _triangle(self, state: IterationState) -> Root | None:
        assert self.kind is not None
        part = state.here.information[self.kind]
        return part if isinstance(part, Root) and all_finite(part.triangle) else None

    def _propose(self, state: IterationState, part: Root) -> Proposal:
        return self.region.propose(part.triangle, state.here.theta, state.free, state.objective.bounds)

    def solve(self, state: IterationState) -> Direction | None:
        part = self._triangle(state)
        if part is None:
            return None
        self.proposal = self._propose(state, part)
        self.damping = self.proposal.damping
        return measured(self.proposal.step, part, state.free)

    def along(self, state: IterationState, found: Direction, slope: float, need: Need) -> Accepted | None:
        """Try steps with increasing damping until one is accepted."""
        part, here, proposal = self._triangle(state), state.here, self.proposal
        assert part is not None
        while proposal is not None and proposal.gain > 0:
            trial = state.trial(proposal.step, need)
            if self.region.accepts(here, trial, float(here.score @ proposal.step), proposal):
                self.damping = proposal.damping
                return Accepted(trial, 1.0)
            if self.region.spent(here, proposal):
                return None
            proposal = self._propose(state, part)
        return None

    def accept(self, state: IterationState, accepted: Accepted) -> Evaluation:
        return accepted.evaluation


class ByProducts(Directions):
    """Directions by conjugate gradients, from products M v; no p × p matrix is formed."""

    kind = "observed"

    def solve(self, state: IterationState) -> Direction | None:
        if state.first:
            state.drop_aliased(self.need(state.near))
        return by_products(state, EXACT if state.near else ROUGH)

    def look_closer(self, state: IterationState, found: Direction) -> Direction:
        return by_products(state, EXACT)


class ByCurvature(Directions):
    """Directions by the curvature's own `solve`.

    The observed information measures the distance and gives the polishing step, as for other directions. With many
    parameters its products with vectors are used, so that no p × p matrix is formed, for all steps near the maximum.
    """

    def __init__(self, method: Method, damping: float, learning_rate: float | None, objective: Objective) -> None:
        super().__init__(method, damping, learning_rate)
        self.curvature: Curvature[Any] = method.curvature
        self.learned: Any = None
        measures, small = self.curvature.in_standard_errors, objective.n_params <= MOST_PARAMETERS
        self.spectral = not measures and learning_rate is None
        """Whether trial step sizes adapt to the last step, as no matrix scales it."""
        self.sparing = measures and not small and not self.curvature.kinds
        self.near_at = NEAR if measures else math.inf

    def need(self, near: bool) -> Need:
        if not self.sparing:
            return super().need(near)
        return Need(kinds=("observed",), products=True) if near else Need()

    def solve(self, state: IterationState) -> Direction | None:
        if state.first:
            if not self.sparing:
                state.drop_aliased(self.need(state.near))
            self.learned = self.curvature.init(_masked(state.here, state.free))
        if self.sparing and state.near:
            return by_products(state, EXACT)
        step = self.curvature.solve(self.learned, _masked(state.here, state.free), state.free)
        if step is None:
            return None
        step = np.where(state.free, step, 0.0)
        rise = float(state.here.score @ step)
        return Direction(step, math.sqrt(rise), None) if rise >= 0 else None

    def look_closer(self, state: IterationState, found: Direction) -> Direction:
        if not self.sparing:
            return super().look_closer(state, found)
        state.renew(self.need(near=True))
        return by_products(state, EXACT)

    def accept(self, state: IterationState, accepted: Accepted) -> Evaluation:
        here, there = _masked(state.here, state.free), _masked(accepted.evaluation, state.free)
        self.learned = self.curvature.update(self.learned, here, there)
        if self.spectral:
            self.size = _spectral_size(here, there) or accepted.size
        return super().accept(state, accepted)


def _masked(evaluation: Evaluation, free: np.ndarray) -> Evaluation:
    """An evaluation with a score of 0 for the parameters that do not move."""
    return evaluation if free.all() else replace(evaluation, score=np.where(free, evaluation.score, 0.0))


def _spectral_size(here: Evaluation, there: Evaluation) -> float | None:
    """Step size of Barzilai and Borwein (1988, IMA J. Numer. Anal. 8, equation 5): Δθᵀ Δθ / −Δθᵀ Δ∇ℓ.

    α I is then the multiple of the identity that is closest to M⁻¹ in the direction of the last step.
    """
    moved = there.theta - here.theta
    curved = float(moved @ (here.score - there.score))
    return float(moved @ moved) / curved if curved > 0 else None


def by_products(state: IterationState, tolerance: float) -> Direction:
    """The Newton step by the observed information, from its products with vectors."""
    operator = state.here.operator
    assert operator is not None
    return conjugate_gradients(operator.product, operator.diagonal(), state.here.score, state.free, tolerance)


def directions_of(
    method: Method,
    objective: Objective,
    damping: float,
    learning_rate: float | None,
    warm: Factor | None,
    part: Part | None = None,
) -> Directions:
    """The directions of a method."""
    if method.solver == "cg":
        return ByProducts(method, damping, learning_rate)
    if method.solver == "none":
        return ByCurvature(method, damping, learning_rate, objective)
    if method.search is None:
        return InRegion(method, damping, learning_rate, objective)
    return ByFactor(method, damping, learning_rate, objective, warm, part)
