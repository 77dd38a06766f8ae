"""The path of the iteration as a table: text for the terminal, HTML for the report."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from raphson.report import content
from raphson.sheets import numbers

_HEADINGS = {
    "iteration": "iteration",
    "llf": "",  # by content.objective_name
    "penalty": "penalty",
    "score_norm": "score norm",
    "decrement": "decrement",
    "distance": "distance",
    "step": "step",
    "damping": "damping",
    "condition": "condition",
    "rows": "rows used",
    "solver": "solver",
}
_LONGEST = 60
"""Lines of a table of iterations at most."""

LEGEND = (
    "decrement: length of the full step in standard errors, measured by the matrix of the method; "
    "distance: the same measured by the observed information, which is the distance to the maximum."
)
"""What the two measures of distance in the table mean."""


def as_text(fit: Any) -> str:
    """The path as plain text, a line for each iteration; the middle of a long path is left out."""
    head, *body = _cells(fit)
    columns = [[title, *texts] for title, *texts in zip(head, *body, strict=True)]
    lines = []
    columns = [[title, *numbers.align(texts)] for title, *texts in columns]
    widths = [max(map(len, column)) for column in columns]
    for line in zip(*columns, strict=True):
        lines.append("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def as_html(fit: Any) -> str:
    """The path as an HTML table; all text is escaped."""
    head, *body = _cells(fit)
    out = ["<table class='path'><thead><tr>"]
    out += [f"<th scope='col'>{escape(title)}</th>" for title in head]
    out.append("</tr></thead><tbody>")
    for cells in body:
        out.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    out.append("</tbody></table>")
    return "".join(out)


def _cells(fit: Any) -> list[list[str]]:
    records = fit.path.to_dict(orient="records")
    names = [name for name in _HEADINGS if name in fit.path.columns and not _empty(name, records)]
    lines = [[_cell(name, record[name]) for name in names] for record in records]
    if len(lines) > _LONGEST:
        # A first-order method may take thousands of steps, of which the first and last are enough.
        gap = ["..."] + [""] * (len(names) - 1)
        lines = [*lines[: _LONGEST // 2], gap, *lines[-_LONGEST // 2 :]]
    head = [_HEADINGS[name] or content.objective_name(fit) for name in names]
    return [head, *lines]


def _empty(name: str, records: list[dict[str, Any]]) -> bool:
    # A column is left out if there is never any damping, or never a matrix whose condition is known.
    if name in ("damping", "penalty"):
        return all(not record[name] for record in records)
    return all(_cell(name, record[name]) == "" for record in records)


def _cell(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if name in ("iteration", "rows"):
        return f"{int(value):,}"
    return numbers.rounded(float(value), 6) if name in ("llf", "penalty") else numbers.short(float(value))
