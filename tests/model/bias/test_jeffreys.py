"""Jeffreys' penalty: its derivatives, its values against mpmath, and the options it has to live with."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import raphson as rp
from raphson.fit.reference import reference_of
from raphson.model.bias.jeffreys import _by_differences, _slopes
from raphson.model.objective import Need

FAMILIES = {
    "binomial": lambda s: (s.binary, "binomial"),
    "probit": lambda s: (s.binary, rp.families.Binomial(link="probit")),
    "poisson": lambda s: (s.count, "poisson"),
    "multinomial": lambda s: (s.category, "multinomial"),
    "negative binomial": lambda s: (s.spread, rp.families.NegativeBinomial(theta=1.5)),
}


@pytest.fixture(scope="module", params=list(FAMILIES))
def fit(request, sample):
    y, family = FAMILIES[request.param](sample)
    return rp.glm(y, sample.X, family=family, weights=sample.weights, offset=sample.offset, bias="jeffreys")


def test_score_and_curvature_are_derivatives_of_the_value(fit):
    objective = fit._reading.state.at.asked.objective
    theta = fit._reading.state.at.estimate.result.theta + 0.1
    here = objective.evaluate(theta, Need(kinds=("observed", "expected")))
    step = 1e-5 * np.eye(len(theta))
    up, down = ([objective.evaluate(theta + sign * d) for d in step] for sign in (1, -1))
    slope = np.array([(a.value - b.value) / 2e-5 for a, b in zip(up, down, strict=True)])
    curvature = -np.array([(a.score - b.score) / 2e-5 for a, b in zip(up, down, strict=True)])
    np.testing.assert_allclose(here.score, slope, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(here.information["observed"].matrix, curvature, rtol=1e-6, atol=1e-6)
    # What is added is ½ log det of the expected information, up to a constant.
    plain = objective.likelihood.evaluate(theta, Need(kinds=("expected",)))
    there = objective.likelihood.evaluate(theta + 0.1, Need(kinds=("expected",)))
    added = [e.value - p.value for e, p in ((here, plain), (objective.evaluate(theta + 0.1), there))]
    logs = [0.5 * np.linalg.slogdet(p.information["expected"].matrix)[1] for p in (plain, there)]
    assert added[1] - added[0] == pytest.approx(logs[1] - logs[0], abs=1e-10)


def test_differences_stand_in_for_autodiff(fit):
    family, block = fit.family, fit._reading.state.at.asked.blocks[0]
    eta = fit._reading.state.at.asked.predictor.eta(block, fit._reading.state.at.estimate.result.theta)
    np.testing.assert_allclose(
        _by_differences(family, block, eta)[0], _slopes(family, block, eta, False)[0], rtol=1e-9, atol=1e-11
    )


def test_the_covariance_is_that_of_the_likelihood(fit):
    assert fit.converged and fit.distance < 1e-8 and fit.bias == "jeffreys"
    theta = fit._reading.state.at.estimate.result.theta
    for kind in ("expected", "observed"):
        M = (
            fit._reading.state.at.asked.objective.likelihood.evaluate(theta, Need(kinds=(kind,)))
            .information[kind]
            .matrix
        )
        np.testing.assert_allclose(fit.information(kind), M, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fit.bse, np.sqrt(np.diag(np.linalg.inv(fit.information("expected")))), rtol=1e-8)


def test_methods_meet(sample):
    fits = [
        rp.glm(sample.binary, sample.X, family="binomial", bias="firth", method=method)
        for method in ("fisher-scoring", "newton", "irls", "bhhh", "newton-cg", "gradient-descent")
    ]
    for fit in fits[1:]:
        assert fit.converged
        np.testing.assert_allclose(fit.params, fits[0].params, rtol=1e-8)


SEPARATED = np.column_stack([np.ones(8), [1.0, 2, 3, 4, 5, 6, 7, 8], [0.5, -1, 0.3, 1.2, 0.1, -0.4, 0.8, -0.6]])
RESPONSE = np.array([0.0, 0, 0, 0, 1, 1, 1, 1])


def truth():
    """Firth's modified score equations Σ (y − μ + h (½ − μ)) x = 0, solved by mpmath in 40 digits."""
    mp.mp.dps = 40
    X, y = mp.matrix(SEPARATED.tolist()), [mp.mpf(v) for v in RESPONSE.tolist()]
    n, p = X.rows, X.cols

    def parts(beta):
        mean = [1 / (1 + mp.e ** (-sum(X[i, j] * beta[j] for j in range(p)))) for i in range(n)]
        M = mp.matrix(p, p)
        for i in range(n):
            for j in range(p):
                for k in range(p):
                    M[j, k] += X[i, j] * X[i, k] * mean[i] * (1 - mean[i])
        return mean, M

    def score(*beta):
        mean, M = parts(beta)
        V = M**-1
        hat = [mean[i] * (1 - mean[i]) * (X[i, :] * V * X[i, :].T)[0] for i in range(n)]
        return [sum((y[i] - mean[i] + hat[i] * (0.5 - mean[i])) * X[i, j] for i in range(n)) for j in range(p)]

    start = rp.glm(RESPONSE, SEPARATED, family="binomial", bias="firth").params.round(3)
    beta = mp.findroot(score, [mp.mpf(v) for v in start])
    V = parts(beta)[1] ** -1
    return [float(b) for b in beta], [float(mp.sqrt(V[j, j])) for j in range(p)]


