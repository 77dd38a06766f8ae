from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from raphson.report.html import Parts, html_page


@pytest.fixture
def page(make_fit):
    """The page of a stand-in for a Fit, with the same changes as it takes."""

    def made(*args, **changes) -> str:
        defaults = {"linear": True, "covariates": None, "has_aliased": False, "has_intercept": True, "df_model": 2}
        fit = make_fit(*args, **(defaults | changes))
        fit.names = list(fit.params.index)
        ends = np.column_stack([fit.conf_int()["lower"], fit.conf_int()["upper"]])
        fit.vif = lambda: pd.DataFrame({"scaled": [1.0]}, index=["age"])
        return html_page(fit, 0.95, Parts(ends=ends, unchecked="No data can be simulated."))

    return made


def test_page_stands_alone(page) -> None:
    text = page()
    assert text.startswith("<!doctype html>")
    assert not re.search(r"<script|https?://|@import|\ssrc=|javascript:", text)
    assert all(target.startswith("#") for target in re.findall(r'href=["\']([^"\']*)', text))
    assert "No data can be simulated." in text


def test_page_escapes_names_and_messages(page) -> None:
    names = ["Intercept", "</td><script>x()</script>", '"quoted"']
    text = page(names, formula="<b>y</b> ~ x", message="<img src=x>", converged=False)
    for raw in ("<b>y", "<img", "<script"):
        assert raw not in text


def test_page_holds_dollar_signs_in_names(page) -> None:
    # Matplotlib would read $...$ as mathematics and fail on this one.
    assert "price in $" in page(["Intercept", "price in $", "$\\frac{$"])


def test_same_fit_same_page(page) -> None:
    assert page() == page()


def test_the_day_of_a_build_can_be_given(page, monkeypatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert "1970-01-02" in page()


def test_long_path_stays_small(page) -> None:
    steps = 5_000
    path = pd.DataFrame(
        {
            "iteration": np.arange(steps),
            "llf": -1.0 - 1.0 / np.arange(1, steps + 1),
            "score_norm": 1.0,
            "distance": 1.0 / np.arange(1, steps + 1),
            "rows": 32,
        }
    )
    assert len(page(path=path, n_iter=steps)) < 300_000
