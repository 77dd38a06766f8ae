"""Values on the command line."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields

import pytest

from raphson.cli.values import READERS, level, marks, separator
from raphson.options import GLM, MLE, NETWORK, NLS


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


def test_whole_numbers_are_read_as_whole_numbers() -> None:
    found = []
    for record in {one for door in (GLM, NLS, MLE, NETWORK) for one in door}:
        for one in fields(record):
            kinds = set(re.findall(r"\bint\b|\bfloat\b", str(one.type)))
            shell = one.metadata["option"].shell
            if kinds == {"int"} and shell and not shell.endswith("...") and READERS[shell] is not int:
                found.append(one.name)
    assert found == []
