from __future__ import annotations

import math
import re
from types import SimpleNamespace

import pytest

from raphson.report.content import Coefficient
from raphson.report.whiskers import MOST_ROWS, _Axis, effects_table, parameters_table


@pytest.mark.parametrize(("values", "ratio"), [([0.1, 8.0], True), ([-3.0, 5.0], False), ([], True), ([0.0], False)])
def test_axes_keep_their_order_and_hold_no_effect(values: list[float], ratio: bool) -> None:
    axis = _Axis.of(values, ratio)
    none = 1.0 if ratio else 0.0
    places = [axis.at(v) for v in sorted([*values, none])]
    assert places == sorted(places) and 0 < axis.at(none) < 100
    assert axis.at(math.inf) == 100 and axis.at(0.0 if ratio else -math.inf) == pytest.approx(0, abs=100)
    assert "<text" in axis.ticks()


def _effect(**changes):
    row = {"term": "a", "label": "<a>", "compared": "1 against 0", "kind": "number", "estimate": 2.0, "lower": 1.0}
    return SimpleNamespace(**(row | {"upper": 4.0, "p_value": 0.01, "rows": 0} | changes))


def _table(rows: list, level: float = 0.9) -> str:
    scale = SimpleNamespace(name="odds ratio", quantity="odds of y", ratio=True)
    by_term: dict = {}
    for row in rows:
        by_term.setdefault(row.term, []).append(row)
    return effects_table(SimpleNamespace(scale=scale, rows=rows, profiled=True, by_ratio=True, by_term=by_term), level)


def test_a_row_and_its_line_are_one() -> None:
    text = _table([_effect()])
    assert "&lt;a&gt;" in text and "<a>" not in text and "1.0 to 4.0" in text and "90% profile intervals" in text
    assert text.count("class='line'") == 1


def test_many_rows_are_folded_and_missing_ones_have_no_line() -> None:
    rows = [_effect(term=f"t{k}", label=f"t{k}") for k in range(MOST_ROWS + 5)]
    assert "<summary>5 more rows</summary>" in _table(rows)
    text = _table([_effect(estimate=math.nan, lower=math.nan, upper=math.nan)])
    assert "not estimated" in text and "class='line'" not in text


def test_parameters_have_scales_of_their_own() -> None:
    rows = [Coefficient("k", 1e6, 1e4, 100.0, 0.0, 9.8e5, 1.02e6, 14.0), Coefficient("b", math.nan, *[math.nan] * 6)]
    text = parameters_table(rows, [(9.7e5, 1.03e6), (math.nan, math.nan)], True, 0.95)
    assert len(re.findall("class='tick'", text)) == 2 and text.count("class='dot'") == 1 and "aliased" in text
