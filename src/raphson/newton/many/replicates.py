"""Newton's method for many replicates of one data set at once: bootstrap samples, simulated responses.

Each replicate takes full steps with its observed information (the expected one if that is not positive definite). All
start at the same estimate, a few standard errors from their maxima. The third derivatives T = ∂M/∂θ of the likelihood
there are known, and give the step a second-order term: from

    0 = s − M d − ½ T[d, d] + O(d³)   follows   d = M⁻¹ s − ½ M⁻¹ T[M⁻¹ s, M⁻¹ s] + O(d³)

(Chebyshev's method). The T of a replicate differs from it only by a term of order d, which changes the step by O(d³).
So two steps are enough for most replicates, and the first one uses quantities that all have in common. If the predicted
distance after a step is below the tolerance, the step is the last, and the distance is not measured again. Likelihoods
are evaluated only if the distance does not shrink as it should: such replicates start again, and halve any step that
lowers the likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from raphson.linalg import definite
from raphson.model.replicates import CommonRows, Replicates, ReplicateSums
from raphson.status import Status

MOST_HALVINGS = 12
"""Halvings of a step at most, down to 1/4096 of it."""

NEAR = 1e-3
"""Distance in standard errors below which convergence is trusted to be quadratic. One more step leaves about its
square, 1e-6, which is within the tolerance of 1e-5."""
NEAR_SECOND_ORDER = 0.1
"""The same if third derivatives measure how far the likelihood is from quadratic."""
LARGEST_SHARE = 0.3
"""Largest size of the second-order term relative to the step; a larger one is not reliable and is left out."""
MOST_SLOPES = 64
"""Largest number of parameters with which third derivatives are used; each costs two evaluations of the data."""


class Slopes(NamedTuple):
    """∂M/∂θ, (p, p, p) with θ as last index, of the observed information and of the reported one."""

    observed: np.ndarray
    reported: np.ndarray


@dataclass(frozen=True)
class Refits:
    """The estimates of the replicates.

    Attributes
    ----------
    theta : (R, p) estimates.
    information : (R, p, p) expected or observed information at unit dispersion, with the penalty; accurate to three
        digits, as it is extrapolated over the last step.
    pearson : (R,) Pearson's statistic Σ w (y − μ)²/V(μ), NaN if the family has no variance function.
    score : (R, p) scores at the *start*, at unit dispersion.
    distance : (R,) predicted distance from the maximum in standard errors after the last step.
    n_iter : (R,).
    status : (R,) of :class:`Status`.
    """

    theta: np.ndarray
    information: np.ndarray
    pearson: np.ndarray
    score: np.ndarray
    distance: np.ndarray
    n_iter: np.ndarray
    status: np.ndarray


@dataclass
class _ChunkLikelihood:
    """The likelihoods of all replicates of a chunk.

    Attributes
    ----------
    model, y, weight, penalty, kind, common : as for :func:`refit`.
    pearson : whether φ is estimated.
    guarded : whether likelihoods are evaluated.
    """

    model: Replicates
    y: np.ndarray
    weight: np.ndarray
    penalty: np.ndarray | None
    kind: str
    common: CommonRows | None
    pearson: bool
    guarded: bool = False

    def evaluate(self, theta: np.ndarray, which: np.ndarray) -> ReplicateSums:
        """Penalised sums of the replicates with these numbers."""
        if self.common is None:
            kinds = kinds_of(self.model, self.kind)
            return self._sums(theta, which, kinds, values=self.guarded, pearson=self.pearson)
        sums, self.common = self.common.sums(self._of(self.weight, which)), None
        return self._penalised(sums, theta)

    def expected(self, theta: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Penalised expected information of the replicates with these numbers."""
        return self._sums(theta, which, ("expected",)).information["expected"]

    def _sums(self, theta: np.ndarray, which: np.ndarray, kinds: tuple[str, ...], **asked: bool) -> ReplicateSums:
        sums = self.model.sums(theta, self._of(self.y, which), self._of(self.weight, which), kinds, **asked)
        return self._penalised(sums, theta)

    def _penalised(self, sums: ReplicateSums, theta: np.ndarray) -> ReplicateSums:
        if self.penalty is None:
            return sums
        pull = theta @ self.penalty
        value = None if sums.value is None else sums.value - 0.5 * np.einsum("rp,rp->r", theta, pull)
        information = {kind: M + self.penalty for kind, M in sums.information.items()}
        return replace(sums, value=value, score=sums.score - pull, information=information)

    @staticmethod
    def _of(table: np.ndarray, which: np.ndarray) -> np.ndarray:
        return table if table.ndim == 1 or len(which) == len(table) else table[which]


