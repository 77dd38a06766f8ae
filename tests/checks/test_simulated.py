from __future__ import annotations

import numpy as np

from raphson.checks.simulated import Rows


def test_joined_rows_are_taken_apart_again() -> None:
    one, other = (Rows(*(np.full((2, 3), k + i) for i in range(3))) for k in (0.0, 10.0))
    joined = Rows.joined([one, other])
    assert joined.y.shape == (4, 3) and joined.moves is None
    assert joined.of(2).residual.tolist() == [12.0] * 3


def test_shape_has_mean_0_and_variance_1_in_each_data_set() -> None:
    rows = Rows(np.zeros((2, 50)), np.zeros((2, 50)), np.random.default_rng(0).normal(3.0, 2.0, (2, 50)))
    np.testing.assert_allclose(rows.shape.mean(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(rows.shape.std(axis=1), 1.0)
    assert not Rows(np.zeros(3), np.zeros(3), np.full(3, 2.0)).shape.any()
