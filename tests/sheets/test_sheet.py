"""A sheet as text and as HTML."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from raphson.sheets.sheet import FIGURE_SPACE, Grid, InNotebook, Note, Sheet, as_lines, grid_html, two_columns

GRID = Grid(("", "size", "what"), (("a", "1.25", "round"), ("b & <c>", "-10.5", "")), "Things", (2,))


def test_text_has_its_parts_in_order():
    sheet = Sheet("y ~ x", [("Rows", "12"), ("Family", "gaussian")], [GRID], [Note("Done."), Note("mind.", "remark")])
    assert (
        str(sheet)
        == repr(sheet)
        == "\n".join(
            [
                "y ~ x",
                "",
                "Rows  12    Family  gaussian",
                "",
                "Things",
                "           size  what",
                "----------------------",
                "a          1.25  round",
                "b & <c>  -10.5",
                "",
                "Done.",
                "Note: mind.",
            ]
        )
    )


def test_points_stand_below_one_another_and_words_begin_at_the_left():
    assert as_lines(Grid(("", "n"), (("a", "1.5"), ("b", "-12.25"), ("c", "NaN"))))[2:] == [
        "a    1.5",
        "b  -12.25",
        "c     NaN",
    ]
    assert as_lines(Grid(("", "w"), (("a", "x"), ("b", "long")), words=(1,)))[2:] == ["a  x", "b  long"]


def test_an_odd_fact_stands_alone():
    assert two_columns([("a", "1"), ("b", "2"), ("c", "3")]) == ["a  1    c  3", "b  2"]


def test_html_is_escaped_and_a_card_has_its_headings():
    html = grid_html(GRID)
    assert "b &amp; &lt;c&gt;" in html and "<c>" not in html and "data-l='size'" in html
    assert html.count("scope='row'") == 2 and "<caption>Things</caption>" in html
    assert f"<i>{FIGURE_SPACE * 2}</i>1.25" in html  # a card hides what aligns it
    assert "<th scope='col'></th>" not in html  # no empty heading: a screen reader would read it


def test_hostile_texts_stay_texts():
    evil = "<script>alert('1')</script>"
    sheet = Sheet(evil, [(evil, evil)], [Grid((evil, evil), ((evil, evil),), evil)], [Note(evil, "doubt"), Note(evil)])
    html = sheet._repr_html_()
    assert "<script" not in html and html.count("&lt;script") == 11
    assert not re.search(r"data-l='[^']*'[^ >]", html)  # a quote does not end the attribute


def test_a_frame_has_four_digits_and_its_words_are_known():
    frame = pd.DataFrame({"x": [0.123456, float("nan")], "n": [1200, 3], "s": ["a", "b"]}, index=["one", "two"])
    grid = Grid.of(frame, "a frame", "row")
    assert grid.head == ("row", "x", "n", "s") and grid.words == (3,)
    assert grid.rows == (("one", "0.1235", "1,200", "a"), ("two", "NaN", "3", "b"))
    assert Grid.of(frame[["x"]], formats={"x": lambda one: f"<{one:.1f}>"}).rows[0] == ("one", "<0.1>")


def test_a_result_is_its_sheet():
    class Result(InNotebook):
        def _sheet(self) -> Sheet:
            return Sheet("t", (), [GRID])

    assert Result()._repr_html_() == Sheet("t", (), [GRID]).html
    assert Result().to_markdown() == Sheet("t", (), [GRID]).to_markdown()
    assert Result().to_latex() == Sheet("t", (), [GRID]).to_latex()
    with pytest.raises(NotImplementedError):
        InNotebook()._repr_html_()
