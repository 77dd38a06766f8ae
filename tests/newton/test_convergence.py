from __future__ import annotations

import math

import numpy as np
import pytest

from raphson.newton.convergence import Measured, Verdict, judge, rounding_floor

TOL = 1e-8


def state(distance, previous=1.0, floor=1e-14, polished=False, full=True, noise_distance=0.0):
    return Measured(distance, previous, floor, polished, full, noise_distance)


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        # Far away
        (state(1.0, previous=math.inf), Verdict.CONTINUE),
        (state(1e-3), Verdict.CONTINUE),
        (state(2e-8, previous=3e-8, floor=1e-15), Verdict.CONTINUE),
        # Within tolerance: one full step more, then the end
        (state(1e-9), Verdict.POLISH),
        (state(TOL), Verdict.POLISH),
        (state(1e-12, polished=True), Verdict.CONVERGED),
        (state(1e-9, polished=True), Verdict.CONVERGED),
        # Within tolerance and below what rounding lets one see: no more step would help
        (state(1e-15), Verdict.CONVERGED),
        # Polished once, but not within tolerance: go on
        (state(1e-3, polished=True), Verdict.CONTINUE),
        # At the floor, above the tolerance
        (state(1e-6, previous=1e-5, floor=2e-6), Verdict.ROUNDING_FLOOR),
        # A full Newton step brought nothing, near the floor: rounding
        (state(1e-6, previous=1.1e-6, floor=1e-7), Verdict.ROUNDING_FLOOR),
        # The same where it is the noise of the predictor that hides the rest; not if that is as large as the errors
        (state(0.01, previous=0.015, noise_distance=0.02), Verdict.ROUNDING_FLOOR),
        (state(0.01, previous=0.1, noise_distance=0.02), Verdict.CONTINUE),
        (state(0.9, previous=1.1, noise_distance=2.0), Verdict.CONTINUE),
        # The same without a full step, or far above the floor: no reason to stop
        (state(1e-6, previous=1.1e-6, floor=1e-7, full=False), Verdict.CONTINUE),
        (state(1e-6, previous=1.1e-6, floor=1e-12), Verdict.CONTINUE),
        (state(1e-6, previous=1e-4, floor=1e-7), Verdict.CONTINUE),
        # Not a number is no maximum
        (state(math.nan), Verdict.CONTINUE),
        (state(math.inf, previous=math.inf), Verdict.CONTINUE),
    ],
)
def test_judge(measured, verdict):
    assert judge(measured, TOL) is verdict


def test_the_floor_grows_with_rows_terms_and_precision():
    one, theta = np.array([2.0]), np.array([3.0])
    assert rounding_floor(one, theta, 1.0, 100) == pytest.approx(2.0**-52 * (3 * 2 + 10))
    assert rounding_floor(one, theta, 4.0, 100) == pytest.approx(2.0**-52 * (3 * 2 / 2 + 10))
    assert rounding_floor(one, theta, 1.0, 100, condition=50.0) == pytest.approx(2.0**-52 * (3 * 2 + 500))
    assert rounding_floor(one, -theta, 1.0, 100) == rounding_floor(one, theta, 1.0, 100)
    assert rounding_floor(one, theta, 1.0, 100, condition=1e16) == 0.01 < rounding_floor(one, theta, 2.0, 100, 1e16)
