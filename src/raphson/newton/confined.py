r"""Newton's method inside walls: steps that maximise the quadratic model of ℓ without leaving the domain.

    max ∇ℓᵀd − ½ dᵀMd   subject to  a_iᵀd ≤ r_i

A wall a_iᵀd ≤ r_i keeps one row inside the domain. With M = RᵀR, h = Rd and the unconstrained step h₀ = R⁻ᵀ∇ℓ, the
solution is the point of a polyhedron nearest to h₀: least distance programming, solved by non-negative least squares
(Lawson and Hanson 1974, Solving Least Squares Problems, chapter 23). A wall is added only when a step would cross it,
so few are used however many rows there are. At the constrained maximum

    ∇ℓ = Σ λ_i a_i,   λ_i ≥ 0,   a_iᵀd = r_i = 0 where λ_i > 0                     (Karush, Kuhn and Tucker)

and the step is 0. The length ‖Rd‖ of the step is the distance to the constrained maximum in standard errors, like
Newton's decrement without walls. For d = 0 it is the residual of ∇ℓ = Σ λ_i a_i in the metric M⁻¹, by the duality of
the two problems.
"""

# pyright: strict, reportConstantRedefinition=false, reportMissingTypeStubs=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from raphson.model.objective import Gram, Kind, Need, Root
from raphson.model.walls import Walls
from raphson.newton.ascent import Ascent
from raphson.newton.convergence import Measured
from raphson.newton.curvature import OBSERVED
from raphson.newton.directions import NEAR, Directions
from raphson.newton.search import backtracking
from raphson.newton.solve import Direction, Factor, factorise
from raphson.newton.state import IterationState
from raphson.numeric import EPSILON

PATIENCE = 10
"""Steps after which a method that has not converged, in a domain with walls, is assumed to creep along one: more than
Fisher scoring takes without walls. A Poisson model with an identity link takes 6, 13 or 18 steps if it waits for 1, 10
or 100."""

NOT_FLAT = 1e-10
"""Squared pivot below which the information is practically 0 in some direction, so that only walls limit the step. The
pivots' rounding, ε relative to 1, leaves six digits of a step at this limit."""

SIZES = (1.0, 1e2, 1e4)
"""Curvatures added across the walls, in turn, where ℓ is convex there; in units of the outer product of scores. They do
not change the maximum, only the steps to it: nothing changes at a ten thousandth of them nor at ten thousand times them
for four models at the edge, binomial with a log link and Poisson with an identity link."""

MOST_ROUNDS = 100
"""Largest number of times that walls are added for one step, each time all that the step would cross. Two are enough
for four models at the edge, binomial with a log link and Poisson with an identity link; with one, three of them
fail."""

KINDS: tuple[Kind, ...] = ("observed", "opg")


class BetweenWalls(Directions):
    """Newton's steps inside walls, with a positive definite matrix close to the observed information.

    Parameters
    ----------
    before : the directions of the iteration so far.
    """

    pull = 0.0
    """Length that the last step would have without walls."""

    def __init__(self, before: Directions) -> None:
        super().__init__(replace(before.method, curvature=OBSERVED, solver="cholesky", search=backtracking), 0.0, None)

    def need(self, near: bool) -> Need:
        return Need(kinds=KINDS)

    def solve(self, state: IterationState) -> Direction | None:
        """The step; None if no matrix is positive definite."""
        if "opg" not in state.here.information:
            state.renew(self.need(state.near))
        theta, score, objective = state.here.theta, state.here.score, state.objective
        walls = objective.walls(theta)
        self.factor = _metric(state, walls)
        if self.factor is None:
            return None
        found = within(self.factor, score, walls, lambda d: objective.walls(theta, d))
        if found is None:
            return None
        step, length, self.pull = found
        return Direction(step, length, self.factor)


def _metric(state: IterationState, walls: Walls) -> Factor | None:
    """A positive definite matrix as close as possible to the observed information.

    Where ℓ rises towards a wall at a constant slope, the observed information is 0 across it. A tiny multiple of the
    outer product of scores is then enough, as the walls cut the long step. Where the information is negative across
    walls at θ, adding a multiple of their a aᵀ does not change it along the walls, where steps remain Newton's.
    """
    observed, opg = (state.here.information[kind].matrix for kind in KINDS)
    tilted, across = observed + 1e-6 * opg, _across(walls, opg)
    for M in (observed, tilted, *(tilted + size * across for size in SIZES if len(walls)), observed + opg):
        factor = factorise(Gram(M), state.free)
        if factor is not None and factor.smallest_pivot**2 > NOT_FLAT:
            return factor
    kind = state.objective.main_kind
    main = state.evaluate(state.here.theta, Need(kinds=(kind,))).information[kind].matrix
    for damping in (1e-6, 1e-3, 1.0):
        factor = factorise(Gram(main + damping * (opg + np.diag(np.diagonal(main + opg)))), state.free)
        if factor is not None:
            return factor
    return None


def _across(walls: Walls, opg: np.ndarray) -> np.ndarray:
    """(p, p) Σ a_i a_iᵀ of the walls, with each a_i scaled to length 1 in the units of the outer product of scores."""
    diagonal = np.diagonal(opg)
    lengths = np.sqrt((walls.normals**2 / np.where(diagonal > 0, diagonal, 1.0)).sum(axis=1))
    normals = walls.normals / np.where(lengths > 0, lengths, 1.0)[:, None]
    return normals.T @ normals


