from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import tabmat

from raphson.data import products
from raphson.data.pieced_design import WrittenDesign
from raphson.data.products import (
    cross_sandwich,
    dense,
    dense_rows,
    is_dense,
    matvec,
    row_shares,
    sandwich,
    transpose_matvec,
    weighted_squares,
)

rng = np.random.default_rng(5)
N, P = 300, 5
X = rng.normal(size=(N, P)) * (rng.random((N, P)) < 0.4)
Z = rng.normal(size=(N, 2))
CODES = rng.integers(0, 3, N)
FORMS = {
    "dense": X,
    "sparse": tabmat.SparseMatrix(scipy.sparse.csc_matrix(X)),
    "tabmat dense": tabmat.DenseMatrix(X),
    "split": tabmat.SplitMatrix(
        [tabmat.DenseMatrix(np.ascontiguousarray(X[:, :2])), tabmat.SparseMatrix(scipy.sparse.csc_matrix(X[:, 2:]))]
    ),
}
WEIGHTS = {"positive": rng.random(N), "signed": rng.normal(size=N), "zero": np.zeros(N)}


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


def test_products(form):
    v, u = rng.normal(size=P), rng.normal(size=N)
    np.testing.assert_allclose(matvec(form, v), X @ v, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(transpose_matvec(form, u), X.T @ u, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(dense(form), X)
    assert is_dense(form) == (form is X)


@pytest.mark.parametrize("kind", WEIGHTS)
def test_sandwich(form, kind):
    w = WEIGHTS[kind]
    found = sandwich(form, w)
    np.testing.assert_allclose(found, X.T @ np.diag(w) @ X, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(found, found.T, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", WEIGHTS)
def test_sandwich_in_slices(kind, monkeypatch):
    # Slices of 256 rows: the last is shorter, and rows must be neither lost nor counted twice.
    monkeypatch.setattr(products, "_SMALL", 0)
    monkeypatch.setattr(products, "_CACHE_ROWS", 1)
    w = WEIGHTS[kind]
    np.testing.assert_allclose(sandwich(X, w), X.T @ np.diag(w) @ X, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("size", [products._SMALL, 0])
def test_a_single_slice_by_both_ways(size, monkeypatch):
    monkeypatch.setattr(products, "_SMALL", size)
    for w in WEIGHTS.values():
        np.testing.assert_allclose(sandwich(X, w), X.T @ np.diag(w) @ X, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("other", FORMS)
def test_cross_sandwich(form, other):
    w = WEIGHTS["signed"]
    np.testing.assert_allclose(cross_sandwich(form, w, FORMS[other]), X.T @ np.diag(w) @ X, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(cross_sandwich(form, w, Z), X.T @ np.diag(w) @ Z, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(cross_sandwich(Z, w, form), Z.T @ np.diag(w) @ X, rtol=1e-12, atol=1e-11)


def test_weighted_squares_are_the_diagonal(form):
    for w in WEIGHTS.values():
        np.testing.assert_allclose(weighted_squares(form, w), np.diag(X.T @ np.diag(w) @ X), rtol=1e-12, atol=1e-12)


def test_weighted_squares_of_a_categorical_matrix():
    C = tabmat.CategoricalMatrix(CODES)
    w = WEIGHTS["signed"]
    expected = [w[level == CODES].sum() for level in range(3)]
    np.testing.assert_allclose(weighted_squares(C, w), expected, rtol=1e-12)
    np.testing.assert_allclose(np.diag(sandwich(C, w)), expected, rtol=1e-12)


def test_row_shares(form):
    found = row_shares([form, form])
    np.testing.assert_allclose(found, (X**2).sum(axis=0) ** 2 / (N * (X**4).sum(axis=0)), rtol=1e-12)


def test_row_shares_of_a_large_design_are_those_of_some_rows():
    indicators = (rng.random((200_000, 4)) < [1.0, 0.3, 0.01, 0.0]).astype(float)
    found = row_shares([indicators[:70_000], indicators[70_000:]])
    np.testing.assert_allclose(found[:3], [1.0, 0.3, 0.01], rtol=0.2)
    assert 0 < found[3] < 1e-4


def test_rows_of_every_kind_of_design_are_arrays():
    values = np.arange(12.0).reshape(4, 3)

    def write(out, start, stop):
        out[...] = values[start:stop]

    kinds = (values, tabmat.SparseMatrix(scipy.sparse.csc_matrix(values)), WrittenDesign((4, 3), write))
    for X in kinds:
        for rows in (slice(1, 3), np.array([3, 0])):
            assert dense_rows(X, rows).tolist() == values[rows].tolist()
