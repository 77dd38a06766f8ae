"""Sheets written for papers and pages."""

from __future__ import annotations

import sys

import pytest

from raphson.errors import RaphsonError
from raphson.sheets.sheet import Grid, Note, Sheet

SHEET = Sheet(
    "y ~ x_1\na | b",
    [("Rows", "12")],
    [Grid(("", "P(>|z|)", "2.5%"), (("[T.b]", "0.01", "-1.5"), ("f*g", "", "1e-05")))],
    [Note("Cost: 5$."), Note("Mind & look", "doubt")],
)


def test_markdown_has_pipes_and_marks_are_escaped():
    assert (
        SHEET.to_markdown()
        == r"""
**y \~ x\_1**\
**a \| b**

|      |     |
|:-----|:----|
| Rows | 12  |

|         | P(\>\|z\|) |  2.5% |
|:--------|-----------:|------:|
| \[T.b\] |       0.01 |  -1.5 |
| f\*g    |            | 1e-05 |

Cost: 5\$.

**Mind & look**
""".strip()
    )


def test_latex_has_a_row_each_and_letters_are_escaped():
    found = SHEET.to_latex()
    assert found.startswith("\\begin{table}\n\\centering\n\\caption{y \\textasciitilde{} x\\_1; a \\textbar{} b}")
    assert "{lrr}\n\\toprule\n & P(\\textgreater{}\\textbar{}z\\textbar{}) & 2.5\\% \\\\\n\\midrule\n" in found
    # A bracket after the \\ of the row before would be its argument, and a star a part of it.
    assert "\\midrule\n{}[T.b] & 0.01 & $-$1.5 \\\\\nf*g &  & 1e-05 \\\\\n\\bottomrule" in found
    assert "Rows: 12." in found and "Cost: 5\\$." in found and "\\textbf{Mind \\& look}" in found
    assert found.count("{") == found.count("}")
    assert "{}*a & 1" in Sheet("t", (), [Grid(("", "x"), (("*a", "1"),))]).to_latex()


def test_without_great_tables_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "great_tables", None)
    with pytest.raises(RaphsonError, match=r"needs great-tables: pip install \"raphson\[tables\]\""):
        SHEET.to_great_tables()


def test_great_tables_has_title_rows_and_notes():
    pytest.importorskip("great_tables")
    html = SHEET.to_great_tables().as_raw_html()
    assert "[T.b]" in html and "-1.5" in html and "Mind" in html and "y ~ x_1" in html