def kinds_of(model: Replicates, reported: str) -> tuple[str, ...]:
    """The kinds of information that steps use and that are reported."""
    return ("observed",) if model.one_information or reported == "observed" else ("observed", reported)


def refit(
    model: Replicates,
    start: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    *,
    penalty: np.ndarray | None = None,
    free: np.ndarray | None = None,
    residual_df: np.ndarray | float | None = None,
    kind: str = "expected",
    common: CommonRows | None = None,
    slopes: Slopes | None = None,
    tol: float = 1e-5,
    max_iter: int = 25,
) -> Refits:
    """Maximise the likelihood of a chunk of replicates.

    Parameters
    ----------
    model : the model that they share.
    start : (p,) where all start.
    y : (R, n) responses, or (n,) for all.
    weight : (R, n) weights with counts multiplied in, or (n,) for all.
    penalty : (p, p) P of the penalty ½ θᵀPθ.
    free : (p,) mask of the parameters to estimate; the others stay at `start`.
    residual_df : (R,) or a number, the divisor of Pearson's statistic for φ̂; None if φ is known.
    kind : the information to return: "expected" or "observed".
    common : quantities of each row at `start` for the first step, if y is (n,).
    slopes : of the original likelihood's information near the start; see :func:`information_slopes`.
    tol : distance to the maximum in standard errors.
    max_iter : largest number of steps.
    """
    R = len(y) if y.ndim == 2 else len(weight) if weight.ndim == 2 else 1
    p = len(start)
    free = np.ones(p, dtype=bool) if free is None else free

    with np.errstate(all="ignore"):
        chunk = _ChunkLikelihood(model, y, weight, penalty, kind, common, residual_df is not None)
        found = _Iterations(chunk, R, start, free, residual_df, slopes, tol).run(max_iter)
        left = np.flatnonzero(found.status != Status.CONVERGED)
        if len(left):
            own_y, own_weight = y[left] if y.ndim == 2 else y, weight[left] if weight.ndim == 2 else weight
            df = residual_df[left] if isinstance(residual_df, np.ndarray) else residual_df
            chunk = _ChunkLikelihood(
                model, own_y, own_weight, penalty, kind, common, residual_df is not None, guarded=True
            )
            again = _Iterations(chunk, len(left), start, free, df, None, tol).run(max_iter)
            for name in Refits.__dataclass_fields__:
                getattr(found, name)[left] = getattr(again, name)
    return found


