"""The summary of a fit: text for terminals, HTML for notebooks, Markdown and LaTeX for what is written of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from raphson.report import content
from raphson.sheets import numbers
from raphson.sheets.sheet import FIGURE_SPACE, Grid, Note, Sheet

RATIOS = "exp of the coefficient; its test is of a ratio of 1."
"""What the note of ratios says of them."""


class Summary(Sheet):
    """The summary of a fit: it prints as text, and in a notebook as HTML."""


def summary(fit: Any, level: float = 0.95, exponentiate: bool = False) -> Summary:
    """Summarise a fit.

    The standard errors have five digits, and the estimates and their intervals as many decimals. Of a less
    accurate estimate only the correct digits are shown.

    Parameters
    ----------
    fit : Fit
    level : float
        Coverage of the intervals.
    exponentiate : whether to show ratios, exp of the coefficients.
    """
    rows = content.coefficients(fit, level, exponentiate)
    notes = [Note(f"{content.estimate_name(fit, True)}: {RATIOS}", "key")] if exponentiate else []
    notes += [Note(f"{note}: {content.NOTES[note]}.", "key") for note in dict.fromkeys(r.note for r in rows) if note]
    notes.append(Note(content.verdict(fit).capitalize() + "."))
    remark = content.warning(fit)
    if remark:
        notes.append(Note(remark, "doubt"))
    notes += [Note(text, "remark") for text in content.remarks(fit)]
    return Summary(fit.title, content.facts(fit), [coefficients(fit, rows, level, exponentiate)], notes)


def coefficients(fit: Any, rows: Sequence[content.Coefficient], level: float, exponentiate: bool = False) -> Grid:
    """The coefficients as a table of texts."""
    letter = content.statistic_name(fit)
    noted = any(row.note for row in rows)
    name = content.estimate_name(fit, exponentiate)
    head = ("", name, "std. error", letter, f"P(>|{letter}|)", *content.interval_names(level), *([""] * noted))
    return Grid(head, tuple(_cells(row, noted) for row in rows))


def _cells(row: content.Coefficient, noted: bool) -> tuple[str, ...]:
    return (
        row.name,
        row.text(row.estimate),
        row.text(row.std_error),
        numbers.rounded(row.statistic, 3),
        numbers.p_value(row.p_value),
        row.text(row.lower),
        row.text(row.upper),
        *([row.note] * noted),
    )


def coefficients_html(fit: Any, rows: Sequence[content.Coefficient], level: float, exponentiate: bool = False) -> str:
    """The coefficients as an HTML table for a report, without a style."""
    grid = coefficients(fit, rows, level, exponentiate)
    out = ["<table class='coefficients'><thead><tr>"]
    out += [f"<th scope='col'>{escape(cell)}</th>" for cell in grid.head]
    out.append("</tr></thead><tbody>")
    for name, *cells in grid.aligned:
        tds = "".join(f"<td>{escape(cell).replace(' ', FIGURE_SPACE)}</td>" for cell in cells)
        out.append(f"<tr><th scope='row'>{escape(name)}</th>{tds}</tr>")
    out.append("</tbody></table>")
    return "".join(out)
