r"""The linear programme behind separation: a recession direction of largest support, found on as few rows as possible.

Find δ in a space N with b_iᵀδ >= 0 for all constraints i, and > 0 for as many as possible. With every b_i of unit
length this is

    maximise Σ t_i   subject to   t_i <= b_iᵀδ,  0 <= t_i <= 1.

δ may be arbitrarily long, so at the optimum each t_i is 0 or 1, and t_i = 1 for exactly those constraints that some
admissible δ makes positive (the sum of these δ makes all of them positive). The dual has multipliers λ >= 0 with
Σ λ_i b_i = 0, and λ_i >= 1 where t_i = 0.

**Why a part of the rows is enough.** Let δ be admissible for all rows. Then it is admissible for a part S too. If the
programme on S gives t_i = 0 for the rows Z of S, with multipliers λ > 0 on Z, then 0 = Σ_Z λ_i b_iᵀδ, a sum of terms
that are all >= 0: so b_iᵀδ = 0 on Z. Rows in Z are therefore *equations* for every admissible δ of the whole problem,
and N may shrink to their null space. S proves that there is no separation only when nothing of N is left. (A part S
without separation but with rank below p does not prove it.) What is left of N is then tested on all rows: those that
are violated, or that are 0 on δ but not on all of N, are added to S. The search ends when there are none.

**Floating point.** HiGHS is accurate to about 1e-7, so its answer is only a proposal (S⁺, Z). It is accepted if both
sides are verified: δ, projected on the null space of Z, is positive on S⁺; and the multipliers, corrected within the
row space of Z to give Σ λ_i b_i = 0 up to rounding, stay positive. Otherwise the rows are so nearly separated that the
programme cannot decide: the coordinates are stretched until Z is isotropic, which turns small angles into large ones,
and the programme is solved again. What stays undecided is never called separated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raphson import scipy_special as special
from raphson.linalg import cholesky
from raphson.model.glm.separating_rows import ABSENT, EQUATION, INEQUALITY, MoreRows, SeparatingRows

TIE = 1e-11
"""A product x_iᵀδ below this share of Σ|x_ij δ_j| is zero up to the rounding of the data: a sum of p terms is wrong by
up to p ε, 2e-13 for a thousand columns."""
ROUNDS = 200
"""Times at most that rows join those the programme is solved for; each brings 20 rows a column or more."""

READINGS = 30
"""Most readings of all rows, where a part of them does not decide."""
ZOOMS = 4
"""How often undecided rows are stretched and tested again."""

CLIMB = 40
"""Newton's steps at most, by which rows that separate move on by about 1 each: at 2 they are taken to do so. Where it
does not decide the programme does: with 4 four logistic models that separate, two of them but for some rows, end the
same."""


@dataclass(frozen=True)
class RecessionDirection:
    """A recession direction of largest support, in scaled coordinates, and the space of all such directions."""

    direction: np.ndarray  # (p,)
    space: np.ndarray  # (p, q), orthonormal: null space of all constraints that are not strict
    strict: np.ndarray  # per constraint: b_iᵀδ > 0
    pull: np.ndarray  # (p,): Σ b_i over some strict constraints, projected on the space


@dataclass(frozen=True)
class PossibleDirections:
    """The directions that the constraints leave possible: one of them, and the space of all."""

    direction: np.ndarray  # (p,), of largest support
    space: np.ndarray  # (p, q), orthonormal: null space of all constraints that are not strict
    strict: np.ndarray  # per constraint: b_iᵀδ > 0


def maximal_direction(rows: SeparatingRows, space: np.ndarray) -> RecessionDirection | None:
    """A recession direction of largest support within ``space``, or None if there is none (or none provable).

    Parameters
    ----------
    rows : SeparatingRows
    space : ndarray, (p, q)
        Orthonormal basis, in scaled coordinates, of the directions in which the parameters may move.
    """
    possible = possible_directions(rows, space)
    return None if possible is None else _strict_direction(rows, possible)


def maximal_direction_everywhere(
    part: SeparatingRows, space: np.ndarray, everywhere: Everywhere
) -> RecessionDirection | None:
    """A recession direction of rows that are not in memory, found on a part of them that grows only as needed.

    The directions that the part leaves possible, including those in which none of its rows changes, are tested on all
    rows. Rows that oppose them, or change where the part does not, are added to the part. If the part leaves none
    possible, no reading of all rows is needed.

    Parameters
    ----------
    part : SeparatingRows
        Some of the rows, in memory.
    space : ndarray, (p, q)
        As for :func:`maximal_direction`.
    everywhere : callable
        From a function of some rows to the sum of its :class:`NewConstraints` over all rows.
    """
    for _ in range(READINGS):
        possible = possible_directions(part, space)
        if possible is None:
            return None
        unseen = _solve(part, possible.space, part.kind != ABSENT, np.random.default_rng(0))
        new = everywhere(lambda rows, possible=possible, unseen=unseen: _new_constraints(rows, possible, unseen))
        if not len(new.constraints):
            return _strict_direction(part, possible)
        part = MoreRows(part, new.constraints, new.kinds)
    return None


@dataclass(frozen=True)
class NewConstraints:
    """Constraints to add to a part: a limited number of those most violated, and as many others.

    Attributes
    ----------
    constraints : (m, p), in scaled coordinates.
    kinds : (m,) EQUATION or INEQUALITY.
    depth : (m,) by how much each is violated, relative to the terms of its product; 0 if it is not.
    most : how many of each to keep.
    """

    constraints: np.ndarray
    kinds: np.ndarray
    depth: np.ndarray
    most: int

    def __add__(self, other: NewConstraints) -> NewConstraints:
        depth = np.concatenate([self.depth, other.depth])
        which = _selected(depth, self.most)
        constraints = np.concatenate([self.constraints, other.constraints])[which]
        return NewConstraints(constraints, np.concatenate([self.kinds, other.kinds])[which], depth[which], self.most)


Everywhere = Callable[[Callable[[SeparatingRows], NewConstraints]], NewConstraints]


def _new_constraints(rows: SeparatingRows, possible: PossibleDirections, unseen: np.ndarray) -> NewConstraints:
    value, bound = _evaluate(rows, possible.direction)
    inequality = rows.kind == INEQUALITY
    strict = inequality & (value > TIE * bound)
    opposed = inequality & (value < -TIE * bound)
    new = opposed | (_moves(rows, possible.space) & ~strict) | _moves(rows, unseen)
    which = np.flatnonzero(new & (rows.kind != ABSENT))
    depth = np.divide(value, bound, out=np.zeros_like(value), where=opposed)[which]
    most = 20 * possible.space.shape[1]
    held = _selected(depth, most)
    return NewConstraints(rows.dense(which[held]), rows.kind[which[held]], depth[held], most)


def _selected(depth: np.ndarray, most: int) -> np.ndarray:
    """Indices of the most violated constraints, and of as many spread evenly over the rest."""
    if len(depth) <= 2 * most:
        return np.arange(len(depth))
    order = np.argsort(depth, kind="stable")
    return np.concatenate([order[:most], np.sort(order[most:])[:: -(-(len(depth) - most) // most)]])


def possible_directions(rows: SeparatingRows, space: np.ndarray) -> PossibleDirections | None:
    """The directions in ``space`` that the rows leave possible; None if there are none, or none can be proved."""
    rng = np.random.default_rng(0)
    inequality = rows.kind == INEQUALITY
    space = _solve(rows, space, rows.kind == EQUATION, rng)
    if not space.shape[1]:
        return None
    if not inequality.any():
        return PossibleDirections(np.zeros(len(space)), space, inequality)
    width = space.shape[1]
    working = _stratified(rows, inequality, max(300, 10 * width), rng)
    for _ in range(ROUNDS):
        B = rows.dense(working)
        split = split_rows(B @ space, np.linalg.norm(B, axis=1))
        if split is None:
            return None
        gamma, zero, nothing_left = split
        if nothing_left:
            return None
        direction = space @ gamma
        if zero.any():
            space = null_within(space, B[zero])
            if not space.shape[1]:
                return None
            direction = space @ (space.T @ direction)
        value, bound = _evaluate(rows, direction)
        strict = inequality & (value > TIE * bound)
        violated = inequality & (value < -TIE * bound)
        if violated.any():
            candidates = np.flatnonzero(violated)
            depth = value[candidates] / bound[candidates]
            most = 20 * width
            worst = candidates[np.argsort(depth, kind="stable")[:most]]
            joining = np.union1d(worst, _some(candidates, most, rng))
        else:
            moving = _moves(rows, space) & inequality & ~strict
            if not moving.any():
                return PossibleDirections(direction, space, strict)
            joining = _some(np.flatnonzero(moving), 20 * width, rng)
        grown = np.union1d(working, joining)
        if len(grown) == len(working):
            return None
        working = grown
    return None


def _strict_direction(rows: SeparatingRows, possible: PossibleDirections) -> RecessionDirection | None:
    """The direction without components that no constraint depends on; None if no row changes along it."""
    if not possible.strict.any():
        return None
    rng = np.random.default_rng(0)
    direction, space = _without_aliases(
        possible.direction, possible.space, _solve(rows, possible.space, possible.strict, rng)
    )
    pulling = rows.dense(_some(np.flatnonzero(possible.strict), 1000, rng)).sum(axis=0)
    return RecessionDirection(direction, space, possible.strict, space @ (space.T @ pulling))


def split_rows(B: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Solve the programme for the rows of B, and verify the answer on both sides.

    Parameters
    ----------
    B : ndarray, (m, q)
        Constraints in the coordinates of the space.
    size : ndarray, (m,)
        Their lengths before projection on the space: what is small relative to them is rounding.

    Returns
    -------
    gamma : ndarray, (q,)
        BΓ > 0 on the rows that are not in ``zero``, up to those that are zero on the whole space.
    zero : ndarray of bool, (m,)
        Rows that are 0 for every admissible direction.
    nothing_left : bool
        No direction is 0 on all of those: there is no separation.

    None if no split could be verified.
    """
    m, q = B.shape
    length = np.linalg.norm(B, axis=1)
    live = np.flatnonzero(length > TIE * size)
    zero = np.zeros(m, dtype=bool)
    if not len(live):
        return np.zeros(q), zero, False
    unit, first, inverse = np.unique(B[live] / length[live, None], axis=0, return_index=True, return_inverse=True)
    # Rounding of the unit rows, which are projections of vectors of length `size`.
    noise = 1e-15 * (size[live][first] / length[live][first]).max()
    stretched_on = unit
    for zoom in range(ZOOMS):
        s, V = _singular(stretched_on)
        seen = s > max(TIE, 100 * noise) * s[0]
        T = V.T / np.where(seen, s, 1.0)
        if zoom == 0:
            T = T[:, seen]
        C = unit @ T
        C /= np.linalg.norm(C, axis=1)[:, None]
        tolerance = max(TIE, 100 * noise / s[seen].min())
        strict = np.zeros(len(C), dtype=bool)
        for propose in (_climb, _programme) if zoom == 0 else (_programme,):
            proposal = propose(C)
            if proposal is None:
                continue
            g, strict, multiplier = proposal
            kernel = _certified_kernel(C[~strict], multiplier[~strict], tolerance)
            if kernel is not None:
                # δ has to be zero on the equations up to rounding, not just to the tolerance of the proposal.
                h = kernel @ (kernel.T @ g)
                if np.all(C[strict] @ h > 0.25):
                    zero[live] = ~strict[inverse.ravel()]
                    return T @ h, zero, T.shape[1] == q and kernel.shape[1] == 0
        if strict.all():
            return None
        stretched_on = unit[~strict]
    return None


