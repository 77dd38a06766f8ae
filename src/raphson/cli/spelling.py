"""What a message says in Python's spelling, in that of the command line: ``max_iter=100`` is ``--max-iter 100``."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable
from functools import cache
from typing import Any

from raphson.options import GLM, MLE, NETWORK, NLS, keywords

_VALUE = r"\{[^{}]*\}|\[[^][]*\]|\"[^\"]*\"|'[^']*'|-?\d[\w.+-]*|True"
_CALL = r"[\w.\]]+\([^()]*\)"
"""A call in code, as of a method of a Fit: what stands in it are no options."""


@cache
def _keyword() -> re.Pattern[str]:
    names = {"effects", "new_levels"}  # of predictions
    names |= {one.name for door in (GLM, NLS, MLE, NETWORK) for one in keywords(door) if one.option.shell}
    alone = "|".join(one for one in names if "_" in one)  # cannot be a word of the sentence
    named = "|".join(sorted(names, key=len, reverse=True))
    return re.compile(rf"({_CALL})|(?<![\w.-])(?:({named})=({_VALUE})?(?![\w('\"])|(?<![`'\"])({alone})(?![\w`'\"(=]))")


def as_options(text: str) -> str:
    """The text, in which each keyword of a function that fits is the option that stands for it.

    Examples
    --------
    >>> as_options('name another column, as in columns={"event": "..."}; or use bias="firth" or penalty=0.1')
    'name another column, as in --columns event=...; or use --bias firth or --penalty 0.1'
    >>> as_options("it is for cov='cluster' and bounds={'k': (0, None)}; see fit.conf_int(level=0.9)")
    'it is for --cov cluster and --bounds k=0:; see fit.conf_int(level=0.9)'
    """

    def option(found: re.Match[str]) -> str:
        call, name, value, alone = found.groups()
        if call:
            return found[0]
        if alone:
            return f"--{alone.replace('_', '-')}"
        flag = f"--{name.replace('_', '-')}"
        if value is None:
            return flag
        try:
            written = _written(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            return found[0]
        return f"{flag}={written}" if written.startswith("-") else f"{flag} {written}".rstrip()

    return _keyword().sub(option, text)


def _written(value: Any) -> str:
    """A value as it is typed in a shell."""
    if value is True:
        return ""
    if isinstance(value, dict):
        return _listed(f"{name}={_end(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return _listed(map(str, value))
    return value if value == "..." else shlex.quote(str(value))


def _listed(pieces: Iterable[str]) -> str:
    text = ",".join(pieces)
    return text if re.fullmatch(r"[\w=.,:+-]*", text) else shlex.quote(text)


def _end(value: Any) -> str:
    """A value of a name: of bounds two ends, of which either may be missing."""
    if isinstance(value, tuple):
        return ":".join("" if one is None else str(one) for one in value)
    return str(value)
