"""Whether a score is affine in the response is read off the operations, not off derivatives at points."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

from raphson.model.likelihood.affine import affine_in_response, information_free_of_response
from raphson.numeric import x64


def poisson(eta, row):
    return row[0] * eta[0] - jnp.exp(eta[0])


def normal_of_two(eta, row):
    return -eta[1] - 0.5 * ((row[0] - eta[0]) * jnp.exp(-eta[1])) ** 2


def inflated(eta, row):
    plain = row[0] * eta[0] - jnp.exp(eta[0])
    return jnp.where(row[0] == 0, jnp.logaddexp(eta[1], plain), plain) - jnp.logaddexp(0.0, eta[1])


@pytest.mark.parametrize(
    ("density", "K", "affine", "free"),
    [
        (poisson, 1, True, True),
        (normal_of_two, 2, False, False),  # the score of log σ has y²
        (inflated, 2, False, False),  # y chooses
    ],
)
def test_known_densities(density, K, affine, free):
    with x64():
        assert affine_in_response(density, K, ()) is affine
        assert information_free_of_response(density, K, ()) is free


def test_other_columns_may_enter_in_any_way():
    with x64():
        assert affine_in_response(lambda eta, row: jnp.exp(row[1]) * poisson(eta, row), 1, ((),))
