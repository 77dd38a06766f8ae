"""Directions across an edge and along it."""

from __future__ import annotations

import numpy as np

from raphson.newton.face import across_and_along

FREE, UNIT = np.ones(3, bool), np.array([1.0, 10.0, 0.1])


def test_along_the_edge_no_wall_is_left_and_across_it_all_are_moved():
    normals = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])
    A, Y, Z = across_and_along(normals, FREE, UNIT)
    assert Y.shape == (3, 2) and Z.shape == (3, 1)
    np.testing.assert_allclose(normals @ Z, 0.0, atol=1e-12)
    assert np.linalg.matrix_rank(normals @ Y) == 2
    np.testing.assert_allclose(np.linalg.norm(A, axis=1), 1.0)


def test_walls_that_say_the_same_count_once():
    _, Y, Z = across_and_along(np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]]), FREE, UNIT)
    assert Y.shape == (3, 1) and Z.shape == (3, 2)


def test_held_parameters_do_not_move():
    free = np.array([True, False, True])
    _, Y, Z = across_and_along(np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]), free, UNIT)
    assert Y.shape == (3, 1) and Z.shape == (3, 1) and not Y[1].any() and not Z[1].any()
