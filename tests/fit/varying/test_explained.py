"""R² and the intraclass correlation, from their definitions."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import polygamma

import raphson as rp
from raphson.errors import ModelError, RefusedName
from raphson.fit.varying.explained import _on_logit


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(6)
    g, h, x = rng.integers(0, 15, 240), rng.integers(0, 9, 240), rng.normal(size=240)
    eta = 0.4 + 0.5 * x + rng.normal(0, 0.5, 15)[g] + rng.normal(0, 0.3, 9)[h] + rng.normal(0, 0.3, 15)[g] * x
    return pd.DataFrame(
        {
            "g": g,
            "h": h,
            "x": x,
            "y": eta + rng.normal(0, 0.6, 240),
            "n": rng.poisson(np.exp(eta)),
            "s": (rng.random(240) < 1 / (1 + np.exp(-eta))).astype(int),
            "t": rng.gamma(3.0, np.exp(eta) / 3.0),
            "k": rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(eta))),
        }
    )


def parts(fit, data):
    """σ_f² and the σ_l², of the fitted numbers, for (x | g) + (1 | h)."""
    sd = fit.variances.set_index(["group", "term"]).estimate
    x = data.x.to_numpy()
    fixed = np.var(fit.params["Intercept"] + fit.params["x"] * x, ddof=1)
    cov = sd["g", "Intercept, x"] * sd["g", "Intercept"] * sd["g", "x"]
    of_g = np.mean(sd["g", "Intercept"] ** 2 + 2 * x * cov + (x * sd["g", "x"]) ** 2)
    marginal = fit.params["Intercept"] + fit.params["x"] * x
    half = 0.5 * (sd["g", "Intercept"] ** 2 + 2 * x * cov + (x * sd["g", "x"]) ** 2 + sd["h", "Intercept"] ** 2)
    return fixed, of_g, sd["h", "Intercept"] ** 2, np.mean(np.exp(marginal + half))


CASES = {
    "gaussian": ("y", lambda fit, lam: fit.dispersion),
    "binomial": ("s", lambda fit, lam: math.pi**2 / 3),
    "poisson": ("n", lambda fit, lam: float(polygamma(1, lam))),
    "negative_binomial": ("k", lambda fit, lam: float(polygamma(1, 1 / (1 / lam + 1 / fit.theta)))),
    "gamma": ("t", lambda fit, lam: float(polygamma(1, 1 / fit.dispersion))),
}


@pytest.mark.parametrize("family", CASES)
@pytest.mark.parametrize("criterion", ["ml", "reml"])
def test_shares_of_each_family(family, criterion, data):
    response, own = CASES[family]
    given = rp.families.Gamma(link="log") if family == "gamma" else family
    fit = rp.glm(f"{response} ~ x + (x | g) + (1 | h)", data, family=given, criterion=criterion)
    fixed, of_g, of_h, lam = parts(fit, data)
    error = own(fit, lam)
    total = fixed + of_g + of_h + error
    assert fit.r2_marginal == pytest.approx(fixed / total, rel=1e-9)
    assert fit.r2_conditional == pytest.approx((fixed + of_g + of_h) / total, rel=1e-9)
    table = fit.icc().set_index("group")
    rest = of_g + of_h + error
    assert table.estimate.to_dict() == pytest.approx(
        {"g": of_g / rest, "h": of_h / rest, "all": (of_g + of_h) / rest}, rel=1e-9
    )
    inside = table.dropna()
    assert ((inside.lower < inside.estimate) & (inside.estimate < inside.upper)).all()


@pytest.mark.parametrize(("family", "response"), [("gaussian", "y"), ("poisson", "n"), ("negative_binomial", "k")])
@pytest.mark.parametrize("criterion", ["ml", "reml"])
def test_errors_are_by_the_delta_method(family, response, criterion, data):
    from raphson.fit.varying import explained
    from raphson.model.varying.results import AtMaximum

    fit = rp.glm(f"{response} ~ x + (1 | g)", data, family=family, criterion=criterion)
    at, own = fit._reading.maximum, fit._reading.maximum.criterion
    weights = np.ones(len(data))

    def estimate(theta):  # β moves with θ, where it is integrated
        found = explained.shares(AtMaximum(own, theta, at.free), weights, None)
        return found.of_groups / (found.of_groups + found.response)

    steps = 1e-5 * np.eye(own.n_params)
    slope = np.array([(estimate(at.theta + one) - estimate(at.theta - one)) / 2e-5 for one in steps])
    variance = slope @ at.cov @ slope
    if criterion == "reml" and family != "gaussian":
        found = fit._reading.shares
        by_beta = -found.of_groups / (found.of_groups + found.response) ** 2 * found.by_beta
        assert by_beta.any()
        variance += by_beta @ at.beta_cov @ by_beta
    table = fit.icc()
    assert table.std_error[0] == pytest.approx(math.sqrt(variance), rel=1e-6)
    logit = np.log(table.estimate / (1 - table.estimate))[0]
    reach = 1.959963984540054 * table.std_error[0] / (table.estimate[0] * (1 - table.estimate[0]))
    assert table.upper[0] == pytest.approx(1 / (1 + math.exp(-(logit + reach))), rel=1e-9)


def test_frequency_weights_are_rows(data):
    counts = np.tile([1, 2, 3], 80)
    repeated = data.loc[np.repeat(data.index, counts)]
    one = rp.glm("y ~ x + (1 | g)", data.assign(w=counts), weights="w", weights_kind="frequency")
    other = rp.glm("y ~ x + (1 | g)", repeated)
    assert one.r2_marginal == pytest.approx(other.r2_marginal, rel=1e-8)
    assert one.icc().std_error[0] == pytest.approx(other.icc().std_error[0], rel=1e-6)


def test_the_curve_of_a_smooth_function_counts_as_a_covariate(data):
    fit = rp.glm("y ~ s(x)", data)
    own = np.var(fit.fittedvalues, ddof=1)
    assert fit.r2_marginal == pytest.approx(own / (own + fit.dispersion)) == fit.r2_conditional


def test_at_the_edge_there_is_no_error(data):
    noise = data.assign(y=np.random.default_rng(1).normal(size=240))
    noise["y"] -= noise.groupby("g").y.transform("mean")
    table = rp.glm("y ~ x + (1 | g)", noise).icc()
    assert table.estimate[0] == table.lower[0] == 0.0 and np.isnan(table.std_error[0])


def test_what_is_not_defined_is_refused_in_words(data):
    fit = rp.glm("t ~ x + (1 | g)", data, family=rp.families.InverseGaussian(link="log"))
    with pytest.raises(RefusedName, match="r2_marginal: not defined for the family 'inverse_gaussian'"):
        _ = fit.r2_marginal
    with pytest.raises(RefusedName, match="icc: not defined"):
        fit.icc()
    assert not hasattr(fit, "r2_conditional")
    with pytest.raises(ModelError, match="expected effects that vary by groups"):
        rp.glm("y ~ s(x)", data).icc()


def test_near_the_edge_the_interval_of_the_logit_is_all_there_is():
    error, lower, upper = _on_logit(1e-9, 1e-4, 0.95)
    assert (error, lower, upper) == (1e-4, 0.0, 1.0)
