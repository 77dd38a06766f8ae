"""Newton's method for stacks of groups, each a small concave problem of its own, in NumPy alone.

Every step is the full one with the observed information. That is all that nearly every group needs, and each one for
which it is not plainly enough is *left*: the caller fits it by itself, by the one loop with its searches, its QR and
its tests of separation. A group is left whose step is not finite or does not bring it nearer to its maximum, whose
information is too ill-conditioned for Cholesky, whose score is mostly rounding, or which is not done after
:data:`MOST_PASSES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from raphson import unrolled
from raphson.newton.solve import ILL_CONDITIONED
from raphson.numeric import EPSILON

MOST_PASSES = 12
"""Evaluations of a group before it is left. From the family's starting means a maximum inside takes four to seven;
where it lies at infinity each step adds about 1 to η, and none of them comes to an end."""

FEWER = 0.5
"""Share of unfinished groups below which they are gathered: copying them costs a third of an evaluation."""

MISFIT = 1e3
"""Ratio of the observed information to the expected one from which on a group is fitted by itself, which costs time
only."""

NEAR_ROUNDING = 0.1
"""Largest rounding floor relative to the tolerance: beyond it the one loop tells rounding from distance."""


class Sums(Protocol):
    """Of B groups: score (B, p), information (B, p, p), and Pearson's statistic (B,) where φ is estimated."""

    @property
    def score(self) -> np.ndarray: ...
    @property
    def observed(self) -> np.ndarray: ...
    @property
    def expected(self) -> np.ndarray: ...
    @property
    def pearson(self) -> np.ndarray | None: ...


class Groups(Protocol):
    """B groups that are evaluated together."""

    def linearised(self) -> Any: ...
    def at(self, theta: np.ndarray) -> Any: ...
    def has_certain(self, sums: Any, which: np.ndarray, certain: float) -> np.ndarray: ...
    def taken(self, which: np.ndarray) -> Any: ...


@dataclass(frozen=True)
class Maxima:
    """Where the groups of a stack ended.

    Attributes
    ----------
    theta : (B, p) the maxima, one full step from where the others were evaluated.
    observed, expected : (B, p, p) information; one array where they are the same.
    pearson : (B,) Pearson's statistic; 1 where the dispersion is known.
    distance : (B,) to the maximum before the last step, in standard errors.
    n_iter : (B,) steps.
    found : (B,) mask of the groups at their maximum; the others are left.
    """

    theta: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    pearson: np.ndarray
    distance: np.ndarray
    n_iter: np.ndarray
    found: np.ndarray


def maxima(
    groups: Groups, start: np.ndarray | None, residual_df: np.ndarray, rows: np.ndarray, tol: float, certain: float
) -> Maxima:
    """Iterate every group of a stack to its maximum, or leave it.

    Parameters
    ----------
    groups : the stack.
    start : (p,) where to start; None for the groups' own starting values.
    residual_df : (B,) the divisor of Pearson's statistic.
    rows : (B,) number of rows.
    tol : distance in standard errors from within which the last full step is taken.
    certain : a group is left that fits a row with a probability nearer to 1 than this.
    """
    B = len(rows)
    if start is None:
        begin = groups.linearised()
        theta = solved(begin.expected, begin.score).step
    else:
        theta = np.tile(start, (B, 1))
    theta = np.where(np.isfinite(theta), theta, 0.0)
    p = theta.shape[1]
    observed, same = np.zeros((B, p, p)), True
    expected, pearson, ended_at = observed, np.ones(B), theta.copy()
    distances, n_iter, found = np.full(B, np.inf), np.zeros(B, dtype=int), np.zeros(B, dtype=bool)
    active, before = np.arange(B), np.full(B, np.inf)
    for passes in range(1, MOST_PASSES + 1):
        sums = groups.at(theta)
        if same and sums.expected is not sums.observed:
            expected, same = np.zeros((B, p, p)), False
        newton = solved(sums.observed, sums.score)
        dispersion = np.ones(len(active)) if sums.pearson is None else sums.pearson / residual_df[active]
        distance = np.sqrt(newton.square / dispersion)
        stepped = theta + newton.step
        sound = newton.sound & (newton.square < before) & np.isfinite(stepped).all(axis=1)
        done = sound & (distance <= tol)
        if done.any():
            ended = active[done]
            ended_at[ended], distances[ended], n_iter[ended] = stepped[done], distance[done], passes
            observed[ended] = sums.observed[done]
            if not same:
                expected[ended] = sums.expected[done]
            if sums.pearson is not None:
                pearson[ended] = sums.pearson[done]
            plain = _floor(sums.observed, theta, dispersion, rows[active]) <= NEAR_ROUNDING * tol
            found[ended] = plain[done] & ~groups.has_certain(sums, done, certain) & ~_misfits(sums, done)
        going = sound & ~done
        if not going.any():
            break
        if going.mean() < FEWER:
            groups, active = groups.taken(going), active[going]
            theta, before = stepped[going], newton.square[going]
        else:
            before = np.where(going, newton.square, -np.inf)  # none is smaller, so that no group is ended twice
            theta = np.where(going[:, None], stepped, theta)
    return Maxima(ended_at, observed, expected, pearson, distances, n_iter, found)


