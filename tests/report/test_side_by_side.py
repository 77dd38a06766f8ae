"""Fits side by side: which rows there are, what stands in them, what is doubtful."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import raphson as rp
from raphson.report.side_by_side import side_by_side


@pytest.fixture(scope="module")
def births():
    return rp.datasets.load("births")


@pytest.fixture(scope="module")
def fits(births):
    return [rp.glm(f"low ~ {x}", births, family="binomial") for x in ("smoke + lwt", "lwt + age")]


def cells(found):
    return {row[0]: row[1:] for row in found.grids[0].rows}


def test_terms_are_in_the_order_of_their_first_fit_and_a_missing_one_is_empty(fits):
    found = side_by_side(fits, ["a", "b"], 0.95, False, None)
    rows = cells(found)
    assert list(rows)[:4] == ["Intercept", "smoke", "lwt", "age"]
    assert rows["age"] == ("", "-0.0398") and rows["smoke"] == ("0.677", "")
    assert found.title == "2 models of low" and found.grids[0].head == ("", "a", "b")
    assert rows["Observations"] == ("189", "189") and rows["AIC"][0] == f"{fits[0].aic:.2f}"


@pytest.mark.parametrize(
    ("show", "cell", "note"),
    [
        ("std_error", "0.677 (0.325)", "In parentheses: standard errors."),
        ("p_value", "0.677 (0.0372)", "In parentheses: p-values."),
        ("interval", "0.677 [0.143, 1.211]", "In brackets: 90% intervals."),
    ],
)
def test_what_stands_beside_an_estimate(fits, show, cell, note):
    found = side_by_side(fits, ["a", "b"], 0.9, False, show)
    assert cells(found)["smoke"][0] == cell and found.notes[0].text == note


def test_ratios_are_named(fits):
    found = side_by_side(fits, ["a", "b"], 0.95, True, None)
    assert cells(found)["smoke"][0] == "1.967" and found.notes[0].text.startswith("odds ratio: exp of")
    np.testing.assert_allclose(found.tidy()["estimate"][1], np.exp(fits[0].params["smoke"]))


def test_numbers_are_those_of_tidy(fits):
    table = side_by_side(fits, ["a", "b"], 0.9, False, None).tidy()
    assert list(table) == ["model", *fits[0].tidy()] and table["model"].tolist() == ["a"] * 3 + ["b"] * 3
    np.testing.assert_array_equal(table["conf_low"][:3], fits[0].tidy(0.9)["conf_low"])


def test_other_responses_and_other_rows_are_told(births, fits):
    other = rp.glm("lwt ~ age", births[:100])
    found = side_by_side([fits[0], other], ["a", "b"], 0.95, False, None)
    assert cells(found)["Response"] == ("low", "lwt")
    assert cells(found)["Family"] == ("binomial, logit", "gaussian, identity")
    assert "different numbers of rows" in found.notes[-1].text and found.notes[-1].kind == "doubt"


def test_a_fit_that_failed_is_named(births, fits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        separated = rp.glm("s ~ lwt", births.assign(s=(births["lwt"] > 120).astype(int)), family="binomial")
    found = side_by_side([fits[0], separated], ["a", "b"], 0.95, False, "std_error")
    assert cells(found)["lwt"][1] == "inf (NaN)"
    assert found.notes[-1].text == "Not converged: b. Do not use these numbers."


def test_a_hostile_name_is_text(births):
    fit = rp.glm("low ~ lwt", births, family="binomial")
    html = side_by_side([fit], ["<script>"], 0.95, False, None)._repr_html_()
    assert "<script" not in html and "&lt;script&gt;" in html
