"""Generalised linear models as estimators: the numbers are those of scikit-learn's, and of the Fit behind."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import raphson as rp
from raphson.sklearn import GLMClassifier, GLMRegressor

# scikit-learn's data are small, clean and separable: what Raphson warns of there is right.
pytestmark = pytest.mark.filterwarnings("ignore::raphson.ConvergenceWarning", "ignore::raphson.RankWarning")


def test_least_squares_as_linear_regression(data):
    X, eta, rng = data
    y = eta + rng.normal(size=400)
    weight = rng.random(400)
    ours, peer = GLMRegressor().fit(X, y, weight), LinearRegression().fit(X, y, weight)
    np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-10)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, rtol=1e-10)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-9)
    assert list(ours.fit_.names) == ["Intercept", "a", "b", "c"]


def test_counts_as_poisson_regression(data):
    X, eta, rng = data
    y = rng.poisson(np.exp(eta))
    ours = GLMRegressor("poisson").fit(X, y)
    peer = PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_as_logistic_regression(data, classes):
    X, eta, rng = data
    labels = np.array(["ant", "bee", "cat"])[
        (eta[:, None] + rng.logistic(size=(400, 1)) > [-0.7, 1.2][: classes - 1]).sum(1)
    ]
    ours = GLMClassifier(penalty=None).fit(X, labels)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(X, labels)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-4)
    assert (ours.predict(X) == peer.predict(X)).mean() > 0.99
    assert ours.coef_.shape == (classes - 1, 3)


def test_the_default_penalty_is_that_of_logistic_regression(data):
    X, eta, rng = data
    y = eta + rng.logistic(size=400) > 0
    peer = LogisticRegression(tol=1e-10, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(GLMClassifier().fit(X, y).coef_, peer.coef_, rtol=1e-4)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("penalty", "factor"), [(1.0, 1.0), ("vector", 0.3)])
def test_the_order_of_classes_does_not_matter(data, intercept, penalty, factor):
    X, eta, rng = data
    codes = (eta[:, None] + rng.logistic(size=(400, 1)) > [-1.2, 0.1, 1.3]).sum(1)
    if penalty == "vector":
        penalty = factor * np.array([0.0] * intercept + [1.0] * 3)
    model = GLMClassifier(penalty=penalty, fit_intercept=intercept).fit(X, codes)
    peer = LogisticRegression(C=1 / factor, tol=1e-10, max_iter=10_000, fit_intercept=intercept).fit(X, codes)
    np.testing.assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=1e-5)
    order = np.array([2, 0, 3, 1])
    again = GLMClassifier(penalty=penalty, fit_intercept=intercept).fit(X, order[codes])
    np.testing.assert_allclose(again.predict_proba(X)[:, order], model.predict_proba(X), atol=1e-9)


def test_a_penalty_of_every_coefficient_is_taken_as_it_stands(data):
    X, eta, rng = data
    codes = (eta[:, None] + rng.logistic(size=(400, 1)) > [-0.7, 1.2]).sum(1)
    P = np.tile([0.0, 1.0, 2.0, 3.0], 2)
    model = GLMClassifier(penalty=P).fit(X, codes)
    fit = rp.glm(codes, np.column_stack([np.ones(400), X]), family="multinomial", penalty=P)
    np.testing.assert_allclose(model.fit_.params, fit.params, rtol=1e-9)


def test_more_features_than_rows(data):
    X, eta, _ = data
    model = GLMRegressor().fit(X[:2], eta[:2])
    np.testing.assert_allclose(model.predict(X[:2]), eta[:2])
    assert model.coef_[1:].tolist() == [0.0, 0.0]


def test_a_probit_and_no_intercept(data):
    X, eta, rng = data
    y = eta + rng.normal(size=400) > 0
    model = GLMClassifier("probit", penalty=None, fit_intercept=False).fit(X, y)
    fit = rp.glm(y.astype(float), X.to_numpy(), family=rp.families.Binomial(link="probit"))
    np.testing.assert_allclose(model.coef_[0], fit.params, rtol=1e-8)
    assert model.intercept_.tolist() == [0.0]


def test_in_a_pipeline_and_cross_validation(data):
    X, eta, rng = data
    y = rng.poisson(np.exp(eta))
    assert cross_val_score(make_pipeline(StandardScaler(), GLMRegressor("poisson")), X, y, cv=3).mean() > 0.3


def test_it_is_pickled_with_its_fit(data):
    X, eta, _ = data
    model = pickle.loads(pickle.dumps(GLMRegressor().fit(X, eta)))  # noqa: S301
    np.testing.assert_allclose(model.predict(X), eta)
    assert model.fit_.converged


def test_separated_classes_warn_and_still_predict():
    X, y = np.arange(8.0)[:, None], np.repeat([0, 1], 4)
    with pytest.warns(rp.SeparationWarning):
        model = GLMClassifier(penalty=None).fit(X, y)
    assert model.predict(X).tolist() == y.tolist()
    assert np.isinf(model.coef_).all()


def test_a_collinear_feature_gets_no_coefficient(data):
    X, eta, _ = data
    model = GLMRegressor().fit(X.assign(twice=2 * X["a"]), eta)
    assert model.coef_[3] == 0
    assert np.isnan(model.fit_.params["twice"])


def test_one_class_is_refused():
    with pytest.raises(rp.DataError, match=r"one class, 1, in the rows"):
        GLMClassifier().fit(np.zeros((3, 1)), [1, 1, 1])


def test_warnings_are_not_hidden_for_good(data):
    X, eta, _ = data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GLMRegressor().fit(X, eta + X["c"] ** 2)


@pytest.mark.parametrize("kind", ["glm", "network"])
def test_log_odds_and_log_probabilities_keep_their_digits_where_a_class_is_certain(kind):
    X = np.linspace(-1.0, 1.0, 40)[:, None]
    y = np.where(np.sin(40.0 * X[:, 0]) + 3.0 * X[:, 0] > 0, "yes", "no")
    if kind == "glm":
        model = rp.sklearn.GLMClassifier().fit(X, y)
        far = np.array([[-300.0], [0.0], [300.0]])
        eta = model.intercept_[0] + far[:, 0] * model.coef_[0, 0]
    else:
        model = rp.sklearn.NetworkClassifier(hidden=(2,), activation="relu", epochs=20, validation=0).fit(X, y)
        far = np.array([[-3000.0], [0.0], [3000.0]])
        eta = model.decision_function(far)
    assert np.abs(eta).max() > 40
    np.testing.assert_allclose(model.decision_function(far), eta, rtol=1e-12)
    expected = np.column_stack([-np.logaddexp(0, eta), -np.logaddexp(0, -eta)])
    np.testing.assert_allclose(model.predict_log_proba(far), expected, rtol=1e-12)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-10)
    levels = np.where(X[:, 0] > 0.5, "high", y)
    several = type(model)(**{"epochs": 5, "validation": 0} if kind == "network" else {}).fit(X, levels)
    np.testing.assert_allclose(several.predict_log_proba(X), np.log(several.predict_proba(X)))


def test_log_probabilities_with_another_link_are_logarithms_of_the_probabilities():
    X = np.linspace(-1.0, 1.0, 40)[:, None]
    model = rp.sklearn.GLMClassifier(link="probit").fit(X, np.sin(40.0 * X[:, 0]) + 3.0 * X[:, 0] > 0)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)))