def null_within(space: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Orthonormal basis (p, q') of the part of ``space`` (p, q) on which the rows of B (m, p) are 0."""
    length = np.linalg.norm(B, axis=1)
    C = B[length > 0] / length[length > 0, None] @ space
    if not len(C):
        return space
    return space @ _kernel(C, TIE)


def _kernel(C: np.ndarray, tolerance: float) -> np.ndarray:
    s, V = _singular(C)
    return V[np.sum(s > tolerance * np.sqrt(len(C))) :].T


def _singular(C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # All q singular values of C (m, q) and the right singular vectors as rows. The R of a QR decomposition has the
    # same ones and at most q rows, so that the SVD is small.
    R = np.linalg.qr(C, mode="r") if len(C) > C.shape[1] else C
    s, V = np.linalg.svd(R, full_matrices=True)[1:]
    return np.concatenate([s, np.zeros(len(V) - len(s))]), V


def _certified_kernel(Z: np.ndarray, multiplier: np.ndarray, tolerance: float) -> np.ndarray | None:
    # The kernel of the rows Z if the multipliers λ prove that they are equations, else None. With Λ = diag(λ) and
    # a = (ZᵀΛZ)⁺ Zᵀλ, the corrected multipliers λ_i (1 - z_iᵀa) satisfy Zᵀ(λ - ΛZa) = 0. They are a proof if no z_iᵀa
    # is near 1. a solves the least squares problem √Λ Z a ≈ √λ.
    if not len(Z):
        return np.eye(Z.shape[1])
    if np.any(multiplier <= 0.0):
        return None
    s, V = _singular(Z)
    rank = int(np.sum(s > tolerance * np.sqrt(len(Z))))
    root = np.sqrt(multiplier / multiplier.max())
    inside = Z @ V[:rank].T
    Q, R = np.linalg.qr(root[:, None] * inside)
    try:
        correction = inside @ np.linalg.solve(R, Q.T @ root)
    except np.linalg.LinAlgError:
        return None
    return V[rank:].T if np.all(np.abs(correction) < 0.5) else None


def _climb(C: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    # A proposal without the programme, many times faster: maximise Σ log expit(C g), whose maximum is at infinity
    # exactly where the rows separate. Its row scores λ = expit(-Cg) are the multipliers: Zᵀλ -> 0 as Newton's method
    # converges on the rows Z with a finite limit. On the others every Newton step moves C g by about 1.
    m, q = C.shape
    g, before = np.zeros(q), None
    for _ in range(CLIMB):
        value = C @ g
        multiplier, weight = special.expit(-value), special.expit(value) * special.expit(-value)
        if value.min() > 1e-8 * value.max():
            return g / value.min(), np.ones(m, dtype=bool), multiplier
        factor = cholesky((C.T * weight) @ C)
        if factor is None:
            return None
        step = factor.solve(C.T @ multiplier)
        change = C @ step
        if np.all(np.abs(change) < 1e-3):
            return np.zeros(q), np.zeros(m, dtype=bool), multiplier
        strict = change > 0.25
        settled = before is not None and strict.any() and np.array_equal(strict, before)
        if settled and np.abs(change[~strict]).max(initial=0.0) < 0.02 and value[strict].min() > 2.0:
            return g / value[strict].min(), strict, multiplier
        before = strict
        # Newton's full step if it increases the sum. Otherwise the share log(1+d)/d of it with d = max |change|, which
        # always does, since the Hessian changes by a factor of less than exp(|change|) on the way (Bach, 2010,
        # Electronic J. Statistics 4, section 2.2).
        d = np.abs(change).max()
        climbs = special.log_expit(value + change).sum() > special.log_expit(value).sum()
        g = g + step * (1.0 if climbs else np.log1p(d) / d)
    return None


def _programme(C: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    # linprog minimises over (g, t), with g free and rows t - C g <= 0. Its multipliers have the opposite sign.
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, hstack

    m, q = C.shape
    answer = linprog(
        np.concatenate([np.zeros(q), -np.ones(m)]),
        A_ub=hstack([csr_array(-C), eye_array(m)], format="csr"),
        b_ub=np.zeros(m),
        bounds=[(None, None)] * q + [(0.0, 1.0)] * m,
        method="highs",
    )
    if answer.status != 0:
        return None
    g = answer.x[:q]
    return g, C @ g > 0.5, -answer.ineqlin.marginals


def _solve(rows: SeparatingRows, space: np.ndarray, zero: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # The part of the space on which the constraints in the mask `zero` are 0. A few of full rank suffice; the others
    # are read only while something is left. `known` says that all of `left` change somewhere in what is left.
    left, known = np.flatnonzero(zero), False
    while len(left) and space.shape[1]:
        smaller = null_within(space, rows.dense(_some(left, 10 * space.shape[1] + 100, rng)))
        if known and smaller.shape[1] == space.shape[1]:
            break
        space = smaller
        if space.shape[1]:
            left, known = np.flatnonzero(zero & _moves(rows, space)), True
    return space


def _without_aliases(direction: np.ndarray, space: np.ndarray, unseen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Directions on which no constraint depends, N₀ = null(X), are not at infinity but aliased. Of aliased columns the
    # later one is dropped: column j is a combination of earlier ones if j is the last nonzero element of some vector of
    # N₀. Elimination from below finds these j; subtracting N₀ c then makes δ_j = 0 without changing any x_iᵀδ.
    if not unseen.shape[1]:
        return direction, space
    rest, aliased = unseen.copy(), []
    for j in reversed(range(len(rest))):
        k = int(np.argmax(np.abs(rest[j]))) if rest.shape[1] else 0
        if rest.shape[1] and abs(rest[j, k]) > 1e-8 * np.abs(rest).max():
            aliased.append(j)
            rest = np.delete(rest - np.outer(rest[:, k], rest[j] / rest[j, k]), k, axis=1)
    direction = direction - unseen @ np.linalg.solve(unseen[aliased], direction[aliased])
    direction[aliased] = 0.0
    return direction, null_within(space, np.eye(len(rest))[aliased])


def _evaluate(rows: SeparatingRows, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value, bound = np.empty(len(rows.kind)), np.empty(len(rows.kind))
    for where, v, b in rows.products(direction[:, None]):
        value[where], bound[where] = v[:, 0], b[:, 0]
    return value, bound


def _moves(rows: SeparatingRows, space: np.ndarray) -> np.ndarray:
    # The constraints that change along some direction of the space.
    moves = np.empty(len(rows.kind), dtype=bool)
    for where, v, b in rows.products(space):
        moves[where] = np.any(np.abs(v) > TIE * b.max(axis=1, keepdims=True, initial=0.0), axis=1)
    return moves


def _some(which: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return which if len(which) <= count else rng.choice(which, count, replace=False)


def _stratified(rows: SeparatingRows, inequality: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    # Equal numbers from each stratum: of a handful of successes among a million failures all are needed.
    labels = np.unique(rows.strata[inequality])
    each = -(-count // len(labels))
    parts = [_some(np.flatnonzero(inequality & (rows.strata == label)), each, rng) for label in labels]
    return np.unique(np.concatenate(parts))
