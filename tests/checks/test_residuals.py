from __future__ import annotations

import numpy as np

from raphson.checks import residuals
from raphson.checks.simulated import Rows, Simulated

N = 300


def _rows(residual: np.ndarray, rng: np.random.Generator, moves: np.ndarray | None = None) -> Simulated:
    drawn = rng.normal(size=(300, N))
    others = None if moves is None else np.abs(rng.normal(size=(300, N))) * 0.05
    labels = tuple(f"r{i}" for i in range(N))
    data = Rows(residual, residual, residual, moves)
    return Simulated(data, Rows(drawn, drawn, drawn, others), np.ones(N), 1.0, np.ones(300), True, 1, labels)


def test_a_sample_of_the_model_passes_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, N)
    good = rng.normal(size=N)
    codes = np.arange(N) % 3
    assert residuals.distribution(_rows(good, rng)).passed
    assert residuals.straight(_rows(good, rng), x, "x").passed
    assert residuals.spread(_rows(good, rng), x, "x").passed
    assert residuals.even(_rows(good, rng), codes, ("a", "b", "c"), "g").passed
    assert not residuals.distribution(_rows(good**3, rng)).passed
    assert not residuals.straight(_rows(good + 3 * x**2, rng), x, "x").passed
    assert residuals.spread(_rows(good * np.exp(2 * x), rng), x, "x").title == "Spread not even"
    uneven = residuals.even(_rows(good + (codes == 1), rng), codes, ("a", "b", "c"), "g")
    assert not uneven.passed and "b" in uneven.doubt


def test_a_wrong_variance_is_told_once() -> None:
    # Local means and spreads are of residuals of variance 1: twice the variance is no curve and no uneven level.
    rng = np.random.default_rng(1)
    wide = 2.0 * rng.normal(size=N) + 1.0
    x = np.linspace(-1, 1, N)
    assert not residuals.distribution(_rows(wide, rng)).passed
    assert residuals.straight(_rows(wide, rng), x, "x").passed and residuals.spread(_rows(wide, rng), x, "x").passed


def test_the_row_that_pulls_is_named() -> None:
    rng = np.random.default_rng(2)
    moves = np.abs(rng.normal(size=N)) * 0.05
    quiet = residuals.influence(_rows(moves, rng, moves))
    moves = moves.copy()
    moves[42] = 2.0
    loud = residuals.influence(_rows(moves, rng, moves))
    assert quiet is not None and quiet.passed
    assert loud is not None and loud.title == "Row r42 pulls" and loud.value == 2.0
    assert residuals.influence(_rows(moves, rng)) is None
