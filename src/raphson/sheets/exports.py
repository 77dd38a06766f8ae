"""Sheets as Markdown, as LaTeX, and as tables of the package great_tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from raphson.errors import Needs

if TYPE_CHECKING:
    from raphson.sheets.sheet import Grid, Sheet

_MARKED = re.compile(r"([\\`*_{}\[\]<>|~#$])")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
} | {letter: f"\\{letter}" for letter in "&%$#_{}"}
_NEGATIVE = re.compile(r"(?<![\w.])-(?=[\d.]|inf)")


def markdown(sheet: Sheet) -> str:
    """A sheet in Markdown."""
    title = "\\\n".join(f"**{_marked(line.strip())}**" for line in sheet.title.split("\n"))
    parts = [title]
    if sheet.facts:
        parts.append(_pipes(("", ""), [(_marked(k), _marked(v)) for k, v in sheet.facts], {0, 1}))
    for grid in sheet.grids:
        if grid.caption:
            parts.append(_marked(grid.caption))
        rows = [tuple(_marked(cell.strip()) for cell in row) for row in grid.rows]
        parts.append(_pipes(tuple(map(_marked, grid.head)), rows, {0, *grid.words}))
    parts += [f"**{_marked(note.text)}**" if note.kind == "doubt" else _marked(note.text) for note in sheet.notes]
    return "\n\n".join(part for part in parts if part)


def _marked(text: str) -> str:
    return _MARKED.sub(r"\\\1", " ".join(text.split()))


def _pipes(head: tuple[str, ...], rows: list[tuple[str, ...]], left: set[int]) -> str:
    widths = [max([3, *map(len, column)]) for column in zip(head, *rows, strict=True)]

    def line(cells: tuple[str, ...]) -> str:
        return (
            "| "
            + " | ".join(
                cell.ljust(w) if j in left else cell.rjust(w)
                for j, (cell, w) in enumerate(zip(cells, widths, strict=True))
            )
            + " |"
        )

    rule = "|" + "|".join(f":{'-' * (w + 1)}" if j in left else f"{'-' * (w + 1)}:" for j, w in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def latex(sheet: Sheet) -> str:
    """A sheet in LaTeX: its title is the caption, facts and notes stand below."""
    caption = "; ".join(_escaped(line.strip()) for line in sheet.title.split("\n"))
    out = [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}"]
    for k, grid in enumerate(sheet.grids):
        if k:
            out.append(r"\par\medskip")
        if grid.caption:
            out.append(rf"{_escaped(grid.caption)}\par")
        out += _tabular(grid)
    below = [f"{_escaped(k)}: {_escaped(v)}" for k, v in sheet.facts]
    texts = ["; ".join(below) + "."] if below else []
    texts += [rf"\textbf{{{_escaped(n.text)}}}" if n.kind == "doubt" else _escaped(n.text) for n in sheet.notes]
    out += [rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {text}}}" for text in texts]
    return "\n".join([*out, r"\end{table}"])


def _tabular(grid: Grid) -> list[str]:
    left = {0, *grid.words}
    columns = "".join("l" if j in left else "r" for j in range(len(grid.head)))
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        rf"{' & '.join(map(_escaped, grid.head))} \\",
        r"\midrule",
    ]
    lines += [rf"{_first(row[0])}{''.join(f' & {_escaped(cell.strip())}' for cell in row[1:])} \\" for row in grid.rows]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _first(text: str) -> str:
    r"""The first cell of a row. After the \\\\ of the row before, a bracket or a star would belong to that."""
    return "{}" * text.lstrip().startswith(("[", "*")) + _escaped(text.strip())


def _escaped(text: str) -> str:
    """A text for LaTeX; the hyphen of a negative number is a minus."""
    signed = _NEGATIVE.sub("\0", " ".join(text.split()))
    return "".join(_SPECIAL.get(letter, letter) for letter in signed).replace("\0", "$-$")


def great_table(sheet: Sheet) -> Any:
    """The last table of a sheet for great_tables, with the title, and the notes below."""
    with Needs("tables", "to_great_tables(), other than to_markdown() and to_latex(),"):
        from great_tables import GT  # pyright: ignore[reportMissingImports] - it is optional
    import pandas as pd

    grid = sheet.grids[-1]
    names = [head or " " for head in grid.head]
    frame = pd.DataFrame([[cell.strip() for cell in row] for row in grid.rows], columns=names)
    table = GT(frame, rowname_col=names[0]).tab_header(title=sheet.title)
    words = [names[j] for j in range(1, len(names)) if j not in grid.words]
    table = table.cols_align("right", columns=words) if words else table
    for note in sheet.notes:
        table = table.tab_source_note(note.text)
    return table
