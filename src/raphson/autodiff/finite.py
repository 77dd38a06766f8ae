r"""Derivatives by finite differences: for functions that JAX cannot trace, with an estimate of the error.

The error of a central difference with step h has two parts: the truncation, c₁h² + c₂h⁴ + ..., and the noise ε of the
function's values, about ε/h. Richardson's extrapolation from steps h, rh, r²h removes the first two terms of the
truncation and leaves O(h⁶). The total is smallest at about h = L (ε/|f|)^(1/7), where L is the scale on which f varies.
So the noise is estimated first (Moré and Wild 2011). Then the differences between extrapolations show the truncation,
and for each coordinate h grows or shrinks until the two errors balance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import comb, prod
from typing import Any

import numpy as np

from raphson.errors import ModelError
from raphson.numeric import EPSILON

_RATIO = 1.9
"""Ratio r of one step to the next. Not 2: if h is near a multiple of a period of f, so is 2h, and all agree wrongly."""

_LEVELS = 3
"""Steps h, rh, r²h: the extrapolated central difference has an error of order h⁶."""

_ONE_SIDED_LEVELS = 6
"""Number of steps at a bound, where each extrapolation removes one order only."""

_GOOD = 1e-11
"""Relative error at which the search for a better step stops: some 250 times ε^(6/7), the smallest possible for values
with a rounding error of ε, where the errors ε/h and h⁶ balance."""

SURE = 6.0
"""Standard deviations of the noise that the error of a derivative includes: three, as the noise is estimated from few
values and may be twice the estimate. (That of the extrapolated central difference is 1.08 ε/h.)"""

_NOTHING = 1e-15
"""A number this close to 0 may be the rounding error of numbers near 1, and does not indicate a scale."""

_MOST_TRIALS = 12
"""Most trials of a step: from the first to the last it may change by ten orders of magnitude, 8¹¹."""

_NOISE_POINTS = 8
"""Points from whose differences the noise is estimated: they give differences of seven orders, in which an analytic
function vanishes from about the third on at a spacing of 1e-6."""

_CHANGE = 8.0
"""Factor by which a step grows or shrinks between trials. It changes the error of order h⁶ by a factor of 8⁶, 260,000,
and that of the noise by 8."""

Function = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class FiniteDifference:
    """A derivative by finite differences, with an estimate of its error.

    Attributes
    ----------
    value : ndarray
        The derivative.
    error : ndarray
        Estimate of the absolute error of each element.
    step : ndarray, (p,)
        The smallest step used in each coordinate.
    noise : ndarray
        Estimate of the noise of each of f's results.
    evaluations : int
        Number of calls of f.
    """

    value: np.ndarray
    error: np.ndarray
    step: np.ndarray
    noise: np.ndarray
    evaluations: int


class _Counted:
    """f as a function from a vector to a vector, with a count of its calls.

    After f has succeeded once, an arithmetic error elsewhere (``math.sqrt(-1)``) means the edge of its domain: NaN.
    """

    def __init__(self, f: Function) -> None:
        self._f = f
        self._shape: tuple[int, ...] | None = None
        self.calls = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.calls += 1
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(self._f(x), dtype=float)
        except (ArithmeticError, ValueError) as error:
            if self._shape is None or (isinstance(error, ValueError) and "math domain" not in str(error)):
                raise
            return np.full(self._shape, np.nan)
        self._shape = found.shape
        return found


def noise_level(
    f: Function,
    x: np.ndarray,
    scale: np.ndarray | None = None,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Estimate the noise of f's results near x: rounding, or the tolerance of an iterative solver.

    Differences of order k of equally spaced values of a smooth function vanish as k grows, while those of noise with
    standard deviation σ have mean square σ² (2k)!/(k!)².

    Parameters
    ----------
    f : callable
        x (p,) -> results of any shape.
    x : ndarray, (p,)
    scale : ndarray, (p,), optional
        Typical size of each coordinate; |x| (1 where x is 0) by default.
    bounds : pair of ndarrays, (p,), optional
        Bounds of the points tried.

    Returns
    -------
    ndarray
        In the shape of f's results; at least a quarter of a rounding error.

    References
    ----------
    Moré and Wild (2011), Estimating computational noise, SIAM J. Sci. Comput. 33, algorithm ECnoise.

    Examples
    --------
    >>> import numpy as np
    >>> bool(noise_level(lambda x: np.exp(x[0]), np.array([1.0])) < 1e-14)
    True
    """
    x = np.asarray(x, dtype=float)
    size = _scale_of(x, scale)
    here = np.asarray(f(x), dtype=float)
    floor = EPSILON / 4 * np.abs(here)
    # Each coordinate moves by a different multiple, so that the direction is no axis of symmetry.
    direction = size * (1.0 + 0.1 * np.arange(len(x)) / max(len(x), 1))

    def measured(spacing: float) -> tuple[np.ndarray, float]:
        points = _beside(x, direction * spacing, bounds)
        with np.errstate(all="ignore"):
            values = np.stack([np.asarray(f(point), dtype=float) for point in points])
            return _noise_of(values), _largest(np.abs(values))

    best, largest = measured(1e-6)
    if _largest(best) > 1e-4 * largest:  # a fast oscillation looks like noise, but smooth at smaller spacings
        nearer, _ = measured(1e-10)
        best = np.where(nearer < 1e-3 * best, nearer, best)
    for spacing in (1e-8, 1e-4, 1e-10):
        if not np.isnan(best).any():
            break
        best = np.where(np.isnan(best), measured(spacing)[0], best)
    for spacing in (1e-4, 1e-2, 1e-1):
        # If all values are the same, f may be rounded to few digits, which shows at larger spacings.
        if (best > 0).all():
            break
        best = np.where(best > 0, best, np.nan_to_num(measured(spacing)[0], nan=0.0))
    return np.maximum(np.nan_to_num(best, nan=0.0), floor)


