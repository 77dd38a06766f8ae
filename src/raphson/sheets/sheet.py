"""A sheet: a title, facts, tables and notes, all of them texts; what a result is when it is printed or shown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from raphson.sheets import numbers
from raphson.sheets.notebook import fragment, size_of

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 88
"""Characters of a line."""

LINE = 24
"""Characters of a text in a table of a notebook before it wraps."""

FIGURE_SPACE = "\u2007"  # as wide as a digit; keeps numbers aligned where HTML would collapse spaces

Kind = Literal["text", "key", "doubt", "remark"]


class Note(NamedTuple):
    """A sentence below the tables: a text, the key to a word of a table, a doubt, or a remark."""

    text: str
    kind: Kind = "text"


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Attributes
    ----------
    head : of the columns; the first is that of the rows' names, and may be empty.
    rows : each begins with its name.
    caption : what the table is, or an empty text.
    words : numbers of the columns that are texts, aligned to the left.
    points : whether numbers stand with their points below one another, or end at the right.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    words: tuple[int, ...] = ()
    points: bool = True

    @staticmethod
    def of(
        frame: pd.DataFrame, caption: str = "", name: str | None = None, formats: dict[str, Any] | None = None
    ) -> Grid:
        """A data frame, with its index as the names of the rows; numbers have four significant digits.

        Parameters
        ----------
        name : heading of the index; by default its own name.
        formats : a function from a value to its text, by column.
        """
        formats = formats or {}
        columns = [
            [formats.get(str(label), numbers.plain)(one) for one in frame[label].tolist()] for label in frame.columns
        ]
        words = tuple(
            j + 1 for j, label in enumerate(frame.columns) if any(isinstance(one, str) for one in frame[label].tolist())
        )
        names = [str(one) for one in frame.index]
        first = name if name is not None else str(frame.index.name or "")
        rows = zip(names, *columns, strict=True) if columns else ((one,) for one in names)
        return Grid((first, *map(str, frame.columns)), tuple(rows), caption, words)

    @property
    def aligned(self) -> list[tuple[str, ...]]:
        """The rows, numbers padded so that their points stand below one another."""
        if not self.rows or not self.points:
            return list(self.rows)
        names, *columns = zip(*self.rows, strict=True)
        padded = [column if j + 1 in self.words else numbers.align(column) for j, column in enumerate(columns)]
        return list(zip(names, *padded, strict=True))


@dataclass(frozen=True, repr=False)
class Sheet:
    """A result in texts, which prints as text and, in a notebook, as HTML.

    Attributes
    ----------
    title : its heading.
    facts : pairs of a label and a value, in reading order.
    grids : the tables.
    notes : sentences below them.
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    grids: Sequence[Grid] = ()
    notes: Sequence[Note] = ()

    @property
    def text(self) -> str:
        """Plain text."""
        parts = ["\n".join(textwrap.wrap(self.title, WIDTH, subsequent_indent="    "))]
        if self.facts:
            parts.append("\n".join(two_columns(self.facts)))
        parts += ["\n".join([*([grid.caption] if grid.caption else []), *as_lines(grid)]) for grid in self.grids]
        if self.notes:
            parts.append("\n".join(line for note in self.notes for line in _wrapped(note)))
        return "\n\n".join(parts)

    @property
    def html(self) -> str:
        """An HTML fragment that follows the theme of the page that it stands in; all text is escaped."""
        title = "<br>".join(escape(line) for line in self.title.split("\n"))
        return fragment(
            "".join(
                [
                    f"<p class='title'>{title}</p>",
                    facts_html(self.facts),
                    *map(grid_html, self.grids),
                    *(_note_html(note) for note in self.notes),
                ]
            )
        )

    def to_markdown(self) -> str:
        """Markdown: the title in bold, tables with pipes, as GitHub, Quarto and pandoc read them."""
        from raphson.sheets.exports import markdown

        return markdown(self)

    def to_latex(self) -> str:
        r"""LaTeX: a ``table`` with the rules of the package booktabs (``\usepackage{booktabs}``)."""
        from raphson.sheets.exports import latex

        return latex(self)

    def to_great_tables(self) -> Any:
        """The table as a ``great_tables.GT``, to be styled further and written as HTML or LaTeX."""
        from raphson.sheets.exports import great_table

        return great_table(self)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


