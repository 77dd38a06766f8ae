"""Moments of pieces add up to those of all rows."""

import numpy as np
import pytest

from raphson.model.network.moments import Moments

rng = np.random.default_rng(0)
ROWS = 1e6 + rng.normal(size=(500, 3)) * [1.0, 1e-3, 0.0]


@pytest.mark.parametrize("weight", [None, np.where(np.arange(500) < 120, 0.0, rng.random(500))])
def test_pieces_add_up_also_where_one_has_no_weight(weight):
    whole = Moments.of(ROWS, weight)
    cuts = [slice(0, 100), slice(100, 110), slice(110, 300), slice(300, 500)]  # the first two weigh nothing
    parts = [Moments.of(ROWS[cut], None if weight is None else weight[cut]) for cut in cuts]
    for found in (parts[0] + parts[1] + parts[2] + parts[3], (parts[0] + parts[1]) + (parts[2] + parts[3])):
        assert found.weight == pytest.approx(whole.weight)
        np.testing.assert_allclose(found.centre, whole.centre, rtol=1e-14)
        np.testing.assert_allclose(np.sqrt(found.square), np.sqrt(whole.square), rtol=1e-6, atol=1e-8)
        for name in ("low", "high", "least", "most", "varying"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert whole.varying.tolist() == [True, True, False]


def test_extremes_are_of_counted_rows_and_of_all():
    found = Moments.of(np.array([[1.0], [2.0], [9.0]]), np.array([1.0, 1.0, 0.0]))
    assert (found.low, found.high, found.least, found.most) == (1.0, 2.0, 1.0, 9.0)
    assert found.reach == 0.5 and found.size == 9.0


def test_no_rows_add_nothing():
    none, some = Moments.of(ROWS[:0], None), Moments.of(ROWS[:9], None)
    for found in (none + some, some + none):
        np.testing.assert_array_equal(found.centre, some.centre)
        np.testing.assert_array_equal(found.high, some.high)