class Confined(Ascent):
    """An iteration that continues as Newton's method inside walls.

    Parameters
    ----------
    before : the iteration so far.
    """

    def __init__(self, before: Ascent) -> None:
        self.__dict__.update(before.__dict__)
        self.walled = BetweenWalls(before.directions)
        self.directions = self.walled
        self.near, self.polished, self.last_good = True, False, None
        self.renew(self.need())
        root = self._rank_triangle()
        factor = factorise(root, self.free)
        if factor is not None and (factor.kept != self.free).any():
            self.hold(factor, root, self.need())

    @staticmethod
    def serves(iteration: Ascent) -> bool:
        """Whether an iteration that got stuck can continue inside walls."""
        return iteration.objective.walled and not isinstance(iteration, Confined)

    @staticmethod
    def takes_over(iteration: Ascent) -> bool:
        """Whether an iteration has reached the walls of its objective, or creeps along them."""
        if not Confined.serves(iteration):
            return False
        if iteration.blocked or (iteration.directions.kind is not None and len(iteration.path) > PATIENCE):
            return True
        return iteration.first and len(iteration.objective.walls(iteration.here.theta)) > 0

    def _rank_triangle(self) -> Root:
        """A triangle with the rank of the rows; in a limiting model, of the rows that are not fitted exactly."""
        design = None if self.objective.at_limit else self.objective.design_root(self.here.theta)
        if design is not None:
            return design
        kinds: tuple[Kind, ...] = (self.objective.main_kind, "opg")
        parts = self.evaluate(self.here.theta, Need(kinds=kinds, root=True)).information
        triangles = [part.triangle for part in parts.values() if isinstance(part, Root)]
        return Root.of(np.concatenate(triangles))

    def measure(self) -> Measured:
        """The distance to the constrained maximum, in standard errors."""
        assert self.found is not None
        self.previous, self.newton = self.distance, self.found
        scale = math.sqrt(self.here.dispersion)
        self.distance = self.found.decrement / scale
        self.floor = self._floor() + EPSILON * self.walled.pull / scale
        if self.last_good is not None and self.distance > self.last_good[1]:
            self.here, self.distance = self.last_good
        self._record()
        return self._measured(self.size == 1.0)

    def advance(self, polish: bool) -> bool:
        """Take the step, or a shorter one that increases ℓ; False if there is none."""
        if self._reverted:
            return False
        accepted = self._polish() if polish else self._search()
        if accepted is None and not polish and self.distance <= NEAR:
            polish, accepted = True, self._polish()  # ℓ changes only by rounding
        if accepted is None:
            return False
        self.last_good = (self.here, self.distance) if polish else None
        self.polished, self.here, self.size = polish, accepted.evaluation, accepted.size
        return True


def within(
    factor: Factor, score: np.ndarray, walls: Walls, passed: Callable[[np.ndarray], Walls]
) -> tuple[np.ndarray, float, float] | None:
    """The step that maximises the quadratic model inside walls.

    Parameters
    ----------
    factor : of M.
    score : (p,).
    walls : the nearby walls.
    passed : gives the walls that a step would cross.

    Returns
    -------
    The step (p,), its length ‖Rd‖, and the length of the unconstrained step; None if there is no such step.
    """
    free_step = factor.half_solve(score)
    pull = float(np.linalg.norm(free_step))
    for _ in range(MOST_ROUNDS):
        h = nearest(factor, free_step, walls)
        if h is None:
            return None
        step = factor.expand(factor.back_solve(h))
        more = walls.combined(passed(step))
        if len(more) == len(walls):
            return step, float(np.linalg.norm(h)), pull
        walls = more
    return None


def nearest(factor: Factor, target: np.ndarray, walls: Walls) -> np.ndarray | None:
    """The h nearest to `target` (r,) with (A R⁻¹) h ≤ room; None if there is none."""
    from scipy.optimize import nnls

    if not len(walls) or not len(target):
        return target
    G = factor.half_solve(walls.normals.T).T
    size = np.linalg.norm(G, axis=1)
    across = size > 0
    G, room = G[across] / size[across, None], walls.room[across] / size[across]
    beyond = room - G @ target
    if (beyond >= 0).all():
        return target
    scale = float(np.abs(beyond).max())
    E = np.vstack([-G.T, -beyond[None] / scale])
    f = np.zeros(len(E))
    f[-1] = 1.0
    try:
        u, residual = nnls(E, f, maxiter=50 * (len(room) + len(f)))
    except RuntimeError:
        return None
    if residual <= 1e-12:
        return None
    active = u > 0
    if not active.any():
        return target
    # Solve again with the active walls as equations: if the target is far away, the difference has lost digits. As in
    # Gram-Schmidt, projecting twice is enough.
    Q, T = np.linalg.qr(G[active].T)
    inner = target - Q @ (Q.T @ target)
    inner = inner - Q @ (Q.T @ inner)
    return inner + Q @ np.linalg.lstsq(T.T, room[active], rcond=None)[0]