def test_separated_data_against_forty_digits(correct_digits):
    fit = rp.glm(RESPONSE, SEPARATED, family="binomial", bias="firth", names=["one", "x", "z"])
    params, errors = truth()
    assert fit.converged and np.isfinite(fit.params).all()
    assert correct_digits(fit.params, params) >= 10 and correct_digits(fit.bse, errors) >= 10
    with pytest.warns(rp.SeparationWarning, match="bias='firth'"):
        rp.glm(RESPONSE, SEPARATED, family="binomial")


def test_two_by_two_tables_gain_half_an_observation():
    # In a saturated logistic model Firth's estimates are those with ½ added to every cell (Firth 1993, section 3).
    X = np.array([[1.0, 0], [1, 1]])
    fit = rp.glm(
        np.array([0.0, 7.0]), X, family="binomial", trials=np.array([5.0, 9.0]), bias="firth", names=["a", "b"]
    )
    logits = [np.log(0.5 / 5.5), np.log(7.5 / 2.5)]
    np.testing.assert_allclose(fit.params, [logits[0], logits[1] - logits[0]], rtol=1e-10)


def test_aliased_columns_are_dropped(sample):
    whole = rp.glm(sample.binary, sample.X, family="binomial", bias="firth")
    for method in ("fisher-scoring", "irls"):
        with pytest.warns(rp.RankWarning):
            more = rp.glm(
                sample.binary, np.column_stack([sample.X, sample.x]), family="binomial", bias="firth", method=method
            )
        assert np.isnan(more.params.iloc[3])
        np.testing.assert_allclose(more.params.iloc[:3], whole.params.to_numpy(), rtol=1e-9)


def test_penalised_likelihood_ratios_and_profiles():
    fit = rp.glm(RESPONSE, SEPARATED, family="binomial", bias="firth", names=["one", "x", "z"])
    test = fit.lr_test("x = 0")
    # The restricted maximum keeps the penalty of the whole model (Heinze and Schemper 2002, section 2.3).
    objective = fit._reading.state.at.asked.objective
    from scipy.optimize import minimize

    best = minimize(lambda b: -objective.evaluate(np.array([b[0], 0.0, b[1]])).value, [0.0, 0.0], tol=1e-12)
    assert test.statistic == pytest.approx(2 * (reference_of(fit._reading).top + best.fun), rel=1e-8)
    lower, upper = fit.profile("x").interval()
    assert 0 < lower < fit.params["x"] < upper < np.inf
    smaller = rp.glm(RESPONSE, SEPARATED[:, :2], family="binomial", bias="firth")
    with pytest.raises(rp.ModelError, match="each fit has its own penalty"):
        fit.lr_test(smaller)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"bias": "firths"}, "bias: expected one of firth, jeffreys or None; got 'firths'"),
        ({"bias": "jeffreys", "family": "gaussian"}, "gaussian family has another parameter"),
        ({"bias": "firth", "family": "negative_binomial"}, "negative_binomial family has another parameter"),
        ({"bias": "firth", "family": "quasipoisson"}, "has no likelihood"),
        ({"bias": "firth", "penalty": 1.0}, "two ways of shrinking"),
    ],
)
def test_what_it_is_not_for(sample, keywords, message):
    with pytest.raises(rp.ModelError, match=message):
        rp.glm(sample.count, sample.X, **{"family": "poisson", **keywords})
