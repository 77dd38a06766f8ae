"""The look of results in a notebook: it takes letters and ground from the notebook, and follows its theme.

A fragment has no ground of its own, and writes in the ink of the notebook, whatever that is; lines are that ink,
thinned, so that it can be read in any theme, known or not. Only what has a colour of its own asks whether the theme is
dark: by ``color-scheme``, which the page says, and which :data:`DARK` and :data:`LIGHT` say for pages that declare
their theme in another way. The system's preference is not asked, as a light notebook may run on a dark system.

Rules apply inside the class only, whose name is doubled so that they outweigh the notebook's own rules for tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SCOPE = "raphson-out"
"""The class that rules are for."""

DARK = (
    "[data-jp-theme-light=false]",  # JupyterLab, Notebook 7
    "[data-vscode-theme-kind=vscode-dark]",
    "[data-vscode-theme-kind=vscode-high-contrast]",
    "html[theme=dark]",  # Colab
    "[data-theme=dark]",  # Sphinx themes, Jupyter Book
    "[data-bs-theme=dark]",  # Quarto
    ".dark-mode",
    ".dark",  # marimo
)
LIGHT = (
    "[data-jp-theme-light=true]",
    "[data-vscode-theme-kind=vscode-light]",
    "[data-vscode-theme-kind=vscode-high-contrast-light]",
    "html[theme=light]",
    "[data-theme=light]",
    "[data-bs-theme=light]",
)

_RULES = """
& { color: var(--jp-content-font-color1, var(--vscode-editor-foreground, inherit)); container-type: inline-size;
  --rp-soft: color-mix(in srgb, currentcolor 76%, transparent);
  --rp-rule: color-mix(in srgb, currentcolor 18%, transparent); --rp-doubt: light-dark(#b04418, #f29b6c);
  --rp-data: light-dark(#1f5f8b, #7fb9e0); --rp-shade: light-dark(#e7f0f6, #233c4f);
  --rp-edge: light-dark(#7394ac, #557b99); width: 100%; min-width: 0; margin: 0; font: 14px/1.5 system-ui, "Segoe UI",
  Roboto, "Helvetica Neue", "Liberation Sans", sans-serif; font-variant-numeric: tabular-nums; text-align: left }
& p { margin: 8px 0 0; max-width: 48em; overflow-wrap: anywhere; font-size: 14px; line-height: 1.5 }
& p.title { margin: 0; font-weight: 600 } & p.doubt { color: var(--rp-doubt); font-weight: 500 }
& dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15em), 1fr)); gap: 0 24px;
  margin: 8px 0 0; max-width: 54em }
& dl div { display: flex; gap: 10px; justify-content: space-between; padding: 2px 0;
  border-bottom: 1px solid var(--rp-rule) }
& dt { color: var(--rp-soft); font-weight: 400; margin: 0; flex: none; float: none; width: auto }
& dd { margin: 0; font-weight: 500; text-align: right; overflow-wrap: anywhere; min-width: 0 }
& table { border-collapse: collapse; border: 0; margin: 14px 0 0; font-size: 14px; line-height: 1.4; color: inherit;
  table-layout: auto; width: auto; max-width: 100%; background: none; box-shadow: none; display: table }
& caption { text-align: left; color: var(--rp-soft); padding: 0 0 4px; caption-side: top; font-size: 13px }
& thead, & tbody, & tr:nth-child(n) { background: none; border: 0 }
& th:nth-child(n), & td:nth-child(n) { padding: 3px 0 3px 20px; text-align: right; vertical-align: baseline; border: 0;
  border-bottom: 1px solid var(--rp-rule); white-space: nowrap; font-weight: 400; background: none; max-width: none;
  color: inherit }
& thead th:nth-child(n), & thead td:nth-child(n) {
  color: var(--rp-soft); border-bottom: 1px solid currentcolor; vertical-align: bottom }
& th:nth-child(1), & thead td:nth-child(1) { padding-left: 0; text-align: left; white-space: normal; min-width: 7.5em;
  overflow-wrap: anywhere }
& td.b:nth-child(n) { white-space: normal }
& td.t:nth-child(n), & th.t:nth-child(n) { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 6em }
"""

_CARDS = """
& TABLE, & TABLE tbody, & TABLE caption { display: block; width: 100% }
& TABLE thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
& TABLE tbody tr:nth-child(n) { display: grid; grid-template-columns: repeat(auto-fill, minmax(96px, 1fr));
  gap: 2px 12px; padding: 7px 0; border-bottom: 1px solid var(--rp-rule) }
& TABLE tbody th:nth-child(n) { grid-column: 1 / -1; border: 0; padding: 0; font-weight: 600 }
& TABLE tbody td:nth-child(n) { border: 0; padding: 0; text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 0 }
& TABLE tbody td:empty, & TABLE td i { display: none }
& TABLE td::before { content: attr(data-l); display: block; color: var(--rp-soft); font-size: 12px }
"""
"""A table whose rows are cards."""

STEP = 40
"""Widths of tables are rounded up to multiples of so many pixels."""

_SIZE = re.compile(r"<table class='(w(\d+))'")


def size_of(characters: Sequence[int]) -> str:
    """The class of a table whose columns have so many characters at most: its width, below which its rows are cards.

    A digit of 14 pixels is 8 pixels wide, and a column has 20 between it and the one before.

    Examples
    --------
    >>> size_of([10, 8, 8]), size_of([12] * 11)
    ('w280', 'w1280')
    """
    return f"w{-(-sum(8 * one + 20 for one in characters) // STEP) * STEP}"


def style(sizes: Iterable[tuple[str, str]]) -> str:
    """The rules, with those for tables of some sizes: their classes and widths."""
    inside = f".{SCOPE}"
    dark = f"{','.join(f'{one} {inside}' for one in DARK)}{{color-scheme:dark}}"
    light = f"{','.join(f'{one} {inside}' for one in LIGHT)}{{color-scheme:light}}"
    cards = "".join(
        f"@container (max-width:{width}px){{{_CARDS.replace('TABLE', f'table.{name}')}}}" for name, width in sizes
    )
    return dark + light + " ".join((_RULES + cards).replace("&", inside * 2).split())


def fragment(content: str) -> str:
    """HTML for the output of a cell, with its rules; an output may stand alone, so each brings them."""
    return f"<div class='{SCOPE}'><style>{style(dict.fromkeys(_SIZE.findall(content)))}</style>{content}</div>"