class _Iterations:
    """The iterations of R replicates: results so far, and the trials to evaluate next."""

    def __init__(
        self,
        chunk: _ChunkLikelihood,
        R: int,
        start: np.ndarray,
        free: np.ndarray,
        residual_df: np.ndarray | float | None,
        slopes: Slopes | None,
        tol: float,
    ) -> None:
        p = len(start)
        self.chunk, self.free, self.residual_df, self.slopes, self.tol = chunk, free, residual_df, slopes, tol
        self.found = Refits(
            np.tile(start, (R, 1)),
            np.full((R, p, p), np.nan),
            np.full(R, np.nan),
            np.full((R, p), np.nan),
            np.full(R, np.inf),
            np.zeros(R, dtype=int),
            np.array([Status.STEP_LIMIT] * R, dtype=object),  # np.full would convert to str
        )
        self.trial = self.found.theta.copy()
        self.value, self.before = np.full(R, -np.inf), np.full(R, np.inf)
        self.size, self.step, self.first_share = np.ones(R), np.zeros((R, p)), np.zeros(R)

    def run(self, max_iter: int) -> Refits:
        """Until all have ended."""
        found, active = self.found, np.arange(len(self.trial))
        while len(active):
            sums = self.chunk.evaluate(self.trial[active], active)
            value = sums.value if self.chunk.guarded and sums.value is not None else np.zeros(len(active))
            worse = _worse(value, sums.score, self.value[active])
            self.halve_steps(active[worse])
            if not worse.all():
                self.advance(active[~worse], value[~worse], sums.taken(~worse))
            unfinished = found.status[active] == Status.STEP_LIMIT
            active = active[unfinished & (found.n_iter[active] < max_iter)]
        return found

    def halve_steps(self, rows: np.ndarray) -> None:
        """Halve the steps of rejected trials."""
        self.size[rows] *= 0.5
        self.trial[rows] = self.found.theta[rows] + self.size[rows, None] * self.step[rows]
        status = self.found.status
        status[rows[self.size[rows] < 0.5**MOST_HALVINGS]] = Status.SEARCH_FAILED
        status[rows[self.found.n_iter[rows] == 0]] = Status.NOT_FINITE

    def advance(self, rows: np.ndarray, value: np.ndarray, sums: ReplicateSums) -> None:
        """Accept trials and compute their next steps, or take them if they end within the tolerance."""
        found, tol = self.found, self.tol
        found.theta[rows], self.value[rows] = self.trial[rows], value
        begun = found.n_iter[rows] == 0
        found.score[rows[begun]] = sums.score[begun]
        solve, M = _solver(self.chunk, sums.information["observed"], found.theta[rows], rows, self.free)
        found.information[rows] = sums.information.get(self.chunk.kind, M)
        d, square = solve(sums.score)
        here = np.sqrt(np.maximum(square, 0.0) / self._dispersion(rows, sums))
        if self.slopes is None:
            # Quadratic convergence: d_{k+1} = c d_k², with c from the last two distances.
            ahead = here**2 * np.minimum(np.where(begun, np.inf, here / self.before[rows] ** 2), 1.0)
            near = here <= NEAR
        else:
            d, share, described = _with_second_order(solve, self.slopes, d, square)
            self.first_share[rows[begun]] = share[begun]
            # Such a step leaves an error of its second-order term times the relative error of T. That is about the
            # relative size of the second-order term in the first step, over which T changed as M did, and in this one.
            wrong = np.minimum(10.0 * self.first_share[rows] + share, 1.0)
            ahead = here * share * np.where(described & ~begun, wrong, np.inf)
            near = here <= NEAR_SECOND_ORDER
        last = solve.definite & near & ((ahead <= tol) | (here <= tol))
        slow = ~begun & ~last & (here > 0.5 * self.before[rows]) & (here > tol)
        self.before[rows] = here
        found.distance[rows] = np.where(last, np.minimum(ahead, here), here)
        self.step[rows], self.size[rows] = d, 1.0
        self.trial[rows] = found.theta[rows] + d
        found.theta[rows[last]] = self.trial[rows[last]]
        if self.slopes is not None:
            found.information[rows[last]] += change(self.slopes.reported, d[last])
        found.status[rows[last]] = Status.CONVERGED
        if not self.chunk.guarded:
            found.status[rows[slow]] = Status.SEARCH_FAILED
        found.status[rows[~solve.definite]] = Status.SINGULAR
        found.n_iter[rows] += 1

    def _dispersion(self, rows: np.ndarray, sums: ReplicateSums) -> np.ndarray | float:
        df = self.residual_df
        if df is None:
            return 1.0
        pearson = self.found.pearson
        pearson[rows] = sums.pearson
        df = df[rows] if isinstance(df, np.ndarray) else df
        return np.where(pearson[rows] > 0, pearson[rows] / df, 1.0)


