"""The plots of a fit: each draws one picture on given axes, or on those of a new figure, and returns the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.checks.pictures import Mark, Picture, some
from raphson.checks.smoothing import local_mean
from raphson.errors import ModelError, RaphsonError
from raphson.fit.checking import SEED, Checks, check
from raphson.fit.effects import averages, effects
from raphson.fit.varying.curves import checked, effects_pictures
from raphson.report import content
from raphson.report.curve import curve_pictures
from raphson.report.drawing import draw, panels
from raphson.report.effect_pictures import average_picture
from raphson.report.network_pictures import training_pictures
from raphson.report.strip import path_picture
from raphson.report.varying_pictures import smooth_picture

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
    picture = estimates_picture(fit, level)
    if not picture.y_ticks and fit._reading.smooth_columns:  # nothing but smooth functions
        return draw(smooth_picture(checked(fit._reading, "plot", level)[0]), ax)
    return draw(picture, ax)


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


def plot_smooths(fit: Any, term: str | None, ax: Any, level: float) -> Any:
    """See :meth:`raphson.Fit.plot_smooths`."""
    reading = fit._reading
    reading.check_name("plot_smooths")
    found = checked(reading, "plot_smooths", level)
    if term is not None:
        known = [one.term for one in found]
        found = [one for one in found if one.term == term]
        if not found:
            raise ModelError(f"term: expected one of {', '.join(known)}; got {term!r}")
    return _drawn([(one.term, smooth_picture(one)) for one in found], ax)


def plot_random_effects(fit: Any, group: str | None, ax: Any, level: float) -> Any:
    """See :meth:`raphson.Fit.plot_random_effects`."""
    reading = fit._reading
    reading.check_name("plot_random_effects")
    found = effects_pictures(reading, level)
    if not found:
        raise ModelError(
            "plot_random_effects: expected effects that vary by groups, such as (1 | group); got smooth functions only"
        )
    if group is not None:
        known = list(dict.fromkeys(one[0] for one in found))
        found = [one for one in found if one[0] == group]
        if not found:
            raise ModelError(f"group: expected one of {', '.join(known)}; got {group!r}")
    return _drawn([(title, picture) for _, _, title, picture in found], ax)


def _drawn(pictures: Sequence[tuple[str, Picture]], ax: Any) -> Any:
    """Pictures on the given axes, the first ones where there are fewer, or all in a new figure."""
    if ax is None and len(pictures) > 1:
        made = panels([(title, picture, None) for title, picture in pictures])
        return made.axes[: len(pictures)]
    if isinstance(ax, Sequence | np.ndarray):
        return [
            draw(picture, one)
            for (_, picture), one in zip(pictures, np.ravel(np.array(ax, dtype=object)), strict=False)
        ]
    return draw(pictures[0][1], ax)


def _checks(fit: Any) -> Checks:
    return check(fit._reading, seed=SEED)
