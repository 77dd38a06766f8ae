"""What a picture shows, before anything is drawn: marks in data coordinates, each with a role.

Roles are the grammar of every check: ``data`` is what the data show, ``shade`` where they would lie if the model were
right, ``outer`` a wider shade, ``doubt`` what to look at, ``soft`` what only orients the eye.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

Kind = Literal["band", "line", "dots", "whiskers", "bars", "stems", "level", "diagonal", "upright", "text", "surface"]
Role = Literal["data", "shade", "outer", "doubt", "soft"]

MOST_DOTS = 400
"""Dots of a picture at most, evenly spread over the rows: more hide one another and only make the file large."""


@dataclass(frozen=True, eq=False)
class Mark:
    """One mark of a picture.

    Attributes
    ----------
    kind : "band" between y and upper over x; "line" through (x, y); "dots"; "whiskers" from y to upper at each x;
        "bars" of a width from y to upper; "stems" from 0 to y; "level", a horizontal line at y; "upright", a vertical
        one at x; "diagonal", the line y = x; "text" at one point; "surface", contours of the values `upper` at the
        points (x, y) of a square grid, NaN where nothing is drawn.
    role : what the mark stands for.
    x, y, upper : (m,) coordinates.
    width : of bars, in units of x.
    label : a text beside the mark; of "text" the text itself.
    dashed, steps : how a line or a band is drawn.
    left, under : whether the label stands to the left, and whether below.
    """

    kind: Kind
    role: Role
    x: np.ndarray = field(default_factory=lambda: np.zeros(0))
    y: np.ndarray = field(default_factory=lambda: np.zeros(0))
    upper: np.ndarray = field(default_factory=lambda: np.zeros(0))
    width: float = 0.8
    label: str = ""
    dashed: bool = False
    steps: bool = False
    left: bool = False
    under: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of one pair of axes.

    Attributes
    ----------
    x_label, y_label : what the axes show, with units where they have one.
    marks : in the order in which they are drawn.
    ticks, y_ticks : positions and texts of an axis that has categories.
    x_log, y_log : whether an axis is logarithmic.
    y_range : the ends of the y axis, or None for those of the marks.
    whole_x : whether x counts something, so that its ticks are whole numbers.
    roomy : whether texts beside marks need room above and below.
    """

    x_label: str
    y_label: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...] = ()
    y_ticks: tuple[tuple[float, str], ...] = ()
    x_log: bool = False
    y_log: bool = False
    y_range: tuple[float, float] | None = None
    whole_x: bool = False
    roomy: bool = False

    def also(self, *marks: Mark) -> Picture:
        """The picture with further marks on top."""
        return replace(self, marks=(*self.marks, *marks))


def some(n: int, most: int = MOST_DOTS) -> np.ndarray:
    """Numbers of at most `most` of n rows, evenly spread, the first and the last among them.

    Examples
    --------
    >>> some(9, 3).tolist()
    [0, 4, 8]
    """
    return np.unique(np.linspace(0, max(n - 1, 0), min(n, most)).astype(int)) if n else np.zeros(0, dtype=int)