def _misfits(sums: Any, done: np.ndarray) -> np.ndarray:
    """Whether groups ended where their means are far off, of some groups, by a mask (B,).

    There Pearson's statistic is so large that the distance seems nil. At a maximum the observed information is near the
    expected one; with the log link and means a millionth of the responses it is a million times as large.
    """
    if sums.expected is sums.observed:
        return np.zeros(int(np.count_nonzero(done)), dtype=bool)
    seen, expected = (np.diagonal(one[done], axis1=1, axis2=2) for one in (sums.observed, sums.expected))
    return np.asarray((seen > MISFIT * expected).any(axis=1))


def _floor(M: np.ndarray, theta: np.ndarray, dispersion: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """:func:`raphson.newton.convergence.rounding_floor` of every group."""
    lengths = np.sqrt(np.maximum(np.einsum("bii->bi", M), 0.0))
    terms = np.einsum("bi,bi->b", np.abs(theta), lengths) / np.sqrt(dispersion)
    return EPSILON * (terms + np.sqrt(rows))


@dataclass(frozen=True)
class Solved:
    """Steps M⁻¹∇ℓ (B, p), their squared lengths ∇ℓᵀM⁻¹∇ℓ (B,), and a mask (B,) of the matrices that are sound."""

    step: np.ndarray
    square: np.ndarray
    sound: np.ndarray


def solved(M: np.ndarray, v: np.ndarray) -> Solved:
    """Solve M x = v for matrices (B, p, p) and vectors (B, p).

    A matrix is sound if every squared pivot, of its columns scaled to length 1, is above :data:`ILL_CONDITIONED`; the
    solutions of others are meaningless.

    Examples
    --------
    >>> M = np.array([[[4.0, 2.0], [2.0, 3.0]], [[1.0, 1.0], [1.0, 1.0]]])
    >>> found = solved(M, np.array([[1.0, 0.0], [1.0, 0.0]]))
    >>> found.step[0].round(3).tolist(), found.square[0].round(3).item(), found.sound.tolist()
    ([0.375, -0.25], 0.375, [True, False])
    """
    with np.errstate(all="ignore"):
        if (p := v.shape[1]) <= unrolled.MOST:
            rows, smallest = unrolled.solve_many(p)(
                np.ascontiguousarray(M.transpose(1, 2, 0)), np.ascontiguousarray(v.T)
            )
            x = np.stack(rows, axis=1)
        else:
            found, smallest = _eliminated(M, v.T[:, None])
            x = np.ascontiguousarray(found[:, 0].T)
        square = np.einsum("bj,bj->b", x, v)
        sound = (smallest > ILL_CONDITIONED) & np.isfinite(square)
    return Solved(x, np.maximum(square, 0.0), sound)


def inverted(M: np.ndarray) -> np.ndarray:
    """Inverses (B, p, p) of sound matrices.

    Examples
    --------
    >>> inverted(np.array([[[4.0, 2.0], [2.0, 3.0]]])).round(3).tolist()
    [[[0.375, -0.25], [-0.25, 0.5]]]
    """
    B, p = M.shape[:2]
    V = _eliminated(M, np.broadcast_to(np.eye(p)[:, :, None], (p, p, B)))[0].transpose(2, 0, 1)
    return 0.5 * (V + np.swapaxes(V, 1, 2))


def _eliminated(M: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """M⁻¹v (p, k, B) of matrices (B, p, p) and right sides (p, k, B), and their smallest squared pivots (B,).

    By Gauss-Jordan elimination of each matrix scaled to a unit diagonal, which needs no exchanges where it is positive
    definite; the pivots are those of its LDLᵀ. The problems are the last axis, so that NumPy works on all of them with
    each operation: LAPACK is called problem by problem, at ten times the cost for p = 4.
    """
    p = len(v)
    s = 1.0 / np.sqrt(np.einsum("bii->ib", M))
    table = np.empty((p, p + v.shape[1], len(M)))
    np.multiply(M.transpose(1, 2, 0), s[:, None], out=table[:, :p])
    table[:, :p] *= s
    np.multiply(v, s[:, None], out=table[:, p:])
    smallest, product = np.ones(len(M)), np.empty_like(table)
    for k in range(p):
        smallest = np.minimum(smallest, table[k, k])  # NaN stays NaN
        row = table[k, k:] / table[k, k]
        # The columns before k are those of the identity by now.
        table[:, k:] -= np.multiply(table[:, k, None], row, out=product[:, k:])
        table[k, k:] = row
    return table[:, p:] * s[:, None], smallest
