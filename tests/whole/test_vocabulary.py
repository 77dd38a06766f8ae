"""Tables have the words of ``tidy()``: term, estimate, std_error, statistic, p_value, conf_low, conf_high."""

from __future__ import annotations

import json

import numpy as np
import pytest

import raphson as rp
from raphson.report.document import document, to_json

WORDS = ["term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]
SHORT = ["term", "estimate", "std_error", "conf_low", "conf_high"]


@pytest.fixture(scope="module")
def births():
    return rp.datasets.load("births")


@pytest.fixture(scope="module")
def fit(births):
    return rp.glm("low ~ lwt + smoke", births, family="binomial")


def test_coefficients_in_json_are_those_of_tidy(fit):
    rows = json.loads(to_json(document(fit, 0.9)))["coefficients"]
    assert list(rows[0])[:7] == WORDS
    table = fit.tidy(0.9)
    for word in WORDS[1:]:
        np.testing.assert_array_equal([row[word] for row in rows], table[word])


def test_what_is_estimated_of_a_fit_is_tidied_alike(fit):
    profile = fit.profile("smoke")
    assert list(profile.tidy(0.9)) == SHORT and profile.tidy(0.9)["conf_low"][0] == profile.interval(0.9)[0]
    one, several = fit.delta("2*lwt"), fit.delta(lambda p: {"a": p["lwt"], "b": 2 * p["smoke"]})
    assert list(one.tidy()) == list(several.tidy()) == SHORT
    assert several.tidy()["term"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(several.tidy()["conf_high"], several.interval["upper"])
    assert one.tidy()["std_error"][0] == one.se
    boot = fit.bootstrap(50, seed=1).summary()
    assert [word for word in boot if word in WORDS] == ["estimate", "std_error", "conf_low", "conf_high"]
    assert list(fit.t_test("lwt")) == WORDS[1:]


def test_tests(fit):
    known, estimated = fit.wald_test("lwt = 0"), rp.glm("lwt ~ age", rp.datasets.load("births")).wald_test("age = 0")
    assert list(known.tidy()) == ["hypothesis", "statistic", "df", "df_resid", "p_value"]
    assert np.isnan(known.tidy()["df_resid"][0]) and estimated.tidy()["df_resid"][0] == 187
    assert known.tidy()["p_value"][0] == known.p_value


@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_groups_are_as_their_fits(births, family):
    fits = rp.glm("low ~ lwt + age", births, family=family, by="race")
    table = fits.tidy(0.9)
    assert list(table) == ["group", *WORDS, "status"]
    for label in fits.labels:
        own = table[table["group"] == label]
        alone = fits[label].tidy(0.9)
        assert own["term"].tolist() == alone["term"].tolist()
        np.testing.assert_allclose(own[WORDS[1:]].to_numpy(float), alone[WORDS[1:]].to_numpy(float), rtol=1e-6)
    glance = fits.glance()
    own = fits[fits.labels[0]].glance()
    for word in ("status", "converged", "nobs", "df_resid", "deviance"):
        assert glance[word].iloc[0] == pytest.approx(own[word].iloc[0]) if word != "status" else True
    assert own["status"][0] == glance["status"].iloc[0] == "converged"
