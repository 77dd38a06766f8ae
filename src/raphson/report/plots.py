"""Figures of what a fit computes on request: a profile, bootstrap replicates, a coverage study.

Figures are Matplotlib's that pyplot does not manage: no window, no global state, no choice of backend, so they work in
scripts, servers and notebooks alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.checks.pictures import Mark, Picture
from raphson.errors import visible
from raphson.report import style
from raphson.report.drawing import draw
from raphson.report.style import LIGHT
from raphson.report.words import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_profile(profile: Any, level: float = 0.95, ax: Axes | None = None) -> Axes:
    """Draw the signed root ζ of a profile likelihood, with the interval of a level shaded.

    The dashed line is (value − estimate)/se, the ζ of the Wald interval: where the two differ, the Wald interval is
    inaccurate.

    Parameters
    ----------
    profile : Profile
    level : float
        Coverage of the interval.
    ax : axes to draw on, by default those of a new figure.
    """
    return draw(profile_picture(profile, level), ax)


def profile_picture(profile: Any, level: float) -> Picture:
    """What a profile shows."""
    trace = profile.trace
    value, zeta = trace["value"].to_numpy(dtype=float), trace["zeta"].to_numpy(dtype=float)
    lower, upper = profile.interval(level)
    marks: list[Mark] = []
    if math.isfinite(lower) and math.isfinite(upper) and len(zeta):
        reach = float(np.abs(zeta).max())
        marks.append(Mark("band", "shade", np.array([lower, upper]), np.full(2, -reach), np.full(2, reach)))
    marks.append(Mark("level", "soft", y=np.zeros(1)))
    if len(value) and math.isfinite(profile.estimate) and math.isfinite(profile.se):
        marks.append(Mark("line", "soft", value, (value - profile.estimate) / profile.se, dashed=True))
    marks.append(Mark("line", "data", value, zeta))
    return Picture(
        visible(profile.name),
        f"signed root ζ; shaded {100 * level:g}%: {figures(lower, 4)} to {figures(upper, 4)}",
        tuple(marks),
    )


def plot_replicates(bootstrap: Any, level: float = 0.95) -> Figure:
    """Draw the bootstrap replicates of each parameter: a histogram, the estimate, and the BCa interval.

    Parameters
    ----------
    bootstrap : Bootstrap
    level : float
        Coverage of the intervals.

    Returns
    -------
    matplotlib.figure.Figure
        With axes for each of the first twelve parameters.
    """
    names = list(bootstrap.params.index)[:12]
    ends = bootstrap.conf_int(level)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    made, grid = style.figure(rows, columns, 2.7, 2.0)
    for axes, name in zip(grid.flat, names, strict=False):
        values = bootstrap.estimates[name].to_numpy()
        axes.hist(values[np.isfinite(values)], bins=40, color=LIGHT["data"], alpha=0.6)
        axes.axvspan(*np.clip(ends.loc[name], *axes.get_xlim()), color=LIGHT["shade"], alpha=0.6, linewidth=0, zorder=0)
        axes.axvline(bootstrap.params[name], color=LIGHT["ink"], linewidth=1.2)
        axes.set_yticks([])
        style.dress(axes, "", str(name))
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    return made


def plot_coverage(coverage: Any) -> Figure:
    """Draw the coverage of each interval, and the ratio of standard errors to the standard deviation of estimates.

    Parameters
    ----------
    coverage : Coverage

    Returns
    -------
    matplotlib.figure.Figure
        With two axes. The band shows the Monte Carlo error: two standard errors on each side.
    """
    table = coverage.table.iloc[:40]
    made, grid = style.figure(1, 2, 3.6, 1.4 + 0.28 * max(len(table), 2), sharey=True)
    left, right = grid[0]
    heights = np.arange(len(table))[::-1]
    for name, color, shift in (("wald", LIGHT["soft"], 0.12), ("profile", LIGHT["data"], -0.12)):
        if name in table:
            left.plot(100 * table[name], heights + shift, "o", color=color, markersize=6, label=name)
    promised, error = 100 * coverage.level, 100 * coverage.error
    left.axvline(promised, color=LIGHT["soft"], linewidth=0.8)
    left.axvspan(promised - 2 * error, promised + 2 * error, color=LIGHT["shade"], alpha=0.6, linewidth=0)
    left.set_yticks(heights, [style.cut(name) for name in table.index], parse_math=False)
    left.set_ylim(-0.7, len(table) - 0.3)
    left.legend(frameon=False, fontsize=8.5)
    right.plot(table["std_error_ratio"], heights, "o", color=LIGHT["data"], markersize=6)
    right.axvline(1, color=LIGHT["soft"], linewidth=0.8)
    style.dress(left, "", f"coverage of {promised:g}% intervals (%)")
    style.dress(right, "", "mean standard error / actual spread")
    return made
