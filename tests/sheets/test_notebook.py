"""What a notebook shows stays within its class, and takes its theme from the page."""

from __future__ import annotations

import re

from raphson.sheets.notebook import DARK, LIGHT, SCOPE, fragment, size_of, style


def selectors(rules: str) -> list[str]:
    """Of all rules, those inside of conditions too."""
    flat = re.sub(r"@container \([^)]*\)\{", "", rules)
    return [one.strip() for group in re.findall(r"([^{}]+)\{", flat) for one in group.split(",") if one.strip()]


def test_no_rule_reaches_what_stands_beside():
    found = selectors(style([("w240", "240")]))
    assert len(found) > 30
    assert all(f".{SCOPE}" in one for one in found)
    assert all(one.endswith(f".{SCOPE}") for one in found if one.startswith(tuple("[h")) or "dark" in one)


def test_the_page_says_which_theme_it_has_and_the_system_is_not_asked():
    rules = style([])
    assert "prefers-color-scheme" not in rules
    for one in DARK:
        assert f"{one} .{SCOPE}" in rules.partition("{color-scheme:dark}")[0]
    for one in LIGHT:
        assert f"{one} .{SCOPE}" in rules.partition("{color-scheme:dark}")[2].partition("{color-scheme:light}")[0]
    assert "--jp-content-font-color1" in rules and "--vscode-editor-foreground" in rules
    assert "background: var" not in rules


def test_a_fragment_has_the_rules_of_its_tables_and_no_script():
    found = fragment("<table class='w240'></table><table class='w480'></table><table class='w240'></table>")
    assert found.count("@container") == 2 and "max-width:240px" in found and "max-width:480px" in found
    assert "<script" not in found and "http" not in found and " id=" not in found


def test_a_wider_table_is_cards_earlier():
    assert int(size_of([10, 8])[1:]) < int(size_of([10, 8, 8])[1:])
