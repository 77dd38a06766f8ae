"""The modes of each row's density, and their widths.

They are found on the logarithm of the density, which says where to go from where the density itself is 0 in 64 bits:
from the best of some places that the data suggest, ever closer, until neighbours differ by less than 1.
"""

from __future__ import annotations

import numpy as np

from raphson.model.likelihood.row_densities import NODES, RowDensities, Support
from raphson.numeric import EPSILON

CANDIDATES, ZOOMED = 96, 48
"""Places where a row's density is evaluated at first, and then near a mode; multiples of the nodes. The first are 65
quantiles of the responses, 15 places ever farther out on either side, and the row's own."""

MOST_MODES = 4
"""Modes of a row, the highest first, that are followed."""

FALL = 0.5
"""How much the log density falls within a mode's width: ½ is one standard deviation of a normal density."""

ZOOMS = 80
"""Most rounds of refinement. Each divides the range of a mode by 23, so that 12 find it to the last digit; each round
beyond the candidates makes it at least four times as wide, and 60 reach 1e36 times as far."""

Located = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of some modes: their rows, places, and widths to the left and right."""


def modes(density: RowDensities, support: Support, like: np.ndarray, own: np.ndarray | None = None) -> Located:
    """The modes of each row's density, the row's highest first; none for rows whose density was 0 wherever tried.

    Parameters
    ----------
    density, support : of the rows.
    like : (n,) typical responses.
    own : (m,) responses of the rows themselves, if known.
    """
    m = density.rows
    places = _candidates(support, like, own, m)
    values = density.log_density(support, np.arange(m), places)
    before = np.pad(values, ((0, 0), (1, 0)), constant_values=-np.inf)[:, :-1]
    after = np.pad(values, ((0, 0), (0, 1)), constant_values=-np.inf)[:, 1:]
    high = np.where((values >= before) & (values > after), values, -np.inf)
    order = np.argsort(-high, axis=1, kind="stable")[:, :MOST_MODES]
    rows, rank = np.nonzero(np.take_along_axis(high, order, axis=1) > -np.inf)
    at = order[rows, rank]
    here, all_of = places[rows, at][:, None], places[rows]
    left = np.max(np.where(all_of < here, all_of, -np.inf), axis=1)
    right = np.min(np.where(all_of > here, all_of, np.inf), axis=1)
    place, gap, value = _refined(density, support, rows, here[:, 0], left, right, places[:, -1] - places[:, 0])
    widths = _widths(density, support, rows, place, gap, value)
    order = np.lexsort((-value, rows))
    return rows[order], place[order], widths[0][order], widths[1][order]


def _candidates(support: Support, like: np.ndarray, own: np.ndarray | None, m: int) -> np.ndarray:
    """(m, CANDIDATES) places in ascending order: quantiles of the responses, places ever further out, the row's own."""
    with np.errstate(all="ignore"):
        z = support.back(np.asarray(like, dtype=float))
        mine = np.full(m, np.nan) if own is None else support.back(np.asarray(own, dtype=float))
    z = z[np.isfinite(z)]
    if not len(z):
        z = np.zeros(1)
    outward = 15
    quantiles = np.quantile(z, np.linspace(0.0, 1.0, CANDIDATES - 2 * outward - 1))
    span = float(quantiles[-1] - quantiles[0]) or abs(float(z[0])) or 1.0
    away = span * 4.0 ** np.arange(-2, outward - 2)
    common = np.concatenate([quantiles[0] - away, quantiles, quantiles[-1] + away])
    mine = np.where(np.isfinite(mine), mine, np.median(z))
    places = np.column_stack([np.broadcast_to(common, (m, len(common))), mine])
    if support.counts:
        places = np.maximum(np.round(places), 0.0)
    return np.sort(places, axis=1)


def _refined(
    density: RowDensities,
    support: Support,
    rows: np.ndarray,
    place: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    span: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Refine places that lie between lower ones: the highest place, the distance to neighbours hardly lower, its value.

    Where left or right is infinite nothing is known beyond the place: the search then goes ever further out, in units
    of `span` (m,), the distance between candidates.
    """
    reach = 4.0 * span[rows]
    open_left, open_right = np.isinf(left), np.isinf(right)
    left, right = np.where(open_left, place - reach, left), np.where(open_right, place + reach, right)
    place, gap, value = place.copy(), right - left, np.full(len(rows), -np.inf)
    active = np.arange(len(rows))
    share = np.linspace(0.0, 1.0, ZOOMED)
    for _ in range(ZOOMS):
        if not len(active):
            break
        z = left[active, None] + (right - left)[active, None] * share
        if support.counts:
            z = np.maximum(np.round(z), 0.0)
        found = density.log_density(support, rows[active], z)
        best = np.argmax(found, axis=1)
        i = np.arange(len(active))
        below, above = np.maximum(best - 1, 0), np.minimum(best + 1, ZOOMED - 1)
        place[active], value[active] = z[i, best], found[i, best]
        low, high = z[i, below], z[i, above]
        fall = found[i, best] - np.minimum(found[i, below], found[i, above])
        width = high - low
        gap[active] = np.maximum(0.5 * width, 1.0 if support.counts else 0.0)
        tiny = width <= (2.0 if support.counts else 8.0 * EPSILON * np.maximum(np.abs(low), np.abs(high)))
        beyond = [open_left[active] & (best == 0), open_right[active] & (best == ZOOMED - 1)]
        if support.counts:
            beyond[0] &= z[i, best] > 0.0
        further = 4.0 * (right - left)[active]
        left[active] = np.where(beyond[0], low - further, low)
        right[active] = np.where(beyond[1], high + further, high)
        open_left[active], open_right[active] = beyond
        resolved = (fall <= 1.0) & ~_has_cusp(found, best) & ~beyond[0] & ~beyond[1]
        active = active[~(resolved | tiny)]
    return place, np.maximum(gap, 4.0 * EPSILON * np.abs(place)), value


def _has_cusp(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Whether values (q, c) at equal distances fall from the best one in straight lines, not in a parabola.

    A panel that contains a cusp, as that of Laplace's density, is inaccurate, so the cusp itself has to be found.
    """
    i = np.arange(len(values))
    pointed = np.zeros(len(values), dtype=bool)
    for sign in (-1, 1):
        room = best if sign < 0 else values.shape[1] - 1 - best
        half = room // 2
        with np.errstate(all="ignore"):
            fall = values[i, best] - values[i, best + sign * 2 * half], values[i, best] - values[i, best + sign * half]
            pointed |= (half >= 2) & (fall[0] < 2.8 * fall[1])
    return pointed


def _widths(
    density: RowDensities,
    support: Support,
    rows: np.ndarray,
    place: np.ndarray,
    gap: np.ndarray,
    value: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the left and right of a mode where the log density has fallen by :data:`FALL`, to a factor of 2."""
    steps = 2.0 ** np.arange(-8, 4 * NODES - 8)
    sides = []
    for sign in (-1.0, 1.0):
        away = gap[:, None] * steps
        found = density.log_density(support, rows, place[:, None] + sign * away)
        fallen = value[:, None] - found > FALL
        first = np.where(fallen.any(axis=1), np.argmax(fallen, axis=1), len(steps) - 1)
        sides.append(away[np.arange(len(rows)), first])
    # Beside a jump one side has no width: it then takes the other's.
    narrow = 2.0**-6 * np.maximum(*sides)
    return np.maximum(sides[0], narrow), np.maximum(sides[1], narrow)
