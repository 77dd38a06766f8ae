from __future__ import annotations

import numpy as np

from raphson.checks import survival
from raphson.checks.survival import Times, censoring_times, kaplan_meier

RNG = np.random.default_rng(0)
N, B = 200, 300


def _times(hazard: np.ndarray, promised: np.ndarray) -> Times:
    """Exponential times with some hazards, checked against promised ones, of two halves."""
    until = RNG.exponential(2.0, N)
    event = RNG.exponential(1.0, N) / hazard
    y, seen = np.minimum(event, until), event <= until
    drawn = RNG.exponential(1.0, (B, N)) / promised
    ends = censoring_times(y, seen, RNG, B)
    z, found = np.minimum(drawn, ends), drawn <= ends
    third = (np.arange(N) >= N // 2) * 2
    shares = -np.expm1(-promised * y), -np.expm1(-promised * z)
    return Times("days", y, seen, shares[0], z, found, shares[1], third, True)


def test_the_product_limit_by_hand() -> None:
    time, seen = np.array([3.0, 1, 2, 2]), np.array([True, True, False, True])
    # At 2 the event comes before the censored time: 3/4, then 2/3 of it, and the last of one row.
    np.testing.assert_allclose(kaplan_meier(time, seen, np.array([0.0, 1, 2, 3])), [1, 0.75, 0.5, 0])


def test_censoring_follows_the_own_time_and_lies_beyond_it() -> None:
    time, seen = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False])
    found = censoring_times(time, seen, np.random.default_rng(1), 4000)
    assert (found[:, 1] == 2).all() and (found[:, 3] == 4).all()
    assert set(np.unique(found[:, 0])) == {2.0, 4.0} and (found[:, 2] == 4).all()
    # After 1, a third of the three rows at risk is censored at 2.
    assert abs(np.mean(found[:, 0] == 2) - 1 / 3) < 0.03
    assert np.isinf(censoring_times(time, np.ones(4, dtype=bool), RNG, 2)).all()


def test_right_times_pass_and_wrong_ones_do_not() -> None:
    ones = np.ones(N)
    right, wrong = _times(ones, ones), _times(np.where(np.arange(N) < N // 2, 3.0, 0.5), ones)
    assert survival.distribution(right).passed and survival.by_risk(right).passed
    found = survival.by_risk(wrong)
    assert not found.passed and "third" in found.doubt
    early = _times(3.0 * ones, ones)
    assert not survival.distribution(early).passed and "more" in survival.distribution(early).doubt
