"""What all pages of reports have: head with policy and style, versions and date; panels with a picture; signs."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version

from raphson.checks.pictures import Picture
from raphson.errors import RaphsonError
from raphson.report import drawing
from raphson.report.page_style import SHEET

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # nothing is loaded or executed


def framed(title: str, body: Sequence[str]) -> str:
    """A complete HTML document in UTF-8, without scripts and requests.

    Parameters
    ----------
    title : of the window.
    body : parts of HTML; empty ones are left out.
    """
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta name='color-scheme' content='light dark'>"
        f"<meta http-equiv='Content-Security-Policy' content=\"{_POLICY}\">"
        f"<title>{escape(' '.join(title.split()))}</title><style>{SHEET}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def drawn(draw: Callable[[], str]) -> str:
    """A picture; without Matplotlib, which a page does without, what draws it."""
    try:
        return draw()
    except RaphsonError as error:
        return f"<p class='note'>{escape(str(error))}</p>"


def panel(title: str, picture: Picture, caption: str) -> str:
    """A picture between its title and its caption."""
    image = drawn(lambda: drawing.svg(picture, f"{title}. {caption}"))
    return f"<figure><h3>{escape(title)}</h3>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def sign(good: bool) -> str:
    """The sign before a heading: a tick or a warning."""
    return f"<span class='sign{'' if good else ' doubt'}' aria-hidden='true'>{'✓' if good else '⚠'}</span>"


def signed(good: bool, text: str) -> str:
    """A line of a list, in HTML, after its sign."""
    kind, mark = ("", "✓") if good else ("doubt", "⚠")
    return f"<li><span class='sign {kind}' aria-hidden='true'>{mark}</span>{text}</li>"


def listed_pairs(pairs: Sequence[tuple[str, str]]) -> str:
    """Labels and values in two columns."""
    cells = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in pairs)
    return f"<dl class='repro'>{cells}</dl>"


def made_with() -> list[tuple[str, str]]:
    """The versions and the day, as pairs of a label and a value."""
    packages = ", ".join(f"{package} {_version(package)}" for package in ("raphson", "jax", "numpy", "pandas"))
    return [("Versions", f"{packages}, Python {platform.python_version()}"), ("Written", _date())]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of no known version"


def _date() -> str:
    """Today, or the day of SOURCE_DATE_EPOCH, by which builds are made to repeat."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = time.gmtime(int(epoch)) if epoch.isdigit() else time.localtime()
    return time.strftime("%Y-%m-%d", now)
