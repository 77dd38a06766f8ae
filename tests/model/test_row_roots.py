"""Roots and right-hand sides of rows give back their information and scores."""

from __future__ import annotations

import numpy as np

from raphson.model.row_roots import row_roots


def test_row_roots_of_predictors_in_other_units():
    rng = np.random.default_rng(3)
    A = rng.normal(size=(2, 2, 5))
    units = np.array([1e8, 1e-3])[:, None]
    W, u = np.einsum("rkm,rlm->klm", A, A) * units[:, None] * units, rng.normal(size=(2, 5)) * units
    roots, z = row_roots(W, u)
    np.testing.assert_allclose(
        np.einsum("rkm,rlm->klm", roots, roots) / units[:, None] / units, W / units[:, None] / units
    )
    np.testing.assert_allclose(np.einsum("rkm,rm->km", roots, z) / units, u / units)
    # Here the second predictor's own information is negative, if small beside the first one's.
    assert row_roots(np.array([[[1e16], [0.0]], [[0.0], [-0.1]]]), u[:, :1]) is None


def test_row_roots():
    rng = np.random.default_rng(0)
    B = rng.normal(size=(6, 2, 2))
    W = np.einsum("mij,mkj->ikm", B, B)
    u = np.einsum("ikm,km->im", W, rng.normal(size=(2, 6)))
    roots, z = row_roots(W, u)
    np.testing.assert_allclose(np.einsum("rkm,rlm->klm", roots, roots), W, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.einsum("rkm,rm->km", roots, z), u, rtol=1e-10, atol=1e-10)
    assert row_roots(-W, u) is None and row_roots(np.array([[[1.0, -1e-3]]]), u[:1, :2]) is None
    roots, z = row_roots(np.zeros((1, 1, 2)), np.zeros((1, 2)))
    assert not roots.any() and not z.any()


def test_rows_of_next_to_no_information_that_would_hide_the_others_have_no_root():
    W, u = np.array([[[1.0, 2.0, 1e-280]]]), np.array([[0.5, -0.3, -1.0]])
    assert row_roots(W, u) is None
    a, z = row_roots(W[..., :2], u[:, :2])
    np.testing.assert_allclose(a[0, 0] * z[0], u[0, :2])
    assert row_roots(np.array([[[1.0, 2.0, 1e-280]]]), np.array([[0.5, -0.3, 1e-290]])) is not None
