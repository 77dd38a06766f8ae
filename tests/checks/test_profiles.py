from __future__ import annotations

import math

import numpy as np

from raphson.checks.pictures import Picture
from raphson.checks.profiles import asymmetry, wald_serves

NONE = Picture("k", "ζ", ())


def test_the_least_symmetric_interval_is_found() -> None:
    found = asymmetry(np.array([0.0, 1.0, 2.0]), np.array([[-1.0, 1.0], [0.9, 2.0], [np.nan, np.nan]]))
    assert np.argmax(found) == 1 and found[2] == 0
    assert asymmetry(np.zeros(1), np.array([[-1.0, np.inf]]))[0] == 1


def test_wald_serves_where_its_ends_are_near() -> None:
    near = wald_serves("k", (0.0, 2.0), (0.1, 2.1), NONE, 3)
    far = wald_serves("k", (0.0, 2.0), (0.3, 2.6), NONE, 3)
    open_ended = wald_serves("k", (0.0, 2.0), (0.3, math.inf), NONE, 3)
    assert near.passed and near.value == 0.10000000000000009
    assert far.passed is False and "60%" in far.caption and "profile interval" in far.doubt
    assert open_ended.passed is False and "without bound" in open_ended.caption
