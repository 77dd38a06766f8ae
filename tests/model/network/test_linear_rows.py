"""Coefficients are scaled for first-order methods, and come back exactly."""

from __future__ import annotations

import numpy as np

from raphson.model.network.linear_rows import LinearRows

SIZES, SPREAD = [np.array([1.0, 4.0]), np.array([2.0])], np.array([0.5, 8.0, 2.0])
ROWS = LinearRows((0, 1, 0))


def test_there_and_back():
    theta = np.array([1.0, -2.0, 3.0, 0.5, 7.0])
    np.testing.assert_array_equal(ROWS.pack(ROWS.unpack(theta, SIZES, SPREAD), SIZES, SPREAD), theta)


def test_the_predictors_are_those_of_the_coefficients():
    X, Z = np.array([[1.0, 2.0], [1.0, -3.0]]), np.array([[4.0], [6.0]])
    theta = np.array([1.0, -2.0, 3.0, 0.5, 7.0])
    params = ROWS.unpack(theta, SIZES, SPREAD)
    eta, state = ROWS.eta(params, {"spread": SPREAD}, (X / SIZES[0], Z / SIZES[1]))
    np.testing.assert_allclose(eta, [X @ theta[:2], Z @ theta[2:3], X @ theta[3:]], rtol=1e-6)
    assert state["spread"] is SPREAD
