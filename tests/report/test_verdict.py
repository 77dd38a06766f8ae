from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from raphson.report.verdict import found_doubts, verdict_html
from raphson.status import Status


@pytest.fixture
def fit(make_fit):
    def made(scaled: float = 1.1, **changes):
        out = make_fit(**({"linear": True, "has_aliased": False, "remarks": []} | changes))
        out.vif = lambda: pd.DataFrame({"scaled": [scaled, 1.0]}, index=["age", "race"])
        return out

    return made


def _check(name: str, passed: bool, p: float = 0.001):
    return SimpleNamespace(
        name=name, title=f"Not {name}", passed=passed, p_value=p, doubt="It matters.", subject=f"the {name}"
    )


def test_what_was_checked_is_named(fit) -> None:
    text = verdict_html(fit(), [_check("shape", True), _check("spread", True)], {})
    assert "Converged" in text and "at least 13 digits" in text and "the shape and the spread" in text


def test_doubts_are_the_worst_first_and_linked(fit) -> None:
    checks = [_check("b", False, 0.009), _check("a", False, 0.001)]
    text = verdict_html(fit(3.0), checks, {"a": "check-1"})
    assert text.index("Not a.") < text.index("Not b.") < text.index("age overlaps") and "#check-1" in text


def test_more_than_four_doubts_are_counted(fit) -> None:
    text = verdict_html(fit(), [_check(f"c{k}", False) for k in range(6)], {})
    assert "2 more:" in text and "Not c5." in text


def test_a_fit_that_failed_says_so(fit) -> None:
    text = verdict_html(
        fit(status=Status.STEP_LIMIT, converged=False, distance=0.31, message="raise max_iter above 4"), [], {}
    )
    assert "Stopped early" in text and "0.31 standard errors" in text and "Do not use these numbers" in text
    assert "Everything below." in text and "Raise max_iter above 4." in text


def test_levels_of_few_rows_are_doubted(fit) -> None:
    effects = SimpleNamespace(rows=[SimpleNamespace(term="g", label="z", rows=3)])
    assert any("g z rests on 3 rows" in one.claim for one in found_doubts(fit(), [], {}, effects))


def test_dispersion_is_told_once(fit) -> None:
    told = fit(remarks=["overdispersed: Pearson's χ² is 3 times its degrees of freedom"])
    assert sum("ispers" in one.claim for one in found_doubts(told, [_check("dispersion", False)], {})) == 1
