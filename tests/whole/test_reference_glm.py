"""Every reference case, from the raw data with its R formula, against 50-digit arithmetic."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import raphson as rp

CASES = sorted(file.stem for file in (Path(__file__).parents[1] / "reference" / "glm").glob("*.json"))
SECOND_ORDER = ("newton", "irls", "bhhh", "newton-cg")


@pytest.fixture(scope="module")
def fitted(glm_case):
    """Each case fitted once for each information."""
    fits = {}

    def fit(name, information="expected"):
        if (name, information) not in fits:
            case = glm_case(name)
            fits[name, information] = rp.glm(case.formula, case.frame, family=case.family, information=information)
        return fits[name, information], glm_case(name)

    return fit


def test_there_are_cases():
    assert len(CASES) >= 16


@pytest.mark.parametrize("name", CASES)
def test_estimates_and_standard_errors(name, fitted, correct_digits):
    fit, case = fitted(name)
    truth = case.truth
    assert fit.converged and fit.distance < 1e-8
    assert correct_digits(fit.params, truth["coefficients"]) >= 10
    assert correct_digits(fit.bse, truth["se_expected"]) >= 10
    assert correct_digits(fit.robust("HC0").bse, truth["se_hc0"]) >= 10


@pytest.mark.parametrize("name", CASES)
def test_observed_standard_errors(name, fitted, correct_digits):
    fit, case = fitted(name, "observed")
    truth = case.truth
    joint = truth.get("joint_observed")
    assert correct_digits(fit.bse, joint["se_coef"] if joint else truth["se_observed"]) >= 10
    if not joint:
        assert correct_digits(fit.robust("HC0").bse, truth["se_hc0_observed_bread"]) >= 10


@pytest.mark.parametrize("name", CASES)
def test_deviance_log_likelihood_and_criteria(name, fitted, correct_digits):
    fit, case = fitted(name)
    reference, truth = case.reference, case.truth
    assert correct_digits(fit.deviance, truth["deviance"]) >= 11
    assert correct_digits(fit.null_deviance, reference["null_deviance"]) >= 11
    assert correct_digits(fit.dispersion, truth["dispersion"]) >= 10
    assert fit.df_resid == reference["n"] - reference["p"]
    llf = truth.get("logLik_ml_shape", truth.get("logLik"))
    if llf is None:
        assert math.isnan(fit.llf) and math.isnan(fit.aic) and math.isnan(fit.bic)
        return
    assert correct_digits(fit.llf, llf) >= 11
    # R counts an estimated dispersion, or θ, as a parameter, and so does this.
    parameters = round((reference["AIC"] + 2 * reference["logLik"]) / 2)
    assert correct_digits(fit.aic, -2 * llf + 2 * parameters) >= 11
    assert correct_digits(fit.bic, -2 * llf + math.log(fit.nobs) * parameters) >= 11


@pytest.mark.parametrize("name", CASES)
def test_claimed_digits_are_there(name, fitted):
    fit, case = fitted(name)
    truth = np.array(case.truth["coefficients"])
    error = np.abs(fit.params.to_numpy() - truth) / np.abs(truth)
    claimed = 10.0 ** -fit.digits.to_numpy()
    # The truth itself is rounded to the nearest double.
    assert (error <= claimed + 2.0**-52).all()
    assert fit.digits.min() >= 10


@pytest.mark.parametrize("method", SECOND_ORDER)
@pytest.mark.parametrize("name", CASES)
def test_second_order_methods_meet(name, method, glm_case):
    case = glm_case(name)
    fit = rp.glm(case.formula, case.frame, family=case.family, method=method)
    assert fit.converged and fit.method == method
    gap = np.abs(fit.params.to_numpy() - case.truth["coefficients"]) / case.truth["se_expected"]
    assert gap.max() < 1e-8


def test_negative_binomial_theta(fitted, correct_digits):
    fit, case = fitted("quine_nb")
    truth = case.truth
    assert correct_digits(fit.theta, truth["theta"]) >= 10
    assert correct_digits(fit.theta_se, truth["joint_observed"]["se_theta"]) >= 10
    assert "theta" not in " ".join(fit.params.index)


def test_negative_binomial_with_theta_fixed_at_its_estimate(glm_case, correct_digits):
    case = glm_case("quine_nb")
    family = rp.families.NegativeBinomial(theta=case.truth["theta"])
    fit = rp.glm(case.formula, case.frame, family=family, information="observed")
    assert correct_digits(fit.params, case.truth["coefficients"]) >= 10
    assert correct_digits(fit.bse, case.truth["se_observed"]) >= 10
    assert correct_digits(fit.robust("HC0").bse, case.truth["se_hc0_observed_bread"]) >= 10
    # The estimated θ counts as a parameter, the known one does not.
    assert fit.aic == pytest.approx(-2 * case.truth["logLik"] + 2 * 7, rel=1e-12)


def test_the_trials_keyword_is_cbind(glm_case, fitted):
    whole, case = fitted("menarche_logit")
    fit = rp.glm("Menarche ~ Age", case.frame, family="binomial", trials="Total")
    np.testing.assert_array_equal(fit.params, whole.params)
    assert fit.llf == whole.llf


def test_a_csv_path_gives_the_same_fit(fitted):
    whole, case = fitted("vaso_logit")
    path = Path(__file__).parents[1] / "reference" / "glm" / "vaso_logit.csv"
    fit = rp.glm(case.formula, str(path), family="binomial")
    np.testing.assert_allclose(
        fit.params, whole.params, rtol=1e-11
    )  # pandas before 3 reads decimals to the last bit but one


def test_the_baseline_of_text_can_be_chosen_in_the_formula(fitted):
    # Text read from a file has sorted levels; R's data have "white" first.
    whole, _ = fitted("birthwt_logit")
    path = Path(__file__).parents[1] / "reference" / "glm" / "birthwt_logit.csv"
    formula = 'low ~ age + lwt + C(race, contr.treatment("white")) + smoke + ptd + ht + ui + ftv'
    fit = rp.glm(formula, path, family="binomial")
    np.testing.assert_allclose(np.sort(fit.params), np.sort(whole.params), rtol=1e-12)
