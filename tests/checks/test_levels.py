from __future__ import annotations

import numpy as np

from raphson.checks import levels
from raphson.checks.levels import Levels

N, B = 400, 300
X = np.linspace(-1.0, 1.0, N)


def _levels(slope: float, curve: float, rng: np.random.Generator) -> Levels:
    """Three levels, of which the second depends on x, and as data show it also on x²."""

    def probabilities(curve: float) -> np.ndarray:
        eta = np.stack([np.zeros(N), slope * X + curve * X * X, np.zeros(N)])
        return np.exp(eta) / np.exp(eta).sum(axis=0)

    def draw(p: np.ndarray, count: int) -> np.ndarray:
        return np.sum(rng.random((count, 1, N)) > np.cumsum(p, axis=0)[:-1], axis=1).astype(float)

    p = probabilities(0.0)
    return Levels(("u", "v", "w"), draw(probabilities(curve), 1)[0], p, draw(p, B), p[None])


def test_shares_of_levels() -> None:
    rng = np.random.default_rng(0)
    right, wrong = _levels(1.0, 0.0, rng), _levels(1.0, 3.0, rng)
    codes = (X > 0.5).astype(int)
    assert levels.straight(right, X, "x").passed
    found = levels.straight(wrong, X, "x")
    assert not found.passed and "frequent than fitted" in found.doubt
    uneven = levels.even(wrong, codes, ("a", "b"), "g")
    assert uneven is not None and not uneven.passed and uneven.title == "Uneven over g"
    even = levels.even(right, codes, ("a", "b"), "g")
    assert even is not None and even.passed
    assert [one.name for one in levels.calibrations(right)] == ["calibration: u", "calibration: v", "calibration: w"]
    assert not all(one.passed for one in levels.calibrations(wrong))


def test_what_the_fit_holds_fixed_is_no_check() -> None:
    y = np.arange(N) % 2.0
    p = np.full((2, N), 0.5)
    held = Levels(("u", "v"), y, p, np.tile(y, (B, 1)), p[None])
    assert levels.even(held, np.zeros(N, dtype=int), ("a",), "g") is None
