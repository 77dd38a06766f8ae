from __future__ import annotations

import math
import re
from types import SimpleNamespace

import pytest

from raphson.report.headline import effects_headline

ODDS = SimpleNamespace(name="odds ratio", quantity="odds of y", plural=True, ratio=True)
MEAN = SimpleNamespace(name="difference", quantity="mean y", plural=False, ratio=False)


def _row(term: str, estimate: float, p: float, kind: str = "number", label: str = "", compared: str = "9 against 1"):
    return SimpleNamespace(
        term=term, label=label or term, kind=kind, compared=compared, estimate=estimate, lower=estimate * 0.5,
        upper=estimate * 2, p_value=p,
    )  # fmt: skip


def _said(scale, *rows) -> str:
    by_term: dict = {}
    for row in rows:
        by_term.setdefault(row.term, []).append(row)
    return re.sub("<.*?>", "", effects_headline(SimpleNamespace(scale=scale, by_term=by_term)))


@pytest.mark.parametrize(
    ("scale", "rows", "said"),
    [
        (ODDS, [], "The odds of y are the same in every row of this model."),
        (MEAN, [], "The mean y is the same in every row of this model."),
        (ODDS, [_row("a", 2, 0.5)], "No clear effect on the odds of y: a shows none."),
        (MEAN, [_row("a", 2, math.nan)], "What moves the mean y cannot be told: there is no test of a."),
        (
            MEAN,
            [_row("a", 2, 0.5), _row("b", 2, math.nan)],
            "No clear effect on the mean y: a shows none; there is no test of b.",
        ),
        (
            MEAN,
            [_row("a", 2, 0.001), _row("b", math.nan, math.nan)],
            "The mean y is 2.0 higher with a at 9 than at 1 (1.0 to 4.0); there is no test of b.",
        ),
        (MEAN, [_row("a", 2, 0.5), _row("b", 2, 0.3)], "No clear effect on the mean y: a and b show none."),
        (
            MEAN,
            [_row("a", -2, 1e-9), _row("b", 3, 0.01), _row("c", 3, 0.02)],
            "The mean y is 2.0 lower with a at 9 than at 1 (4.0 to 1.0) and rises with b and c.",
        ),
        (
            ODDS,
            [_row("g", 1, 1e-9, "reference", "u"), _row("g", 3, 1e-9, "level", "v")],
            "The odds of y are 3.0 times as high with g v as with u (1.5 to 6.0).",
        ),
    ],
)
def test_sentences(scale, rows, said: str) -> None:
    assert _said(scale, *rows) == said


def test_of_many_terms_the_clearest_are_named_and_the_others_counted() -> None:
    clear = [_row(f"a{k}", 2, 1e-9 * (k + 1)) for k in range(7)]
    unclear = [_row(f"b{k}", 2, 0.5) for k in range(9)]
    said = _said(ODDS, *clear, *unclear)
    assert "and depend on 3 more terms; b0" in said and said.endswith("b0, b1 and 7 others show no clear effect.")


def test_without_an_interval_there_is_no_space_before_the_full_stop() -> None:
    row = _row("x", math.inf, 0.001)
    row.lower = row.upper = math.nan
    assert _said(ODDS, row).endswith("times as high with x at 9 as at 1.")