class InNotebook:
    """A result that a notebook shows as its sheet."""

    def _sheet(self) -> Sheet:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return self._sheet().html

    def to_markdown(self) -> str:
        """The result as Markdown."""
        return self._sheet().to_markdown()

    def to_latex(self) -> str:
        r"""The result as LaTeX, with the rules of the package booktabs (``\usepackage{booktabs}``)."""
        return self._sheet().to_latex()


def _wrapped(note: Note) -> list[str]:
    text = f"Note: {note.text}" if note.kind == "remark" else note.text
    return textwrap.wrap(text, WIDTH, subsequent_indent="" if note.kind == "text" else "    ")


def two_columns(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Pairs of a label and a value as lines, two pairs in each: down the left, then down the right."""
    half = (len(pairs) + 1) // 2
    lefts, rights = pairs[:half], [*pairs[half:], ("", "")]
    label = max(len(k) for k, _ in lefts) + 2
    value = max(len(v) for _, v in lefts) + 4
    label2 = max(len(k) for k, _ in rights) + 2
    return [
        (k.ljust(label) + v.ljust(value) + k2.ljust(label2) + v2).rstrip()
        for (k, v), (k2, v2) in zip(lefts, rights, strict=False)
    ]


def as_lines(grid: Grid) -> list[str]:
    """A table as lines of text, with a rule below its head."""
    cells = [grid.head, *grid.aligned]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = {0, *grid.words}
    lines = [
        "  ".join(
            text.ljust(width) if j in left else text.rjust(width)
            for j, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def facts_html(facts: Iterable[tuple[str, str]]) -> str:
    """Facts as an HTML list, as many beside one another as there is room for."""
    pairs = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts)
    return f"<dl>{pairs}</dl>" if pairs else ""


def grid_html(grid: Grid) -> str:
    """A table in HTML, which a narrow page shows as cards, each cell with its heading."""
    caption = f"<caption>{escape(grid.caption)}</caption>" if grid.caption else ""
    heads = "".join(
        f"<th scope='col'{_left(grid, j)}>{escape(text)}</th>" if text else "<td></td>"
        for j, text in enumerate(grid.head)
    )
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>"
        + "".join(
            f"<td{_left(grid, j)} data-l='{escape(grid.head[j], quote=True)}'>{_cell(grid, j, cell)}</td>"
            for j, cell in enumerate(cells, 1)
        )
        + "</tr>"
        for name, *cells in grid.aligned
    )
    longest = [
        max(map(_length if j and not grid.points else len, column))
        for j, column in enumerate(zip(grid.head, *grid.aligned, strict=True))
    ]
    size = size_of([min(one, LINE) if j == 0 or j in grid.words else one for j, one in enumerate(longest)])
    return f"<table class='{size}'>{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(grid: Grid, j: int, cell: str) -> str:
    if j in grid.words:
        return escape(cell)
    return _padded(cell) if grid.points else escape(cell).replace(", ", ",&nbsp;")


def _length(cell: str) -> int:
    """Characters of a cell that may wrap, though not within an interval."""
    return max(map(len, cell.replace(", ", ",_").split(" ")))


def _padded(cell: str) -> str:
    """A number with the spaces that align it, which a card does without."""
    text = cell.strip()
    if not text:
        return ""
    before, after = (FIGURE_SPACE * n for n in (len(cell) - len(cell.lstrip()), len(cell) - len(cell.rstrip())))
    return f"{f'<i>{before}</i>' if before else ''}{escape(text)}{f'<i>{after}</i>' if after else ''}"


def _left(grid: Grid, j: int) -> str:
    if not j or (grid.points and j not in grid.words):
        return ""
    return " class='t'" if j in grid.words else " class='b'"


def _note_html(note: Note) -> str:
    text = escape(note.text)
    return f"<p class='doubt'>⚠ {text}</p>" if note.kind == "doubt" else f"<p>{text}</p>"
