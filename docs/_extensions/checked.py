"""What was built is read again: links lead somewhere, pictures have words, and nothing is fetched from elsewhere.

Sphinx knows the links of its own roles. Those of the theme, of templates and to files are checked here, in the pages as
they are served, with no request: a link to another site is not followed.
"""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

FETCHED = {"script": "src", "img": "src", "iframe": "src", "link": "href"}
"""What a browser fetches by itself, by the element."""


class Page(HTMLParser):
    """The anchors of a page, where its links go, and what is wrong with it by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors, self.links, self.faults = {"", "top"}, set[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        self.anchors |= {have[name] for name in ("id", "name") if name in have}
        place = have.get(FETCHED.get(tag, "href" if tag == "a" else ""), "")
        if place and urlsplit(place).scheme in ("", "file") and not urlsplit(place).netloc:
            self.links.add(place)
        elif tag in FETCHED and place and not place.startswith("data:") and have.get("rel") != "canonical":
            self.faults.add(f"{tag} is fetched from {place}")
        if tag == "img" and not have.get("alt"):
            self.faults.add(f"a picture without words: {place}")


def faults(folder: Path) -> list[str]:
    """Everything that is wrong with the pages in a folder."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        found += [f"{path.relative_to(folder)}: {fault}" for fault in sorted(page.faults)]
        for link in sorted(page.links):
            parts = urlsplit(link)
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[there].anchors if there in pages else {unquote(parts.fragment)}
            if not there.is_file() or unquote(parts.fragment) not in anchors:
                found.append(f"{path.relative_to(folder)}: nothing is at {link}")
    return found


def on_finished(app: Any, exception: Exception | None) -> None:
    from sphinx.util import logging

    if exception is None and app.builder.format == "html":
        for fault in faults(Path(app.outdir).resolve()):
            logging.getLogger(__name__).warning("%s", fault)


def setup(app: Any) -> dict[str, Any]:
    app.connect("build-finished", on_finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
