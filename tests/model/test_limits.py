from __future__ import annotations

import numpy as np

from raphson.data import from_arrays
from raphson.execute import serial
from raphson.model.glm import GeneralisedLinearModel
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
