"""Firth's bias reduction off canonical links: roots found by scipy from formulas of their own, and the bias itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, root
from scipy.stats import binom, cauchy, norm

import raphson as rp

RNG = np.random.default_rng(8)
X1 = np.r_[np.repeat([0.0, 1.0], 10), 2.5, 3.0]
X = np.column_stack([np.ones(22), X1])
BINARY = np.r_[[0] * 8 + [1] * 2 + [0] * 3 + [1] * 7, 1, 1].astype(float)
COUNT = np.array([0, 1, 2, 0, 1, 3, 0, 1, 1, 2, 3, 2, 5, 1, 4, 2, 3, 6, 2, 3, 9, 14], dtype=float)
POSITIVE = np.exp(0.3 + 0.4 * X1 + 0.5 * RNG.normal(size=22))

# Of each case: the response, the family, and (μ, dμ/dη, d²μ/dη², V) written out.
CASES = {
    "probit": (
        BINARY,
        rp.families.Binomial(link="probit"),
        lambda e: (norm.cdf(e), norm.pdf(e), -e * norm.pdf(e)),
        lambda m: m * (1 - m),
    ),
    "cloglog": (
        BINARY,
        rp.families.Binomial(link="cloglog"),
        lambda e: (1 - np.exp(-np.exp(e)), np.exp(e - np.exp(e)), np.exp(e - np.exp(e)) * (1 - np.exp(e))),
        lambda m: m * (1 - m),
    ),
    "cauchit": (
        BINARY,
        rp.families.Binomial(link="cauchit"),
        lambda e: (cauchy.cdf(e), cauchy.pdf(e), -2 * e / (1 + e**2) * cauchy.pdf(e)),
        lambda m: m * (1 - m),
    ),
    "poisson sqrt": (COUNT, rp.families.Poisson(link="sqrt"), lambda e: (e**2, 2 * e, 2 + 0 * e), lambda m: m),
    "negative binomial": (
        COUNT,
        rp.families.NegativeBinomial(theta=1.5),
        lambda e: (np.exp(e), np.exp(e), np.exp(e)),
        lambda m: m + m**2 / 1.5,
    ),
    "gamma log": (
        POSITIVE,
        rp.families.Gamma(link="log"),
        lambda e: (np.exp(e), np.exp(e), np.exp(e)),
        lambda m: m**2,
    ),
    "gamma inverse": (
        POSITIVE,
        rp.families.Gamma(link="inverse"),
        lambda e: (1 / e, -1 / e**2, 2 / e**3),
        lambda m: m**2,
    ),
    "inverse gaussian": (
        POSITIVE,
        rp.families.InverseGaussian(link="log"),
        lambda e: (np.exp(e), np.exp(e), np.exp(e)),
        lambda m: m**3,
    ),
    "gaussian log": (
        POSITIVE,
        rp.families.Gaussian(link="log"),
        lambda e: (np.exp(e), np.exp(e), np.exp(e)),
        lambda m: 1 + 0 * m,
    ),
}


def adjusted(b, y, weight, means, variance, known):
    m, d, bend = means(X @ b)
    W = weight * d**2 / variance(m)
    F = X.T @ (W[:, None] * X)
    h = W * np.einsum("ij,jk,ik->i", X, np.linalg.inv(F), X)
    phi = 1.0 if known else np.sum(weight * (y - m) ** 2 / variance(m)) / (len(y) - 2)
    return X.T @ (weight * (y - m) * d / variance(m) + phi * h * bend / (2 * d))


pytestmark = pytest.mark.filterwarnings("ignore:response. all 1 values")


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("weighted", [False, True])
def test_roots_of_the_adjusted_scores(case, weighted):
    y, family, means, variance = CASES[case]
    weight = np.where(np.arange(22) % 3 == 0, 2.0, 1.0) if weighted else np.ones(22)
    fit = rp.glm(y, X, family=family, weights=weight if weighted else None, bias="firth")
    known = family.dispersion_fixed
    want = root(adjusted, fit.params.to_numpy(), (y, weight, means, variance, known), tol=1e-13)
    assert np.abs(want.fun).max() < 1e-7 and fit.converged and fit.distance < 1e-8
    np.testing.assert_allclose(fit.params, want.x, atol=1e-7 * fit.bse.max())
    plain = rp.glm(y, X, family=family, weights=weight if weighted else None)
    assert np.abs(fit.params - plain.params).max() > 1e-4
    # llf is the likelihood's, in the fit and along the way.
    assert fit.llf < plain.llf and np.isfinite(fit.path["llf"]).all()


def test_methods_meet():
    fits = [
        rp.glm(BINARY, X, family=rp.families.Binomial(link="probit"), bias="firth", method=method)
        for method in ("fisher-scoring", "newton", "irls", "newton-cg")
    ]
    for fit in fits:
        assert fit.converged
        np.testing.assert_allclose(fit.params, fits[0].params, rtol=1e-7)


def test_a_canonical_link_has_one_bias_reduction():
    firth, jeffreys = (rp.glm(BINARY, X, family="binomial", bias=bias) for bias in ("firth", "jeffreys"))
    np.testing.assert_array_equal(firth.params, jeffreys.params)
    assert "Firth (Jeffreys' penalty)" in str(firth.summary()) and "Jeffreys' penalty" in str(jeffreys.summary())
    gauss = rp.glm(POSITIVE, X, bias="firth")
    np.testing.assert_allclose(gauss.params, rp.glm(POSITIVE, X).params, rtol=1e-9)


def test_separated_responses_have_finite_estimates():
    y = (X1 > 0.5).astype(float)
    for link in ("probit", "cloglog"):
        fit = rp.glm(y, X, family=rp.families.Binomial(link=link), bias="firth")
        assert fit.converged and np.abs(fit.params).max() < 6 and np.isfinite(fit.bse).all()


def bias_of(bias, n, truth=0.8):
    """Bias of a probit intercept, over all outcomes of n trials."""
    k = np.arange(n + 1)
    chance = binom.pmf(k, n, norm.cdf(truth))
    one = np.ones((1, 1))
    family = rp.families.Binomial(link="probit")
    found = [rp.glm([float(s)], one, family=family, trials=[float(n)], bias=bias).params.iloc[0] for s in k]
    return np.sum(chance * (np.array(found) - truth))


def test_the_bias_of_first_order_is_gone():
    # Twice the trials leave a quarter of a bias of second order, half of one of first order.
    firth, jeffreys = ([bias_of(bias, n) for n in (20, 40)] for bias in ("firth", "jeffreys"))
    assert 3.0 < firth[0] / firth[1] < 6.0
    assert 1.5 < jeffreys[0] / jeffreys[1] < 2.7
    assert abs(firth[1]) < 0.3 * abs(jeffreys[1])


def test_one_sample_against_its_equation():
    # s/p − (n − s)/q times φ, and −η/2: one leverage, which is 1.
    fit = rp.glm([7.0], np.ones((1, 1)), family=rp.families.Binomial(link="probit"), trials=[9.0], bias="firth")

    def score(e):
        p = norm.cdf(e)
        return (7 - 9 * p) * norm.pdf(e) / (p * (1 - p)) - e / 2

    assert fit.params.iloc[0] == pytest.approx(brentq(score, -3, 3, xtol=1e-14), abs=1e-9)


def test_what_has_no_likelihood_to_compare():
    fit = rp.glm(BINARY, X, family=rp.families.Binomial(link="probit"), bias="firth", names=["one", "x"])
    assert "Firth (adjusted scores)" in str(fit.summary())
    assert np.isfinite(fit.conf_int()).to_numpy().all() and 0 < fit.wald_test("x = 0").p_value < 1
    for call in (
        lambda: fit.profile("x"),
        lambda: fit.conf_int(kind="profile"),
        lambda: fit.lr_test("x = 0"),
        lambda: fit.score_test("x = 0"),
    ):
        with pytest.raises(rp.ModelError, match=r"not the gradient of a likelihood.*bias='jeffreys'"):
            call()
    jeffreys = rp.glm(BINARY, X, family=rp.families.Binomial(link="probit"), bias="jeffreys", names=["one", "x"])
    lower, upper = jeffreys.profile("x").interval()
    assert lower < jeffreys.params["x"] < upper


@pytest.mark.parametrize(
    ("family", "bias", "message"),
    [
        ("negative_binomial", "firth", "negative_binomial family has another parameter"),
        ("quasipoisson", "firth", "quasipoisson family has no likelihood"),
        ("gaussian", "jeffreys", "another parameter to estimate; bias='firth' is for its coefficients"),
    ],
)
def test_what_it_is_not_for(family, bias, message):
    with pytest.raises(rp.ModelError, match=message):
        rp.glm(COUNT, X, family=family, bias=bias)
