"""Draws have the family's mean and variance, and go through its own distribution function."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.model import families

MEAN = np.array([[0.5, 2.0, 7.0]])
COUNT = 40_000


@pytest.mark.parametrize(
    "family",
    [
        families.Gaussian(),
        families.Poisson(),
        families.Gamma(link="log"),
        families.InverseGaussian(link="log"),
        families.NegativeBinomial(theta=2.0),
        families.Tweedie(power=1.5),
        families.Tweedie(power=2.0),
    ],
    ids=lambda family: f"{family.name}{getattr(family, 'power', '')}",
)
def test_mean_and_variance(family):
    phi = 1.0 if family.dispersion_fixed else 0.3
    scale = phi / np.array([1.0, 1.0, 2.0]) if phi != 1.0 else np.ones(3)
    y = family.sample(np.random.default_rng(0), np.log(MEAN), MEAN, scale, None, COUNT)
    assert y.shape == (COUNT, 3)
    variance = scale * family.variance(MEAN[0])
    np.testing.assert_allclose(y.mean(axis=0), MEAN[0], atol=5 * np.sqrt(variance.max() / COUNT))
    np.testing.assert_allclose(y.var(axis=0), variance, rtol=0.1)


def test_binomial_draws_are_proportions_of_the_trials():
    mean, size = np.array([[0.2, 0.7]]), np.array([10.0, 4.0])
    y = families.Binomial().sample(np.random.default_rng(0), mean, mean, np.ones(2), size, COUNT)
    assert set(np.unique(np.round(y[:, 1] * 4, 12))) == {0.0, 1.0, 2.0, 3.0, 4.0}
    np.testing.assert_allclose(y.var(axis=0), mean[0] * (1 - mean[0]) / size, rtol=0.05)


def test_multinomial_draws_are_codes():
    mean = np.array([[0.2, 0.1], [0.3, 0.8], [0.5, 0.1]])
    family = families.Multinomial(levels=("a", "b", "c"))
    y = family.sample(np.random.default_rng(0), mean[1:], mean, np.ones(2), None, COUNT)
    for code in range(3):
        np.testing.assert_allclose((y == code).mean(axis=0), mean[code], atol=0.015)


@pytest.mark.parametrize("family", [families.QuasiPoisson(), families.QuasiBinomial(), families.Tweedie(power=2.5)])
def test_what_has_no_distribution_says_so(family):
    with pytest.raises(ModelError, match="simulate"):
        family.sample(np.random.default_rng(0), MEAN, MEAN / 10, np.ones(3), None, 2)
