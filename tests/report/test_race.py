"""Methods side by side, drawn and in a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raphson.errors import ModelError
from raphson.report.race import COSTS, SHADES, Comparison, _styles


def comparison(names=("a", "b")):
    steps = [(0, 0.0, 0.0, 3.0, 1.0, 1.0), (1, 1.0, 50.0, 1e-9, 0.0, 0.0)]
    columns = ["iteration", "passes", "row_gradients", "distance", *("a", "b")[: len(names)]]
    paths = pd.DataFrame([row[: len(columns)] for row in steps], columns=columns).assign(method="newton")
    table = pd.DataFrame(
        {"passes": [1.25], "seconds": [0.01234], "distance": [1.234e-9], "llf_drop": [np.nan]}, index=["newton"]
    )
    best, errors = np.zeros(len(names)), np.full(len(names), 0.5)
    return Comparison(table, paths, names, best, errors, lambda theta: -float(theta @ theta), {"irls": "<no> rows"})


def test_only_digits_that_say_something_are_shown():
    shown = repr(comparison())
    assert "1.2" in shown and "0.012" in shown and "1.2e-09" in shown and "nan" not in shown
    assert shown.endswith("irls: <no> rows") and "&lt;no&gt; rows" in comparison()._repr_html_()


def test_each_cost_has_its_axes_and_each_method_its_line():
    figure = comparison().plot()
    assert [axes.get_xlabel() for axes in figure.axes] == list(COSTS.values())
    assert [line.get_label() for line in figure.axes[0].lines] == ["newton"]


def test_contours_are_for_two_parameters():
    figure = comparison().plot_contours()
    assert figure.axes[0].get_xlabel() == "a" and figure.axes[0].get_title(loc="left") == "b"
    with pytest.raises(ModelError, match="expected a model of two parameters; got 1"):
        comparison(("a",)).plot_contours()


def test_no_two_methods_look_alike():
    styles = [tuple(style.items()) for style, _ in zip(_styles(), range(3 * len(SHADES)), strict=False)]
    assert len(set(styles)) == len(styles)