def _worse(value: np.ndarray, score: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Mask of rejected trials: not finite, or with a likelihood that is lower by more than rounding."""
    lower = before - value > 1e-10 * (1.0 + np.abs(before))
    return ~np.isfinite(value) | ~np.isfinite(score).all(axis=1) | lower


def _solver(
    chunk: _ChunkLikelihood, M: np.ndarray, theta: np.ndarray, rows: np.ndarray, free: np.ndarray
) -> tuple[_Solve, np.ndarray]:
    """A solver with the observed information, or the expected one if that is indefinite; and the matrices."""
    solve = _Solve(M, free)
    if solve.definite.all():
        return solve, M
    M = M.copy()
    M[~solve.definite] = chunk.expected(theta[~solve.definite], rows[~solve.definite])
    return _Solve(M, free), M


def _with_second_order(
    solve: _Solve, slopes: Slopes, d: np.ndarray, square: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps with second-order terms, the relative sizes of the terms, and whether the terms are reliable."""
    second_order, length = solve(-0.5 * np.einsum("rij,rj->ri", change(slopes.observed, d), d))
    share = np.sqrt(np.maximum(length, 0.0) / np.where(square > 0, square, 1.0))
    described = solve.definite & (share < LARGEST_SHARE)
    return np.where(described[:, None], d + second_order, d), share, described


def change(slopes: np.ndarray, d: np.ndarray) -> np.ndarray:
    """T d, (R, p, p): the change of M over steps d (R, p)."""
    p = d.shape[1]
    return (d @ slopes.reshape(p * p, p).T).reshape(-1, p, p)


class _Solve:
    """Solves with M (R, p, p) for the free parameters: maps v (R, p) to M⁻¹ v and vᵀM⁻¹v (R,).

    Attributes
    ----------
    definite : (R,) whether M is positive definite for the free parameters.
    """

    def __init__(self, M: np.ndarray, free: np.ndarray) -> None:
        self._free = free
        if not free.all():
            M = M[:, free][:, :, free]
        diagonal = np.einsum("rii->ri", M)
        positive = (diagonal > 0).all(axis=1) & np.isfinite(M).all(axis=(1, 2))
        s = self._scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        A = np.where(positive[:, None, None], M * s[:, :, None] * s[:, None, :], np.eye(M.shape[1]))
        self.definite = positive & definite(A)
        A[~self.definite] = np.eye(M.shape[1])
        self._A = A

    def __call__(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out = np.zeros_like(v)
        v = v[:, self._free] * self._scale
        x = np.linalg.solve(self._A, v[..., None])[..., 0]
        out[:, self._free] = np.where(self.definite[:, None], x * self._scale, 0.0)
        return out, np.where(self.definite, np.einsum("ri,ri->r", x, v), np.inf)


def information_slopes(
    model: Replicates, theta: np.ndarray, y: np.ndarray, weight: np.ndarray, penalty: np.ndarray | None, reported: str
) -> Slopes | None:
    """The derivatives of the observed and of the reported information at θ; None if they are unknown.

    They come from central differences over a tenth of a standard error. Over a whole standard error M changes little,
    so they are accurate to two digits; more would not improve a step with a second-order term.
    """
    p = len(theta)
    if p > MOST_SLOPES:
        return None
    kinds = kinds_of(model, reported)
    with np.errstate(all="ignore"):
        here = model.sums(theta[None], y, weight, ("observed",)).information["observed"][0]
        diagonal = np.diagonal(here if penalty is None else here + penalty)
        if not (diagonal > 0).all():
            return None
        h = 0.1 / np.sqrt(diagonal)
        above, below = (model.sums(theta + step, y, weight, kinds).information for step in (np.diag(h), -np.diag(h)))
        found = [np.moveaxis((above[kind] - below[kind]) / (2.0 * h[:, None, None]), 0, 2) for kind in kinds]
    return Slopes(found[0], found[-1]) if all(np.isfinite(slope).all() for slope in found) else None
