"""The summary of a fit: text for terminals, HTML for notebooks."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from raphson.report import content, numbers

_WIDTH = 88
"""Characters of a line."""

_FIGURE_SPACE = "\u2007"  # as wide as a digit; keeps numbers aligned where HTML would collapse spaces


@dataclass(frozen=True, repr=False)
class Summary:
    """A summary that prints as text, and as HTML in a notebook.

    A network's also holds its `facts`, and the table of its `layers`, the heading first.
    """

    text: str
    html: str
    facts: Sequence[tuple[str, str]] = ()
    layers: Sequence[Sequence[str]] = ()

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.html


def summary(fit: Any, level: float = 0.95) -> Summary:
    """Summarise a fit.

    The standard errors have five digits, and the estimates and their intervals as many decimals. Of a less
    accurate estimate only the correct digits are shown.

    Parameters
    ----------
    fit : Fit
    level : float
        Coverage of the intervals.
    """
    return Summary(text=as_text(fit, level), html=as_html(fit, level))


def as_text(fit: Any, level: float = 0.95) -> str:
    """The summary as plain text, in ASCII."""
    rows = content.coefficients(fit, level)
    lines = [
        *textwrap.wrap(fit.title, _WIDTH, subsequent_indent="    "),
        "",
        *_two_columns(content.facts(fit)),
        "",
        *_table(_cells(fit, rows, level)),
        "",
    ]
    for note in dict.fromkeys(row.note for row in rows if row.note):
        lines += textwrap.wrap(f"{note}: {content.NOTES[note]}.", _WIDTH, subsequent_indent="    ")
    lines += textwrap.wrap(content.verdict(fit).capitalize() + ".", _WIDTH)
    remark = content.warning(fit)
    if remark:
        lines += textwrap.wrap(remark, _WIDTH, subsequent_indent="    ")
    for text in content.remarks(fit):
        lines += textwrap.wrap(f"Note: {text}", _WIDTH, subsequent_indent="    ")
    return "\n".join(lines)


def as_html(fit: Any, level: float = 0.95) -> str:
    """The summary as an HTML fragment of two tables; all text is escaped."""
    rows = content.coefficients(fit, level)
    remark = content.warning(fit)
    return "".join(
        [
            f"<p><strong>{escape(fit.title)}</strong></p>",
            facts_html(fit),
            coefficients_html(fit, rows, level),
            f"<p>{escape(content.verdict(fit).capitalize())}.</p>",
            f"<p><strong>{escape(remark)}</strong></p>" if remark else "",
            *(f"<p>{escape(text)}</p>" for text in content.remarks(fit)),
        ]
    )


def facts_html(fit: Any) -> str:
    """The description of the fit as an HTML table with two pairs in each line."""
    pairs = [f"<th scope='row'>{escape(k)}</th><td>{escape(v)}</td>" for k, v in content.facts(fit)]
    half = (len(pairs) + 1) // 2
    lines = [left + right for left, right in zip(pairs, [*pairs[half:], ""], strict=False)][:half]
    return "<table class='facts'>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def coefficients_html(fit: Any, rows: Sequence[content.Coefficient], level: float) -> str:
    """The coefficients as an HTML table."""
    head, *body = _aligned(_cells(fit, rows, level))
    out = ["<table class='coefficients'><thead><tr>"]
    out += [f"<th scope='col'>{escape(cell)}</th>" for cell in head]
    out.append("</tr></thead><tbody>")
    for name, *cells in body:
        tds = "".join(f"<td>{escape(cell).replace(' ', _FIGURE_SPACE)}</td>" for cell in cells)
        out.append(f"<tr><th scope='row'>{escape(name)}</th>{tds}</tr>")
    out.append("</tbody></table>")
    return "".join(out)


def _cells(fit: Any, rows: Sequence[content.Coefficient], level: float) -> list[list[str]]:
    """The cells of the coefficient table, the header first."""
    letter = content.statistic_name(fit)
    noted = any(row.note for row in rows)
    head = ["", "estimate", "std. error", letter, f"P(>|{letter}|)", *content.interval_names(level)]
    cells = [head + [""] * noted]
    for row in rows:
        cells.append(
            [
                row.name,
                row.text(row.estimate),
                row.text(row.std_error),
                numbers.rounded(row.statistic, 3),
                numbers.p_value(row.p_value),
                row.text(row.lower),
                row.text(row.upper),
                *([row.note] * noted),
            ]
        )
    return cells


def _two_columns(pairs: list[tuple[str, str]]) -> list[str]:
    half = (len(pairs) + 1) // 2
    lefts, rights = pairs[:half], [*pairs[half:], ("", "")]
    label = max(len(k) for k, _ in lefts) + 2
    value = max(len(v) for _, v in lefts) + 4
    label2 = max(len(k) for k, _ in rights) + 2
    return [
        (k.ljust(label) + v.ljust(value) + k2.ljust(label2) + v2).rstrip()
        for (k, v), (k2, v2) in zip(lefts, rights, strict=False)
    ]


def _table(cells: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*_aligned(cells), strict=True)]
    lines = []
    for name, *others in _aligned(cells):
        padded = [
            name.ljust(widths[0]),
            *(text.rjust(width) for text, width in zip(others, widths[1:], strict=True)),
        ]
        lines.append("  ".join(padded).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _aligned(cells: list[list[str]]) -> list[list[str]]:
    # In each column the header stays, and the numbers below it are aligned at their points.
    names, *columns = zip(*cells, strict=True)
    aligned = [[title, *numbers.align(texts)] for title, *texts in columns]
    return [list(line) for line in zip(names, *aligned, strict=True)]
