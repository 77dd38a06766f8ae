"""Docstrings of this project for numpydoc, and which members are shown.

In ``name : what it is``, what stands after the colon is a description and not a type. It is moved to where numpydoc
expects a description: below the name, indented.
"""

from __future__ import annotations

import re
from typing import Any

SECTIONS = {"Parameters", "Attributes", "Other Parameters"}
NAMED = re.compile(r"^(?P<names>\*{0,2}[A-Za-z_][\w, *]*?) : (?P<text>\S.*)$")


def moved(lines: list[str]) -> list[str]:
    """The lines with each description below its name.

    Examples
    --------
    >>> moved(["Parameters", "----------", "tol : distance at which", "    to stop.", "", "More : text."])
    ['Parameters', '----------', 'tol', '    distance at which', '    to stop.', '', 'More : text.']
    """
    found: list[str] = []
    inside = False
    for here, line in enumerate(lines):
        underlined = here + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[here + 1]) is not None
        if underlined:
            inside = line in SECTIONS
        elif inside and not line and (here + 1 == len(lines) or not lines[here + 1].startswith(" ")):
            inside = False  # a paragraph after the list
        named = NAMED.match(line) if inside else None
        found += [line] if named is None else [named["names"], f"    {named['text']}"]
    return found


def on_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = moved(lines)


def is_of_scikit_learn(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Whether a member is scikit-learn's own, of every estimator, with links into its own pages."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", on_docstring, priority=100)  # before numpydoc's, at 500
    app.connect("autodoc-skip-member", is_of_scikit_learn)
    return {"parallel_read_safe": True}
