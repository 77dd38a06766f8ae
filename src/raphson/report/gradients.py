"""The norm of the gradient by layer and epoch, which shows where it vanishes or explodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.report import style
from raphson.sheets.sheet import Grid, InNotebook, Sheet

if TYPE_CHECKING:
    import pandas as pd


MOST_SHOWN = 12
"""Epochs that a notebook shows, evenly spread."""


@dataclass(frozen=True)
class GradientProfile(InNotebook):
    """Gradient norms by layer and epoch.

    Attributes
    ----------
    table : a row for each epoch (from 1), a column for each layer, first layer first.

    Examples
    --------
    >>> profile = GradientProfile.of([(1e-6, 1.0), (2e-6, 1.0)], ["hidden1", "output"])
    >>> profile.ratio.to_list()
    [1e-06, 2e-06]
    """

    table: pd.DataFrame

    @staticmethod
    def of(norms: Sequence[Sequence[float]], labels: Sequence[str]) -> GradientProfile:
        """From one list of norms for each epoch."""
        import pandas as pd

        values = np.asarray(norms, dtype=float)[:, : len(labels)]
        index = pd.RangeIndex(1, len(values) + 1, name="epoch")
        return GradientProfile(pd.DataFrame(values, index=index, columns=list(labels)))

    @property
    def ratio(self) -> pd.Series:
        """The first layer's norm divided by the last's, by epoch: near 0 the gradient vanishes."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.table.iloc[:, 0] / self.table.iloc[:, -1]).rename("ratio")

    def __repr__(self) -> str:
        return repr(self.table)

    def _sheet(self) -> Sheet:
        epochs = np.unique(np.linspace(0, len(self.table) - 1, min(len(self.table), MOST_SHOWN)).astype(int))
        some = f"{len(epochs)} of {len(self.table)} epochs" if len(epochs) < len(self.table) else ""
        return Sheet("Norm of the gradient by layer", (), [Grid.of(self.table.iloc[epochs], some)])

    def plot(self) -> Any:
        """Draw the norms by layer, with a line for each epoch, from pale (the first) to dark (the last).

        Returns
        -------
        matplotlib.figure.Figure
        """
        made, grid = style.figure(width=6.4, height=3.8)
        import matplotlib as mpl

        axes = grid[0, 0]
        epochs = np.unique(np.linspace(0, len(self.table) - 1, min(len(self.table), 12)).astype(int))
        shades = mpl.colormaps["viridis_r"](np.linspace(0.1, 1.0, len(epochs)))
        layers = np.arange(1, self.table.shape[1] + 1)
        for shade, epoch in zip(shades, epochs, strict=True):
            values = self.table.to_numpy()[epoch]
            values = np.where(values > 0, values, np.nan)
            axes.plot(layers, values, color=shade, marker="o", markersize=3, label=f"epoch {self.table.index[epoch]}")
        axes.set_yscale("log")
        axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        axes.legend(frameon=False, fontsize=7.5, ncols=2)
        style.dress(axes, "layer, the output last", "norm of the gradient")
        return made
