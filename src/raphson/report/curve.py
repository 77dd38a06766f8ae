"""A fitted curve over each of its covariates, with both bands and the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.checks.pictures import MOST_DOTS, Mark, Picture, some
from raphson.errors import ModelError

GRID = 161
MOST = 4
"""Covariates whose curve is drawn."""
MOST_VALUES = 3
"""Values of a second covariate with few of them, a picture each."""


def curve_pictures(fit: Any, level: float = 0.95) -> list[tuple[str, Picture]]:
    """A title and a picture for each covariate, or for each of the few values of a second one.

    The others are held at their medians; only the data near these are drawn where a second covariate has few values.

    Raises
    ------
    ModelError
        If the fit has no covariates at hand.
    """
    frame = fit.covariates
    if frame is None or not frame.shape[1]:
        raise ModelError("plot_curve: expected a fit of an expression in columns, with its data")
    numbers = [name for name in frame.columns if np.ptp(frame[name].to_numpy(dtype=float)) > 0][:MOST]
    y = np.asarray(fit.fittedvalues, dtype=float) + np.asarray(fit.residuals("response"), dtype=float)
    few = [name for name in numbers if frame[name].nunique() <= MOST_VALUES]
    many = [name for name in numbers if name not in few] or numbers[:1]
    found = []
    for name in many:
        others = {
            other: float(np.median(frame[other].to_numpy(dtype=float))) for other in frame.columns if other != name
        }
        split = next((other for other in few if other != name), None)
        if split is None:
            held = ", ".join(f"{other} = {value:.4g}" for other, value in others.items())
            near = np.ones(len(y), dtype=bool)
            found.append(
                (f"Over {name}" + (f", with {held}" if held else ""), _over(fit, name, others, y, near, level))
            )
            continue
        for value in sorted(frame[split].unique().tolist()):
            near = frame[split].to_numpy() == value
            found.append((f"{split} = {value:g}", _over(fit, name, {**others, split: value}, y, near, level)))
    return found


def _over(fit: Any, name: str, others: dict[str, float], y: np.ndarray, near: np.ndarray, level: float) -> Picture:
    x = fit.covariates[name].to_numpy(dtype=float)
    grid = np.linspace(x.min(), x.max(), GRID)
    new = {name: grid, **{other: np.full(GRID, value) for other, value in others.items()}}
    marks = []
    # With a robust loss there is no distribution of new responses, so only the confidence band.
    for interval, role in (("prediction", "outer"), ("confidence", "shade")):
        try:
            band = fit.predict(new, interval=interval, level=level)
        except ModelError:
            continue
        marks.append(Mark("band", role, grid, band["lower"].to_numpy(), band["upper"].to_numpy()))  # type: ignore[arg-type]
    middle = np.asarray(fit.predict(new), dtype=float)
    marks.append(Mark("line", "data", grid, middle))
    rows = np.flatnonzero(near)
    rows = rows[some(len(rows), MOST_DOTS)]
    marks.append(Mark("dots", "data", x[rows], y[rows]))
    response = fit.formula.split("~")[0].strip() if fit.formula else "y"
    return Picture(name, response, tuple(marks))
