from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import tabmat

from raphson.data.blocks import make_blocks
from raphson.model.predictor import Jacobian, LinearPredictor

rng = np.random.default_rng(3)
M = 50
X, Z = rng.normal(size=(M, 3)), rng.normal(size=(M, 2))
CASES = {
    "one": (LinearPredictor((3,), (0,)), (X,)),
    "two on two designs": (LinearPredictor((3, 2), (0, 1)), (X, Z)),
    "two on one design": (LinearPredictor((3, 3), (0, 0)), (X,)),
    "sparse": (LinearPredictor((3,), (0,)), (tabmat.SparseMatrix(scipy.sparse.csc_matrix(X)),)),
    "sparse and dense": (LinearPredictor((3, 2), (0, 1)), (tabmat.SparseMatrix(scipy.sparse.csc_matrix(X)), Z)),
}


@pytest.fixture(params=CASES)
def case(request):
    """A predictor, one block, and its Jacobian J (K, m, p) put together by hand."""
    predictor, designs = CASES[request.param]
    offset = rng.normal(size=(predictor.n_predictors, M))
    [block] = make_blocks(designs, np.zeros(M), None, offset)
    J = np.zeros((predictor.n_predictors, M, predictor.n_params))
    for k, (part, d) in enumerate(zip(predictor.slices, predictor.design, strict=True)):
        J[k][:, part] = (X, Z)[d]
    return predictor, block, J


def test_eta(case):
    predictor, block, J = case
    theta = rng.normal(size=predictor.n_params)
    eta = predictor.eta(block, theta)
    assert eta.shape == (predictor.n_predictors, 256)
    np.testing.assert_allclose(eta[:, :M], J @ theta + block.offset, rtol=1e-12, atol=1e-13)
    # The padding repeats the filling row, offset included.
    np.testing.assert_array_equal(eta[:, M:], np.repeat(eta[:, block.fill, None], 256 - M, axis=1))


def test_products_with_the_jacobian(case):
    predictor, block, J = case
    K = predictor.n_predictors
    u, v = rng.normal(size=(K, M)), rng.normal(size=predictor.n_params)
    W = rng.normal(size=(K, K, M))
    W = W + W.transpose(1, 0, 2)
    expected = np.einsum("kmp,klm,lmq->pq", J, W, J)
    jacobian = predictor.at(block, v)[1]
    close = {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(jacobian.product(v), J @ v, **close)
    assert jacobian.second_order(u) is None
    np.testing.assert_allclose(jacobian.transpose_product(u), np.einsum("kmp,km->p", J, u), **close)
    np.testing.assert_allclose(jacobian.information(W), expected, **close)
    np.testing.assert_allclose(jacobian.information_product(W, v), expected @ v, **close)
    np.testing.assert_allclose(jacobian.information_diagonal(W), np.diag(expected), **close)


def test_scaled_rows(case):
    predictor, block, J = case
    roots = rng.normal(size=(2, predictor.n_predictors, M))
    A = predictor.jacobian(block).scaled_rows(roots)
    assert A.shape == (2 * M, predictor.n_params)
    np.testing.assert_allclose(A, np.einsum("rkm,kmp->rmp", roots, J).reshape(2 * M, -1), rtol=1e-12, atol=1e-13)


def test_slices():
    predictor = LinearPredictor((3, 0, 2), (0, 1, 2))
    assert predictor.slices == [slice(0, 3), slice(3, 3), slice(3, 5)] and predictor.n_params == 5


def test_predictors_that_share_their_parameters():
    """Each part then is as wide as θ, and what they contribute to one parameter adds up."""
    parts = [rng.normal(size=(M, 3)), rng.normal(size=(M, 3))]
    jacobian = Jacobian(parts, [slice(0, 3)] * 2, 3)
    J = np.stack(parts)
    u, v, roots = rng.normal(size=(2, M)), rng.normal(size=3), rng.normal(size=(2, 2, M))
    W = rng.normal(size=(2, 2, M))
    W = W + W.transpose(1, 0, 2)
    expected = np.einsum("kmp,klm,lmq->pq", J, W, J)
    close = {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(jacobian.transpose_product(u), np.einsum("kmp,km->p", J, u), **close)
    np.testing.assert_allclose(jacobian.information(W), expected, **close)
    np.testing.assert_allclose(jacobian.information_product(W, v), expected @ v, **close)
    np.testing.assert_allclose(jacobian.information_diagonal(W), np.diag(expected), **close)
    np.testing.assert_allclose(jacobian.scaled_rows(roots), np.einsum("rkm,kmp->rmp", roots, J).reshape(2 * M, -1))
