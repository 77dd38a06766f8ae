r"""Likelihoods whose supremum is at infinity: which parameters diverge, and the model that is left in the limit.

Where the maximum lies at infinity in a direction δ, the log-likelihood approaches its supremum exponentially or as a
power of the distance, and the iteration ends where nothing is left to gain. Two signs distinguish that from a maximum.

*Curvature*, where rounding is negligible. A few units back the curvature is many times that at the end, although the
distance is a tiny part of the standard error which the curvature at the end implies. Around a maximum the curvature is
constant over a good part of a standard error.

*Flatness*, where rounding stopped the iteration first, as that of log Γ(y+θ) − log Γ(θ) does at a large θ. Going back
from the end, the log-likelihood is flat and then falls. The flat stretch is at least 1.5 times as long as the stretch
on which a fall shrinks to a tenth; beyond a maximum the log-likelihood would fall again within that distance.

The limit's model fixes one parameter of each such direction and estimates the others. The rows that the direction moves
are at their limits, so that value, score and information do not depend on where it is fixed. All parameters that the
direction moves are infinite, except in combinations that it does not change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from raphson.linalg import SINGULAR
from raphson.model.limits import Limit
from raphson.model.objective import Evaluation, Need

if TYPE_CHECKING:
    from raphson.model.likelihood.model import LikelihoodModel

LARGE_ERROR, NEAR, STEEPER = 10.0, 60.0, 20.0
"""A parameter with a standard error above `LARGE_ERROR` is suspected to diverge. It does if the curvature grows more
than `STEEPER`-fold within 1/`NEAR` of a standard error, within which that at a maximum does not change. At infinity the
curvature grows like an exponential: nothing changes between 0.1 and 10,000, 0.6 and 6,000, and 1.2 and 20,000 for a
hurdle, two zero-inflated Poissons, a logistic regression, Student's t and a zero-inflated negative binomial."""

MOVED = 1e-6
"""A parameter that moves the predictors by less than this share of the largest move counts as not moving. From 1e-10 to
0.01 nothing changes for five likelihoods with their maximum at infinity: a hurdle, zero-inflated Poisson and negative
binomial, skew normal and Student's t."""

FALL = 0.5
"""A search begins back from infinity where the log-likelihood is lower by this much, that of one standard error. From
0.1 to 50 nothing changes for the same five; at 0.05 the skew normal's standard errors differ by 0.1%."""

IGNORED_FALL = 1e-3
"""A smaller fall on the way back is ignored. From 1e-6 to 0.5 nothing changes for the same five."""

MUCH_ROUNDING, SMALL, FAR, MOST_PARAMETERS = 1e-4, (1e-14, 1e-12, 1e-9), 8.0, 50
"""Rounding of the log-likelihood that hides a maximum; relative changes of parameters by which rounding is measured;
the least size of a parameter that may have caused it; and the most parameters that are searched for the cause. With
1e-5 for the first the limit of a negative binomial that is written as a difference of lgammas is not found; with 1e-3
it is."""

LEAST_MOVE, LEAST_SHARE = 1e-3, 0.1
"""The least distance back to where the likelihood falls, as a move of the predictors and as a share of the distance to
parameter 0: a shorter one indicates a steep maximum, or rounding. For the same five the first may be 1e-6 to 1; with 1
for the second the skew normal's limit is not found."""

LEVEL = 0.05
"""How much of the log-likelihood may be rounding where the iteration stopped. From 5e-5 to 5 nothing changes for the
same five."""

WINDOW = 4
"""Number of successive changes that are judged together: a single one may be small by chance. With 1 and with 40 the
limit of the negative binomial above is not found."""

POINTS = 48
"""Number of equally spaced points on the way back from an end; as many more cluster at the far end, where it falls.
Neither with 5, too far apart, nor with 480, whose changes are rounding, the limit of the negative binomial above is
found; with 12, 24 and 192 the standard errors in the skew normal's limit differ by 4, 1 and 0.8%."""


