"""Scaled Cholesky factors and what counts as rank: units of measurement change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.linalg import all_independent, cholesky, column_squares, definite, independent

RNG = np.random.default_rng(3)
X = RNG.normal(size=(30, 4)) * [1.0, 1e6, 1e-8, 3.0]
M = X.T @ X


def test_a_factor_solves_whatever_the_units():
    factor = cholesky(M)
    assert factor is not None and factor.whole
    v = RNG.normal(size=(4, 2))
    theta = v / np.array([[1.0], [1e6], [1e-8], [3.0]])
    np.testing.assert_allclose(factor.solve(M @ theta), theta, rtol=1e-9)
    np.testing.assert_allclose(factor.matrix, M, rtol=1e-12)
    np.testing.assert_allclose(factor.diagonal, M.diagonal(), rtol=1e-12)
    np.testing.assert_allclose(np.sum(factor.half_solve(v[:, 0]) ** 2), v[:, 0] @ factor.inverse() @ v[:, 0], rtol=1e-9)
    units = cholesky(M / np.outer([1.0, 1e6, 1e-8, 3.0], [1.0, 1e6, 1e-8, 3.0]))
    assert units is not None and factor.condition == pytest.approx(units.condition, rel=1e-9)


@pytest.mark.parametrize("free", [None, np.array([True, False, True, True])])
def test_a_solution_in_halves_is_the_solution(free):
    factor = cholesky(M, free)
    assert factor is not None
    v = M @ [1.0, 1e-6, 1e8, 0.3]
    solution, half = factor.solve_in_halves(v)
    np.testing.assert_allclose(solution, factor.solve(v[:, None])[:, 0], rtol=1e-14)
    np.testing.assert_allclose(half, factor.half_solve(v), rtol=1e-14)
    step, length = factor.step(v)
    np.testing.assert_array_equal(step, solution)
    assert length == pytest.approx(np.linalg.norm(half), rel=1e-14)


def test_columns_that_take_no_part_are_zero():
    free = np.array([True, False, True, True])
    factor = cholesky(M, free)
    assert factor is not None and not factor.whole
    inside = np.ix_(free, free)
    np.testing.assert_allclose(factor.inverse()[inside], np.linalg.inv(M[inside]), rtol=1e-6)
    assert not factor.inverse()[1].any() and factor.solve(np.ones(4))[1] == 0.0
    none = cholesky(M, np.zeros(4, bool))
    assert none is not None and not none.inverse().any() and none.smallest_pivot == 1.0 == none.condition


@pytest.mark.parametrize("bad", [[[1.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]], [[np.nan, 0.0], [0.0, 1.0]]])
def test_other_matrices_have_none(bad):
    assert cholesky(np.array(bad)) is None


def test_definite_beyond_rounding_is_what_eigenvalues_say():
    correlations = [1.0 - 10.0**-k for k in (0.5, 3, 6, 11, 11.9, 12.5, 14)]
    A = np.array([[[1.0, r], [r, 1.0]] for r in correlations])
    assert definite(A).tolist() == [True, True, True, True, True, False, False]


def test_a_column_is_dependent_on_earlier_ones_only():
    R = np.linalg.qr(np.column_stack([X[:, 0], 2 * X[:, 0], X[:, 1]]))[1]
    assert independent(R).tolist() == [True, False, True]


@pytest.mark.parametrize("pivot", [1.0, 1e-11, 1e-13, 0.0, 1e-300, np.nan])
def test_all_independent_says_what_the_mask_does(pivot):
    R = np.triu(np.ones((3, 3)))
    R[1:, 1:] *= pivot
    lengths = np.sqrt(column_squares(R))
    assert all_independent(R, lengths) == independent(R).all()
    assert not all_independent(R[:2], lengths)
