from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raphson.checks.smoothing import POINTS, local_mean


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_a_constant_stays_and_the_order_of_rows_does_not_matter(values: list[int], random) -> None:
    x = np.array(values, dtype=float)
    smooth = local_mean(x)
    np.testing.assert_allclose(smooth.of(np.full(len(x), 3.0)), 3.0)
    order = list(range(len(x)))
    random.shuffle(order)
    r = np.arange(len(x), dtype=float)
    other = local_mean(x[order])
    np.testing.assert_array_equal(smooth.x, other.x)
    np.testing.assert_allclose(smooth.of(r), other.of(r[order]), rtol=1e-12, atol=1e-12)


def test_a_bump_is_seen_where_it_is() -> None:
    x = np.linspace(0, 1, 500)
    smooth = local_mean(x)
    assert len(smooth.x) == POINTS
    bump = smooth.of(np.where(np.abs(x - 0.7) < 0.05, 1.0, 0.0))
    assert abs(smooth.x[np.argmax(bump)] - 0.7) < 0.05


def test_few_values_have_a_mean_each() -> None:
    smooth = local_mean(np.repeat([1.0, 2.0, 9.0], 40))
    assert smooth.x.tolist() == [1.0, 2.0, 9.0]


def test_each_data_set_over_its_own_covariate_is_that_covariates_local_mean() -> None:
    rng = np.random.default_rng(3)
    x, r = rng.normal(size=(4, 90)), rng.normal(size=(4, 90))
    found = local_mean(x[0]).over(x, r)
    for own, values, one in zip(x, r, found, strict=True):
        np.testing.assert_allclose(one, local_mean(own).of(values), rtol=1e-12, atol=1e-12)


def test_places_without_near_ranks_take_the_nearest_rows() -> None:
    smooth = local_mean(np.arange(100.0))
    two = np.repeat([0.0, 1.0], 50)[None]
    np.testing.assert_allclose(smooth.over(two, two)[0, [0, -1]], [0.0, 1.0])
