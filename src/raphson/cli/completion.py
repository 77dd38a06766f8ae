"""Completion of commands in a shell, which shtab writes from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from raphson.errors import Needs

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")

FILES = ("DATA", "FILE", "MODEL")
"""Placeholders that stand for files."""


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that completes a parser's commands. The parser is of no other use afterwards.

    Raises
    ------
    RaphsonError
        If shtab is not installed.
    """
    with Needs("shell", "completion"):
        import shtab

    for action in _actions(parser):
        if action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.choices is None:
            action.choices = getattr(action, "suggested", None)  # other words are accepted too, when it parses
    return shtab.complete(parser, shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _actions(one)
        else:
            yield action
