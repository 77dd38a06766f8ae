"""The one style of pictures and pages: palette, sizes, and how axes look.

Pictures are drawn in the light palette. On a page each colour is replaced by a CSS variable of the same role, so that
the picture follows the page's light or dark theme (:func:`themed`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from raphson.errors import Needs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIGHT = {
    "paper": "#fdfdfb",
    "card": "#f4f6f7",
    "ink": "#1b2530",
    "soft": "#56626d",
    "rule": "#d5dbe0",
    "grid": "#e8ecee",
    "data": "#1f5f8b",
    "shade": "#cfe0ec",
    "outer": "#e7f0f6",
    "edge": "#7394ac",
    "doubt": "#b04418",
    "negative": "#9c8300",
}
"""Colour of each role. Text has a contrast of at least 4.5 to its ground, marks and edges at least 3."""

DARK = {
    "paper": "#12171c",
    "card": "#192027",
    "ink": "#e4e8eb",
    "soft": "#a0acb6",
    "rule": "#36414b",
    "grid": "#232c34",
    "data": "#7fb9e0",
    "shade": "#233c4f",
    "outer": "#1a2a37",
    "edge": "#557b99",
    "doubt": "#f29b6c",
    "negative": "#d9b44a",
}

WIDTH, HEIGHT = 3.33, 2.35
"""Inches of one picture: 320 × 226 pixels."""


def variables(palette: dict[str, str]) -> str:
    """The palette as CSS variables."""
    return "".join(f"--{role}:{colour};" for role, colour in palette.items())


def themed(svg: str) -> str:
    """An SVG drawn in the light palette, with each colour as the variable of its role."""
    for role, colour in LIGHT.items():
        svg = svg.replace(colour, f"var(--{role})")
    return svg


def figure(
    rows: int = 1,
    columns: int = 1,
    width: float = WIDTH,
    height: float = HEIGHT,
    fixed: bool = False,
    left: float = 0.36,
    **options: Any,
) -> Any:
    """A figure that pyplot does not manage, and its array of axes: no window, no global state, no choice of backend.

    Margins fit the labels, or are `fixed`, with so many inches on the `left`: a layout that fits draws everything
    twice, and on a page labels may overlap the margin.
    """
    made = _figure_class()(figsize=(width * columns, height * rows), layout=None if fixed else "constrained")
    made.set_facecolor(LIGHT["paper"])
    grid = made.subplots(rows, columns, squeeze=False, **options)
    if fixed:
        made.subplots_adjust(left=left / width, right=1 - 0.08 / width, bottom=0.46 / height, top=1 - 0.28 / height)
    return made, grid


def axes_or_new(ax: Axes | None) -> Axes:
    """The axes to draw on: the given ones, or those of a new figure."""
    return figure()[1][0, 0] if ax is None else ax


@cache
def _figure_class() -> type[Figure]:
    # A notebook shows a figure that pyplot does not manage only if it has a _repr_png_. What plots return are axes, and
    # the last line of a cell is what it shows, so that they have one too.
    from io import BytesIO

    with Needs("plot", "a plot"):
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure

    class NotebookAxes(Axes):
        def _repr_png_(self) -> bytes:
            return cast(NotebookFigure, self.figure)._repr_png_()

    class NotebookFigure(Figure):
        def _repr_png_(self) -> bytes:
            image = BytesIO()
            self.savefig(image, format="png", dpi=110)
            return image.getvalue()

        def add_subplot(self, *args: Any, **options: Any) -> Axes:
            return super().add_subplot(*args, **{"axes_class": NotebookAxes} | options)

    return NotebookFigure


def dress(axes: Axes, x_label: str, y_label: str) -> None:
    """Give axes the style: a bottom spine only, a faint grid of heights, the y label as a title on the left."""
    axes.set_facecolor("none")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT["rule"])
    axes.tick_params(which="both", colors=LIGHT["soft"], labelsize=9, length=0)
    axes.grid(visible=False)
    axes.grid(visible=True, axis="y", color=LIGHT["grid"], linewidth=0.75)
    axes.set_axisbelow(True)
    axes.set_title(cut(y_label, 48), loc="left", fontsize=9, color=LIGHT["soft"], parse_math=False, pad=6)
    axes.set_xlabel(cut(x_label), loc="right", fontsize=9, color=LIGHT["ink"], parse_math=False)


def cut(name: str, length: int = 32) -> str:
    """A name, shortened to a length."""
    return name if len(name) <= length else name[: length - 3] + "..."
