from __future__ import annotations

import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.model.penalty import penalty_matrix

FREE = np.array([True, False, False])


def test_none_is_none():
    assert penalty_matrix(None, 3, FREE) is None


def test_a_number_spares_the_intercept():
    np.testing.assert_array_equal(penalty_matrix(2, 3, FREE), np.diag([0.0, 2.0, 2.0]))


def test_a_vector_and_a_matrix_are_taken_as_they_are():
    np.testing.assert_array_equal(penalty_matrix([1, 0, 3], 3, FREE), np.diag([1.0, 0.0, 3.0]))
    P = np.array([[2.0, -1, 0], [-1, 2, -1], [0, -1, 2]])
    np.testing.assert_array_equal(penalty_matrix(P, 3, FREE), P)


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (-1.0, "no negative eigenvalue"),
        ([1, 2], "a vector of 3"),
        (np.ones((2, 3)), "a vector of 3"),
        (np.nan, "finite"),
        ([1, np.inf, 1], "finite"),
        (np.triu(np.ones((3, 3))), "symmetric"),
        (np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]), "no negative eigenvalue"),
        ("much", "penalty: expected a number"),
        ({"x": 1}, "penalty: expected a number"),
    ],
)
def test_refused(penalty, message):
    with pytest.raises(ModelError, match=message):
        penalty_matrix(penalty, 3, FREE)
