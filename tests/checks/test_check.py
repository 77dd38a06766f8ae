from __future__ import annotations

import math

from raphson.checks.check import p_text, p_value


def test_p_values_in_words() -> None:
    assert [p_text(p) for p in (0.5, 0.0312, 3e-9, math.nan)] == ["p = 0.50", "p = 0.031", "p < 0.0001", "p unknown"]
    assert [p_value(p) for p in (0.2, 1e-9, math.nan)] == ["0.20", "< 0.0001", ""]
