"""Comparison of methods: a table, a plot of distance against cost, and paths over the contours of ℓ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.errors import ModelError
from raphson.report import style
from raphson.sheets.sheet import Grid, InNotebook, Note, Sheet

if TYPE_CHECKING:
    import pandas as pd

SHADES = ("#1f6f8b", "#c4572e", "#4c8a3f", "#7b4fa3", "#b8932b", "#444444", "#c23b7a", "#2aa198", "#7a3b1d", "#8fb339")
STROKES = ("-", "--", ":")
"""Line styles: after the last shade, the shades are repeated with the next style."""

COSTS = {
    "iteration": "iterations",
    "passes": "passes over the data",
    "row_gradients": "row gradients",
}

GRID = 41
"""Points of the contours' grid in each direction."""


@dataclass(frozen=True, repr=False)
class Comparison(InNotebook):
    """One model fitted by several methods from the same start.

    Attributes
    ----------
    table : a row for each method: its matrix M, iterations, passes over the data, row gradients, seconds, and at the
        end the distance to the maximum in standard errors, the log-likelihood below the maximum (`llf_drop`) and the
        status.
    paths : a row for each recorded point: method, iteration, passes, row_gradients, distance, and θ by name.
    notes : why some methods do not apply to the model.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> race = rp.compare(rp.glm("low ~ lwt", births, family="binomial"), ["newton", "bhhh"])
    >>> race.table["status"].to_dict()
    {'newton': 'converged', 'bhhh': 'converged'}
    """

    table: pd.DataFrame
    paths: pd.DataFrame
    _names: tuple[str, ...]
    _best: np.ndarray
    _errors: np.ndarray
    _value: Callable[[np.ndarray], float]
    notes: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "\n".join([self._shown().to_string(), *(f"{name}: {note}" for name, note in self.notes.items())])

    def _sheet(self) -> Sheet:
        notes = [Note(f"{name}: {note}", "key") for name, note in self.notes.items()]
        return Sheet("One model, several methods", (), [Grid.of(self._shown())], notes)

    def _shown(self) -> pd.DataFrame:
        """The table with meaningful digits only."""
        shown = self.table.copy()
        for name, digits in (("passes", ".1f"), ("seconds", ".2g"), ("distance", ".1e"), ("llf_drop", ".1e")):
            shown[name] = ["" if value != value else format(value, digits) for value in shown[name]]
        return shown

    def plot(self) -> Any:
        """Draw the distance to the maximum against iterations, passes over the data and row gradients.

        Returns
        -------
        matplotlib.figure.Figure
            With three axes.
        """
        made, grid = style.figure(1, 3, 3.2, 3.6, sharey=True)
        panels = grid[0]
        for axes, (name, label) in zip(panels, COSTS.items(), strict=True):
            for line_style, (method, path) in zip(_styles(), self.paths.groupby("method", sort=False), strict=False):
                distance = path["distance"].to_numpy()
                cost = path[name].to_numpy(dtype=float)
                good = distance > 0
                marker = "o" if good.sum() <= 30 else None
                axes.plot(cost[good], distance[good], **line_style, marker=marker, markersize=3, label=method)
            # The axis begins at the cheapest step, which for methods that read batches is a small part of a pass.
            costs = self.paths[name].to_numpy(dtype=float)
            axes.set_xscale("symlog", linthresh=10.0 ** np.floor(np.log10(costs[costs > 0].min(initial=1.0))))
            axes.set_yscale("log")
            style.dress(axes, label, "standard errors from the maximum" if axes is panels[0] else "")
        panels[-1].legend(frameon=False, fontsize=7.5, loc="center left", bbox_to_anchor=(1.02, 0.5))
        return made

    def plot_contours(self) -> Any:
        """Draw the paths over the contours of the log-likelihood, for a model of two parameters.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ModelError
            If the model does not have two parameters.
        """
        if len(self._names) != 2:
            raise ModelError(
                f"plot_contours: expected a model of two parameters; got {len(self._names)}. Use plot() instead"
            )
        points = self.paths[list(self._names)].to_numpy(dtype=float)
        reach = 4.0 * self._errors
        # Paths are clipped at about the start's distance: one that goes far away would shrink the others to a dot.
        far = np.maximum(1.3 * np.abs(points[0] - self._best), reach)
        inside = np.clip(points, self._best - far, self._best + far)
        low = np.minimum(inside.min(axis=0), self._best - reach)
        high = np.maximum(inside.max(axis=0), self._best + reach)
        one, other = (np.linspace(low[i], high[i], GRID) for i in (0, 1))
        drop = np.array([[self._value(np.array([a, b])) for a in one] for b in other])
        drop = 2.0 * (self._value(self._best) - np.where(np.isfinite(drop), drop, np.nan))
        made, grid = style.figure(width=5.6, height=4.6)
        axes = grid[0, 0]
        largest = float(np.nanmax(drop))
        levels = np.geomspace(0.5, max(largest, 1.0), 14)
        axes.contour(one, other, drop, levels=levels, colors=style.LIGHT["edge"], linewidths=0.8)
        for line_style, (method, path) in zip(_styles(), self.paths.groupby("method", sort=False), strict=False):
            line = path[list(self._names)].to_numpy(dtype=float)
            marker = "o" if len(line) <= 30 else None
            axes.plot(*line.T, **line_style, marker=marker, markersize=3, linewidth=1, label=method)
        axes.plot(*self._best, "+", color=style.LIGHT["ink"], markersize=12, markeredgewidth=1.5)
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.legend(frameon=False, fontsize=8)
        style.dress(axes, *self._names)
        return made


def _styles() -> Any:
    """A colour and a line style for each method."""
    from itertools import cycle

    return cycle([{"color": shade, "linestyle": stroke} for stroke in STROKES for shade in SHADES])
