"""Pictures (:mod:`raphson.checks.pictures`) drawn on Matplotlib's axes, and as SVG for a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.checks.pictures import Mark, Picture
from raphson.report import style
from raphson.report.style import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DOT = 3.4
"""Points across a dot."""


def draw(picture: Picture, axes: Axes | None = None) -> Axes:
    """Draw a picture on axes, by default on those of a new figure, and return them."""
    axes = style.axes_or_new(axes)
    style.dress(axes, picture.x_label, picture.y_label)
    if picture.x_log:
        axes.set_xscale("log")
    if picture.y_log:
        axes.set_yscale("log")
    for mark in picture.marks:
        _MARKS[mark.kind](axes, mark)
    if picture.ticks:
        # Long labels would run into one another: then every second, third ... is written.
        room = max(1, int(44 / max(1, max(len(text) for _, text in picture.ticks) + 1)))
        every = -(-len(picture.ticks) // room)
        shown = picture.ticks[::every]
        axes.set_xticks([place for place, _ in shown], [style.cut(text, 14) for _, text in shown], parse_math=False)
        axes.set_xlim(picture.ticks[0][0] - 0.7, picture.ticks[-1][0] + 0.7)
    if picture.y_ticks:
        axes.set_yticks(
            [place for place, _ in picture.y_ticks],
            [style.cut(text) for _, text in picture.y_ticks],
            parse_math=False,
        )
        axes.set_ylim(-0.7, len(picture.y_ticks) - 0.3)
    if picture.whole_x:
        axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    if picture.y_range is not None:
        axes.set_ylim(*picture.y_range)
    elif picture.roomy:
        axes.margins(x=0.04, y=0.3)
    return axes


def panels(found: Sequence[tuple[str, Picture, bool | None]]) -> Figure:
    """Several pictures in one figure, three in a line, each with its finding above."""
    columns = min(3, max(len(found), 1))
    rows = max(1, -(-len(found) // columns))
    made, grid = style.figure(rows, columns, height=style.HEIGHT + 0.35)
    for axes, (title, picture, passed) in zip(grid.flat, found, strict=False):
        draw(picture, axes)
        colour = LIGHT["doubt"] if passed is False else LIGHT["ink"]
        axes.annotate(
            style.cut(title, 40),
            (0, 1),
            (0, 20),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=10.5,
            fontweight="bold",
            color=colour,
            parse_math=False,
        )
    for axes in list(grid.flat)[len(found) :]:
        axes.set_visible(False)
    return made


def svg(picture: Picture, what: str, width: float = style.WIDTH, height: float = style.HEIGHT) -> str:
    """A picture as inline SVG that follows the page's theme; `what` is a sentence for those who do not see it."""
    left = 0.52 if picture.y_log else 0.36  # for powers of ten
    made, grid = style.figure(width=width, height=height, fixed=True, left=left)
    draw(picture, grid[0, 0])
    return figure_svg(made, what)


