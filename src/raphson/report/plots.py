"""Figures of a fit: the path of the iteration, the coefficients, the residuals, a profile.

Each function returns a Matplotlib figure that pyplot does not manage: no window, no global state, no choice
of backend, so it works in scripts, servers and notebooks alike. ``figure.savefig(path)`` writes it.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.errors import ModelError, Needs
from raphson.report import content

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, ACCENT, FAINT = "#22303c", "#1f6f8b", "#c3ccd3"
_POINTS = 2_000  # most points in one figure: more only make the file large


def plot_path(fit: Any) -> Figure:
    """Draw the iterations: the distance to the maximum (log axis), and below it the log-likelihood.

    The solid line is the distance in standard errors, measured by the observed information, at the steps where
    that was computed. The dashed line is the decrement: the same measured by the matrix of the method.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    matplotlib.figure.Figure
        With two axes.
    """
    path = fit.path
    iteration = path["iteration"].to_numpy(dtype=float)
    llf = path["llf"].to_numpy(dtype=float)
    marker = "o" if len(path) <= 50 else None

    hollow = {"markersize": 9, "markerfacecolor": "none"}  # visible where the two measures agree

    figure = _figure(6.4, 5.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for name, style in (
        ("decrement", {"color": INK, "linestyle": "--", "linewidth": 1, **hollow}),
        ("distance", {"color": ACCENT, "markersize": 5}),
    ):
        if name not in path:
            continue
        measure = path[name].to_numpy(dtype=float)
        # Zero and unknown values cannot be drawn on a log axis.
        good = np.isfinite(measure) & (measure > 0)
        if good.any():
            above.plot(iteration[good], measure[good], marker=marker, label=name, **style)
            above.set_yscale("log")
    if len(above.lines) > 1:
        above.legend(frameon=False, fontsize=8.5)
    above.set_ylabel("distance to the maximum\n(standard errors)")
    above.set_title(f"{content.verdict(fit).capitalize()}", loc="left", fontsize=9.5, color=INK)
    finite = np.isfinite(llf)
    below.plot(iteration[finite], llf[finite], color=ACCENT, marker=marker, markersize=5)
    below.set_ylabel(content.objective_name(fit))
    below.set_xlabel(f"iteration ({fit.method})")
    below.ticklabel_format(axis="y", useOffset=False)
    below.xaxis.get_major_locator().set_params(integer=True)
    for axes in (above, below):
        _tidy(axes)
    return figure


def plot_coefficients(fit: Any, level: float = 0.95) -> Figure:
    """Draw estimates in standard errors, each with its interval.

    Divided by their standard errors, coefficients in different units can share one axis: if the bar does not
    include zero, the coefficient differs from zero. The intercept is left out.

    Parameters
    ----------
    fit : Fit
    level : float
        Coverage of the intervals.
    """
    rows = with_interval(content.coefficients(fit, level))[:40]
    figure = _figure(6.4, 1.2 + 0.28 * max(len(rows), 1))
    axes = figure.subplots()
    for height, row in enumerate(reversed(rows)):
        ends = np.array([row.lower, row.estimate, row.upper]) / row.std_error
        axes.plot(ends[[0, 2]], [height, height], color=ACCENT, linewidth=2, solid_capstyle="round")
        axes.plot(ends[1], height, "o", color=ACCENT, markersize=6)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [_cut(row.name) for row in reversed(rows)], parse_math=False)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel(f"estimate and {100 * level:g}% interval, in standard errors")
    _tidy(axes)
    return figure


def with_interval(rows: list[content.Coefficient]) -> list[content.Coefficient]:
    """The rows that :func:`plot_coefficients` can draw: finite estimates with standard errors, no intercept."""
    return [
        row
        for row in rows
        if math.isfinite(row.estimate) and 0 < row.std_error < math.inf and "Intercept" not in row.name
    ]


def plot_curve(fit: Any, level: float = 0.95) -> Figure:
    """Draw a curve of one covariate over its data, with a confidence band and a prediction band around it.

    Parameters
    ----------
    fit : Fit
    level : float
        Pointwise coverage of the bands.

    Raises
    ------
    ModelError
        If the fit is not of an expression in one column, or was loaded from a file.
    """
    frame = fit.covariates
    if frame is None or frame.shape[1] != 1:
        raise ModelError(
            "plot_curve: expected a fit of an expression in one column, with its data; use plot_residuals instead"
        )
    name = str(frame.columns[0])
    x = frame[name].to_numpy(dtype=float)
    y = np.asarray(fit.fittedvalues, dtype=float) + np.asarray(fit.residuals("response"), dtype=float)
    grid = np.linspace(x.min(), x.max(), 201)
    figure = _figure(6.4, 4.0)
    axes = figure.subplots()
    # With a robust loss there is no distribution of new responses, so only the confidence band.
    for interval, shade in (("prediction", 0.35), ("confidence", 0.9)):
        try:
            band = fit.predict({name: grid}, interval=interval, level=level)
        except ModelError:
            continue
        lower, upper = band["lower"].to_numpy(), band["upper"].to_numpy()
        label = "curve" if interval == "confidence" else "new response"
        axes.fill_between(grid, lower, upper, color=FAINT, alpha=shade, linewidth=0, label=f"{100 * level:g}%, {label}")
    axes.plot(grid, fit.predict({name: grid}).to_numpy(), color=ACCENT, linewidth=1.8)
    drawn = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(int))
    axes.plot(x[drawn], y[drawn], "o", color=INK, markersize=3.5, alpha=0.7, markeredgewidth=0)
    axes.legend(frameon=False, fontsize=8.5)
    axes.set_xlabel(_cut(name), parse_math=False)
    axes.set_ylabel(_cut(fit.formula.split("~")[0].strip()), parse_math=False)
    _tidy(axes)
    return figure


def plot_residuals(fit: Any) -> Figure:
    """Draw the residuals against the fitted values, and their quantiles against normal ones.

    They are randomised quantile residuals (Dunn and Smyth 1996, *JCGS* 5, 236-244): for every family they are
    standard normal if the model is correct, even for counts and binary responses, whose deviance residuals form
    bands. A quasi family has no distribution, so deviance residuals are used instead.

    Parameters
    ----------
    fit : Fit

    Raises
    ------
    ModelError
        If a row has several fitted values (multinomial).

    Returns
    -------
    matplotlib.figure.Figure
        With two axes. If there are more than 2,000 rows, 2,000 of them, evenly spaced, are drawn.
    """
    fitted = np.asarray(fit.fittedvalues, dtype=float)
    if fitted.ndim > 1:
        raise ModelError(
            "plot_residuals: a response of several levels has a fitted value for each and no single residual, so there "
            "is nothing to plot; use residuals() by level"
        )
    kind, residual = _residuals(fit)
    good = np.isfinite(fitted) & np.isfinite(residual)
    fitted, residual = fitted[good], residual[good]
    figure = _figure(6.4, 3.4)
    left, right = figure.subplots(1, 2)
    drawn = np.unique(np.linspace(0, residual.size - 1, min(residual.size, _POINTS)).astype(int))
    style = {"linestyle": "none", "marker": "o", "markersize": 3, "alpha": 0.6, "markeredgewidth": 0}
    left.plot(fitted[drawn], residual[drawn], color=ACCENT, **style)
    left.axhline(0, color=INK, linewidth=0.8)
    left.set_xlabel("fitted value")
    left.set_ylabel(f"{kind} residual")
    # Plotting positions (i - 1/2)/n.
    ordered = np.sort(residual)[drawn]
    normal = [NormalDist().inv_cdf((i + 0.5) / residual.size) for i in drawn.tolist()]
    right.plot(normal, ordered, color=ACCENT, **style)
    if normal:
        right.axline((0, 0), slope=1, color=INK, linewidth=0.8)
    right.set_xlabel("normal quantile")
    right.set_ylabel(f"{kind} residual")
    for axes in (left, right):
        _tidy(axes)
    return figure


def plot_profile(profile: Any, level: float = 0.95) -> Figure:
    """Draw the signed root ζ of a profile likelihood, with the interval of a level.

    The dashed line is (value − estimate)/se, the ζ of the Wald interval: where the two differ, the Wald interval is
    inaccurate.

    Parameters
    ----------
    profile : Profile
    level : float
        Coverage of the interval.
    """
    trace = profile.trace
    value, zeta = trace["value"].to_numpy(), trace["zeta"].to_numpy()
    lower, upper = profile.interval(level)
    figure = _figure(6.4, 4.0)
    axes = figure.subplots()
    axes.plot(value, zeta, color=ACCENT, marker="o", markersize=4, label="profile")
    if len(value) and math.isfinite(profile.estimate) and math.isfinite(profile.se):
        wald = (value - profile.estimate) / profile.se
        axes.plot(value, wald, color=INK, linestyle="--", linewidth=1, label="Wald")
        axes.legend(frameon=False, fontsize=8.5)
    for end in (lower, upper):
        if math.isfinite(end):
            axes.axvline(end, color=INK, linewidth=0.8, linestyle=":")
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_title(f"{100 * level:g}% interval: {lower:.5g} to {upper:.5g}", loc="left", fontsize=9.5, color=INK)
    axes.set_xlabel(_cut(profile.name), parse_math=False)
    axes.set_ylabel("signed root of the likelihood ratio")
    _tidy(axes)
    return figure


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
    figure = _figure(2.6 * columns + 0.4, 2.0 * rows + 0.3)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        values = bootstrap.estimates[name].to_numpy()
        axes.hist(values[np.isfinite(values)], bins=40, color=FAINT)
        axes.axvspan(*np.clip(ends.loc[name], *axes.get_xlim()), color=ACCENT, alpha=0.15, linewidth=0)
        axes.axvline(bootstrap.params[name], color=ACCENT, linewidth=1.5)
        axes.set_title(_cut(name), fontsize=9, color=INK, parse_math=False)
        axes.set_yticks([])
        _tidy(axes)
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    return figure


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
    figure = _figure(7.2, 1.4 + 0.28 * max(len(table), 2))
    left, right = figure.subplots(1, 2, sharey=True)
    heights = np.arange(len(table))[::-1]
    for name, color, shift in (("wald", INK, 0.12), ("profile", ACCENT, -0.12)):
        if name in table:
            left.plot(100 * table[name], heights + shift, "o", color=color, markersize=6, label=name)
    promised, error = 100 * coverage.level, 100 * coverage.error
    left.axvline(promised, color=INK, linewidth=0.8)
    left.axvspan(promised - 2 * error, promised + 2 * error, color=FAINT, alpha=0.5, linewidth=0)
    left.set_xlabel(f"coverage of {promised:g}% intervals (%)")
    left.set_yticks(heights, [_cut(name) for name in table.index], parse_math=False)
    left.set_ylim(-0.7, len(table) - 0.3)
    left.legend(frameon=False, fontsize=8.5)
    right.plot(table["se_ratio"], heights, "o", color=ACCENT, markersize=6)
    right.axvline(1, color=INK, linewidth=0.8)
    right.set_xlabel("mean standard error / actual spread")
    for axes in (left, right):
        _tidy(axes)
    return figure


def _residuals(fit: Any) -> tuple[str, np.ndarray]:
    try:
        return "quantile", np.asarray(fit.residuals(kind="quantile"), dtype=float)
    except ModelError:
        return "deviance", np.asarray(fit.residuals(kind="deviance"), dtype=float)


def _figure(width: float, height: float) -> Figure:
    figure = _figure_class()(figsize=(width, height), layout="constrained")
    figure.set_facecolor("white")
    return figure


@cache
def _figure_class() -> type[Figure]:
    # A notebook shows a figure that pyplot does not manage only if it has a _repr_png_.
    from io import BytesIO

    with Needs("plot", "a plot"):
        from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        def _repr_png_(self) -> bytes:
            image = BytesIO()
            self.savefig(image, format="png", dpi=110)
            return image.getvalue()

    return NotebookFigure


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(which="both", colors=INK, labelsize=8.5)
    axes.grid(True, color=FAINT, linewidth=0.4, alpha=0.7)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(9)


def _cut(name: str, length: int = 32) -> str:
    return name if len(name) <= length else name[: length - 3] + "..."
