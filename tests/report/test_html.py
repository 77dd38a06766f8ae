from __future__ import annotations

import re

import numpy as np
import pandas as pd

from raphson.errors import ModelError
from raphson.report.html import html_page


def test_page_stands_alone(make_fit) -> None:
    page = html_page(make_fit())
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == 3
    assert not re.search(r"<script|https?://|@import|\ssrc=|javascript:", page)
    # Links inside the page (an SVG's marks) are fine, any other is not.
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', page))


def test_page_escapes_names_and_messages(make_fit) -> None:
    names = ["Intercept", "</td><script>x()</script>", '"quoted"']
    page = html_page(make_fit(names, formula="<b>y</b> ~ x", message="<img src=x>", converged=False))
    for raw in ("<b>", "<img", "<script"):
        assert raw not in page


def test_page_holds_dollar_signs_in_names(make_fit) -> None:
    # Matplotlib would read $...$ as mathematics and fail on this one.
    assert "price in $" in html_page(make_fit(["Intercept", "price in $", "$\\frac{$"]))


def test_same_fit_same_page(make_fit) -> None:
    assert html_page(make_fit()) == html_page(make_fit())


def test_page_without_residuals_says_why(make_fit) -> None:
    def refuse(kind: str) -> None:
        raise ModelError("a saved fit holds no data")

    page = html_page(make_fit(residuals=refuse))
    assert "a saved fit holds no data" in page
    assert page.count("<svg") == 2


def test_long_path_and_many_rows_stay_small(make_fit) -> None:
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
    n = 50_000
    rng = np.random.default_rng(0)
    fit = make_fit(
        path=path,
        fittedvalues=pd.Series(rng.random(n)),
        residuals=lambda kind: pd.Series(rng.normal(size=n)),
    )
    assert len(html_page(fit)) < 1_500_000
