"""Coefficients as ratios: their names, errors, intervals and digits."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import ModelError
from raphson.report.content import Coefficient, coefficients
from raphson.report.document import document, to_json
from raphson.report.ratios import ratio_digits, ratio_name


@pytest.fixture(scope="module")
def births():
    return rp.datasets.load("births").assign(n=lambda d: d["age"] % 4, t=lambda d: d["lwt"] / 10)


@pytest.fixture(scope="module")
def fit(births):
    return rp.glm("low ~ lwt + race", births, family="binomial")


@pytest.mark.parametrize(
    ("response", "family", "name"),
    [
        ("low", "quasibinomial", "odds ratio"),
        ("low", rp.families.Binomial(link="cloglog"), "hazard ratio"),
        ("low", rp.families.Binomial(link="log"), "risk ratio"),
        ("ftv", "multinomial", "odds ratio"),
        ("n", "poisson", "rate ratio"),
        ("n", "quasipoisson", "rate ratio"),
        ("t", rp.families.Gamma(link="log"), "ratio of means"),
    ],
)
def test_a_ratio_has_its_name(births, response, family, name):
    assert ratio_name(rp.glm(f"{response} ~ smoke", births, family=family)) == name


def test_other_coefficients_are_no_ratios(births):
    fits = [
        rp.glm("t ~ lwt", births),
        rp.glm("low ~ lwt", births, family=rp.families.Binomial(link="probit")),
        rp.nls("t ~ a*exp(b*age)", births),
        rp.network("low ~ lwt", births, hidden=(2,), family="binomial", epochs=1, seed=0),
    ]
    for one in fits:
        for ask in (one.summary, one.tidy, one.conf_int):
            with pytest.raises(ModelError):
                ask(exponentiate=True)
    with pytest.raises(
        ModelError, match=r"exponentiate: expected .* link, or .*, where exp .*; got the identity link.*fit.delta"
    ):
        fits[0].tidy(exponentiate=True)
    with pytest.raises(ModelError, match="exponentiate"):
        rp.nls("t ~ a*exp(b*age)", births, by="race").tidy(exponentiate=True)


def test_a_likelihood_of_logarithms_and_logits_has_ratios(births):
    fit = rp.mle("zero_inflated_poisson", {"mean": "n ~ age", "zero": "~ 1"}, births.assign(n=births.age % 4))
    assert ratio_name(fit) == "ratio"
    assert fit.tidy(exponentiate=True)["estimate"].to_numpy() == pytest.approx(np.exp(fit.params.to_numpy()))
    with pytest.raises(ModelError, match="or a likelihood whose predictors are all logarithms or logits"):
        ratio_name(rp.mle("student_t", "lwt ~ age", births))


@pytest.mark.parametrize("density", ["ordered_logit", "ordered_probit"])
def test_thresholds_between_ordered_levels_are_no_ratios(births, density):
    with pytest.raises(ModelError, match="exponentiate: expected a generalised linear model"):
        ratio_name(rp.mle(density, "ftv ~ age", births))


def test_estimates_and_ends_are_exponentials_and_errors_by_the_delta_method(fit):
    plain, ratio = fit.tidy(0.9), fit.tidy(0.9, exponentiate=True)
    for name in ("estimate", "conf_low", "conf_high"):
        np.testing.assert_allclose(ratio[name], np.exp(plain[name]))
    np.testing.assert_array_equal(ratio[["statistic", "p_value"]], plain[["statistic", "p_value"]])
    by_delta = fit.delta(lambda p: {"r": jnp.exp(p["lwt"])})
    assert ratio["std_error"][1] == pytest.approx(by_delta.se["r"])
    profiles = fit.conf_int(kind="profile", exponentiate=True)
    np.testing.assert_allclose(profiles, np.exp(fit.conf_int(kind="profile")))


def test_groups(births):
    fits = rp.glm("low ~ lwt", births, family="binomial", by="race")
    np.testing.assert_allclose(fits.tidy(exponentiate=True)["estimate"], np.exp(fits.tidy()["estimate"]))


def test_the_summary_says_what_they_are(fit):
    text = fit.summary(exponentiate=True).text
    assert (
        "odds ratio  std. error" in text and "odds ratio: exp of the coefficient; its test is of a ratio of 1." in text
    )
    read = json.loads(to_json(document(fit, exponentiate=True)))
    assert read["estimate"] == "odds ratio" and read["coefficients"][1]["estimate"] == pytest.approx(
        np.exp(fit.params["lwt"])
    )
    assert document(fit)["estimate"] == "estimate"


def test_a_ratio_of_zero_is_still_explained(make_fit):
    names = ["Intercept", "age", "race[T.other]"]
    family = rp.families.Binomial()
    infinite = make_fit(params=pd.Series([1.0, -np.inf, np.inf], names), family=family, linear=True)
    rows = coefficients(infinite, exponentiate=True)
    assert [row.note for row in rows] == ["", "infinite", "infinite"] and rows[1].estimate == 0.0
    assert Coefficient("x", 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 9.0).note == ""  # a coefficient may be 0


def test_digits_of_a_ratio_are_those_of_its_relative_error():
    # b = 0.001234 to 5 digits is known to 5e-9, and so is exp(b) relatively.
    assert ratio_digits(0.001, 5.0) == pytest.approx(8.0)
    assert ratio_digits(100.0, 1.0) == 0.0 and ratio_digits(1e-9, 15.0) == 15.95 and ratio_digits(0.0, 3.0) == 3.0
