from __future__ import annotations

import re

import numpy as np
import pytest

from raphson.checks.pictures import Mark, Picture
from raphson.report import drawing

X = np.linspace(0.0, 1.0, 60)
EVERY = Picture(
    "x",
    "y",
    (
        Mark("band", "shade", X, X - 1, X + 1),
        Mark("line", "data", X, X, label="a line"),
        Mark("dots", "data", X, X),
        Mark("dots", "doubt", X[:1], X[:1], label="row 1"),
        Mark("whiskers", "data", X[:2], X[:2], X[:2] + 1),
        Mark("bars", "shade", X[:2], X[:2], X[:2] + 1, width=0.1),
        Mark("stems", "data", X[:2], X[:2]),
        Mark("level", "soft", y=np.zeros(1)),
        Mark("upright", "soft", np.ones(1), dashed=True, label="here"),
        Mark("upright", "data", np.ones(1), np.zeros(1), np.ones(1), label="top"),
        Mark("diagonal", "soft"),
        Mark("text", "data", np.ones(1), np.ones(1), label="$ text"),
    ),
)


def test_svg_has_no_colours_of_its_own_and_unique_ids() -> None:
    one, other = drawing.svg(EVERY, "one"), drawing.svg(EVERY, "other")
    for text in (one, other):
        assert not re.findall(r"#[0-9a-f]{6}", text) and "font-family" not in text and "xmlns" not in text
        assert "$ text" in text and "row 1" in text
    ids = [set(re.findall(r'\sid="([^"]+)"', text)) for text in (one, other)]
    assert ids[0] and not ids[0] & ids[1]
    used = set(re.findall(r'(?:url\(#|href="#)([\w.-]+)', one))
    assert used <= ids[0]


def test_dots_are_one_path_and_bands_stay() -> None:
    text = drawing.svg(Picture("x", "y", (EVERY.marks[0], EVERY.marks[2])), "a")
    assert len(re.findall(r"M[-\d.]+ [-\d.]+h0", text)) == 60
    assert "var(--shade)" in text and len(text) < 9_000


@pytest.mark.filterwarnings("error")
def test_pictures_without_a_point_and_with_unknown_ones() -> None:
    drawing.svg(Picture("x", "y", ()), "empty")
    drawing.svg(Picture("x", "y", (Mark("dots", "data", np.array([np.nan, 1.0]), np.ones(2)),)), "unknown")


def test_long_categories_are_thinned() -> None:
    ticks = tuple((float(k), "a long label") for k in range(12))
    axes = drawing.draw(Picture("x", "y", (), ticks))
    assert 0 < len(axes.get_xticks()) < 12


def test_panels_tell_findings() -> None:
    made = drawing.panels([("good", EVERY, True), ("bad", EVERY, False), ("none", EVERY, None), ("four", EVERY, True)])
    assert len([axes for axes in made.axes if axes.get_visible()]) == 4
