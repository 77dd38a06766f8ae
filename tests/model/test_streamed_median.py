"""The median of numbers that are read in pieces is NumPy's, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.model import streamed_median
from raphson.model.streamed_median import WHOLE, Interval, around, median


def numbers(kind: str, n: int) -> np.ndarray:
    values = np.abs(np.random.default_rng(n).normal(size=n))
    if kind == "ties":
        return np.round(values, 1)
    if kind == "zeros":
        return np.where(np.arange(n) < 2 * n // 3, 0.0, values)
    if kind == "infinite":
        return np.where(np.arange(n) < n // 3, np.inf, values)
    return np.where(np.arange(n) < n // 2, 1.0, 2.0) if kind == "two" else values


def streamed(values: np.ndarray, where: Interval) -> tuple[float, int]:
    """The median, and the number of readings."""
    pieces, readings = np.array_split(values, 3), [0]

    def counts(interval):
        readings[0] += 1
        one, other, third = map(interval.count, pieces)
        return one + other + third

    def inside(interval):
        readings[0] += 1
        return np.concatenate([interval.inside(piece) for piece in pieces])

    return median(len(values), where, counts, inside), readings[0]


@pytest.mark.parametrize("kept", [2**17, 10])
@pytest.mark.parametrize("kind", ["normal", "ties", "zeros", "infinite", "two"])
@pytest.mark.parametrize("n", [1, 2, 3, 10, 11, 1000, 10_001])
def test_it_is_the_median(kind, n, kept, monkeypatch):
    monkeypatch.setattr(streamed_median, "KEPT", kept)
    values = numbers(kind, n)
    # From anywhere, from a sample, from all, and from an interval that a bad sample gave.
    for where in (WHOLE, around(values[::7]), around(values), around(values[:0]), Interval(5, 6)):
        assert streamed(values, where)[0] == np.median(values)


def test_a_sample_makes_it_two_readings(monkeypatch):
    monkeypatch.setattr(streamed_median, "KEPT", 100)
    values = numbers("normal", 100_001)
    assert streamed(values, around(values[::10])) == (np.median(values), 2)
