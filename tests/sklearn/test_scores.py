"""D² is scikit-learn's, for every family that scikit-learn has."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import d2_log_loss_score, d2_tweedie_score, r2_score

import raphson as rp
from raphson.sklearn import GLMRegressor, d2_score

RNG = np.random.default_rng(0)
MEAN = RNG.uniform(0.5, 4.0, 200)
WEIGHT = RNG.uniform(0.0, 2.0, 200)
WEIGHT[:7] = 0.0


@pytest.mark.parametrize(
    ("family", "power", "y"),
    [
        ("gaussian", 0, RNG.normal(MEAN)),
        ("poisson", 1, RNG.poisson(MEAN)),
        ("quasipoisson", 1, RNG.poisson(MEAN)),
        ("tweedie(1.5)", 1.5, RNG.poisson(MEAN) * RNG.gamma(2.0, size=200)),
        ("gamma", 2, RNG.gamma(2.0, MEAN / 2)),
        ("inverse_gaussian", 3, RNG.wald(MEAN, 2.0)),
    ],
)
def test_it_is_that_of_scikit_learn(family, power, y):
    for weight in (None, WEIGHT):
        expected = d2_tweedie_score(y, MEAN, sample_weight=weight, power=power)
        assert d2_score(y, MEAN, family=family, sample_weight=weight) == pytest.approx(expected, rel=1e-9)


def test_of_a_binary_response_it_is_that_of_the_log_loss():
    p = RNG.uniform(0.05, 0.95, 200)
    y = RNG.random(200) < p
    assert d2_score(y, p, family="binomial") == pytest.approx(d2_log_loss_score(y, p), rel=1e-9)


def test_of_a_constant_response_it_is_as_r2():
    constant = np.ones(4)
    for mean in (constant, 2 * constant):
        assert d2_score(constant, mean) == r2_score(constant, mean)
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(d2_score([1.0], [1.0]))


def test_the_score_of_an_estimator_is_the_deviance_explained():
    X, y = np.column_stack([MEAN, MEAN**2]), RNG.poisson(MEAN)
    for family in ("poisson", "negative_binomial", "gaussian"):
        model = GLMRegressor(family).fit(X, y)
        fit = model.fit_
        assert model.score(X, y) == pytest.approx(1 - fit.deviance / fit.null_deviance, rel=1e-6)


def test_with_an_exposure_the_null_model_has_it_too():
    exposure = RNG.uniform(0.1, 10.0, 200)
    X, y = MEAN[:, None], RNG.poisson(exposure * 2.0)  # X explains nothing
    model = GLMRegressor("poisson").fit(X, y, exposure=exposure)
    assert abs(model.score(X, y, exposure=exposure)) < 0.05
    fit = rp.glm(y, np.column_stack([np.ones(200), X]), family="poisson", offset=np.log(exposure))
    assert model.score(X, y, exposure=exposure) == pytest.approx(1 - fit.deviance / fit.null_deviance, rel=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: d2_score([0, 1], [0.5, 0.5], family="multinomial"), "one mean"),
        (lambda: d2_score([0, 1], [0.5, 0.5], family="negative_binomial"), "needs its theta"),
        (lambda: d2_score([0, 1], [0.5]), "one length"),
    ],
)
def test_what_has_no_score_is_refused(call, message):
    with pytest.raises(rp.RaphsonError, match=message):
        call()
