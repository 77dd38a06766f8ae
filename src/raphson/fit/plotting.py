"""The plots of a fit: each draws one picture on given axes, or on those of a new figure, and returns the axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.checks.pictures import Mark, Picture, some
from raphson.checks.smoothing import local_mean
from raphson.errors import ModelError, RaphsonError
from raphson.fit.checking import SEED, Checks, check
from raphson.fit.effects import averages, effects
from raphson.report import content
from raphson.report.curve import curve_pictures
from raphson.report.drawing import draw
from raphson.report.effect_pictures import average_picture
from raphson.report.network_pictures import training_pictures
from raphson.report.strip import path_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot(fit: Any, ax: Axes | None, level: float) -> Axes:
    """See :meth:`raphson.Fit.plot`."""
    if not fit.identified:
        found = training_pictures(fit)
        if not found:
            raise ModelError("plot: a network trained by a second-order method has no losses by epoch; see plot_path")
        return draw(found[0][1], ax)
    if fit.covariates is not None:
        return draw(curve_pictures(fit, level)[0][1], ax)
    return draw(estimates_picture(fit, level), ax)


def estimates_picture(fit: Any, level: float) -> Picture:
    """The effects of a generalised linear model, or the coefficients of another, with their intervals, a row each."""
    try:
        found = effects(fit._reading, level)
        rows = [(row.label, row.lower, row.estimate, row.upper) for row in found.rows if row.kind != "reference"]
        label, ratio, none = f"{found.scale.name} ({found.scale.quantity})", found.scale.ratio, float(found.scale.ratio)
    except RaphsonError:
        table = content.coefficients(fit, level)
        rows = [(row.name, row.lower, row.estimate, row.upper) for row in table if "Intercept" not in row.name]
        label, ratio, none = "estimate", False, 0.0
    rows = [row for row in rows if all(np.isfinite(row[1:]))][:MOST_ROWS][::-1]
    place = np.arange(len(rows), dtype=float)
    lower, estimate, upper = (np.array([row[k] for row in rows]) for k in (1, 2, 3))
    marks = (
        Mark("upright", "soft", np.array([none])),
        *(Mark("line", "data", np.array([a, b]), np.full(2, y)) for a, b, y in zip(lower, upper, place, strict=True)),
        Mark("dots", "data", estimate, place),
    )
    ticks = tuple((float(k), row[0]) for k, row in enumerate(rows))
    return Picture(label, f"{100 * level:g}% intervals", marks, x_log=ratio, y_ticks=ticks)


MOST_ROWS = 40


def plot_residuals(fit: Any, ax: Axes | None) -> Axes:
    """See :meth:`raphson.Fit.plot_residuals`."""
    try:
        return draw(_checks(fit)["straight: the fitted value"].picture, ax)
    except (RaphsonError, KeyError):
        pass
    try:
        fitted = np.asarray(fit.fittedvalues, dtype=float)
    except RaphsonError as error:
        raise ModelError(f"plot_residuals: {error}") from error
    if fitted.ndim > 1:
        raise ModelError(
            "plot_residuals: a response of several levels has a fitted value for each and no single residual, so there "
            "is nothing to plot; use residuals() by level"
        )
    try:
        residual = np.asarray(fit.residuals("deviance"), dtype=float)
    except RaphsonError as error:
        raise ModelError(f"plot_residuals: {error}") from error
    known = np.isfinite(fitted) & np.isfinite(residual)
    fitted, residual = fitted[known], residual[known]
    rows, marks = some(len(fitted)), [Mark("level", "soft", y=np.zeros(1))]
    marks.append(Mark("dots", "data", fitted[rows], residual[rows]))
    if len(fitted) > 2:
        smooth = local_mean(fitted)
        marks.append(Mark("line", "data", smooth.x, smooth.of(residual)))
    return draw(Picture("fitted value", "deviance residual", tuple(marks)), ax)


def plot_effects(fit: Any, name: str | None, ax: Axes | None, level: float) -> Axes:
    """See :meth:`raphson.Fit.plot_effects`."""
    reading = fit._reading
    reading.at("plot_effects")
    expected = "plot_effects: expected a generalised linear model of a formula, with one mean a row; see plot()"
    try:
        scale = effects(reading, level).scale
        found = {one.name: one for one in averages(reading, level)}
    except ModelError as error:
        raise ModelError(expected) from error
    if not found:
        raise ModelError(expected)
    if name is not None and name not in found:
        raise ModelError(f"name: expected one of {', '.join(found)}; got {name!r}")
    return draw(average_picture(next(iter(found.values())) if name is None else found[name], scale), ax)


def plot_calibration(fit: Any, ax: Axes | None) -> Axes:
    """See :meth:`raphson.Fit.plot_calibration`."""
    reading = fit._reading
    reading.at("plot_calibration")
    if reading.family.levels is None and getattr(reading.family, "support", None) == "proportion":
        try:
            found = [one for one in _checks(fit) if one.name.startswith("calibration")]
        except ModelError as error:
            raise ModelError(f"plot_calibration: {error}") from error
        return draw(found[0].picture, ax)
    raise ModelError("plot_calibration: expected a fit of shares or of a binary response; see plot_residuals")


def plot_profile(fit: Any, name: str, ax: Axes | None, level: float) -> Axes:
    """See :meth:`raphson.Fit.plot_profile`."""
    try:
        found = fit.profile(name)
    except RaphsonError as error:
        raise ModelError(f"plot_profile: {error}") from error
    return found.plot(level, ax)


def plot_path(fit: Any, ax: Axes | None) -> Axes:
    """See :meth:`raphson.Fit.plot_path`."""
    return draw(path_picture(fit), ax)


def _checks(fit: Any) -> Checks:
    return check(fit._reading, seed=SEED)
