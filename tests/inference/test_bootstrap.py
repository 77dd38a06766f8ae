"""Bootstrap intervals against their definitions and against cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raphson.errors import ModelError
from raphson.inference.bootstrap import acceleration, bca_levels, intervals


@pytest.fixture(scope="module")
def skewed():
    return np.random.default_rng(0).gamma(4, 1, (199_999, 1))


def test_percentile_and_basic_mirror_each_other(skewed):
    estimate = np.array([4.0])
    low, high = intervals(skewed, estimate, "percentile", 0.9)[0]
    np.testing.assert_allclose([low, high], stats.gamma(4).ppf([0.05, 0.95]), rtol=0.01)
    np.testing.assert_allclose(intervals(skewed, estimate, "basic", 0.9)[0], [8 - high, 8 - low])


def test_bca_without_bias_and_acceleration_is_percentile(skewed):
    median = np.median(skewed, axis=0)
    np.testing.assert_allclose(
        intervals(skewed, median, "bca", acceleration=np.zeros(1)), intervals(skewed, median, "percentile"), rtol=1e-3
    )


def test_bca_agrees_with_scipy():
    sample = np.random.default_rng(3).exponential(size=40)
    peer = stats.bootstrap((sample,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(0))
    draws = np.random.default_rng(1).choice(sample, (20_000, 40)).mean(axis=1)[:, None]
    a = acceleration((sample - sample.mean())[:, None])
    found = intervals(draws, np.array([sample.mean()]), "bca", acceleration=a)[0]
    np.testing.assert_allclose(found, peer.confidence_interval, rtol=0.02)


def test_bca_is_right_where_a_monotone_scale_is_normal():
    """θ̂ = exp(Z), Z ~ N(log θ, 1): the interval is the exponential of the normal one, whatever the scale."""
    z = np.random.default_rng(0).normal(size=(200_000, 1))
    found = intervals(np.exp(z), np.ones(1), "bca", acceleration=np.zeros(1))
    np.testing.assert_allclose(np.log(found[0]), [-1.96, 1.96], atol=0.03)


def test_studentised_uses_each_replicates_own_error():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(100_000, 1))
    found = intervals(
        z * 3.0 + 1.0, np.ones(1), "studentised", errors=np.full((100_000, 1), 3.0), error=np.array([2.0])
    )
    np.testing.assert_allclose(found[0], [1 - 1.96 * 2, 1 + 1.96 * 2], atol=0.05)
    with pytest.raises(ModelError, match="studentised"):
        intervals(z, np.zeros(1), "studentised")


def test_counts_stand_for_rows():
    values = np.array([[1.0], [2.0], [-3.0]])
    np.testing.assert_allclose(
        acceleration(values, np.array([2.0, 1.0, 1.0])), acceleration(values[[0, 0, 1, 2]]), rtol=1e-14
    )
    assert acceleration(np.zeros((3, 1)))[0] == 0


def test_levels_move_with_the_bias():
    draws = np.linspace(0, 1, 1001)[:, None]
    low, high = bca_levels(draws, np.array([0.3]), np.zeros(1), 0.95)[0]
    assert low < 0.025
    assert high < 0.975


def test_unknown_kinds_and_levels_are_refused():
    with pytest.raises(ModelError, match="percentile"):
        intervals(np.zeros((5, 1)), np.zeros(1), "normal")
    with pytest.raises(ModelError, match="level"):
        intervals(np.zeros((5, 1)), np.zeros(1), "bca", 95)


def test_infinite_replicates_stand_at_the_ends():
    draws = np.r_[-np.inf, np.arange(1.0, 38.0), np.inf][:, None]  # 39 of them: 2.5% is the first
    assert intervals(draws, np.array([19.0]), "percentile").tolist() == [[-np.inf, np.inf]]
    np.testing.assert_allclose(intervals(draws, np.array([19.0]), "percentile", 0.9), [[1.0, 37.0]])
    # Between a finite value and an infinite one is the infinite one.
    np.testing.assert_array_equal(intervals(draws, np.array([19.0]), "percentile", 0.92), [[-np.inf, np.inf]])
    np.testing.assert_array_equal(intervals(draws, np.array([19.0]), "basic"), [[-np.inf, np.inf]])
