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

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import nnls

from raphson.model.objective import Gram, Kind, Need, Root
from raphson.model.walls import Walls
from raphson.newton.climb import NEAR, IterationState
from raphson.newton.convergence import Measured
from raphson.newton.search import Accepted, backtracking
from raphson.newton.solve import Direction, Factor, factorise
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


class Confined(IterationState):
    """A climb that goes on as Newton's method between walls.

    Parameters
    ----------
    climb : the iteration so far.
    """

    def __init__(self, climb: IterationState) -> None:
        self.__dict__.update(climb.__dict__)
        self.method = replace(climb.method, curvature="observed", solver="cholesky", search=backtracking)
        self.region = None
        self.many = self.polished = False
        self.fresh = self.near = True
        self.last_good, self.damping, self.pull = None, 0.0, 0.0
        self.here = self._evaluate(self.here.theta, self._need())
        root = self._told()
        factor = factorise(root, self.free)
        if factor is not None and (factor.kept != self.free).any():
            self._hold(factor, root)

    @staticmethod
    def serves(climb: IterationState) -> bool:
        """Whether a climb that got stuck may go on between walls."""
        return climb.objective.walled and not isinstance(climb, Confined)

    @staticmethod
    def takes_over(climb: IterationState) -> bool:
        """Whether a climb has met the walls of its objective, or creeps along them."""
        if not Confined.serves(climb):
            return False
        slow = climb.method.curvature is not None and len(climb.path) > PATIENCE
        return climb.blocked or slow or (not len(climb.path) and len(climb.objective.walls(climb.here.theta)) > 0)

    def _told(self) -> Root:
        """A triangle that has the rank of the rows: of those that say something, where others are held at infinity."""
        design = None if self.objective.at_limit else self.objective.design_root(self.here.theta)
        if design is not None:
            return design
        kinds: tuple[Kind, ...] = (self.objective.main_kind, "opg")
        parts = self._evaluate(self.here.theta, Need(kinds=kinds, root=True)).information
        triangles = [part.triangle for part in parts.values() if isinstance(part, Root)]
        return Root.of(np.concatenate(triangles))

    def _need(self) -> Need:
        return Need(kinds=KINDS)

    def solve(self) -> bool:
        """Find the step; False if no matrix is positive definite."""
        if "opg" not in self.here.information:
            self._renew()
        theta, score = self.here.theta, self.here.score
        walls = self.objective.walls(theta)
        factor = self._metric(walls)
        if factor is None:
            return False
        found = within(factor, score, walls, lambda d: self.objective.walls(theta, d))
        if found is None:
            return False
        step, length, self.pull = found
        self.found = self.newton = Direction(step, length, factor)
        self.factor = factor
        return True

    def _metric(self, walls: Walls) -> Factor | None:
        """A positive definite matrix as near to the observed information as there is one.

        Where rows push against a wall with a constant slope, the observed information is 0 across it. Of the outer
        product of scores, which is not, a trifle is enough then: the walls end what would be a long step. Where it is
        negative there, a aᵀ of the walls that θ stands at changes nothing along them: Newton's steps stay Newton's.
        """
        observed, opg = (self.here.information[kind].matrix for kind in KINDS)
        tilted, across = observed + 1e-6 * opg, self._across(walls, opg)
        for M in (observed, tilted, *(tilted + size * across for size in SIZES if len(walls)), observed + opg):
            factor = factorise(Gram(M), self.free)
            if factor is not None and factor.smallest_pivot**2 > NOT_FLAT:
                return factor
        kind = self.objective.main_kind
        main = self._evaluate(self.here.theta, Need(kinds=(kind,))).information[kind].matrix
        for damping in (1e-6, 1e-3, 1.0):
            factor = factorise(Gram(main + damping * (opg + np.diag(np.diagonal(main + opg)))), self.free)
            if factor is not None:
                return factor
        return None

    def _across(self, walls: Walls, opg: np.ndarray) -> np.ndarray:
        """Σ a_i a_iᵀ of walls (p, p), each a_i of length 1 as the outer product of scores measures it."""
        diagonal = np.diagonal(opg)
        lengths = np.sqrt((walls.normals**2 / np.where(diagonal > 0, diagonal, 1.0)).sum(axis=1))
        normals = walls.normals / np.where(lengths > 0, lengths, 1.0)[:, None]
        return normals.T @ normals

    def measure(self) -> Measured:
        """How far the maximum under the walls is, in standard errors."""
        assert self.found is not None
        self.previous = self.distance
        scale = math.sqrt(self.here.dispersion)
        self.distance = self.found.decrement / scale
        self.floor = self._floor() + EPSILON * self.pull / scale
        if self.last_good is not None and self.distance > self.last_good[1]:
            self.here, self.distance = self.last_good
        self._record()
        return self._measured(self.size == 1.0)

    def advance(self, polish: bool) -> bool:
        """Take the step, or a part of it that raises ℓ; False if none does."""
        assert self.found is not None
        if self._reverted:
            return False
        accepted = self._whole() if polish else self._search()
        if accepted is None and not polish and self.distance <= NEAR:
            polish, accepted = True, self._whole()  # the search sees only rounding
        if accepted is None:
            return False
        self.last_good = (self.here, self.distance) if polish else None
        self.polished, self.here, self.size = polish, accepted.evaluation, accepted.size
        return True

    def _search(self) -> Accepted | None:
        assert self.found is not None
        slope = float(self.here.score @ self.found.step)
        self.blocked = False
        if not slope > 0:
            return None
        return backtracking(lambda d: self._try(d, self._need()), self.here, self.found.step, slope)

    def _whole(self) -> Accepted | None:
        assert self.found is not None
        there = self._evaluate(self.here.theta + self.found.step, self._need())
        return Accepted(there, 1.0) if there.finite else None


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
        more = walls.and_also(passed(step))
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
