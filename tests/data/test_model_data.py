"""Several designs of the same new rows are cut down to the rows that all of them have."""

from __future__ import annotations

import numpy as np
import tabmat
from scipy.sparse import csc_matrix

from raphson.data.model_data import NewData, common_rows, take_columns, take_rows

X = np.arange(8.0).reshape(4, 2)


def test_rows_that_one_of_them_lacks_go_from_all():
    whole = NewData(X, np.arange(4.0), None, 0, None)
    part = NewData(X[[0, 2, 3]], None, np.array([0, 2, 3]), 1, None)
    other = NewData(X[:3], np.array([5.0, 6.0, 7.0]), np.array([0, 1, 2]), 1, None)
    cut = common_rows([whole, part, other])
    for one in cut:
        np.testing.assert_array_equal(one.X, X[[0, 2]])
        assert one.index is not None and one.index.tolist() == [0, 2] and one.n_dropped == 2
    assert cut[0].offset.tolist() == [0.0, 2.0] and cut[1].offset is None and cut[2].offset.tolist() == [5.0, 7.0]


def test_designs_that_lack_nothing_stay_as_they_are():
    parts = [NewData(X, None, None, 0, None), NewData(X, None, None, 0, None)]
    assert common_rows(parts) is parts


def test_sparse_designs_are_taken_apart_like_dense_ones():
    sparse = tabmat.SparseMatrix(csc_matrix(X))
    np.testing.assert_array_equal(take_rows(sparse, np.array([1, 3])).toarray(), take_rows(X, np.array([1, 3])))
    np.testing.assert_array_equal(take_columns(sparse, [1]).toarray(), take_columns(X, [1]))