def limit_at_infinity(
    model: LikelihoodModel, theta: np.ndarray, evaluation: Evaluation, converged: bool
) -> Limit | None:
    """The model that the likelihood tends to, if its maximum lies at infinity; see :meth:`Model.limit`."""
    if model.penalty is not None or model.bias is not None:
        return None
    with np.errstate(all="ignore"):
        M = _information(model, theta, evaluation)
        reach = _reach(model, theta)
        found, start = [], theta
        for direction, curvature, plain in _suspects(model, M):
            if converged:
                outward = _steepens(model, theta, direction, curvature, reach(direction))
            elif plain and found:
                continue  # one at a time: the others may converge once it is fixed
            else:
                outward, start = _levels_off(model, theta, direction, reach(direction))
            if outward is not None:
                found.append(outward)
        if not found:
            return None
        return _limit(model, start, np.array(found), reach)


def restart_outside_rounding(model: LikelihoodModel, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Where to restart an iteration that stalled in rounding; None where rounding was not the cause.

    Returns parameters (p,), one of them moved back to where rounding is small, and the mask (p,) of the others, which
    are to be estimated again.

    Far out, a difference of large numbers may be nothing but rounding, which misleads a search for higher values.
    """
    p = len(theta)
    if model.penalty is not None or model.bias is not None or p > MOST_PARAMETERS:
        return None
    with np.errstate(all="ignore"):
        if _rounding(model, theta) < MUCH_ROUNDING:
            return None
        for j in np.flatnonzero(~_held(model) & (np.abs(theta) > FAR)):
            outward = np.eye(p)[j] * (np.sign(theta[j]) or 1.0)
            size = abs(float(theta[j]))
            ways = [*np.arange(1.0, min(size, 60.0)), *(size * (1.0 - 2.0**-k) for k in range(1, 60))]
            for way in sorted(ways):
                there = theta - way * outward
                if _rounding(model, there) < MUCH_ROUNDING:
                    others = ~_held(model)
                    others[j] = False
                    return there, others
    return None


def _rounding(model: LikelihoodModel, theta: np.ndarray) -> float:
    """How much of the log-likelihood is rounding: its largest change under negligible changes of θ."""
    here = _value(model, theta)
    steps = np.maximum(np.abs(theta), 1.0) * np.random.default_rng(0).normal(size=(2, len(theta)))
    found = [abs(_value(model, theta + size * step) - here) for step in steps for size in SMALL]
    return float(np.max(found)) if np.isfinite(found).all() else np.inf


def _limit(model: LikelihoodModel, theta: np.ndarray, found: np.ndarray, reach: Callable[[np.ndarray], float]) -> Limit:
    """The limit along outward directions (m, p)."""
    sizes = np.array([reach(one) for one in np.eye(len(theta))])
    moves = found * sizes
    moves /= np.abs(moves).max(axis=1, keepdims=True)
    moves[np.abs(moves) < MOVED] = 0.0
    from scipy.linalg import qr

    triangle, order = qr(moves, mode="r", pivoting=True)  # type: ignore[misc]
    depth = np.abs(np.diagonal(triangle))
    pivots = order[: int(np.count_nonzero(depth > MOVED * depth[0]))]
    # Each direction gets the length at which the log-likelihood has noticeably fallen on the way back.
    moving = moves.any(axis=0)
    total = np.zeros(len(theta))
    for one, moved in zip(found, moves, strict=True):
        outward = np.where(moved != 0, one, 0.0)
        total += outward * _lengths_back(model, theta, outward)
    held = _held(model).copy()
    held[pivots] = True
    signs = np.where(moving, np.sign(np.where(total != 0, total, found.sum(axis=0))), _signs(model))
    limit = replace(model, infinite=signs, held=held)
    status = "separated" if _by_covariates(model, signs) else "boundary"
    return Limit(status, limit, signs, total, _note(model, signs), theta)


def _held(model: LikelihoodModel) -> np.ndarray:
    return np.zeros(model.predictor.n_params, dtype=bool) if model.held is None else model.held


def _signs(model: LikelihoodModel) -> np.ndarray:
    return np.zeros(model.predictor.n_params) if model.infinite is None else model.infinite


def _suspects(model: LikelihoodModel, M: np.ndarray | None) -> list[tuple[np.ndarray, float, bool]]:
    """Directions that may lead to infinity, the curvature along each, and whether it is that of a single parameter."""
    p = model.predictor.n_params
    free = np.flatnonzero(~_held(model))
    if M is None or not np.isfinite(M).all():
        return [(np.eye(p)[j], 0.0, True) for j in free]
    M = M[np.ix_(free, free)]
    diagonal = np.diagonal(M)
    informative = diagonal > 0
    scale = np.sqrt(np.where(informative, diagonal, 1.0))
    inside = np.flatnonzero(informative)
    out: list[tuple[np.ndarray, float, bool]] = []

    def suspect(along: np.ndarray, plain: bool) -> None:
        direction = np.zeros(p)
        direction[free] = along
        out.append((direction, float(along @ M @ along), plain))

    scaled = (M / scale / scale[:, None])[np.ix_(inside, inside)]
    values, vectors = np.linalg.eigh(scaled)
    flat = np.abs(values) <= SINGULAR * np.abs(values).max(initial=0.0)
    for one in vectors[:, flat].T:  # not identified at all, or so far out that its curvature is rounding
        along = np.zeros(len(free))
        along[inside] = one / scale[inside]
        suspect(along / np.abs(along).max(), False)
    inverse = np.zeros_like(M)
    kept = vectors[:, ~flat]
    inverse[np.ix_(inside, inside)] = (kept / values[~flat]) @ kept.T
    inverse = inverse / scale / scale[:, None]
    for j in range(len(free)):
        if informative[j] and 0 < inverse[j, j] <= LARGE_ERROR**2:
            continue
        # While the parameter moves by 1, the others move so that the log-likelihood falls least.
        follows = informative[j] and inverse[j, j] > 0
        suspect(inverse[:, j] / inverse[j, j] if follows else np.eye(len(free))[j], True)
    return out


def _reach(model: LikelihoodModel, theta: np.ndarray) -> Callable[[np.ndarray], float]:
    """A function that gives the largest move of any predictor along a direction (p,)."""
    return lambda direction: model.largest_move(theta, direction)


def _steepens(
    model: LikelihoodModel, theta: np.ndarray, direction: np.ndarray, curvature: float, reach: float
) -> np.ndarray | None:
    """The direction, turned outward, if the curvature along it grows many times within a small part of its standard
    error."""
    if not 0 < reach < np.inf:
        return None
    farthest = np.inf if curvature <= 0 else reach / np.sqrt(curvature) / NEAR
    # The rows that still matter may move much less than those that move farthest.
    for length in 5.0 * 4.0 ** np.arange(14):
        if length > farthest:
            return None
        for sign in (-1.0, 1.0):
            there = model.objective.evaluate(theta + sign * length / reach * direction, Need(kinds=("observed",)))
            part = there.information.get("observed") if there.finite else None
            if part is not None and direction @ part.matrix @ direction > STEEPER * max(curvature, 0.0):
                return -sign * direction
    return None


def _levels_off(
    model: LikelihoodModel, theta: np.ndarray, direction: np.ndarray, reach: float
) -> tuple[np.ndarray | None, np.ndarray]:
    """The direction, turned outward, if the log-likelihood levels off along it, and the best place to fix it at.

    At that place it changes least from point to point: before it still rises, beyond it rounding grows.
    """
    if not 0 < reach < np.inf:
        return None, theta
    for sign in (1.0, -1.0):
        outward = sign * direction
        far = _lengths_back(model, theta, outward)
        gone = abs(float(theta @ outward)) / float(outward @ outward)
        if not far * reach > LEAST_MOVE or far < LEAST_SHARE * gone:
            continue
        even = np.linspace(0.0, 1.0, POINTS)
        crowded = 1.0 - 2.0 ** -np.arange(1.0, POINTS)
        back = far * np.unique(np.concatenate([even, crowded]))[::-1]  # from the fall to the end
        value = np.array([_value(model, theta - one * outward) for one in back])
        place, noise = _plateau(back, value)
        if not place or not np.isfinite(value).all():
            continue
        gap = value[place] - value[: place + 1]
        begun = np.flatnonzero(gap > max(1e3 * noise, IGNORED_FALL))
        if not len(begun) or (np.diff(gap[begun[-1] :]) > 3.0 * noise).any():
            continue
        last = int(begun[-1])
        tenth = int(np.flatnonzero(gap <= gap[last] / 10.0)[0])
        # A parabola that is d lower at distance b from its top is d/10 lower at 0.32 b. From there 1.5 · 0.68 b lead to
        # 0.71 b beyond the top, where it would be d/2 lower again.
        if back[tenth] - back[place] >= 1.5 * (back[last] - back[tenth]):
            return outward, theta - back[place] * outward
    return None, theta


def _plateau(back: np.ndarray, value: np.ndarray) -> tuple[int, float]:
    """Where values on the way out change least from point to point, and by how much; (0, 0) if nowhere near the top."""
    lengths = -np.diff(back)
    spread = np.flatnonzero(lengths > 1e-3 * back[0] / POINTS)  # points too close together show no change
    steps = np.abs(np.diff(value))[spread]
    steps[value[spread + 1] < value.max() - LEVEL] = np.inf
    if len(steps) < WINDOW:
        return 0, 0.0
    worst = np.lib.stride_tricks.sliding_window_view(steps, WINDOW).max(axis=1)
    calm = int(np.argmin(worst))
    if not np.isfinite(worst[calm]):
        return 0, 0.0
    return int(spread[calm + WINDOW // 2]) + 1, float(worst[calm]) + 1e-13 * abs(float(value[-1]))


def _lengths_back(model: LikelihoodModel, theta: np.ndarray, outward: np.ndarray) -> float:
    """How many lengths of `outward` lead back from θ to where the log-likelihood has fallen by `FALL`.

    Where it never falls so far, to where it has fallen most; 0 where it does not fall.
    """
    size = float(outward @ outward)
    # Along a parameter on a logarithmic scale it falls a few units back; along others near 0, however large they are.
    to_zero = float(theta @ outward) / size if size else 0.0
    ways = list(2.0 ** np.arange(-4.0, 12.0))
    if to_zero > 0:
        ways += [to_zero * (1.0 - 2.0**-k) for k in range(1, 50)]
    top, best, deepest = _value(model, theta), 0.0, IGNORED_FALL
    for way in sorted(ways):
        fall = top - _value(model, theta - way * outward)
        if not np.isfinite(fall):
            break
        if fall > deepest:
            best, deepest = way, fall
        if fall > FALL:
            break
    return best


def _value(model: LikelihoodModel, theta: np.ndarray) -> float:
    return model.objective.evaluate(theta).value


def _information(model: LikelihoodModel, theta: np.ndarray, evaluation: Evaluation) -> np.ndarray | None:
    part = evaluation.information.get("observed")
    if part is None:
        part = model.objective.evaluate(theta, Need(kinds=("observed",))).information.get("observed")
    return None if part is None else part.matrix


def _by_covariates(model: LikelihoodModel, signs: np.ndarray) -> bool:
    """Whether coefficients of covariates are among the infinite parameters, not just parameters of the distribution."""
    covariates = {j for columns in model.term_columns.values() for j in columns} | {
        j for part in model.predictor.slices if part.stop - part.start > 1 for j in range(part.start, part.stop)
    }
    return not covariates.isdisjoint(np.flatnonzero(signs))


def _note(model: LikelihoodModel, signs: np.ndarray) -> str:
    """The message: what it means that parameters diverge, and the remedy."""
    ends = [
        f"{name} goes to {'-' if sign < 0 else ''}infinity"
        for name, sign in zip(model.labels, signs, strict=True)
        if sign
    ]
    text = f"the likelihood rises without end as {' and '.join(ends)}"
    if not _by_covariates(model, signs):
        return text + "; this is the fit of the simpler distribution in that limit"
    return text + (
        ", as when covariates separate the responses, or all responses of a group are alike; this is the fit in that "
        "limit. Drop the covariates that separate, merge levels, or pass bias='firth' or penalty="
    )
