from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from raphson.report.groups import groups_page


def _fits(values: np.ndarray, errors: np.ndarray, lost: int = 0, by: str | None = "g", **changes: Any) -> Any:
    """A stand-in for Fits of one parameter, of which the first few failed."""
    labels = [f"<{k}>" for k in range(len(values))]
    good = np.arange(len(values)) >= lost

    class Fits(SimpleNamespace):
        def __len__(self) -> int:
            return len(values)

    def series(x: Any) -> pd.Series:
        return pd.Series(x, index=labels)

    frame = {"params": values, "bse": np.where(good, errors, np.nan)}
    return Fits(
        by=by, names=("k",), labels=labels, converged=series(good), nobs=series(np.full(len(values), 9)),
        status=series(np.where(good, "converged", "step limit")), distance=series(np.where(good, 1e-9, 2.0)),
        df_resid=series(np.full(len(values), 8)), failures=f"{lost} did not converge" if lost else "", open_groups="",
        **{name: pd.DataFrame({"k": one}, index=labels) for name, one in frame.items()}, **changes,
    )  # fmt: skip


def _headline(page: str) -> str:
    return re.sub("<.*?>", "", re.search("<h1>(.*?)</h1>", page)[1])


def test_groups_of_one_value_and_of_several() -> None:
    rng = np.random.default_rng(0)
    errors = np.full(60, 0.1)
    same, other = rng.normal(2.0, 0.1, 60), rng.normal(2.0, 1.0, 60)
    assert _headline(groups_page(_fits(same, errors))) == "All 60 fits converged; k differs no more than chance."
    page = groups_page(_fits(other, errors))
    assert _headline(page) == "All 60 fits converged; k differs between groups."
    assert page == groups_page(_fits(other, errors))
    assert "20 more groups" in page


def test_what_failed_comes_first_and_is_not_to_be_used() -> None:
    page = groups_page(_fits(np.arange(12.0), np.ones(12), lost=7))
    assert _headline(page).startswith("7 of 12 fits did not converge")
    assert "Do not use &lt;0&gt;, &lt;1&gt;, &lt;2&gt;, &lt;3&gt;, &lt;4&gt; and 2 others." in page
    rows = re.findall(r"<th scope='row'>(.*?)</th>", page)
    assert set(rows[:7]) == {f"&lt;{k}&gt;" for k in range(7)}
    assert "<0>" not in page and "NaN" not in page and ">nan" not in page
    assert "no fit converged" in groups_page(_fits(np.arange(3.0), np.ones(3), lost=3))


def test_few_groups_and_no_errors() -> None:
    for page in (
        groups_page(_fits(np.array([1.0]), np.array([0.5]), by=None)),
        groups_page(_fits(np.arange(3.0), np.zeros(3))),
    ):
        assert "<h1>" in page and "nan" not in page
