from __future__ import annotations

import numpy as np
import pytest

from raphson.checks import responses
from raphson.checks.pictures import Mark
from raphson.checks.simulated import Rows, Simulated


def _simulated(y: np.ndarray, mean: np.ndarray, draw) -> Simulated:
    drawn = np.stack([draw() for _ in range(200)])
    means = np.broadcast_to(mean, drawn.shape)
    pearson = np.array([np.mean((one - mean) ** 2 / mean) for one in (y, *drawn)])
    ones = np.ones(len(y))
    return Simulated(Rows(y, mean, y * 0), Rows(drawn, means, drawn * 0), ones, pearson[0], pearson[1:], False, 1, ())


def test_area_under_the_curve_counts_pairs() -> None:
    y, mean = np.array([1.0, 0, 1, 0, 1]), np.array([0.9, 0.8, 0.4, 0.4, 0.1])
    pairs = [(a > b) + 0.5 * (a == b) for a in mean[y == 1] for b in mean[y == 0]]
    assert responses._roc(Rows(y, mean, y), np.linspace(0, 1, 11))[1] == pytest.approx(np.mean(pairs))


def test_overdispersed_counts_are_flagged_and_poisson_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    mean = np.full(400, 3.0)
    poisson = _simulated(rng.poisson(3.0, 400).astype(float), mean, lambda: rng.poisson(mean).astype(float))
    wide = _simulated(rng.negative_binomial(1, 0.25, 400).astype(float), mean, lambda: rng.poisson(mean).astype(float))
    assert responses.dispersion(poisson).passed and responses.counts(poisson, "y").passed
    dispersion, counts = responses.dispersion(wide), responses.counts(wide, "y")
    assert not dispersion.passed and dispersion.title.endswith("times the variance expected")
    assert not counts.passed and "zeros where" in counts.doubt


def test_wrong_probabilities_are_not_calibrated() -> None:
    rng = np.random.default_rng(1)
    mean = rng.uniform(0.05, 0.6, 500)
    right = _simulated((rng.random(500) < mean).astype(float), mean, lambda: (rng.random(500) < mean).astype(float))
    wrong = _simulated((rng.random(500) < mean**2).astype(float), mean, lambda: (rng.random(500) < mean).astype(float))
    assert responses.calibration(right, "y").passed
    found = responses.calibration(wrong, "y")
    assert not found.passed and any(mark.role == "doubt" for mark in found.picture.marks)


def test_one_group_of_equal_probabilities() -> None:
    y = np.array([0.0, 1, 1, 0])
    found = responses.calibration(_simulated(y, np.full(4, 0.5), lambda: y), "y")
    dots = [mark for mark in found.picture.marks if isinstance(mark, Mark) and mark.kind == "dots"]
    assert found.passed and [len(mark.x) for mark in dots] == [1]
