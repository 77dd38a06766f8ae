"""Where η is before anything is learnt, and by how much it spreads."""

import numpy as np
import pytest

from raphson.model.families import Gaussian, Multinomial
from raphson.model.network.output_scale import output_scale


def test_the_output_scale_of_a_gaussian_response_is_its_mean_and_spread():
    y = np.array([10.0, 20.0, 60.0])
    centre, spread, divisor = output_scale(Gaussian(), y, np.ones(3))
    assert centre == pytest.approx(30.0)
    assert spread == pytest.approx(np.std(y))
    assert divisor == pytest.approx(np.var(y))


def test_the_output_scale_of_a_multinomial_response_is_its_log_odds():
    y = np.array([0.0, 0.0, 1.0, 2.0])
    centre, spread, divisor = output_scale(Multinomial(levels=("a", "b", "c")), y, np.ones(4))
    np.testing.assert_allclose(centre, np.log(1.5 / 2.5))
    np.testing.assert_array_equal(spread, 1.0)
    assert divisor == 1.0
