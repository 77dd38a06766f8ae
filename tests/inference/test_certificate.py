from __future__ import annotations

import numpy as np
import pytest

from raphson.inference import certificate


@pytest.mark.parametrize("power", [0, 3, 6, 9])
def test_no_more_digits_are_claimed_than_there_are(power: int) -> None:
    # A Poisson fit moved off its maximum by 10^-power standard errors in a random direction.
    rng = np.random.default_rng(power)
    X = np.column_stack([np.ones(200), rng.normal(size=(200, 3))])
    y = rng.poisson(np.exp(X @ [1.0, 0.5, -0.2, 0.01])).astype(float)

    def parts(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = np.exp(X @ theta)
        return X.T @ (y - mean), (X.T * mean) @ X

    best = np.zeros(4)
    for _ in range(50):
        score, M = parts(best)
        best = best + np.linalg.solve(M, score)
    direction = np.linalg.solve(np.linalg.cholesky(M).T, rng.normal(size=4))
    theta = best + direction * 0.01 / 10.0**power
    score, M = parts(theta)
    bse = np.sqrt(np.diag(np.linalg.inv(M)))
    distance = float(np.sqrt(score @ np.linalg.solve(M, score)))
    claimed = certificate.digits(theta, bse, distance, rounding=1e-12)
    actual = -np.log10(np.abs(theta - best) / np.abs(theta))
    assert np.all(claimed <= actual + 0.05)
    assert claimed.max() > power  # and it doesn't shy away from claiming any


def test_ends_and_gaps() -> None:
    digits = certificate.digits(
        np.array([1.0, 1.0, np.nan, np.inf, 0.0]), np.array([1.0, 1e-30, np.nan, np.nan, 1.0]), 1e-6, rounding=1e-6
    )
    assert digits[0] == pytest.approx(-np.log10(2e-6))
    assert digits[1] == pytest.approx(15.95, abs=0.01)
    assert np.isnan(digits[2:4]).all()
    assert digits[4] == pytest.approx(-np.log10(2e-6))
    assert certificate.digits(np.ones(1), np.ones(1), 50.0).tolist() == [0.0]
