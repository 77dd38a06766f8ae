"""Values on the command line: each placeholder of an option, and the function that reads what stands there."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any


def separator(text: str) -> str:
    """The separator; a tab is given by name, as it is hard to type in a shell."""
    return "\t" if text in ("tab", "\\t") else text


def marks(text: str) -> tuple[str, ...]:
    return tuple(mark.strip() for mark in text.split(","))


def level(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, such as 0.95; got {text}")
    return share


def _list_of_numbers(text: str) -> list[float]:
    """Read ``-1,0.5``."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a number for each coefficient, such as --start=-1,0.5; got {text}"
        ) from None


def numbers(text: str) -> dict[str, float]:
    """Read ``b1=500,b2=1e-4``."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            equals = ""
        if name in found:
            raise argparse.ArgumentTypeError(f"expected each name once; got {name} twice in {text}")
        if not equals or not name:
            raise argparse.ArgumentTypeError(f"expected a number for each name, such as y=1,x=0.3; got {text}")
        found[name] = number
    return found


def _columns(text: str) -> dict[str, str]:
    """Read ``event=status == 2,lower=0.5``, a column or an expression for each name.

    Examples
    --------
    >>> _columns("event=status == 2,lower=clip(x, 0, 1)")
    {'event': 'status == 2', 'lower': 'clip(x, 0, 1)'}
    """
    found: dict[str, str] = {}
    for part in re.split(r",(?![^(]*\))", text):  # a comma in parentheses is the expression's
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value) or name in found:
            raise argparse.ArgumentTypeError(f"expected a column for each name, such as event=dead; got {text}")
        found[name] = value
    return found


def _units(text: str) -> tuple[int, ...]:
    """Read ``64,64``."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected the units of each layer, such as 64,64; got {text}") from None


def _bounds(text: str) -> dict[str, tuple[float | None, float | None]]:
    """Read ``b1=0:10,b2=0:``; an empty end means no bound."""
    bounds: dict[str, tuple[float | None, float | None]] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        low, colon, high = (piece.strip() for piece in value.partition(":"))
        try:
            pair = (float(low) if low else None, float(high) if high else None)
        except ValueError:
            colon = ""
        if not (equals and colon and name) or name in bounds:
            raise argparse.ArgumentTypeError(f"expected two ends for each name, such as b1=0:10,b2=0: ; got {text}")
        bounds[name] = pair
    return bounds


def _number_or_word(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


READERS: dict[str, Callable[[str], Any]] = {
    "WORD": str,
    "FILE": str,
    "COLUMN": str,
    "EXPRESSION": str,
    "NUMBER": float,
    "COUNT": int,
    "STEPS": int,
    "SEED": int,
    "RULE": _number_or_word,
    "NUMBER,...": _list_of_numbers,
    "UNITS,...": _units,
    "NAME=NUMBER,...": numbers,
    "NAME=COLUMN,...": _columns,
    "NAME=LOW:HIGH,...": _bounds,
}
"""The function that reads each kind of value on the command line."""
