"""What the site's own extensions do to pages, as far as it needs no Sphinx."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_extensions"))
import accessible
import checked
import parameters


def test_links_that_lead_nowhere_and_what_is_fetched_are_found(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "picture.svg").write_text("<svg/>")
    (tmp_path / "below" / "there.html").write_text('<h1 id="here">A</h1><a href="../index.html#top">up</a>')
    page = tmp_path / "index.html"
    page.write_text(
        '<a href="below/there.html#here">x</a> <a href="https://example.org/never-followed">y</a>'
        '<img src="picture.svg" alt="words"> <link rel="canonical" href="https://example.org/">'
    )
    assert checked.faults(tmp_path) == []
    page.write_text(
        '<a href="below/there.html#nowhere">x</a> <a href="gone.html">y</a> <img src="picture.svg">'
        '<script src="https://example.org/a.js"></script> <link rel="stylesheet" href="//example.org/a.css">'
    )
    assert [one.removeprefix("index.html: ") for one in checked.faults(tmp_path)] == [
        "a picture without words: picture.svg",
        "link is fetched from //example.org/a.css",
        "script is fetched from https://example.org/a.js",
        "nothing is at below/there.html#nowhere",
        "nothing is at gone.html",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '<thead><tr><th class="head"><p></p></th><th>A</th></tr></thead>',
            "<thead><tr><td></td><th>A</th></tr></thead>",
        ),
        ('<thead><tr><th class="head"></th><th></th></tr></thead>\n<tbody>', "<tbody>"),
        ("<tbody><tr><th></th></tr></tbody>", "<tbody><tr><th></th></tr></tbody>"),
    ],
)
def test_cells_of_a_head_that_are_empty_are_no_headings(before: str, after: str) -> None:
    assert accessible.HEAD.sub(accessible.head, before) == after


def test_descriptions_of_parameters_are_moved_below_their_names() -> None:
    lines = ["Parameters", "----------", "tol : distance at which", "    to stop.", "", "Text : as it is."]
    assert parameters.moved(lines) == [*lines[:2], "tol", "    distance at which", *lines[3:]]
