"""The three tables have broom's columns, and the fit's numbers in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.report.tables import GLANCE, augment, glance, tidy


@pytest.fixture(scope="module")
def fit():
    return rp.glm("low ~ lwt + smoke", rp.datasets.load("births"), family="binomial")


def test_coefficients(fit):
    table = tidy(fit, level=0.9)
    assert list(table["term"]) == ["Intercept", "lwt", "smoke"]
    np.testing.assert_array_equal(table["estimate"], fit.params)
    np.testing.assert_array_equal(table[["conf_low", "conf_high"]], fit.conf_int(0.9))
    np.testing.assert_allclose(table["statistic"], fit.params / fit.bse)


def test_the_fit_as_a_whole(fit):
    table = glance(fit)
    assert tuple(table.columns) == GLANCE and table.loc[0, "llf"] == fit.llf and table.loc[0, "nobs"] == 189


def test_rows(fit):
    frame = pd.DataFrame({"id": range(189)})
    table = augment(fit, frame)
    assert list(table.columns) == ["id", ".fitted", ".resid", ".std_resid", ".hat", ".cooksd"]
    assert table[".hat"].sum() == pytest.approx(3.0)  # as many as parameters
    np.testing.assert_allclose(table[".std_resid"], table[".resid"] / np.sqrt(1.0 - table[".hat"]))


def test_a_fit_whose_coefficients_vary_has_leverage_but_influence_of_groups_alone():
    births = rp.datasets.load("births")
    fit = rp.glm("lwt ~ smoke + (1 | race)", births)
    table = glance(fit)
    assert table.loc[0, "llf"] == fit.llf and table.loc[0, "condition_number"] == fit.condition_number
    added = fit.augment()
    assert list(added.columns) == [*births.columns, ".fitted", ".resid", ".std_resid", ".hat"]
    np.testing.assert_array_equal(added[".fitted"], fit.fittedvalues)
