"""The linearised Laplace approximation: the delta method where data identify, the prior where they do not."""

import numpy as np
import pytest

from raphson.inference.laplace import Laplace

A = np.random.default_rng(0).normal(size=(40, 3))
F = A.T @ A


def test_it_is_the_inverse_of_information_plus_prior():
    prior = np.array([0.5, 1.0, 2.0])
    laplace = Laplace(F, prior)
    expected = np.linalg.inv(F / 0.3 + np.diag(prior))
    np.testing.assert_allclose(laplace.covariance(0.3), expected, rtol=1e-10)
    assert laplace.determined(0.3) == pytest.approx(np.trace(F / 0.3 @ expected))


def test_a_direction_that_the_data_do_not_see_keeps_its_prior():
    blind = np.zeros((3, 3))
    blind[:2, :2] = 1e8 * np.eye(2)
    laplace = Laplace(blind, np.full(3, 4.0))
    np.testing.assert_allclose(np.diag(laplace.covariance(1.0)), [1e-8, 1e-8, 0.25], rtol=1e-6)
    assert laplace.determined(1.0) == pytest.approx(2.0)


def test_the_dispersion_solves_its_fixed_point():
    laplace = Laplace(F, np.ones(3))
    phi = laplace.dispersion(20.0, 40.0)
    assert phi * (40.0 - laplace.determined(phi)) == pytest.approx(20.0)
    assert laplace.dispersion(0.0, 40.0) == 0.0
