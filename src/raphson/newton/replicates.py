"""Newton's method for many replicates of one data set at once: bootstrap samples, simulated responses.

Each replicate takes full steps with its observed information (the expected one where that is not positive definite).
All start at the same estimate, some standard errors from their maxima, so that three steps suffice. A step that starts
so near that the next distance is below the tolerance, as the last two tell of quadratic convergence, is the last: what
it leaves is not measured again. Likelihoods are looked at only where the distance does not shrink as it should: such
replicates start once more, and halve a step that lowers their likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raphson.model.replicates import ReplicateRows, Replicates
from raphson.newton.status import Status

MOST_HALVINGS = 12
NEAR = 1e-3
"""Distance in standard errors below which convergence is trusted to be quadratic."""


@dataclass(frozen=True)
class Refits:
    """Where the replicates ended.

    Attributes
    ----------
    theta : (R, p) estimates.
    information : (R, p, p) expected or observed information (as asked for) at unit dispersion, the penalty included.
    pearson : (R,) Pearson's statistic Σ w (y − μ)²/V(μ), NaN where the family has no variance function.
    score : (R, p) scores at the *start*, at unit dispersion.
    distance : (R,) from the maximum in standard errors, as the last step left it.
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


class _Climb:
    """The state of all replicates of a chunk."""

    def __init__(
        self,
        model: Replicates,
        y: np.ndarray,
        weight: np.ndarray,
        penalty: np.ndarray | None,
        kind: str,
        common: ReplicateRows | None,
        guarded: bool,
    ) -> None:
        self.model, self.kind, self.penalty, self.common = model, kind, penalty, common
        self.guarded = guarded
        self.y, self.weight = y, weight

    def evaluate(self, theta: np.ndarray, which: np.ndarray) -> tuple[ReplicateRows, np.ndarray, np.ndarray]:
        """Rows, penalised value (r,) and score (r, p) of some replicates."""
        y = self.y[which] if self.y.ndim == 2 else self.y
        weight = self.weight[which] if self.weight.ndim == 2 else self.weight
        if self.common is None:
            rows = self.model.rows(theta, y, weight, values=self.guarded)
        else:
            rows, self.common = self._weighted(self.common, weight), None
        return rows, *self.summed(rows, weight, theta)

    def _weighted(self, rows: ReplicateRows, weight: np.ndarray) -> ReplicateRows:
        """Unweighted rows at one θ, as so weighted replicates have them."""

        def times(quantity: np.ndarray) -> np.ndarray:
            w = weight.reshape(len(weight), *(1,) * (quantity.ndim - 2), -1)
            return np.where(w > 0, w * quantity, 0.0)

        expected = times(rows.expected)
        observed = expected if rows.observed is rows.expected else times(rows.observed)
        value = None if rows.value is None else np.broadcast_to(rows.value, weight.shape)
        return ReplicateRows(value, times(rows.score), observed, expected, rows.mean)

    def summed(self, rows: ReplicateRows, weight: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        score = self.model.score_of(rows)
        value = np.zeros(len(score))
        if self.guarded and rows.value is not None:
            weight = np.broadcast_to(weight, rows.value.shape)
            value = np.einsum("rn,rn->r", np.where(weight > 0, rows.value, 0.0), weight)
        if self.penalty is not None:
            pull = theta @ self.penalty
            value, score = value - 0.5 * np.einsum("rp,rp->r", theta, pull), score - pull
        return value, score

    def information(self, rows: ReplicateRows, kind: str) -> np.ndarray:
        M = self.model.information_of(rows, kind)
        return M if self.penalty is None else M + self.penalty

    def pearson(self, mean: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Σ w (y − μ)²/V(μ), from means (r, C, n)."""
        y = self.y[which] if self.y.ndim == 2 else self.y
        weight = self.weight[which] if self.weight.ndim == 2 else self.weight
        mean = mean[:, 0]
        square = (y - mean) ** 2
        with np.errstate(all="ignore"):
            terms = np.where((weight > 0) & (square > 0), weight * square / self.model.family.variance(mean), 0.0)
        return terms.sum(axis=1)


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
    common: ReplicateRows | None = None,
    tol: float = 1e-6,
    max_iter: int = 25,
) -> Refits:
    """Maximise the likelihood of a chunk of replicates.

    Parameters
    ----------
    model : what they share.
    start : (p,) where all begin.
    y : (R, n) responses, or (n,) for all.
    weight : (R, n) weights, counts multiplied in, or (n,) for all.
    penalty : (p, p) P of the penalty ½ θᵀPθ.
    free : (p,) mask of the parameters to estimate; the others stay at `start`.
    residual_df : (R,) or a number, the divisor of Pearson's statistic for φ̂, where φ is estimated.
    kind : which information to return: "expected" or "observed".
    common : rows at `start` of weight 1, (1, ...), where y is (n,): all begin with them.
    tol : distance to the maximum in standard errors.
    max_iter : steps of each.
    """
    R = len(y) if y.ndim == 2 else len(weight) if weight.ndim == 2 else 1
    p = len(start)
    free = np.ones(p, dtype=bool) if free is None else free

    with np.errstate(all="ignore"):
        climb = _Climb(model, y, weight, penalty, kind, common, guarded=False)
        found = _refit(climb, R, start, free, residual_df, tol, max_iter)
        left = np.flatnonzero(found.status != Status.CONVERGED)
        if len(left):
            own_y, own_weight = y[left] if y.ndim == 2 else y, weight[left] if weight.ndim == 2 else weight
            df = residual_df[left] if isinstance(residual_df, np.ndarray) else residual_df
            climb = _Climb(model, own_y, own_weight, penalty, kind, common, guarded=True)
            again = _refit(climb, len(left), start, free, df, tol, max_iter)
            for name in Refits.__dataclass_fields__:
                getattr(found, name)[left] = getattr(again, name)
    return found


def _refit(
    climb: _Climb,
    R: int,
    start: np.ndarray,
    free: np.ndarray,
    residual_df: np.ndarray | float | None,
    tol: float,
    max_iter: int,
) -> Refits:
    p = len(start)
    theta = np.tile(start, (R, 1))
    status = np.full(R, Status.STEP_LIMIT, dtype=object)
    distance, before = np.full(R, np.inf), np.full(R, np.inf)
    n_iter = np.zeros(R, dtype=int)
    information, value = np.full((R, p, p), np.nan), np.full(R, -np.inf)
    pearson, first = np.full(R, np.nan), np.full((R, p), np.nan)
    size, step = np.ones(R), np.zeros((R, p))
    active = np.arange(R)
    trial = theta.copy()
    one_information = climb.model.one_information
    while len(active):
        rows, new_value, score = climb.evaluate(trial[active], active)
        # A trial that lowers the likelihood by more than rounding is drawn back.
        drop = value[active] - new_value
        worse = (
            ~np.isfinite(new_value) | ~np.isfinite(score).all(axis=1) | (drop > 1e-10 * (1.0 + np.abs(value[active])))
        )
        back = active[worse]
        size[back] *= 0.5
        trial[back] = theta[back] + size[back, None] * step[back]
        status[back[size[back] < 0.5**MOST_HALVINGS]] = Status.SEARCH_FAILED
        status[back[n_iter[back] == 0]] = Status.NOT_FINITE
        good = active[~worse]
        if len(good):
            keep = ~worse
            theta[good], value[good], score = trial[good], new_value[keep], score[keep]
            rows = rows.taken(keep)
            M = climb.information(rows, "observed")
            d, square, definite = _solve(M, score, free)
            if not definite.all():
                M = M.copy()
                M[~definite] = climb.information(rows.taken(~definite), "expected")
                d, square, definite = _solve(M, score, free)
            dispersion: np.ndarray | float = 1.0
            if residual_df is not None:
                pearson[good] = climb.pearson(rows.mean, good)
                df = residual_df[good] if isinstance(residual_df, np.ndarray) else residual_df
                dispersion = np.where(pearson[good] > 0, pearson[good] / df, 1.0)
            here = np.sqrt(np.maximum(square, 0.0) / dispersion)
            begun = n_iter[good] == 0
            first[good[begun]] = score[begun]
            information[good] = (
                M if climb.kind == "observed" or one_information else climb.information(rows, "expected")
            )
            # With d_{k+1} = c d_k², c as the last two distances tell, the next one is c d_k².
            ahead = here**2 * np.minimum(np.where(begun, np.inf, here / before[good] ** 2), 1.0)
            last = definite & (here <= NEAR) & ((ahead <= tol) | (here <= tol))
            before_last = before[good]
            before[good] = here
            distance[good] = np.where(last, np.minimum(ahead, here), here)
            step[good], size[good] = d, 1.0
            trial[good] = theta[good] + d
            theta[good[last]] = trial[good[last]]
            status[good[last]] = Status.CONVERGED
            if not climb.guarded:
                status[good[~begun & ~last & (here > 0.5 * before_last) & (here > tol)]] = Status.SEARCH_FAILED
            status[good[~definite]] = Status.SINGULAR
            n_iter[good] += 1
        unfinished = status[active] == Status.STEP_LIMIT
        active = active[unfinished & (n_iter[active] < max_iter)]
    return Refits(theta, information, pearson, first, distance, n_iter, status)


def _solve(M: np.ndarray, v: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """M⁻¹ v on the free parameters (R, p), vᵀM⁻¹v (R,), and whether M is positive definite there."""
    step = np.zeros_like(v)
    if not free.all():
        M, v = M[:, free][:, :, free], v[:, free]
    diagonal = np.einsum("rii->ri", M)
    positive = (diagonal > 0).all(axis=1) & np.isfinite(M).all(axis=(1, 2))
    s = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    A = np.where(positive[:, None, None], M * s[:, :, None] * s[:, None, :], np.eye(M.shape[1]))
    v = v * s
    try:
        L = np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(A)[:, 0] > 1e-12
        positive &= smallest
        A[~positive] = np.eye(M.shape[1])
        L = np.linalg.cholesky(A)
    positive &= (np.einsum("rii->ri", L) ** 2 > 1e-12).all(axis=1)
    x = np.linalg.solve(A, v[..., None])[..., 0]
    square = np.where(positive, np.einsum("ri,ri->r", x, v), np.inf)
    step[:, free] = np.where(positive[:, None], x * s, 0.0)
    return step, square, positive
