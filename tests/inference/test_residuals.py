from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from raphson.inference import residuals


def test_poisson_residuals_by_hand() -> None:
    y, mean = np.array([0.0, 3.0]), np.array([1.0, 2.0])
    unit = 2 * (special.xlogy(y, y / mean) - (y - mean))
    assert residuals.response(y, mean).tolist() == [-1.0, 1.0]
    assert residuals.working(y, mean, mean).tolist() == [-1.0, 0.5]
    assert residuals.pearson(y, mean, mean) == pytest.approx([-1.0, 1 / np.sqrt(2)])
    assert residuals.deviance(y, mean, unit) == pytest.approx([-np.sqrt(2), np.sqrt(2 * (3 * np.log(1.5) - 1))])
    weight = np.array([2.0, 0.0])
    assert (residuals.deviance(y, mean, unit, weight) ** 2).sum() == pytest.approx((weight * unit).sum())


def test_a_probability_fitted_exactly_has_no_residual() -> None:
    # 0/0 would be NaN.
    assert residuals.pearson(np.array([1.0]), np.array([1.0]), np.array([0.0])).tolist() == [0.0]
    assert residuals.deviance(np.array([1.0]), np.array([1.0]), np.array([-1e-17])).tolist() == [0.0]


def tails(lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, ...]:
    with np.errstate(divide="ignore"):
        return np.log(lower), np.log(upper), np.log1p(-lower), np.log1p(-upper)


def test_quantile_residuals_lie_between_the_ends_and_repeat() -> None:
    lower, upper = np.array([0.0, 0.2, 0.9]), np.array([0.2, 0.9, 1.0])
    one, again = (residuals.randomised_quantile(tails(lower, upper), seed=4) for _ in range(2))
    assert one.tolist() == again.tolist()
    assert one.tolist() != residuals.randomised_quantile(tails(lower, upper), seed=5).tolist()
    probability = special.ndtr(one)
    assert np.all((probability >= lower) & (probability <= upper))
    # Only what cannot be is infinite; a tail of exp(-2000) is Φ(-63.2).
    ends = [np.array([-np.inf, -2000.0]), np.array([-np.inf, -2000.0]), np.zeros(2), np.zeros(2)]
    assert residuals.randomised_quantile(ends) == pytest.approx([-np.inf, -63.1655], abs=1e-3)
    assert residuals.randomised_quantile(ends[2:] + ends[:2]) == pytest.approx([np.inf, 63.1655], abs=1e-3)


def test_quantile_residuals_of_a_true_model_are_normal() -> None:
    rng = np.random.default_rng(2)
    y = rng.poisson(2.0, size=20_000)
    below = np.where(y > 0, special.pdtr(np.maximum(y - 1.0, 0.0), 2.0), 0.0)
    r = residuals.randomised_quantile(tails(below, special.pdtr(y, 2.0)), seed=0)
    # Standard errors: 0.007 for the mean, 0.005 for the standard deviation.
    assert abs(r.mean()) < 0.03
    assert abs(r.std() - 1) < 0.02
