"""What the theme leaves out for people who do not use a mouse, or listen to the page.

A block of code that scrolls can be reached by the keyboard, and the headings of the navigation have a level. A cell
of a table's head that is empty is no heading, and a head of empty cells is left out.
"""

from __future__ import annotations

import re
from typing import Any

EMPTY = re.compile(r"<th[^>]*>\s*(?:<p></p>)?\s*</th>")
HEAD = re.compile(r"<thead>.*?</thead>\n?", re.DOTALL)


def head(found: re.Match[str]) -> str:
    """The head of a table, in which empty cells are no headings."""
    mended = EMPTY.sub("<td></td>", found[0])
    return mended if "<th" in mended.replace("<thead", "") else ""


def on_page(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if "body" in context:
        context["body"] = HEAD.sub(head, context["body"].replace("<pre>", '<pre tabindex="0">'))
    if "furo_navigation_tree" in context:
        levelled = 'role="heading" aria-level="2"'
        context["furo_navigation_tree"] = context["furo_navigation_tree"].replace('role="heading"', levelled)


def setup(app: Any) -> dict[str, Any]:
    app.connect("html-page-context", on_page, priority=900)  # after the theme's
    return {"parallel_read_safe": True}
