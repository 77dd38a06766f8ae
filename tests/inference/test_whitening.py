"""In whitened coordinates the information is the identity, and designs may be of several kinds."""

from __future__ import annotations

import numpy as np
import pytest
import tabmat
from scipy.sparse import csc_matrix

from raphson.data.products import dense_rows
from raphson.inference.whitening import slices, split_columns, whitened, whitener
from raphson.model.objective import Gram
from raphson.newton.solve import factorise

X = np.random.default_rng(0).normal(size=(20, 3))


def test_its_square_is_the_inverse_of_the_information():
    factor = factorise(Gram(X.T @ X))
    assert factor is not None
    T = whitener(factor)
    np.testing.assert_allclose(T.T @ T, np.linalg.inv(X.T @ X), rtol=1e-12)
    Z = whitened([X], [T], slice(0, 20))[0]
    np.testing.assert_allclose(Z.T @ Z, np.eye(3), atol=1e-13)


def test_parameters_that_are_held_take_no_part():
    free = np.array([True, False, True])
    factor = factorise(Gram(X.T @ X), free)
    assert factor is not None
    T = whitener(factor)
    assert not T[:, 1].any()
    np.testing.assert_allclose((T.T @ T)[np.ix_(free, free)], np.linalg.inv(X[:, free].T @ X[:, free]), rtol=1e-12)


def test_columns_are_cut_by_predictor_unless_each_has_them_all():
    T = np.arange(15.0).reshape(3, 5)
    parts = split_columns(T, [np.zeros((4, 2)), np.zeros((4, 3))])
    assert [part.shape for part in parts] == [(3, 2), (3, 3)]
    assert all(part is T for part in split_columns(T, [np.zeros((4, 5))] * 2))
    with pytest.raises(AssertionError, match="the designs have 4 columns, the factor 5"):
        split_columns(T, [np.zeros((4, 2)), np.zeros((4, 2))])


def test_slices_cover_every_row_once():
    assert [list(range(10))[part] for part in slices(10, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(slices(0)) == []


def test_sparse_rows_are_dense_ones():
    sparse = tabmat.SparseMatrix(csc_matrix(X))
    np.testing.assert_array_equal(dense_rows(sparse, slice(2, 5)), X[2:5])
