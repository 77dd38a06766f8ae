"""Fits of formulas with varying terms: estimates, errors, likelihood, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import DataError, ModelError, RefusedName

FOLDER = Path(__file__).parents[2] / "reference" / "mixed"
CASES = {
    "sleepstudy_corr": ("Reaction ~ Days + (1 + Days | Subject)", {}),
    "sleepstudy_uncorr": ("Reaction ~ Days + (Days || Subject)", {}),
    "penicillin": ("diameter ~ 1 + (1 | plate) + (1 | sample)", {}),
    "machines": ("score ~ Machine + (1 | Worker/Machine)", {}),
    "dyestuff2_boundary": ("Yield ~ 1 + (1 | Batch)", {}),
    "cbpp": ("incidence ~ C(period) + (1 | herd)", {"family": "binomial", "trials": "size"}),
    "grouseticks": (
        "TICKS ~ C(YEAR) + I((HEIGHT - 460) / 100) + (1 | BROOD) + (1 | LOCATION)",
        {"family": "poisson"},
    ),
    "orthodont_gamma": ("distance ~ age * Sex + (1 | Subject)", {"family": rp.families.Gamma(link="log")}),
    "bacteria_probit": ("y ~ trt + late + (1 | ID)", {"family": rp.families.Binomial(link="probit")}),
    "mcycle_cr": ("accel ~ s(times, k=20)", {}),
    "discoveries_cr": ("count ~ s(year)", {"family": "poisson"}),
    "airquality_two": ("Ozone ~ s(Wind) + s(Temp)", {}),
    "ovary_smooth_and_group": ("follicles ~ s(Time) + (1 | Mare)", {"family": "poisson"}),
}
REFERENCES = {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in CASES}
FITS = [(name, kind) for name in CASES for kind in REFERENCES[name]["fits"] if kind != "agq25"]


def data_of(name):
    frame = pd.read_csv(FOLDER / f"{name}.csv")
    if name == "bacteria_probit":
        frame["late"] = (frame.week > 2).astype(float)
    return frame


@pytest.mark.parametrize(("name", "kind"), FITS, ids=["-".join(one) for one in FITS])
def test_references(name, kind, recwarn):
    formula, options = CASES[name]
    fit = rp.glm(formula, data_of(name), criterion="reml" if kind == "reml" else "ml", **options)
    expected = REFERENCES[name]["fits"][kind]
    assert not recwarn.list
    assert fit.converged and (fit.status == "boundary") == (name == "dyestuff2_boundary")
    assert fit.distance < 1e-8
    assert abs(fit.llf - expected.get("loglik", expected.get("reml_loglik"))) < 1e-9
    fixed = expected["fixed"]
    n = len(fixed["estimate"])
    np.testing.assert_allclose(fit.params[:n], fixed["estimate"], rtol=1e-10, atol=1e-10 * np.abs(fit.params).max())
    np.testing.assert_allclose(fit.bse[:n], fixed["se"], rtol=1e-10)
    rows = np.array(expected["fitted"]["rows_from_1"]) - 1
    np.testing.assert_allclose(fit.fittedvalues.to_numpy()[rows], expected["fitted"]["mean"], rtol=1e-9)
    if "sigma" in expected:
        assert abs(np.sqrt(fit.dispersion) / expected["sigma"] - 1.0) < 1e-10
    sds = [sd for term in expected["random"] for sd in term["sd"]]
    reported = [one.estimate for one in fit._reading.maximum.reported if one.kind == "sd"]
    groups = [
        fit._reading.maximum.criterion.terms[one.term] for one in fit._reading.maximum.reported if one.kind == "sd"
    ]
    found = sorted(sd for sd, term in zip(reported, groups, strict=True) if not term.smooth)
    np.testing.assert_allclose(found, sorted(float(one) for one in sds), rtol=1e-10, atol=1e-12)


def test_criteria_by_default():
    frame = data_of("airquality_two")
    assert rp.glm("Ozone ~ s(Wind)", frame).inputs["criterion"] == "REML"
    assert rp.glm("Ozone ~ Wind + (1 | Month)", frame).inputs["criterion"] == "ML"
    assert rp.glm("Ozone ~ s(Wind) + (1 | Month)", frame).inputs["criterion"] == "REML"
    for option in ({"criterion": "ml"}, {"quadrature": 9}):
        with pytest.raises(ModelError, match="expected None where no coefficients vary"):
            rp.glm("Ozone ~ Wind", frame, **option)


def test_quadrature_reference(recwarn):
    expected = REFERENCES["cbpp"]["fits"]["agq25"]
    formula, options = CASES["cbpp"]
    fit = rp.glm(formula, data_of("cbpp"), quadrature=25, **options)
    assert not recwarn.list and fit.converged
    assert abs(fit.llf - expected["loglik"]) < 1e-10
    np.testing.assert_allclose(fit.params, expected["fixed"]["estimate"], rtol=1e-10)
    np.testing.assert_allclose(fit.bse, expected["fixed"]["se"], rtol=1e-10)
    assert "ML (25 nodes)" in str(fit.summary())
    laplace = rp.glm(formula, data_of("cbpp"), quadrature=1, **options)
    assert abs(laplace.llf - REFERENCES["cbpp"]["fits"]["laplace"]["loglik"]) < 1e-9
    assert laplace.remarks == []


def test_doubtful_approximations_are_named():
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(150), 2)
    frame = pd.DataFrame({"g": g, "y": (rng.normal(0, 3, 150)[g] + rng.logistic(size=300) > 0).astype(float)})
    fit = rp.glm("y ~ 1 + (1 | g)", frame, family="binomial")
    assert fit.remarks and "quadrature=25" in fit.remarks[0]
    assert rp.glm("y ~ 1 + (1 | g)", frame, family="binomial", quadrature=25).remarks == []


def test_quadrature_needs_one_coefficient_a_level():
    frame = data_of("grouseticks")
    with pytest.raises(ModelError, match="quadrature: expected one term"):
        rp.glm("TICKS ~ 1 + (1 | BROOD) + (1 | LOCATION)", frame, family="poisson", quadrature=9)
    with pytest.raises(ModelError, match="quadrature: expected criterion='ml'"):
        rp.glm("TICKS ~ 1 + (1 | BROOD)", frame, family="poisson", quadrature=9, criterion="reml")
    with pytest.raises(ModelError, match="quadrature: expected 1"):
        rp.glm("TICKS ~ 1 + (1 | BROOD)", frame, family="poisson", quadrature=3)


def test_a_summary_says_what_varies():
    fit = rp.glm("Reaction ~ Days + (1 + Days | Subject)", data_of("sleepstudy_corr"), criterion="reml")
    text = str(fit.summary())
    assert "Criterion" in text and "REML" in text
    assert "Subject: Intercept        std. deviation  24.740        5.8362" in text
    assert "Subject: Intercept, Days  correlation      0.065551" in text
    assert "residual" in text
    assert "what varies" in fit._repr_html_()


def test_information_criteria_count_what_was_estimated():
    fit = rp.glm("Reaction ~ Days + (1 + Days | Subject)", data_of("sleepstudy_corr"))
    assert abs(fit.aic + 2 * fit.llf - 2 * 6) < 1e-9
    fit = rp.glm("Yield ~ 1 + (1 | Batch)", data_of("dyestuff2_boundary"))
    assert abs(fit.aic + 2 * fit.llf - 2 * 2) < 1e-9


def test_the_information_is_the_inverse_of_the_covariance():
    fit = rp.glm("y ~ trt + late + (1 | ID)", data_of("bacteria_probit"), family="binomial")
    np.testing.assert_allclose(fit.information() @ fit.cov_params(), np.eye(4), atol=1e-10)
    assert np.abs(fit.score * fit.bse).max() < 1e-8


def test_a_negative_binomial_has_theta_with_its_error():
    fit = rp.glm("TICKS ~ C(YEAR) + (1 | BROOD)", data_of("grouseticks"), family="negative_binomial")
    assert fit.converged and fit.theta > 0 and 0 < fit.theta_se < 10 * fit.theta


def test_aliased_columns_are_left_out():
    frame = data_of("sleepstudy_corr").assign(twice=lambda one: 2 * one.Days)
    with pytest.warns(rp.errors.RankWarning, match="twice"):
        fit = rp.glm("Reaction ~ Days + twice + (1 | Subject)", frame)
    plain = rp.glm("Reaction ~ Days + (1 | Subject)", frame)
    assert np.isnan(fit.params["twice"]) and np.isnan(fit.bse["twice"])
    np.testing.assert_allclose(fit.params[:2], plain.params, rtol=1e-10)
    np.testing.assert_allclose(fit.bse[:2], plain.bse, rtol=1e-10)


def test_separation_within_a_mixed_model():
    rng = np.random.default_rng(0)
    g, x = rng.integers(0, 12, 200), rng.normal(size=200)
    b = rng.normal(size=12)[g]
    frame = pd.DataFrame({"g": g, "x": x, "sure": (g % 4 == 0).astype(float)})
    frame["y"] = np.where(frame.sure == 1, 1.0, (rng.random(200) < 1 / (1 + np.exp(-x - b))).astype(float))
    with pytest.warns(rp.errors.SeparationWarning, match="sure"):
        fit = rp.glm("y ~ x + sure + (1 | g)", frame, family="binomial")
    rest = rp.glm("y ~ x + (1 | g)", frame[frame.sure == 0], family="binomial")
    assert fit.status == "separated" and fit.params["sure"] == np.inf and np.isnan(fit.bse["sure"])
    np.testing.assert_allclose(fit.params[["Intercept", "x"]], rest.params, rtol=1e-6)
    np.testing.assert_allclose(fit.bse[["Intercept", "x"]], rest.bse, rtol=1e-5)


def test_a_perfect_fit_is_named():
    rng = np.random.default_rng(1)
    g, x = rng.integers(0, 12, 200), rng.normal(size=200)
    frame = pd.DataFrame({"g": g, "x": x, "y": 2 * x + g})
    with pytest.warns(rp.errors.ConvergenceWarning, match="without error"):
        fit = rp.glm("y ~ x + (1 | g)", frame)
    assert not fit.converged


def test_weights_and_offsets():
    frame = data_of("cbpp").assign(w=lambda one: 1.0 + one.herd % 2, o=0.3)
    twice = pd.concat([frame, frame[frame.w == 2]])
    options = {"family": "binomial", "trials": "size"}
    fit = rp.glm(
        "incidence ~ C(period) + offset(o) + (1 | herd)", frame, weights="w", weights_kind="frequency", **options
    )
    same = rp.glm("incidence ~ C(period) + (1 | herd)", twice, **options)
    assert abs(fit.llf - same.llf) < 1e-9
    assert abs(fit.params["Intercept"] + 0.3 - same.params["Intercept"]) < 1e-10
    np.testing.assert_allclose(fit.bse, same.bse, rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": "firth", "family": "poisson"}, "bias: expected None where coefficients vary"),
        ({"penalty": 1.0}, "penalty: expected None where"),
        ({"cov": "HC1"}, "cov: expected 'model'"),
        ({"method": "irls"}, "method: expected 'newton'"),
        ({"weights": "one", "weights_kind": "sampling"}, "(cov|weights_kind): expected"),
        ({"family": "quasipoisson"}, "family: expected a distribution"),
        ({"by": "Month"}, "by: "),
    ],
)
def test_options_without_a_meaning_are_refused(options, message):
    frame = data_of("airquality_two").assign(one=1.0)
    with pytest.raises((ModelError, DataError), match=message):
        rp.glm("Ozone ~ Wind + (1 | Month)", frame, **options)


def test_members_without_a_meaning_are_refused():
    fit = rp.glm("Ozone ~ Wind + (1 | Month)", data_of("airquality_two"))
    with pytest.raises(RefusedName, match="coefficients vary"):
        fit.curvature()


@pytest.mark.parametrize(("formula", "family"), [("low ~ age + (1 | race)", "binomial"), ("lwt ~ s(age)", "gaussian")])
def test_the_null_model_is_that_of_the_intercept(formula, family):
    births = rp.datasets.load("births")
    fit = rp.glm(formula, births, family=family)
    response = formula.partition(" ~ ")[0]
    assert fit.null_deviance == pytest.approx(rp.glm(f"{response} ~ 1", births, family=family).deviance, rel=1e-10)


@pytest.mark.parametrize("formula", ["y ~ t + (t | g)", "y ~ t + (t || g)"])
def test_scales_that_the_rows_cannot_tell_apart_are_named(formula):
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.arange(30).repeat(2).astype(str), "t": np.tile([0.0, 1.0], 30)})
    data["y"] = rng.normal(0, 1, 30).repeat(2) + data.t * rng.normal(1, 1, 30).repeat(2) + rng.normal(0, 1, 60)
    fit = rp.glm(formula, data)
    # Two rows a level have three second moments; with a correlation there are four scales, and else three.
    assert ("do not tell how much of the variation is that of (t | g)" in fit.message) == ("||" not in formula)
