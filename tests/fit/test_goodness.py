"""How well a fit describes the data: what is beside the coefficients has the errors that were asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import raphson as rp


def scores_and_hessian(y, X, beta, log_theta):
    """Row scores (n, p + 1) and Hessian of the negative binomial with a log link, by central differences."""

    def rows(v):
        mu, t = np.exp(X @ v[:-1]), np.exp(v[-1])
        return special.gammaln(y + t) - special.gammaln(t) + t * np.log(t / (t + mu)) + y * np.log(mu / (t + mu))

    at, h = np.append(beta, log_theta), 1e-4
    E = h * np.eye(len(at))
    scores = np.array([(rows(at + e) - rows(at - e)) / (2 * h) for e in E]).T

    def second(a, b):
        return np.sum(rows(at + a + b) - rows(at + a - b) - rows(at - a + b) + rows(at - a - b)) / (4 * h * h)

    return scores, np.array([[second(a, b) for b in E] for a in E])


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(4)
    x = rng.normal(size=250)
    return {"x": x, "y": rng.poisson(np.exp(0.8 + 0.3 * x) * rng.gamma(0.6, 1 / 0.6, 250)), "g": np.arange(250) // 5}


def test_theta_se_follows_the_covariance(counts):
    fit = rp.glm("y ~ x", counts, family="negative_binomial")
    X = np.column_stack([np.ones(250), counts["x"]])
    u, H = scores_and_hessian(counts["y"], X, fit.params.to_numpy(), math.log(fit.theta))
    bread = np.linalg.inv(-H)
    sums = np.add.reduceat(u, np.arange(0, 250, 5))

    def error(V):
        return fit.theta * math.sqrt(V[2, 2])

    assert fit.theta_se == pytest.approx(error(bread), rel=1e-5)
    assert fit.robust("HC0").theta_se == pytest.approx(error(bread @ u.T @ u @ bread), rel=1e-5)
    assert fit.robust("HC1").theta_se == pytest.approx(error(bread @ u.T @ u @ bread * 250 / 247), rel=1e-5)
    clustered = rp.glm("y ~ x", counts, family="negative_binomial", cov="cluster", groups="g")
    factor = 50 / 49 * 249 / 247
    assert clustered.theta_se == pytest.approx(error(bread @ sums.T @ sums @ bread * factor), rel=1e-5)
    outer = rp.glm("y ~ x", counts, family="negative_binomial", information="opg")
    assert outer.theta_se == pytest.approx(error(np.linalg.inv(u.T @ u)), rel=1e-5)
    assert fit.robust("HC0").theta_se < fit.robust("HC2").theta_se < fit.robust("HC3").theta_se


def test_what_was_worked_out_before_does_not_stay_with_another_covariance(counts):
    fit = rp.glm("y ~ x", counts, family="negative_binomial")
    before = fit.theta_se, fit.message, fit.null_deviance
    other = fit.robust("HC1")
    assert other.theta_se != before[0] and fit.theta_se == before[0]
    assert (
        "null_deviance" in vars(other._reading.state.at) and other.null_deviance == before[2]
    )  # costs a fit, and is the same


def test_remarks_speak_of_the_covariance_of_their_own_fit():
    x = np.linspace(0, 3, 40)
    data = {"x": x, "y": 2 * np.exp(-x) + 0.05 * np.cos(20 * x)}
    fit = rp.nls("y ~ a*exp(-b*x)", data, start={"a": 1.0, "b": 1.0}, loss="huber")
    assert "(HC0)" in " ".join(fit.remarks) and "(HC0)" in fit.message
    told = fit.robust("HC3")
    assert "(HC3)" in " ".join(told.remarks) and "HC0" not in told.message


def stopped_everywhere(formula, data, **options):
    """The llf of fits that take 0, 1, ... steps, by a path's length: each worked out from its own estimates."""
    whole = rp.glm(formula, data, **options)
    with pytest.warns(rp.ConvergenceWarning):
        llf = [rp.glm(formula, data, **options, max_iter=k).llf for k in range(len(whole.path) - 1)]
    return whole, [*llf, whole.llf]


@pytest.fixture(scope="module")
def responses():
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    mu = np.exp(0.5 + 0.3 * x)
    many = rng.gamma(2.0, 1.0, (80, 3))
    return {
        "x": x,
        "poisson": rng.poisson(mu),
        "gaussian": mu + 0.3 * rng.normal(size=80),
        "gamma": mu * rng.gamma(2, 0.5, 80),
        "inverse_gaussian": rng.wald(mu, 2.0),
        "tweedie": np.where(rng.random(80) < 0.2, 0.0, many[:, 0]),
        "negative_binomial": rng.poisson(mu * rng.gamma(2, 0.5, 80)),
        "w": rng.integers(1, 4, 80),
        "low": (x + rng.logistic(size=80) > 0).astype(int),
    }


