"""Curves as estimators."""

from __future__ import annotations

import pickle

import jax.numpy as jnp
import numpy as np
import pandas as pd

from raphson.sklearn import NLSRegressor


def test_curves_by_expression_and_by_function(data):
    X = pd.DataFrame({"dose": np.linspace(0, 5, 40)})
    y = 3 * np.exp(-0.7 * X["dose"]) + 0.01 * np.sin(9 * X["dose"])
    named = NLSRegressor("top*exp(-rate*dose)", {"rate": 1.0}).fit(X, y)

    def curve(params, X):
        return params["top"] * jnp.exp(-params["rate"] * X[:, 0])

    written = NLSRegressor(curve, {"top": 1.0, "rate": 1.0}).fit(X, y)
    np.testing.assert_allclose(sorted(named.coef_), sorted(written.coef_), rtol=1e-9)
    np.testing.assert_allclose(named.predict(X[:5]), written.predict(X[:5]), rtol=1e-9)


def test_a_curve_is_pickled_and_fitted_again_when_asked():
    X = np.linspace(0, 5, 20)[:, None]
    model = NLSRegressor("top*exp(-rate*x0)", {"rate": 1.0}).fit(X, 3 * np.exp(-0.7 * X[:, 0]))
    again = pickle.loads(pickle.dumps(model))  # noqa: S301
    np.testing.assert_allclose(again.coef_, [3.0, 0.7], rtol=1e-8)
    np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-12)
    assert again.fit_.converged
