r"""A climb between walls: steps that maximise the quadratic model of ℓ without passing the edge of the domain.

    max ∇ℓᵀd − ½ dᵀMd   subject to  a_iᵀd ≤ r_i

With M = RᵀR, h = Rd and the unconstrained step h₀ = R⁻ᵀ∇ℓ this asks for the point nearest to h₀ of a polyhedron: least
distance programming, solved by non-negative least squares (Lawson and Hanson 1974, Solving Least Squares Problems,
chapter 23). Walls are taken in as steps pass them, so that few are ever looked at however many rows there are. At the
maximum under the walls

    ∇ℓ = Σ λ_i a_i,   λ_i ≥ 0,   a_iᵀd = r_i = 0 where λ_i > 0                     (Karush, Kuhn and Tucker)

and the step is 0: its length ‖Rd‖ is the distance to that maximum in standard errors, as Newton's decrement is to one
without walls. For d = 0 it is the residual of ∇ℓ = Σ λ_i a_i in the metric M⁻¹, by the duality of the two problems.
"""

# pyright: strict, reportConstantRedefinition=false, reportMissingTypeStubs=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import nnls

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
"""Steps after which a method that has not arrived, in a domain with walls, is taken to creep along one."""

NOT_FLAT = 1e-10
"""Squared pivot below which the information says all but nothing of some direction, which walls have to end."""

SIZES = (1.0, 1e2, 1e4)
"""Of the curvature given to walls where ℓ bends up across them, in units of the outer product of scores."""

MOST_ROUNDS = 100
"""Times that walls which a step passes are taken in."""

KINDS: tuple[Kind, ...] = ("observed", "opg")


class BetweenWalls(Directions):
    """Newton's step between the walls, by a matrix as near to the observed information as is positive definite.

    Parameters
    ----------
    before : the directions of the iteration so far.
    """

    pull = 0.0
    """Length of the last step, were there no walls."""

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
    """A positive definite matrix as near to the observed information as there is one.

    Where rows push against a wall with a constant slope, the observed information is 0 across it. Of the outer product
    of scores, which is not, a trifle is enough then: the walls end what would be a long step. Where it is negative
    there, a aᵀ of the walls that θ stands at changes nothing along them: Newton's steps stay Newton's.
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
    """Σ a_i a_iᵀ of walls (p, p), each a_i of length 1 as the outer product of scores measures it."""
    diagonal = np.diagonal(opg)
    lengths = np.sqrt((walls.normals**2 / np.where(diagonal > 0, diagonal, 1.0)).sum(axis=1))
    normals = walls.normals / np.where(lengths > 0, lengths, 1.0)[:, None]
    return normals.T @ normals


class Confined(Ascent):
    """An iteration that goes on as Newton's method between walls.

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
        root = self._told()
        factor = factorise(root, self.free)
        if factor is not None and (factor.kept != self.free).any():
            self.hold(factor, root, self.need())

    @staticmethod
    def serves(iteration: Ascent) -> bool:
        """Whether an iteration that got stuck may go on between walls."""
        return iteration.objective.walled and not isinstance(iteration, Confined)

    @staticmethod
    def takes_over(iteration: Ascent) -> bool:
        """Whether an iteration has met the walls of its objective, or creeps along them."""
        if not Confined.serves(iteration):
            return False
        if iteration.blocked or (iteration.directions.kind is not None and len(iteration.path) > PATIENCE):
            return True
        return iteration.first and len(iteration.objective.walls(iteration.here.theta)) > 0

    def _told(self) -> Root:
        """A triangle that has the rank of the rows: of those that say something, where others are held at infinity."""
        design = None if self.objective.at_limit else self.objective.design_root(self.here.theta)
        if design is not None:
            return design
        kinds: tuple[Kind, ...] = (self.objective.main_kind, "opg")
        parts = self.evaluate(self.here.theta, Need(kinds=kinds, root=True)).information
        triangles = [part.triangle for part in parts.values() if isinstance(part, Root)]
        return Root.of(np.concatenate(triangles))

    def measure(self) -> Measured:
        """How far the maximum under the walls is, in standard errors."""
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
        """Take the step, or a part of it that raises ℓ; False if none does."""
        if self._reverted:
            return False
        accepted = self._polish() if polish else self._search()
        if accepted is None and not polish and self.distance <= NEAR:
            polish, accepted = True, self._polish()  # the search sees only rounding
        if accepted is None:
            return False
        self.last_good = (self.here, self.distance) if polish else None
        self.polished, self.here, self.size = polish, accepted.evaluation, accepted.size
        return True


def within(
    factor: Factor, score: np.ndarray, walls: Walls, passed: Callable[[np.ndarray], Walls]
) -> tuple[np.ndarray, float, float] | None:
    """The step that maximises the quadratic model between walls.

    Parameters
    ----------
    factor : of M.
    score : (p,).
    walls : those that are near.
    passed : from a step to the walls that it would pass.

    Returns
    -------
    The step (p,), its length ‖Rd‖, and that of the step without walls; None if there is none.
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
    """The h nearest to `target` (r,) with (A R⁻¹) h ≤ room; None if no h has."""
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
    # What the multipliers say is active is solved for again: the target may be so far that the difference has lost
    # digits. Twice is enough, as in orthogonalising.
    Q, T = np.linalg.qr(G[active].T)
    inner = target - Q @ (Q.T @ target)
    inner = inner - Q @ (Q.T @ inner)
    return inner + Q @ np.linalg.lstsq(T.T, room[active], rcond=None)[0]