FAMILIES = {
    "poisson": "poisson",
    "gaussian": rp.families.Gaussian(link="log"),
    "gamma": rp.families.Gamma(link="log"),
    "inverse_gaussian": rp.families.InverseGaussian(link="log"),
    "tweedie": "tweedie(1.5)",
    "negative_binomial": "negative_binomial",
    "low": "binomial",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_path_has_the_log_likelihood_of_every_step(responses, name):
    fit, llf = stopped_everywhere(f"{name} ~ x", responses, family=FAMILIES[name])
    np.testing.assert_allclose(fit.path["llf"], llf, rtol=1e-7)
    assert fit.path["llf"].iloc[-1] == pytest.approx(fit.llf, rel=1e-12)
    assert (np.diff(fit.path["llf"]) > -1e-9 * abs(fit.llf)).all() and not fit.path["penalty"].any()


@pytest.mark.parametrize("kind", ["precision", "frequency"])
@pytest.mark.parametrize("name", ["gaussian", "gamma"])
def test_the_path_under_weights(responses, name, kind):
    options = {"family": FAMILIES[name], "weights": "w", "weights_kind": kind}
    fit, llf = stopped_everywhere(f"{name} ~ x", responses, **options)
    np.testing.assert_allclose(fit.path["llf"], llf, rtol=1e-7)


def test_the_path_says_what_was_maximised_beside_the_log_likelihood(responses):
    penalised, llf = stopped_everywhere("low ~ x", responses, family="binomial", penalty=4.0)
    np.testing.assert_allclose(penalised.path["llf"], llf, rtol=1e-9)
    assert penalised.path["penalty"].iloc[-1] == pytest.approx(-2 * penalised.params["x"] ** 2)
    assert (np.diff(penalised.path["llf"] + penalised.path["penalty"]) > -1e-9).all()
    reduced = rp.glm("low ~ x", responses, family="binomial", bias="firth")
    half = 0.5 * np.linalg.slogdet(reduced.information("expected").to_numpy())[1]
    half -= np.log(np.sqrt(80) * np.linalg.norm(responses["x"]))  # of columns scaled to length 1
    assert reduced.path["penalty"].iloc[-1] == pytest.approx(half)
    assert reduced.path["llf"].iloc[-1] == pytest.approx(reduced.llf)


def test_the_path_of_a_curve_and_of_what_has_no_likelihood(responses, tmp_path):
    curve = rp.nls("gaussian ~ a*exp(b*x)", responses, start={"a": 1.0, "b": 0.1})
    assert curve.path["llf"].iloc[-1] == pytest.approx(curve.llf)
    curve.save(tmp_path / "curve.json")
    assert rp.load(tmp_path / "curve.json").path.equals(curve.path)
    quasi = rp.glm("poisson ~ x", responses, family="quasipoisson")
    assert math.isnan(quasi.llf) and np.isfinite(quasi.path["llf"]).all()  # the quasi-likelihood: still seen to rise


@pytest.mark.parametrize("absent", [0, 3])
def test_responses_of_0_alone_have_the_probability_1(absent):
    """Zeros of a Tweedie distribution are atoms, where other perfect fits have an infinite density."""
    x = np.random.default_rng(0).normal(size=30)
    data = {"y": (np.arange(30) < absent).astype(float), "x": x, "w": (np.arange(30) >= absent).astype(float)}
    with pytest.warns(rp.RankWarning, match="saturated"):
        fit = rp.glm("y ~ x", data, family="tweedie(1.5)", weights="w")
    assert fit.llf == 0.0 and (fit.params == -np.inf).any()
    assert rp.glm("y ~ 1", {"y": np.ones(30)}).llf == np.inf


X = np.linspace(0.1, 4, 30)
NOISE = 0.05 * np.random.default_rng(0).normal(size=30)
CURVES = {"x": X, "up": 1 + 3 * np.exp(-X) + NOISE, "mm": 2 * X / (1 + X) + NOISE, "w": 0.5 + np.arange(30) % 3}
START = {"a": 1.0, "b": 2.0, "k": 0.8}


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("up ~ a + b*exp(-k*x)", {"start": START}),
        ("up ~ a + b*exp(-k*x)", {"start": START, "weights": "w"}),
        # the constant is the sum of two derivatives: of s and 1 - s
        ("up ~ a*exp(-k*x) + b*(1 - exp(-k*x))", {"start": {"a": 4.0, "b": 1.0, "k": 0.8}, "weights": "w"}),
    ],
)
def test_a_curve_that_contains_a_constant_has_r_squared(formula, options, tmp_path):
    fit = rp.nls(formula, CURVES, **options)
    w = CURVES["w"] if "weights" in options else np.ones(30)
    y = CURVES["up"]
    expected = 1 - fit.rss / np.sum(w * (y - np.average(y, weights=w)) ** 2)
    assert fit._reading.r_squared == pytest.approx(expected, rel=1e-12)
    assert f"R-squared       {expected:.4f}" in str(fit.summary())
    fit.save(tmp_path / "fit.json")
    assert str(rp.load(tmp_path / "fit.json").summary()) == str(fit.summary())


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("mm ~ a*x/(k + x)", {"start": {"a": 1.0, "k": 1.0}}),
        ("up ~ b*exp(-k*x)", {"start": {"b": 2.0, "k": 0.8}}),
        ("up ~ a + b*exp(-k*x)", {"start": START, "loss": "huber"}),
    ],
)
def test_a_curve_without_a_constant_has_no_r_squared(formula, options):
    fit = rp.nls(formula, CURVES, **options)
    assert math.isnan(fit._reading.r_squared) and "R-squared" not in str(fit.summary())


def test_a_bound_takes_the_constant_out_of_a_curve():
    held = rp.nls("up ~ a + b*exp(-k*x)", CURVES, start=START | {"a": 2.0}, bounds={"a": (1.5, 3.0)})
    assert math.isnan(held._reading.r_squared)
