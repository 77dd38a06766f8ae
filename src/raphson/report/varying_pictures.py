"""Pictures of what varies: smooth functions with bands and partial residuals, and the effects of levels in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from raphson.checks.pictures import Mark, Picture, some
from raphson.errors import visible
from raphson.inference.intervals import quantile
from raphson.report.words import without_common_start

LABELLED = 40
"""Levels up to which each has its interval and its label."""
DRAWS, SEED = 400, 0
FAR = 0.15
"""Share of the range of both variables beyond which from any row a surface is not drawn."""


def smooth_picture(curve: Any, y_label: str = "") -> Picture:
    """A smooth function: of one variable with both bands and partial residuals, of two as a surface."""
    names = [visible(one) for one in curve.variables]
    label = y_label or visible(curve.term)
    if len(names) == 2:
        x, z = curve.points.T
        near = _near(curve.points, curve.data)
        marks = [Mark("surface", "data", x, z, np.where(near, curve.fit, np.nan))]
        rows = some(len(curve.data), 200)
        marks.append(Mark("dots", "soft", curve.data[rows, 0], curve.data[rows, 1]))
        return Picture(names[0], f"{names[1]}; lines: {label}", tuple(marks))
    x = curve.points[:, 0]
    bands = [("outer", curve.reach_all), ("shade", curve.reach)]
    marks = [Mark("band", role, x, curve.fit - reach * curve.se, curve.fit + reach * curve.se) for role, reach in bands]  # type: ignore[arg-type]
    ends = _ends(curve)
    if len(curve.residuals):
        known = np.flatnonzero(np.isfinite(curve.residuals))
        rows = known[some(len(known))]
        inside = rows[(curve.residuals[rows] >= ends[0]) & (curve.residuals[rows] <= ends[1])]
        marks.append(Mark("dots", "data", curve.data[inside, 0], curve.residuals[inside]))
    marks.append(Mark("level", "soft", y=np.zeros(1)))
    marks.append(Mark("line", "data", x, curve.fit))
    return Picture(names[0], label, tuple(marks), y_range=ends)


def _ends(curve: Any) -> tuple[float, float]:
    """The ends of the axis: of the band, and of the residuals but the farthest 2%, which would flatten the curve."""
    spread = curve.reach_all * curve.se
    low, high = float(np.min(curve.fit - spread)), float(np.max(curve.fit + spread))
    known = curve.residuals[np.isfinite(curve.residuals)]
    if len(known):
        low, high = min(low, float(np.quantile(known, 0.01))), max(high, float(np.quantile(known, 0.99)))
    edge = 0.05 * (high - low) or 1.0
    return low - edge, high + edge


def _near(points: np.ndarray, data: np.ndarray) -> np.ndarray:
    """(m,) whether a point has a row near it."""
    low, size = data.min(axis=0), np.ptp(data, axis=0)
    size = np.where(size > 0, size, 1.0)
    rows = (data[some(len(data), 2_000)] - low) / size
    there = (points - low) / size
    return np.array([np.min(np.sum((rows - one) ** 2, axis=1)) < FAR**2 for one in there])


def left_out(curve: Any) -> int:
    """Partial residuals that lie beyond the axis of :func:`smooth_picture`."""
    low, high = _ends(curve)
    known = curve.residuals[np.isfinite(curve.residuals)]
    return int(np.count_nonzero((known < low) | (known > high)))


def effects_picture(
    group: str, levels: Sequence[str], mode: np.ndarray, sd: np.ndarray, posterior: np.ndarray, scale: float, what: str,
    level: float,
) -> Picture:  # fmt: skip
    """The effects of the levels of a group in order, over where those of normal effects would lie.

    Parameters
    ----------
    levels, mode, sd, posterior : (L,) labels, effects, full deviations, and those given the scales.
    scale : the estimated standard deviation of the effects.
    what : the effect.
    level : coverage of the intervals.
    """
    order = np.argsort(mode, kind="stable")
    mode, sd, posterior = mode[order], sd[order], posterior[order]
    L = len(mode)
    place = np.arange(1.0, L + 1.0)
    marks: list[Mark] = []
    # The modes of normal effects vary by σ² less the variance that the rows leave.
    spread = np.sqrt(np.maximum(scale**2 - posterior**2, 0.0))
    if L > 2 and spread.any():
        chosen = some(L, 1_000)
        drawn = np.sort(np.random.default_rng(SEED).normal(size=(DRAWS, len(chosen))) * spread[chosen], axis=1)
        lower, upper = np.quantile(drawn, [0.025, 0.975], axis=0)
        marks.append(Mark("band", "shade", np.linspace(1, L, len(chosen)), lower, upper))
    marks.append(Mark("level", "soft", y=np.zeros(1)))
    reach = quantile(level, None)
    rows = some(L)
    if L <= LABELLED:
        marks.append(Mark("whiskers", "data", place, mode - reach * sd, mode + reach * sd))
    marks.append(Mark("dots", "data", place[rows], mode[rows]))
    texts = without_common_start([visible(str(one)) for one in levels])
    ticks = tuple((k + 1.0, texts[i][:8]) for k, i in enumerate(order)) if L <= LABELLED else ()
    return Picture(f"{visible(group)}, in order", visible(what), tuple(marks), ticks, whole_x=not ticks)


def apart(mode: np.ndarray, sd: np.ndarray, level: float) -> int:
    """How many levels have an interval without 0."""
    with np.errstate(invalid="ignore"):
        return int(np.count_nonzero(np.abs(mode) > quantile(level, None) * sd))


def effects_finding(what: str, mode: np.ndarray, sd: np.ndarray, scale: float, level: float) -> str:
    """What the effects of a group show, as the title of their picture."""
    if not scale > 0:
        return f"{visible(what)} does not vary"
    count = apart(mode, sd, level)
    return f"{visible(what)}: {count or 'none'} of {len(mode):,} apart from 0"


def swing(curve: Any) -> tuple[int, int, float]:
    """Where a curve is lowest and highest, and how far it swings between."""
    low, high = int(np.argmin(curve.fit)), int(np.argmax(curve.fit))
    return low, high, float(curve.fit[high] - curve.fit[low])


def ratio_of(change: float) -> float:
    """exp of a change of the predictor."""
    return math.exp(min(change, 700.0))
