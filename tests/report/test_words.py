from __future__ import annotations

import math

import pytest

from raphson.report.words import code, counted, figures, listed, name, to


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 2, "0"), (9.99, 2, "10.0"), (1234.6, 3, "1,235"), (-0.05, 2, "−0.050"), (8.5e-15, 2, "8.5 × 10⁻¹⁵"),
        (math.inf, 2, "∞"), (-math.inf, 2, "−∞"), (math.nan, 2, "unknown"), (123.0, 2, "123"), (1e12, 2, "1.0 × 10¹²"),
    ],
)  # fmt: skip
def test_figures(value: float, digits: int, text: str) -> None:
    assert figures(value, digits) == text


def test_lists_and_names() -> None:
    assert [listed(["a", "b", "c"][:k]) for k in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert name("<x>") == "<var>&lt;x&gt;</var>" and code("&") == "<code>&amp;</code>"
    assert counted(1, "row") == "1 row" and counted(0, "row") == "0 rows"
    assert to(1.0, 2.0) == "1.0 to 2.0"