def _beside(x: np.ndarray, step: np.ndarray, bounds: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Equally spaced points (m, p) on both sides of x; on one side near a bound, on none between two near ones."""
    before = np.full(len(x), _NOISE_POINTS // 2)
    if bounds is not None:
        before[x - before * step < bounds[0]] = 0
        before[x + before * step > bounds[1]] = _NOISE_POINTS - 1
    points = x + step * (np.arange(_NOISE_POINTS)[:, None] - before)
    if bounds is not None:
        outside = (points.min(axis=0) < bounds[0]) | (points.max(axis=0) > bounds[1])
        points[:, outside] = x[outside]
    return points


def _noise_of(values: np.ndarray) -> np.ndarray:
    """Noise from the difference table of equally spaced values (m, ...); NaN if the table does not show it."""
    table, sigma, changes = values, [], []
    factor = 1.0
    for k in range(1, len(values) - 1):
        table = np.diff(table, axis=0)
        factor *= k / (2.0 * (2.0 * k - 1.0))  # (k!)²/(2k)!
        sigma.append(np.sqrt(factor * np.mean(table**2, axis=0)))
        changes.append((table.min(axis=0) < 0) & (table.max(axis=0) > 0))
    result = np.full(values.shape[1:], np.nan)
    flat = (values == values[:1]).all(axis=0)
    for k in range(len(sigma) - 3, -1, -1):
        three = np.stack(sigma[k : k + 3])
        steady = (three.max(axis=0) <= 4.0 * three.min(axis=0)) & changes[k]
        result = np.where(steady, sigma[k], result)  # the lowest steady order is used
    return np.where(flat, 0.0, result)


def jacobian(
    f: Function,
    x: Any,
    *,
    scale: Any = None,
    bounds: tuple[Any, Any] | None = None,
    noise: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Jacobian of a black-box function by extrapolated central differences.

    Parameters
    ----------
    f : callable
        x (p,) -> results of any shape (a number, (n,) residuals). It has to be deterministic.
    x : array-like, (p,)
    scale : array-like, (p,), optional
        Typical size of each coordinate, for x = 0, say; only the first trial step depends on it.
    bounds : pair of array-likes, optional
        Lower and upper limits of x ± h; at a limit the difference is one-sided.
    noise : array-like, optional
        Noise of f's results, if known; otherwise it is estimated by :func:`noise_level`.

    Returns
    -------
    J : ndarray, f's shape + (p,)
        ∂f_i/∂x_j; NaN where f is not finite around x.
    error : ndarray, f's shape + (p,)
        Estimate of the absolute error of each element.

    References
    ----------
    Moré and Wild (2012), Estimating derivatives of noisy simulations, ACM TOMS 38; Ridders (1982), Adv. Eng.
    Software 4, for the error of the extrapolation.

    Examples
    --------
    >>> import numpy as np
    >>> J, error = jacobian(lambda x: np.array([x[0] * x[1], np.sin(x[1])]), [2.0, 3.0])
    >>> np.allclose(J, [[3.0, 2.0], [0.0, np.cos(3.0)]], atol=1e-12), bool((error < 1e-10).all())
    (True, True)
    """
    found = differentiate(f, x, scale=scale, bounds=bounds, noise=noise)
    return found.value, found.error


def differentiate(
    f: Function,
    x: Any,
    *,
    order: int = 1,
    scale: Any = None,
    bounds: tuple[Any, Any] | None = None,
    noise: Any = None,
) -> FiniteDifference:
    """Derivative tensor of a black-box function: the Jacobian (order 1), the Hessian (order 2), and higher.

    Parameters
    ----------
    f, x, scale, bounds, noise
        As in :func:`jacobian`; bounds are for order 1 only.
    order : int
        Order of the derivative, at least 1. Each order loses digits: without noise about 13 digits of a first
        derivative are correct, 12 of a second, 10 of a fourth.

    Returns
    -------
    FiniteDifference
        Its value has f's shape + (p,) * order.

    Examples
    --------
    >>> import numpy as np
    >>> found = differentiate(lambda x: np.exp(x[0] * x[1]), [1.0, 0.0], order=2)
    >>> np.allclose(found.value, [[0.0, 1.0], [1.0, 1.0]], atol=1e-9)
    True
    """
    x = np.asarray(x, dtype=float)
    counted = _Counted(f)
    here = counted(x)
    size = _scale_of(x, scale)
    if not np.isfinite(here).all():
        nothing = np.full((*here.shape, *(len(x),) * order), np.nan)
        return FiniteDifference(nothing, nothing.copy(), np.full(len(x), np.nan), np.full(here.shape, np.nan), 1)
    lower, upper = _limits(x, bounds)
    if noise is None:
        level = noise_level(counted, x, size, None if bounds is None else (lower, upper))
    else:
        level = np.broadcast_to(np.asarray(noise, float), here.shape)
    columns = [_along(counted, x, j, here, level, size[j], lower[j], upper[j]) for j in range(len(x))]
    step = np.array([column[2] for column in columns])
    shape = (*here.shape, len(x))
    if order == 1:
        value = np.stack([column[0] for column in columns], axis=-1) if columns else np.zeros(shape)
        error = np.stack([column[1] for column in columns], axis=-1) if columns else np.zeros(shape)
        return FiniteDifference(value, error, step, level, counted.calls)
    relative = _relative(level, here)
    length = step / relative ** (1.0 / 7.0)
    value, error, step = _tensor(counted, x, here, order, level, relative, length)
    return FiniteDifference(value, error, step, level, counted.calls)


def _along(
    f: _Counted, x: np.ndarray, j: int, here: np.ndarray, level: np.ndarray, size: float, lower: float, upper: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """The derivative along one coordinate, its error and its step, after trials of several steps."""
    room = min(x[j] - lower, upper - x[j])
    relative = _relative(level, here)
    h = size * relative ** (1.0 / 7.0)
    side = 0
    widest = _RATIO ** (_LEVELS - 1)
    if room < h * widest / 64.0:
        side, room = (1, upper - x[j]) if upper - x[j] >= x[j] - lower else (-1, x[j] - lower)
        widest = _RATIO ** (_ONE_SIDED_LEVELS - 1)
        h *= 0.25
    if room <= 0.0:  # held between two equal bounds
        return np.zeros(here.shape), np.zeros(here.shape), 0.0
    best = error = None
    taken = h
    tried: set[float] = set()
    for _ in range(_MOST_TRIALS):
        h = min(h, room / widest)
        if h in tried or x[j] + h == x[j]:
            break
        tried.add(h)
        value, truncation = _extrapolate(f, x, j, here, h, side)
        rounding = SURE * level / h
        total = truncation + rounding
        if best is None or error is None:
            best, error, taken = value, total, h
        else:
            better = ~(total >= error)  # a NaN is replaced
            best, error = np.where(better, value, best), np.where(better & ~np.isnan(total), total, error)
            if np.nansum(total) <= np.nansum(error):
                taken = h
        # The goal is relative to the largest derivative of all results, or to f if the derivatives are 0.
        wanted = _GOOD * max(_largest(np.abs(value)), _largest(np.abs(here)) / max(size, 1.0))
        worst_truncation, worst_rounding = _largest(truncation), _largest(rounding)
        if not np.isfinite(value).all():
            if side == 0 and not all(np.isfinite(f(moved(x, j, by))).all() for by in (1e-9 * size, -1e-9 * size)):
                break  # x is at the edge of the domain
            h /= _CHANGE
        elif worst_truncation > 4.0 * worst_rounding and worst_truncation > wanted:
            h /= _CHANGE
        elif worst_rounding > wanted and h * _CHANGE < max(size, 1.0):
            h *= _CHANGE
        else:
            break
    if side == 0 and best is not None and error is not None and not np.isfinite(best).all():
        return _from_one_side(f, x, j, here, level, size, lower, upper, (best, error, taken))
    return np.asarray(best), np.asarray(error), taken


def _from_one_side(
    f: _Counted,
    x: np.ndarray,
    j: int,
    here: np.ndarray,
    level: np.ndarray,
    size: float,
    lower: float,
    upper: float,
    found: tuple[np.ndarray, np.ndarray, float],
) -> tuple[np.ndarray, np.ndarray, float]:
    """The one-sided derivative if f is finite on one side of x only (at the edge of its domain)."""
    for low, high in ((x[j], upper), (lower, x[j])):
        if high > low and np.isfinite(f(moved(x, j, 1e-3 * size * (1 if high > x[j] else -1)))).all():
            one_sided = _along(f, x, j, here, level, size, low, high)
            if np.isfinite(one_sided[0]).all():
                return one_sided
    return found


def _extrapolate(
    f: _Counted, x: np.ndarray, j: int, here: np.ndarray, h: float, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Richardson's extrapolation of differences with steps h, rh, ...: value and estimated truncation."""
    count = _LEVELS if side == 0 else _ONE_SIDED_LEVELS
    row = []
    for k in range(count):
        step = h * _RATIO**k
        if side == 0:
            above, below = moved(x, j, step), moved(x, j, -step)
            row.append((f(above) - f(below)) / (above[j] - below[j]))  # the step after rounding
        else:
            there = moved(x, j, side * step)
            row.append((f(there) - here) / (there[j] - x[j]))
    return _richardson(row, 2 if side == 0 else 1)


def _richardson(row: list[np.ndarray], power: int) -> tuple[np.ndarray, np.ndarray]:
    """Extrapolate estimates at steps h, rh, r²h, ... to step 0; their error is a series in h^power.

    T_k ← T_k + (T_k − T_{k+1})/(r^(power·m) − 1) removes the term of order m. The last correction overestimates the
    remaining error if h is small enough for the series to converge. If it is not (a period of f is no longer than h,
    say), the corrections do not decrease from one order to the next, and the error is the difference between the last
    two estimates.
    """
    change = before = gap = np.zeros_like(row[0])
    with np.errstate(invalid="ignore", over="ignore"):
        for m in range(1, len(row)):
            weight = 1.0 / (_RATIO ** (power * m) - 1.0)
            gap = np.abs(row[0] - row[1])
            before, change = change, gap * weight
            row = [one + (one - wider) * weight for one, wider in pairwise(row)]
    return row[0], np.where(change > 0.1 * before, gap, change)


def _tensor(
    f: _Counted,
    x: np.ndarray,
    here: np.ndarray,
    order: int,
    level: np.ndarray,
    relative: float,
    length: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All mixed derivatives of one order, each extrapolated from products of central differences."""
    p = len(x)
    h = length * relative ** (1.0 / (order + 6.0))
    value = np.zeros((*here.shape, *(p,) * order))
    error = np.zeros_like(value)
    known: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}
    for place in product(range(p), repeat=order):
        key = tuple(sorted(place))  # mixed derivatives don't depend on the order
        if key not in known:
            times = [(j, key.count(j)) for j in sorted(set(key))]
            own = h
            for _ in range(_MOST_TRIALS):
                found, truncation = mixed(f, x, times, own)
                if np.isfinite(found).all():
                    break
                own = own / 2.0  # some points were outside f's domain
            # The variance of δ^m f is C(2m, m) σ²; extrapolation increases the standard deviation by half.
            deviations = 1.5 * SURE * np.sqrt(prod(comb(2 * m, m) for _, m in times))
            known[key] = (found, truncation + deviations * level / np.prod(own[list(key)]))
        value[(..., *place)], error[(..., *place)] = known[key]
    return value, error, h


def mixed(
    f: Function, x: np.ndarray, times: Sequence[tuple[int, int]], h: np.ndarray, levels: int = _LEVELS
) -> tuple[np.ndarray, np.ndarray]:
    """A mixed derivative ∏ ∂^{m_j}/∂x_j^{m_j}, extrapolated from steps h, rh, ...: value and estimated truncation.

    Parameters
    ----------
    f : callable
        x (p,) -> results of any shape.
    x : ndarray, (p,)
    times : pairs (j, m_j).
    h : ndarray, (p,)
        The smallest step in each coordinate; for m_j = 1 half of it goes to each side.
    levels : int
        Number of steps: each after the first removes a term in h² from the error, and takes about 2^order calls.
    """
    return _richardson([_mixed(f, x, times, h * _RATIO**k) for k in range(levels)], 2)


def _mixed(f: Function, x: np.ndarray, times: Sequence[tuple[int, int]], h: np.ndarray) -> np.ndarray:
    r"""∏ δ_j^{m_j} f / ∏ h_j^{m_j}, with δ^m f = Σ_i (−1)^i C(m, i) f(x + (m/2 − i) h)."""
    total: Any = 0.0
    for picks in product(*(range(m + 1) for _, m in times)):
        point, weight = x.copy(), 1.0
        for (j, m), i in zip(times, picks, strict=True):
            point[j] += (m / 2.0 - i) * h[j]
            weight *= (-1.0) ** i * comb(m, i)
        total = total + weight * f(point)
    return np.asarray(total / np.prod([h[j] ** m for j, m in times]))


def moved(x: np.ndarray, j: int, by: float) -> np.ndarray:
    """x with one coordinate moved."""
    there = x.copy()
    there[j] += by
    return there


def _relative(level: np.ndarray, here: np.ndarray) -> float:
    """Noise relative to the largest result, between a rounding error and 1e-2."""
    size = float(np.max(np.abs(here), initial=0.0))
    noise = float(np.max(level, initial=0.0))
    return float(np.clip(noise / size if size > 0 else EPSILON, EPSILON, 1e-2))


def _scale_of(x: np.ndarray, scale: Any) -> np.ndarray:
    given = np.abs(x) if scale is None else np.broadcast_to(np.abs(np.asarray(scale, dtype=float)), x.shape)
    # Numbers this close to 0 do not indicate a scale.
    return np.where(given > _NOTHING, given, np.where(np.abs(x) > _NOTHING, np.abs(x), 1.0))


def _limits(x: np.ndarray, bounds: tuple[Any, Any] | None) -> tuple[np.ndarray, np.ndarray]:
    if bounds is None:
        return np.full(len(x), -np.inf), np.full(len(x), np.inf)
    lower, upper = (np.broadcast_to(np.asarray(one, dtype=float), x.shape) for one in bounds)
    outside = (x < lower) | (x > upper)
    if outside.any():
        j = int(np.argmax(outside))
        raise ModelError(f"bounds: x[{j}] = {x[j]:g} is outside ({lower[j]:g}, {upper[j]:g}); choose x inside them")
    return lower, upper


def _largest(values: np.ndarray) -> float:
    return float(np.max(np.nan_to_num(values, nan=0.0), initial=0.0))