def figure_svg(made: Figure, what: str) -> str:
    """A figure as inline SVG that follows the page's theme."""
    import matplotlib

    text = StringIO()
    # Text stays text (small and searchable); with a fixed salt the same figure gives the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": what}):
        made.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    # Inline SVG needs neither metadata nor the declarations of XML namespaces, nor comments.
    drawing = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", drawing)
    drawing = re.sub(r"font-family: [^;\"]*;?\s*|<defs>\s*<style.*?</style>\s*</defs>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'transform="rotate\(-0 [^"]*"', "", drawing)
    drawing = re.sub(r"(\.\d\d)\d+", r"\1", drawing)  # a hundredth of a point is enough
    drawing = _DOTS.sub(_one_path, drawing)
    # Ids are counted in each figure, so that they meet those of other figures of the page: none is left but those used.
    drawing = _own_ids(drawing, what)
    drawing = re.sub(r"\s*\n\s*", "\n", drawing)
    return style.themed(drawing).replace("<svg", f"<svg role='img' class='panel' aria-label='{escape(what)}'", 1)


_DOTS = re.compile(
    r'(?:\s*<use xlink:href="#\w+" x="[-\d.]+" y="[-\d.]+" style="fill: #\w+(?:; fill-opacity: [\d.]+)?"/>)+'
)
_DOT_AT = re.compile(r'x="([-\d.]+)" y="([-\d.]+)" style="fill: (#\w+)(?:; fill-opacity: ([\d.]+))?')


def _one_path(found: re.Match[str]) -> str:
    """Markers as one path of lines of no length with round ends: a tenth of the bytes."""
    dots = _DOT_AT.findall(found[0])
    if not dots:
        return found[0]
    few = not dots[0][3]
    path = "".join(f"M{float(x):.1f} {float(y):.1f}h0" for x, y, *_ in dots)
    opacity = "" if few else f"; stroke-opacity: {dots[0][3]}"
    width = _DOT + 1.4 if few else _DOT
    style_ = f"fill: none; stroke: {dots[0][2]}; stroke-width: {width:g}; stroke-linecap: round{opacity}"
    return f'<path d="{path}" style="{style_}"/>'


def _own_ids(drawing: str, what: str) -> str:
    used = set(re.findall(r'(?:url\(#|href="#)([\w.-]+)', drawing))
    mark = f"{abs(hash_of(what)):x}"
    drawing = re.sub(r'\sid="([\w.-]+)"', lambda m: f' id="{m[1]}-{mark}"' if m[1] in used else "", drawing)
    return re.sub(r'(url\(#|href="#)([\w.-]+)', lambda m: f"{m[1]}{m[2]}-{mark}", drawing)


def hash_of(text: str) -> int:
    """A number that a text always has (Python's own hash differs between processes).

    Examples
    --------
    >>> hash_of("a picture") == hash_of("a picture")
    True
    """
    from zlib import crc32

    return crc32(text.encode())


def _band(axes: Axes, mark: Mark) -> None:
    outer = mark.role == "outer"
    axes.fill_between(
        mark.x,
        mark.y,
        mark.upper,
        facecolor=LIGHT["outer" if outer else "shade"],
        edgecolor=LIGHT["edge"],
        linewidth=0.5,
        step="mid" if mark.steps else None,
    )


def _line(axes: Axes, mark: Mark) -> None:
    axes.plot(
        mark.x,
        mark.y,
        color=LIGHT[mark.role],
        linewidth=1.0 if mark.role == "soft" else 1.5,
        linestyle="--" if mark.dashed else "-",
        drawstyle="steps-post" if mark.steps else "default",
    )
    if mark.label and len(mark.x):
        _beside(axes, mark.x[-1], mark.y[-1], mark)


def _dots(axes: Axes, mark: Mark) -> None:
    if not len(mark.x):
        return
    few = len(mark.x) <= 40 or mark.role == "doubt"
    axes.plot(
        mark.x,
        mark.y,
        linestyle="none",
        marker="o",
        markersize=_DOT + 1.4 if few else _DOT,
        markeredgewidth=0,
        color=LIGHT[mark.role],
        alpha=None if few else 0.6,
        zorder=3,
    )
    if mark.label:
        _beside(axes, mark.x[-1], mark.y[-1], mark)


def _whiskers(axes: Axes, mark: Mark) -> None:
    axes.vlines(mark.x, mark.y, mark.upper, color=LIGHT[mark.role], linewidth=1.5)


def _bars(axes: Axes, mark: Mark) -> None:
    shade = mark.role in ("shade", "outer")
    axes.bar(
        mark.x,
        mark.upper - mark.y,
        bottom=mark.y,
        width=mark.width,
        facecolor=LIGHT[mark.role],
        edgecolor=LIGHT["edge"] if shade else "none",
        linewidth=0.5 if shade else 0.0,
        alpha=1.0 if shade else 0.85,
        zorder=1 if shade else 2,
    )


def _stems(axes: Axes, mark: Mark) -> None:
    axes.vlines(mark.x, 0.0, mark.y, color=LIGHT[mark.role], linewidth=1.5, zorder=2)
    _dots(axes, mark)


def _level(axes: Axes, mark: Mark) -> None:
    axes.axhline(float(mark.y[0]), color=LIGHT["soft"], linewidth=0.75, zorder=1)


def _upright(axes: Axes, mark: Mark) -> None:
    if len(mark.upper):
        axes.vlines(mark.x, mark.y, mark.upper, color=LIGHT[mark.role], linewidth=1.5)
        axes.annotate(
            mark.label, (mark.x[0], mark.upper[0]), (0, 4), textcoords="offset points", ha="center",
            color=LIGHT["ink"], fontsize=9, parse_math=False,
        )  # fmt: skip
        return
    axes.axvline(float(mark.x[0]), color=LIGHT[mark.role], linewidth=0.75, linestyle="--" if mark.dashed else "-")
    if mark.label:
        axes.annotate(
            mark.label, (float(mark.x[0]), 1), (4, -9), xycoords=("data", "axes fraction"), textcoords="offset points",
            color=LIGHT["soft"], fontsize=9, parse_math=False,
        )  # fmt: skip


def _diagonal(axes: Axes, mark: Mark) -> None:
    axes.axline((0.0, 0.0), slope=1.0, color=LIGHT["soft"], linewidth=0.75, linestyle="--", zorder=1)


def _text(axes: Axes, mark: Mark) -> None:
    axes.text(float(mark.x[0]), float(mark.y[0]), mark.label, color=LIGHT[mark.role], fontsize=9, parse_math=False)


def _surface(axes: Axes, mark: Mark) -> None:
    """Contours with their values; what is above 0 is shaded in the colour of the data, what is below in the other."""
    from matplotlib.colors import to_rgba
    from matplotlib.ticker import MaxNLocator

    side = round(len(mark.x) ** 0.5)
    x, y, z = (one.reshape(side, side) for one in (mark.x, mark.y, mark.upper))
    known = z[np.isfinite(z)]
    if not len(known) or not np.ptp(known) > 0:
        return
    levels = np.asarray(MaxNLocator(7).tick_values(float(known.min()), float(known.max())))
    middle = 0.5 * (levels[1:] + levels[:-1])
    most = float(np.abs(middle).max()) or 1.0
    fills = [to_rgba(LIGHT["data" if one > 0 else "negative"], 0.05 + 0.5 * abs(one) / most) for one in middle]
    axes.contourf(x, y, np.ma.masked_invalid(z), levels=levels, colors=fills)
    lines = axes.contour(x, y, np.ma.masked_invalid(z), levels=levels, colors=LIGHT["ink"], linewidths=0.7)
    axes.clabel(lines, fontsize=9, inline_spacing=2, fmt=lambda one: f"{one:.4g}".replace("-", "−"))


def _beside(axes: Axes, x: Any, y: Any, mark: Mark) -> None:
    axes.annotate(
        mark.label, (float(x), float(y)), (-6 if mark.left else 6, -12 if mark.under else 5),
        ha="right" if mark.left else "left", textcoords="offset points", color=LIGHT[mark.role], fontsize=9,
        parse_math=False,
    )  # fmt: skip


_MARKS: dict[str, Callable[[Axes, Mark], None]] = {
    "band": _band,
    "line": _line,
    "dots": _dots,
    "whiskers": _whiskers,
    "bars": _bars,
    "stems": _stems,
    "level": _level,
    "upright": _upright,
    "diagonal": _diagonal,
    "text": _text,
    "surface": _surface,
}
