"""scikit-learn's own checks, cloning, pickling, routing, and the use in pipelines and searches."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import raphson as rp
from raphson.sklearn import GLMClassifier, GLMRegressor, NetworkClassifier, NetworkRegressor, NLSRegressor

# scikit-learn's data are small, clean and separable: what Raphson warns of there is right.
pytestmark = pytest.mark.filterwarnings("ignore::raphson.ConvergenceWarning", "ignore::raphson.RankWarning")

SMALL = {"activation": "tanh", "learning_rate": 0.05, "epochs": 10, "validation": 0}


@parametrize_with_checks(
    [
        GLMRegressor(),
        GLMRegressor("poisson", penalty=0.1),
        GLMClassifier(),
        NLSRegressor(),
        NetworkRegressor((4,), **SMALL),
        NetworkClassifier((4,), **SMALL),
    ]
)
def test_scikit_learns_own_checks(estimator, check):  # all of them: none is expected to fail
    check(estimator)


@pytest.mark.parametrize(
    "model",
    [
        GLMRegressor("gamma", penalty=2.0, categorical_features=None),
        GLMClassifier("probit", fit_intercept=False),
        NLSRegressor("a*exp(-b*x0)", {"a": 1.0, "b": 1.0}),
        NetworkRegressor((4, 2), family="poisson", categorical_features=["g"]),
    ],
)
def test_a_clone_has_the_same_parameters(model):
    assert repr(clone(model).get_params()) == repr(model.get_params())
    assert type(pickle.loads(pickle.dumps(model))) is type(model)  # noqa: S301


def test_new_data_have_the_features_that_were_fitted(data):
    X, eta, _ = data
    X = X.assign(g=np.where(X["c"] > 0, "high", "low"))
    model = GLMRegressor().fit(X, eta)
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "g"] and model.n_features_in_ == 4
    assert model.get_feature_names_out().tolist() == ["a", "b", "c", "g[T.low]"]
    assert model.get_feature_names_out(["a", "b", "c", "g"]).shape == model.coef_.shape
    with pytest.raises(rp.DataError, match="input_features"):
        model.get_feature_names_out(["a"])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(X[["b", "a", "c", "g"]])
    with pytest.raises(sklearn.exceptions.NotFittedError):
        GLMRegressor().get_feature_names_out()


def test_weights_drop_rows_with_their_categories(data):
    X, eta, _ = data
    X = X.assign(g=np.where(X["c"] > 0, "high", "low"))
    weight = np.where(np.arange(400) < 9, 0.0, 1.0)
    X.loc[0, "g"] = "seen only with weight 0"
    ours, part = GLMRegressor().fit(X, eta, weight), GLMRegressor().fit(X[9:], eta[9:])
    assert ours.get_feature_names_out().tolist() == part.get_feature_names_out().tolist()
    np.testing.assert_allclose(ours.coef_, part.coef_, rtol=1e-10)


def test_a_pipeline_with_frames_between_its_steps(data):
    X, eta, rng = data
    X = X.assign(g=np.where(X["c"] > 0, "high", "low"))
    encode = make_column_transformer(
        (StandardScaler(), ["a", "b"]), (OneHotEncoder(drop="first", sparse_output=False), ["g"])
    ).set_output(transform="pandas")
    y = rng.poisson(np.exp(eta))
    piped = make_pipeline(encode, GLMRegressor("poisson")).fit(X, y)
    alone = GLMRegressor("poisson").fit(X.drop(columns="c"), y)
    assert list(piped[-1].feature_names_in_) == ["standardscaler__a", "standardscaler__b", "onehotencoder__g_low"]
    np.testing.assert_allclose(piped.predict(X), alone.predict(X.drop(columns="c")), rtol=1e-8)


def test_a_sparse_matrix_from_a_pipeline_is_a_design(data):
    X, eta, rng = data
    X = X.assign(g=np.where(X["c"] > 0, "high", "low"))[["g", "a"]]
    y = rng.poisson(np.exp(eta))
    encode = make_column_transformer(
        (OneHotEncoder(drop="first"), ["g"]), remainder="passthrough", sparse_threshold=1.0
    )
    piped = make_pipeline(encode, GLMRegressor("poisson")).fit(X, y)
    np.testing.assert_allclose(piped.predict(X), GLMRegressor("poisson").fit(X, y).predict(X), rtol=1e-8)


def test_a_search_over_penalties_and_families(data):
    X, eta, rng = data
    y = rng.poisson(np.exp(eta))
    grid = {"penalty": [None, 1e4], "family": ["poisson", "quasipoisson"]}
    found = GridSearchCV(GLMRegressor("poisson"), grid, cv=3).fit(X, y)
    assert found.best_params_["penalty"] is None and found.best_score_ > 0.3


def test_weights_and_exposures_are_routed(data):
    X, eta, rng = data
    exposure = rng.uniform(0.2, 5.0, 400)
    y = rng.poisson(exposure * np.exp(eta))
    named = ("exposure",)
    with sklearn.config_context(enable_metadata_routing=True):
        model = GLMRegressor("poisson").set_fit_request(exposure=True, sample_weight=True)
        model = model.set_predict_request(exposure=True).set_score_request(exposure=True, sample_weight=True)
        for request in ("fit", "score"):
            assert model.get_metadata_routing().consumes(request, named) == set(named)
        asked = {"exposure": exposure, "sample_weight": np.ones(400)}
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = cross_val_score(make_pipeline(scaler, model), X, y, cv=3, params=asked)
    assert routed.mean() > 0.5
    plain = GLMRegressor("poisson").fit(X, y, exposure=exposure)
    fit = rp.glm("y ~ a + b + c", X.assign(y=y), family="poisson", offset=np.log(exposure))
    np.testing.assert_allclose(plain.coef_, fit.params.iloc[1:], rtol=1e-9)


@pytest.mark.parametrize("positions", [["g"], [1], [False, True], np.array([1])])
def test_categories_may_be_named(positions):
    X = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "g": [1, 2, 1, 2, 3, 3]})
    y = np.array([0.1, 1.3, 1.9, 3.4, 3.9, 5.2])
    model = GLMRegressor(categorical_features=positions).fit(X, y)
    assert model.get_feature_names_out().tolist() == ["a", "g[T.2]", "g[T.3]"]
    fit = rp.glm("y ~ a + C(g)", X.assign(y=y))
    np.testing.assert_allclose(model.coef_, fit.params.iloc[1:], rtol=1e-9)
