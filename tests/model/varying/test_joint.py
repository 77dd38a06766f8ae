"""The coefficients together: their covariance is that of the dense problem, for ML and REML alike."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.model.varying.joint import Joint
from raphson.model.varying.results import AtMaximum


@pytest.fixture(params=[False, True], ids=["ml", "reml"])
def joint(request, reference_criterion):
    model = reference_criterion("sleepstudy_corr", request.param)
    theta = np.concatenate([np.array([251.0, 10.0])[: model.p], [24.0, 0.5, 5.7, 2 * np.log(25.6)]])
    return Joint(AtMaximum(model, theta, np.ones(len(theta), dtype=bool)))


def dense(joint):
    """H⁻¹ of (β, b), by the whole matrix."""
    model = joint.criterion
    term, L = model.terms[0], np.array([[24.0, 0.0], [0.5, 5.7]])
    A = np.column_stack([model.X, term.matrix()])
    P = np.zeros((A.shape[1],) * 2)
    P[2:, 2:] = np.kron(np.eye(term.n_levels), np.linalg.inv(L @ L.T))
    return A, np.linalg.inv(A.T @ A / 25.6**2 + P)


def test_covariances_of_the_levels(joint):
    _, V = dense(joint)
    found = joint.posterior_cov(0)
    for level in range(18):
        at = slice(2 + 2 * level, 4 + 2 * level)
        assert found[level] == pytest.approx(V[at, at], rel=1e-9)


def test_rows_and_their_variances(joint):
    A, V = dense(joint)
    model = joint.criterion
    rows = joint.rows(model.X, model.terms)
    assert joint.variance(rows) == pytest.approx(np.einsum("ij,jk,ik->i", A, V, A), rel=1e-9)
    alone = joint.variance(joint.rows(model.X, [None]))
    assert alone == pytest.approx(np.einsum("ij,jk,ik->i", model.X, V[:2, :2], model.X), rel=1e-9)


def test_some_coefficients_and_the_rank_of_their_test(reference_criterion):
    model = reference_criterion("mcycle_cr", True)
    at = AtMaximum(model, np.array([7.2, 2 * np.log(22.6)]), np.ones(2, dtype=bool))
    estimate, V, rank = Joint(at).some([1], 0)
    A = np.column_stack([model.X, model.terms[0].columns * 7.2])
    P = np.diag([0.0, 0.0, *np.ones(A.shape[1] - 2)])
    W = A.T @ A / 22.6**2
    inverse = np.linalg.inv(W + P)
    F = inverse @ W
    scale = np.array([1.0, *np.full(A.shape[1] - 2, 7.2)])
    assert estimate == pytest.approx((inverse @ A.T @ model.density.y / 22.6**2)[1:] * scale, rel=1e-8)
    assert pytest.approx(inverse[1:, 1:] * np.outer(scale, scale), rel=1e-7, abs=1e-9) == V
    assert rank == pytest.approx((2 * F.diagonal() - np.sum(F * F.T, axis=1))[1:].sum(), rel=1e-9)
