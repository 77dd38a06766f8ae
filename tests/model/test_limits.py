from __future__ import annotations

import numpy as np
import pytest

import raphson as rp
from raphson.data import from_arrays
from raphson.execute import serial
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.limits import Limit


def test_a_limit_keeps_the_model_and_what_went_to_infinity():
    limit = Limit("boundary", "model", np.array([0.0, 1.0]), None)
    assert limit.note == "" and limit.direction is None


def test_counts_that_vary_less_than_poisson_ones_lead_to_the_poisson_model():
    X = np.column_stack([np.ones(8), np.arange(8.0)])
    data = from_arrays([2.0, 3, 2, 3, 2, 3, 2, 3], X)
    model = GeneralisedLinearModel.of(data, "negative_binomial", "precision", None, serial())
    theta = np.array([0.9, 0.0, 20.0])
    limit = model.limit(theta, model.objective.evaluate(theta), converged=False)
    assert limit.status == "boundary" and limit.model.family.name == "poisson" and "poisson" in limit.note
    np.testing.assert_array_equal(limit.infinite, [0, 0, 1])
    assert limit.model.objective.n_params == 2
    # At a moderate θ nothing is said.
    moderate = np.array([0.9, 0.0, 1.0])
    assert model.limit(moderate, model.objective.evaluate(moderate), converged=True) is None


def test_a_level_with_probability_zero_is_found_without_a_certain_row():
    # Rows with g = 1 have levels 0 and 1 only: none of them is ever fitted with certainty.
    g = np.array([0.0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    y = np.array([0.0, 1, 2, 0, 1, 2, 0, 1, 0, 1])
    data = from_arrays(y, np.column_stack([np.ones(10), g]))
    model = GeneralisedLinearModel.of(data, "multinomial", "precision", None, serial())
    theta = np.array([0.0, 0.0, 0.0, -30.0])
    evaluation = model.objective.evaluate(theta)
    assert not model.suspects_infinity(evaluation)
    limit = model.limit(theta, evaluation, converged=True)
    assert limit.status == "separated"
    np.testing.assert_array_equal(limit.infinite, [0, 0, 0, -1])


@pytest.mark.filterwarnings("ignore::raphson.errors.SeparationWarning")
@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"weights": "w", "weights_kind": "frequency"},
        {"weights": "w"},
        {"dispersion": "deviance"},
        {"cov": "HC1"},
        {"cov": "HC3"},
        {"cov": "cluster", "groups": "c"},
    ],
    ids=str,
)
def test_errors_under_separation_are_those_of_the_rows_not_fitted_exactly(keywords):
    rng = np.random.default_rng(1)
    n = 200
    rows = {"z": np.repeat([0.0, 1.0], n), "x": rng.normal(size=2 * n), "w": rng.integers(1, 4, 2 * n).astype(float)}
    rows["c"] = np.arange(2 * n) % 25
    rows["y"] = np.where(rows["z"] == 0, rng.poisson(3.0, 2 * n), 0)
    both = rp.glm("y ~ x + z", rows, family="quasipoisson", **keywords)
    one = rp.glm("y ~ x", {name: values[:n] for name, values in rows.items()}, family="quasipoisson", **keywords)
    assert np.isneginf(both.params["z"])
    assert both.df_resid == one.df_resid
    assert both.dispersion == pytest.approx(one.dispersion, rel=1e-12)
    np.testing.assert_allclose(both.bse[["Intercept", "x"]], one.bse, rtol=1e-10)
    np.testing.assert_allclose(both.conf_int().loc["x"], one.conf_int().loc["x"], rtol=1e-9)


@pytest.mark.filterwarnings("ignore::raphson.errors.SeparationWarning")
@pytest.mark.parametrize("least", [1e-300, 1e-100, 1e-30, 0.0])
@pytest.mark.parametrize("method", ["fisher-scoring", "newton"])
def test_a_row_whose_weight_rounding_loses_does_not_oppose_separation(least, method):
    x = np.r_[np.arange(20.0), 3.0]
    rows = {"x": x, "y": np.r_[np.arange(20) > 9, True].astype(float), "w": np.r_[np.ones(20), least]}
    fit = rp.glm("y ~ x", rows, family="binomial", weights="w", method=method)
    assert fit.status.value == "separated"
    assert np.isposinf(fit.params["x"]) and np.isneginf(fit.params["Intercept"])


def test_a_row_of_small_weight_does():
    x, w = np.r_[np.arange(20.0), 3.0], 1e-6
    rows = {"x": x, "y": np.r_[np.arange(20) > 9, True].astype(float), "w": np.r_[np.ones(20), w]}
    fit = rp.glm("y ~ x", rows, family="binomial", weights="w")
    # What is left of the other rows' likelihood balances that of the light one: Σ w (y − μ) x = 0 by hand.
    mean = 1 / (1 + np.exp(-(fit.params["Intercept"] + fit.params["x"] * x)))
    assert fit.converged
    assert abs((rows["w"] * (rows["y"] - mean)) @ np.column_stack([np.ones(21), x])).max() < 1e-5 * w
