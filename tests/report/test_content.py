"""What a report says, before it is text, a page or a document."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from raphson.report import content
from raphson.report.content import Coefficient
from raphson.status import Status

NAN = float("nan")


def row(estimate, error, digits=NAN):
    return Coefficient("x", estimate, error, NAN, NAN, NAN, NAN, digits)


@pytest.mark.parametrize(
    ("coefficient", "places", "text"),
    [
        (row(1.23456789, 0.123), 5, "1.23457"),  # five digits of the standard error
        (row(123.456, 45.6), 3, "123.456"),
        (row(1.23456789, 0.000123, digits=3.7), 2, "1.23"),  # three digits are known
        (row(1e-9, 1e-8), None, "1.0000e-09"),
        (row(float("inf"), NAN), None, "inf"),
    ],
)
def test_decimals_are_those_that_the_standard_error_and_the_known_digits_leave(coefficient, places, text):
    assert coefficient.places() == places and coefficient.text(coefficient.estimate).startswith(text)


def test_why_there_is_no_estimate(make_fit):
    assert row(NAN, NAN).note == "aliased" and row(float("inf"), NAN).note == "separated" and row(1.0, 1.0).note == ""
    names = ["Intercept", "age", "race[T.other]"]
    infinite = make_fit(params=pd.Series([1.0, float("inf"), 2.0], names), status=Status.BOUNDARY)
    assert [one.note for one in content.coefficients(infinite)] == ["", "infinite", ""]


def test_names_cannot_steer_the_terminal(make_fit):
    assert content.coefficients(make_fit(names=("a\x1b[31m", "b", "c")))[0].name == "a\\x1b[31m"


@pytest.mark.parametrize(
    ("small_sample", "groups", "told"),
    [
        ("full", "herd", "cluster (herd)"),
        ("clusters", "array", "cluster (G/(G-1))"),
        (None, "herd", "cluster (herd; no factor)"),
        ("full", "array", "cluster"),
    ],
)
def test_clusters_are_named_with_their_factor(small_sample, groups, told):
    fit = SimpleNamespace(cov_kind="cluster", inputs={"groups": groups}, small_sample=small_sample)
    assert content.covariance_name(fit) == told


def test_inputs_are_told_and_long_ones_cut():
    fit = SimpleNamespace(inputs={"weights": "w", "weights_kind": "frequency", "penalty": 2.0, "offset": "x" * 60})
    assert content.given(fit) == [
        ("Weights", "w (frequency)"),
        ("Offset", "x" * 41 + "..."),
        ("Penalty", "2"),
    ]


def test_running_out_of_steps_is_a_warning(make_fit):
    fit = make_fit(converged=False, status=Status.STEP_LIMIT, message="", n_iter=1, distance=0.5)
    assert content.verdict(fit) == "step limit after 1 iteration, 0.5 standard errors from the maximum"
    assert content.warning(fit) == "The iteration did not reach the maximum: do not use these estimates."
    assert content.warning(make_fit()) == ""


def test_a_remark_is_a_sentence_and_keeps_the_case_of_a_parameter():
    fit = SimpleNamespace(names=("k", "rate"))
    assert content.sentence("the data say little", fit) == "The data say little."
    assert content.sentence("k is at its bound.", fit) == "k is at its bound."
    assert content.sentence("k_2 is another name", fit) == "K_2 is another name."
    assert content.sentence("rates differ", fit) == "Rates differ."
    assert content.sentence("s(x) is a straight line", fit) == "s(x) is a straight line."


def test_the_path_of_a_quasi_family_is_no_log_likelihood(make_fit):
    assert content.objective_name(make_fit()) == "log-likelihood"
    assert content.objective_name(make_fit(llf=NAN)) == "objective"


def test_what_is_explained_is_r_squared_of_a_gaussian_model(make_fit):
    gaussian = SimpleNamespace(name="gaussian", link_name="identity")
    assert ("Deviance explained", "6.74%") in content.facts(make_fit())
    assert ("R-squared", "0.0674") in content.facts(make_fit(family=gaussian))
    # Without an intercept it is of the deviance from 0, and is not called R².
    assert ("Deviance explained", "6.74%") in content.facts(make_fit(family=gaussian, has_intercept=False))
    for none in ({"df_model": 0}, {"null_deviance": 0.0}, {"measures": ("residual_sd",), "residual_sd": 1.0}):
        assert not any(label in ("Deviance explained", "R-squared") for label, _ in content.facts(make_fit(**none)))


def test_reference_levels_are_told(make_fit):
    told = dict(content.facts(make_fit(reference_levels={"race": "black", "smoke": "no"})))
    assert told["Reference"] == "race black, smoke no" and "Reference" not in dict(content.facts(make_fit()))
    several = make_fit(family=SimpleNamespace(name="multinomial", link_name="logit", levels=("none", "some")))
    assert dict(content.facts(several))["Baseline"] == "none"
    ordered = make_fit(family=SimpleNamespace(name="ordered_logit", link_name=None, levels=("none", "some")))
    assert "Baseline" not in dict(content.facts(ordered))
