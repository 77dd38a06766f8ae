"""The dispersion that maximises a likelihood, by few readings."""

import numpy as np
import pytest
from scipy.special import gammaln

from raphson.model.families import Gamma
from raphson.model.streamed_dispersion import best_dispersion


class Readings:
    """A likelihood that counts how often it is read for several φ."""

    def __init__(self, likelihood) -> None:
        self.likelihood, self.count = likelihood, 0

    def __call__(self, dispersions):
        self.count += 1
        return np.array([self.likelihood(phi) for phi in dispersions])


@pytest.mark.parametrize("deviance", [1e-12, 1e-3, 1.0, 50.0])
def test_a_gamma_dispersion_is_found_by_one_reading_whatever_it_is(deviance):
    weight = np.random.default_rng(0).uniform(0.1, 9.0, 200)

    def likelihood(phi):
        a = weight / phi
        return np.sum(a * np.log(a) - a - gammaln(a)) - 0.5 * deviance * 200 / phi

    if deviance < 1e-6:  # by Stirling's series, as the terms cancel

        def likelihood(phi):
            return np.sum(0.5 * np.log(weight / phi) - phi / weight / 12) - 0.5 * deviance * 200 / phi

    low, high = Gamma.dispersion_in_deviances
    readings = Readings(likelihood)
    found, value = best_dispersion(readings, low * deviance, high * deviance)
    assert readings.count == 1
    expected = Gamma().dispersion_of(200 * deviance, np.ones(200), weight, "precision")
    assert found == pytest.approx(expected, rel=1e-10)
    assert value == pytest.approx(likelihood(expected), rel=1e-13)


@pytest.mark.parametrize("at", [1e-4, 1.0, 3e3])
def test_a_maximum_outside_the_range_is_walked_to(at):
    readings = Readings(lambda phi: -np.log(phi) - at / phi)
    found, value = best_dispersion(readings, 0.5, 2.0)
    assert found == pytest.approx(at, rel=1e-7) and value == pytest.approx(-np.log(at) - 1.0, rel=1e-12)
    assert readings.count < 9


def test_a_likelihood_without_values_has_no_dispersion():
    assert np.isnan(best_dispersion(lambda several: np.full(len(several), np.nan), 0.5, 2.0)).all()
