"""Rows by hand against autodiff of the log density, from one end of the doubles' exponents to the other."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from raphson.model import families
from raphson.model.families.kernels import NEAR
from raphson.numeric import x64

RESPONSES = {
    "real": np.array([-3.0, 0.0, 1.0, 1e6]),
    "proportion": np.array([0.0, 0.3, 0.5, 1.0]),
    "count": np.array([0.0, 1.0, 7.0, 1e6]),
    "nonnegative": np.array([1e-3, 1.0, 2.5, 1e4]),
}
BY_HAND = [
    families.Binomial(),
    families.QuasiBinomial(),
    families.Gaussian(),
    families.Poisson(),
    families.Gamma("log"),
]
ETA = np.unique(
    np.concatenate([np.linspace(-700.0, 700.0, 57), np.linspace(-3.0, 3.0, 25), [-37.0, 37.0, -1e-9, 1e-9]])
)


def rows_of(family, y, eta):
    """Both ways: by the kernel and by autodiff."""
    by_hand = family.kernel(y, eta, np.full((5, len(y)), np.nan))
    with x64():
        traced = family.rows(jnp.asarray(y), jnp.asarray(eta)[None])
        expected = [
            np.asarray(part).reshape(-1) for part in (traced.value, traced.score, traced.expected, traced.observed)
        ]
        mean = np.asarray(traced.mean[0])
    return by_hand, expected, mean


@pytest.mark.parametrize("family", BY_HAND, ids=lambda family: family.name)
def test_they_are_the_derivatives_of_the_log_density(family):
    y, eta = (values.ravel() for values in np.meshgrid(RESPONSES[family.support], ETA))
    with np.errstate(all="ignore"):
        by_hand, expected, mean = rows_of(family, y, eta)
        for ours, theirs in zip(by_hand, expected, strict=False):
            told = np.isfinite(theirs)
            # y − μ of a share near its mean is a difference of two numbers below 1.
            near = 4e-15 * np.abs(theirs) + 1e-15 * np.abs(y * eta) + 1e-16 * ((y > 0) & (y < 1))
            assert (np.abs(ours - theirs) <= near + 1e-300)[told].all()
        if family.dispersion_fixed or family.quasi:
            return
        square = (y - mean) ** 2 / family.variance(mean)
    told = np.isfinite(square)
    assert np.allclose(by_hand[4][told], square[told], rtol=1e-9, atol=1e-24)


def test_a_response_that_is_all_but_certain_keeps_the_digits_of_its_doubt():
    value, score, information, *_ = families.Binomial().kernel(
        np.array([1.0, 0.0]), np.array([40.0, -40.0]), np.empty((5, 2))
    )
    doubt = np.exp(-40.0)
    assert np.allclose(value, -doubt, rtol=1e-15)
    assert np.allclose(score, [doubt, -doubt], rtol=1e-15)
    assert np.allclose(information, doubt, rtol=1e-15)


def test_gamma_responses_near_their_means_lose_nothing_to_cancellation():
    gap = np.array([1e-9, -1e-6, 0.5 * NEAR])
    eta = np.array([0.0, 0.0, 0.0])
    value = families.Gamma("log").kernel(1.0 + gap, eta, np.empty((5, 3)))[0]
    t = (1.0 + gap) - 1.0
    series = sum((-1.0) ** k * t**k / k for k in range(2, 40))
    assert np.allclose(value, -series, rtol=1e-14)


def test_families_without_rows_by_hand_say_so():
    assert families.Binomial(link="probit").kernel is None
    assert families.Gamma().kernel is None
    assert families.NegativeBinomial().kernel is None


@pytest.mark.parametrize("family", BY_HAND, ids=lambda family: family.name)
def test_an_expected_information_of_1_is_told(family):
    y, eta = np.full(3, 0.5), np.array([-2.0, 0.0, 3.0])
    expected = family.kernel(y, eta, np.empty((5, 3)))[2]
    assert family.unit_information == bool((expected == 1.0).all())
