"""The predictor of a curve: f, its Jacobian, and the parameter that is solved for on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raphson.data.curves import parse_curve
from raphson.model.curve.nonlinear import NonlinearPredictor
from raphson.model.curve.written import curve_derivatives

X = np.linspace(0.2, 3.0, 9)
Y = 2.0 * np.exp(-0.7 * X) + 0.05 * np.cos(5 * X)
W = np.array([1.0, 2.0, 1.0, 0.0, 1.0, 0.5, 1.0, 1.0, 3.0])


@pytest.fixture
def predictor():
    curve = parse_curve("a*exp(-b*x)", ["x"], "formula")
    return NonlinearPredictor(curve_derivatives(curve, ("x",), ("a", "b")), 2, True)


@pytest.fixture
def block(predictor):
    (made,) = predictor.blocks((X[:, None],), Y, W, None)
    return made


def test_f_and_its_jacobian(predictor, block):
    theta = np.array([1.5, 0.4])
    eta, jacobian = predictor.at(block, theta)
    shape = np.exp(-0.4 * X)
    np.testing.assert_allclose(eta[0, : len(X)], 1.5 * shape, rtol=1e-15)
    np.testing.assert_allclose(jacobian.parts[0], np.column_stack([shape, -1.5 * X * shape]), rtol=1e-14)
    np.testing.assert_array_equal(predictor.eta(block, theta), eta)


def test_what_was_worked_out_last_is_not_given_for_another_point_or_block(predictor, block):
    theta = np.array([1.5, 0.4])
    before = predictor.at(block, theta)[0]
    theta[1] = 0.9  # in place
    np.testing.assert_allclose(predictor.at(block, theta)[0][0, : len(X)], 1.5 * np.exp(-0.9 * X), rtol=1e-15)
    theta[1] = 0.4
    other = replace(block, designs=(2.0 * block.designs[0],))
    np.testing.assert_allclose(predictor.eta(other, theta)[0, : len(X)], 1.5 * np.exp(-0.8 * X), rtol=1e-15)
    np.testing.assert_array_equal(predictor.eta(block, theta), before)


def test_a_linear_parameter_is_solved_for_with_what_follows_from_it(predictor, block):
    there = predictor.solved(block, np.array([5.0, 0.7]), np.sqrt(block.weight), 0)
    shape = np.exp(-0.7 * X)
    np.testing.assert_allclose(there, [(W * shape) @ Y / ((W * shape) @ shape), 0.7], rtol=1e-14)
    fresh = replace(predictor, _last={})
    np.testing.assert_array_equal(predictor.at(block, there)[0], fresh.at(block, there)[0])
    np.testing.assert_array_equal(predictor.at(block, there)[1].parts[0], fresh.at(block, there)[1].parts[0])
    # Where nothing finite comes out, or the curve does not depend on it, it stays where it is.
    stuck = predictor.solved(block, np.array([5.0, 1e6]), np.sqrt(block.weight), 0)
    np.testing.assert_array_equal(stuck, [5.0, 1e6])
