"""Networks as estimators."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.metrics import d2_tweedie_score

from raphson.sklearn import NetworkClassifier, NetworkRegressor

pytestmark = pytest.mark.filterwarnings("ignore::raphson.ConvergenceWarning")


def test_networks_learn_and_are_pickled(data):
    X, eta, _ = data
    regressor = NetworkRegressor((8,), epochs=60, learning_rate=0.01).fit(X, eta)
    assert regressor.score(X, eta) > 0.9
    again = pickle.loads(pickle.dumps(regressor))  # noqa: S301
    np.testing.assert_allclose(again.predict(X), regressor.predict(X))
    labels = np.array(["ant", "bee", "cat"])[(eta[:, None] > [-0.3, 0.8]).sum(1)]
    classifier = NetworkClassifier((8,), epochs=60, learning_rate=0.01).fit(X, labels)
    assert classifier.score(X, labels) > 0.85
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1.0)


def test_categories_are_inputs_and_the_score_is_that_of_the_family(data):
    X, eta, rng = data
    X = X.assign(kind=np.where(X["c"] > 0, "high", "low"))[["a", "kind"]]
    y = rng.poisson(np.exp(eta))
    model = NetworkRegressor((3,), family="poisson", epochs=4).fit(X, y)
    assert model.get_feature_names_out().tolist() == ["a", "kind[T.low]"]
    np.testing.assert_allclose(model.score(X, y), d2_tweedie_score(y, model.predict(X), power=1), rtol=1e-9)
