"""Values on the command line."""

from __future__ import annotations

import argparse

import pytest

from raphson.cli.values import READERS, level, marks, separator


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("NUMBER,...", "-1,0.5", [-1.0, 0.5]),
        ("UNITS,...", "64", (64,)),
        ("NAME=NUMBER,...", "b1 = 500, b2=1e-4", {"b1": 500.0, "b2": 1e-4}),
        ("NAME=COLUMN,...", "event=a == b,t=f(x, 1)", {"event": "a == b", "t": "f(x, 1)"}),
        ("NAME=LOW:HIGH,...", "a=0:,b=:2.5,c=-1:1", {"a": (0.0, None), "b": (None, 2.5), "c": (-1.0, 1.0)}),
        ("RULE", "2.5", 2.5),
        ("RULE", "pearson", "pearson"),
    ],
)
def test_texts_are_read(kind: str, text: str, value: object) -> None:
    assert READERS[kind](text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("NUMBER,...", "1,,2"),
        ("UNITS,...", "64,large"),
        ("NAME=NUMBER,...", "a=1,a=2"),
        ("NAME=NUMBER,...", "a"),
        ("NAME=COLUMN,...", "event="),
        ("NAME=COLUMN,...", "event=a,event=b"),
        ("NAME=LOW:HIGH,...", "a=1"),
        ("NAME=LOW:HIGH,...", "a=x:y"),
    ],
)
def test_other_texts_are_refused_with_an_example(kind: str, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"such as|each name once"):
        READERS[kind](text)


def test_words_of_text_files() -> None:
    assert separator("tab") == separator("\\t") == "\t" and separator(";") == ";"
    assert marks("., n.d.") == (".", "n.d.")
    assert level("0.5") == 0.5
    for text in ("0", "1", "95"):
        with pytest.raises(argparse.ArgumentTypeError, match="between 0 and 1"):
            level(text)
