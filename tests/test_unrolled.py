"""The written-out factors of few columns against LAPACK's, whatever the units."""

from __future__ import annotations

import numpy as np
import pytest

from raphson import unrolled
from raphson.linalg import Factor, UnrolledFactor, cholesky


def matrix(p):
    rng = np.random.default_rng(p)
    A = rng.normal(size=(40, p)) * 10.0 ** rng.integers(-40, 40, p)
    return A.T @ A, A.T @ rng.normal(size=40)


@pytest.mark.parametrize("p", range(1, unrolled.MOST + 1))
def test_they_are_those_of_arrays(monkeypatch, p):
    M, v = matrix(p)
    ours = cholesky(M)
    monkeypatch.setattr(unrolled, "MOST", 0)
    theirs = cholesky(M)
    assert isinstance(ours, UnrolledFactor) and type(theirs) is Factor and ours.whole and theirs.whole
    np.testing.assert_allclose(ours.root, theirs.root, atol=1e-15)
    np.testing.assert_array_equal(ours.scale, theirs.scale)
    assert ours.smallest_pivot == pytest.approx(theirs.smallest_pivot, rel=1e-14)
    assert ours.condition == pytest.approx(theirs.condition, rel=1e-12)
    for mine, other in zip(
        ours.solve_in_halves(v) + ours.step(v), theirs.solve_in_halves(v) + theirs.step(v), strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-12)
    for name in ("inverse", "matrix", "diagonal"):
        mine, other = (getattr(one, name) for one in (ours, theirs))
        np.testing.assert_allclose(*(one() if callable(one) else one for one in (mine, other)), rtol=1e-12)


@pytest.mark.parametrize("p", range(2, unrolled.MOST + 1))
@pytest.mark.parametrize("change", [-1.0, np.nan, 0.0])
def test_only_definite_matrices_have_one(p, change):
    M, _ = matrix(p)
    M[-1, -1] = change
    assert cholesky(M) is None
    M[-1] = M[0]
    M[:, -1] = M[:, 0]
    found = cholesky(M)
    assert found is None or found.smallest_pivot < 1e-7


def test_only_the_lower_triangle_is_read():
    """As of LAPACK only one is: a product of matrices need not be symmetric to the last bit."""
    lower = [[4.0, np.nan, np.nan], [2.0, 5.0, np.nan], [0.0, 2.0, 5.0]]
    assert unrolled.decompose(3)(lower).entries == (2.0, 1.0, 2.0, 0.0, 1.0, 2.0)


@pytest.mark.parametrize("p", range(1, unrolled.MOST + 1))
def test_many_are_solved_at_once(p):
    given = [matrix(p) for _ in range(2)]
    given.append((given[0][0] * 4.0, given[0][1]))
    x, smallest = unrolled.solve_many(p)(
        np.stack([M for M, _ in given], axis=2), np.stack([v for _, v in given], axis=1)
    )
    for place, (M, v) in enumerate(given):
        factor = cholesky(M)
        np.testing.assert_allclose([one[place] for one in x], factor.solve(v), rtol=1e-12)
        assert smallest[place] == pytest.approx(factor.smallest_pivot**2, rel=1e-12)


def test_what_is_not_definite_has_a_pivot_that_is_not_positive():
    M = np.array([[[1.0, 1.0, np.nan], [2.0, 1.0, 0.0]], [[2.0, 1.0, 0.0], [1.0, 1.0, 1.0]]])
    with np.errstate(all="ignore"):
        _, smallest = unrolled.solve_many(2)(M.transpose(0, 1, 2), np.ones((2, 3)))
    assert not (smallest > 1e-12).any()


@pytest.mark.parametrize("p, b", [(1, 0), (1, 1), (2, 1), (4, 2), (8, 3)])
def test_a_triangle_is_looked_at_and_solved(p, b):
    rng = np.random.default_rng(p)
    R, z = np.triu(rng.normal(size=(p, p))) + 2.0 * np.eye(p), rng.normal(size=p)
    rows = [*np.column_stack([R, z]).tolist(), [0.0] * p + [3.0]]
    seen = unrolled.look(p, b, 1e-12)(rows)
    np.testing.assert_allclose(R @ seen.step, z, rtol=1e-12)
    np.testing.assert_allclose(seen.lengths, np.linalg.norm(R, axis=0))
    np.testing.assert_allclose(seen.own, np.linalg.norm(R[b:, b:], axis=0))


@pytest.mark.parametrize("pivot", [0.0, 1e-13, np.nan])
@pytest.mark.parametrize("b", [0, 1, 2, 3])
def test_a_triangle_with_a_column_that_depends_on_others_is_not_solved(pivot, b):
    rows = [[1.0, 1.0, 1.0, 1.0], [0.0, pivot, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
    assert unrolled.look(3, b, 1e-12)(rows) is None


def test_a_column_that_those_outside_the_region_explain_is_rounding():
    assert unrolled.look(2, 1, 1e-12)([[1.0, 1.0, 1.0], [0.0, 1e-13, 1.0]]) is None
    assert unrolled.look(2, 1, 1e-12)([[1.0, 1.0, 1.0], [0.0, 1e-11, 1.0]]) is not None
