"""Rows by hand of several predictors against autodiff's."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from raphson.model import families
from raphson.model.families.joint_kernels import FARTHEST, LARGEST, MODERATE, SMALLEST, LevelCovariance
from raphson.numeric import x64


def rows_of(family, y, eta, kinds):
    """Value, score and the triangles of the matrices, by the kernel and by autodiff."""
    by_hand = family.joint_kernel(y, eta.copy(), tuple(kind == "observed" for kind in kinds))
    with x64():
        traced = family.rows(jnp.asarray(y), jnp.asarray(eta))
        matrices = [np.asarray(getattr(traced, kind)) for kind in kinds]
        value, score = np.asarray(traced.value), np.asarray(traced.score)
    triangles = [np.stack([M[k, j] for k in range(len(M)) for j in range(k + 1)]) for M in matrices]
    matrices = [W.triangles() if isinstance(W, LevelCovariance) else W for W in by_hand.matrices]
    return (by_hand.value, by_hand.score, *matrices), (value, score, *triangles)


def test_multinomial_rows_keep_their_digits_out_to_where_a_level_is_certain():
    rng = np.random.default_rng(0)
    family = families.Multinomial(levels=("a", "b", "c", "d"))
    eta = rng.normal(size=(3, 4000)) * np.exp(rng.uniform(-3.0, 6.0, size=4000))
    eta[:, :4] = 0.0
    y = rng.integers(0, 4, 4000).astype(float)
    for ours, theirs in zip(*rows_of(family, y, eta, ("expected",)), strict=True):
        assert np.allclose(ours, theirs, rtol=2e-12, atol=1e-300)


@pytest.mark.parametrize("size", [0.99 * MODERATE, 1.01 * MODERATE])
def test_multinomial_rows_are_the_same_with_and_without_a_shift(size):
    rng = np.random.default_rng(1)
    family = families.Multinomial(levels=("a", "b", "c"))
    eta = rng.normal(size=(2, 500))
    eta[:, 0] = -size, size
    y = rng.integers(0, 3, 500).astype(float)
    y[:2] = 1.0, 2.0
    for ours, theirs in zip(*rows_of(family, y, eta, ("expected",)), strict=True):
        assert np.allclose(ours, theirs, rtol=2e-12, atol=1e-300)


def test_a_level_may_be_ruled_out():
    family = families.Multinomial(levels=("a", "b", "c"))
    eta = np.array([[-np.inf, 0.3, -1e6], [0.5, -np.inf, 2.0]])
    y = np.array([2.0, 0.0, 2.0])
    for ours, theirs in zip(*rows_of(family, y, eta, ("expected",)), strict=True):
        told = np.isfinite(theirs)
        assert np.allclose(ours[told], theirs[told], rtol=1e-12)


@pytest.mark.parametrize("log_theta", [SMALLEST, -2.0, 0.7, 4.0, LARGEST])
def test_negative_binomial_rows_lose_no_more_than_the_terms_of_theta(log_theta):
    family = families.NegativeBinomial()
    y, m = (values.ravel() for values in np.meshgrid([0.0, 1.0, 2.0, 30.0, 4e4], np.linspace(-FARTHEST, 12.0, 60)))
    eta = np.stack([m, np.full_like(m, log_theta)])
    ours, theirs = rows_of(family, y, eta, ("observed", "expected"))
    mean, theta = np.exp(m), np.exp(log_theta)
    # What is subtracted: terms of the size of y, of l_η, and of θ log(1 + μ/θ) and θ log(1 + y/θ).
    size = 1.0 + y + theta * np.log1p(mean / theta) + theta * np.log1p(y / theta) + np.abs(y * m)
    size = size + np.abs(y - mean) / (1 + mean / theta)
    for a, b in zip(ours[:3], theirs[:3], strict=True):
        assert (np.abs(a - b) <= 2e-14 * size * (1.0 + size / (theta + y))).all()
    # The information of log θ is interpolated.
    assert np.allclose(ours[3][:2], theirs[3][:2], rtol=1e-12)
    assert np.allclose(ours[3][2], theirs[3][2], rtol=1e-3, atol=1e-12)


def test_other_links_and_a_known_theta_have_none():
    assert families.NegativeBinomial(link="sqrt").joint_kernel is None
    assert families.NegativeBinomial(theta=2.0).joint_kernel is None
    assert families.Binomial().joint_kernel is None
