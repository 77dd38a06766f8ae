"""The tail of a weighted sum of χ² variables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, f

from raphson.inference.quadratic_forms import upper_tail


@pytest.mark.parametrize(("x", "ones"), [(3.0, 0), (3.0, 1), (25.0, 4), (150.0, 3)])
def test_with_weights_of_1_it_is_that_of_chi_square(x, ones):
    assert upper_tail(x, ones, (1.0, 1.0)) == pytest.approx(chi2.sf(x, ones + 2), rel=1e-9)


@pytest.mark.parametrize("df", [4.0, 21.5, 3000.0])
def test_a_ratio_is_that_of_f(df):
    for x in (2.0, 20.0, 60.0):
        assert upper_tail(x, 3, (1.0, 1.0), df) == pytest.approx(f.sf(x / 5, 5, df), rel=1e-7)


def test_weights_against_simulated_sums():
    rng = np.random.default_rng(0)
    draws = rng.chisquare(1, (400_000, 3)) @ [1.0, 1.2, 0.3]
    divisor = rng.chisquare(20, 400_000) / 20
    for x in (1.0, 4.0, 9.0):
        for found, expected in (
            ((draws > x).mean(), upper_tail(x, 1, (1.2, 0.3))),
            ((draws > x * divisor).mean(), upper_tail(x, 1, (1.2, 0.3), 20.0)),
        ):
            assert abs(found - expected) < 4 * np.sqrt(expected / 400_000)


def test_of_nothing_it_is_1():
    assert upper_tail(0.0, 2, None) == 1.0
