"""Triangles by numbers: what they solve is what NumPy's matrices say."""

import numpy as np
import pytest

from raphson.model.objective import Root
from raphson.newton.by_numbers import backward, column_lengths, curved, forward
from raphson.newton.solve import direction


def triangle(p, seed=0):
    rng = np.random.default_rng(seed)
    R, B = np.triu(rng.normal(size=(p, p))) + 2.0 * np.eye(p), rng.normal(size=(p, p))
    return R, B + B.T, rng.normal(size=p)


@pytest.mark.parametrize("p", [1, 2, 5, 8])
def test_triangles_are_solved_for(p):
    R, _, z = triangle(p)
    rows, v = R.tolist(), z.tolist()
    assert np.allclose(R.T @ forward(rows, v), z) and np.allclose(R @ backward(rows, v), z)
    assert np.allclose(column_lengths(rows, p), np.linalg.norm(R, axis=0))
    assert np.allclose(column_lengths(rows, p, 1), np.linalg.norm(R[1:], axis=0))
    known = backward(rows, v, known=1)
    assert known[-1] == v[-1]
    assert np.allclose((R @ known)[:-1], z[:-1])


@pytest.mark.parametrize("p", [1, 2, 5, 8])
def test_a_step_with_curvature_is_that_by_arrays(p):
    R, B, z = triangle(p)
    for share in (0.0, 0.01, 0.1, 1.0, -1.0):
        part = Root(np.column_stack([R, z]), share * B)
        found, expected = curved(R.tolist(), z.tolist(), (share * B).tolist()), direction(part, R.T @ z, z == z)
        assert (found is None) == (expected is None)
        if found is not None:
            assert found.length == pytest.approx(expected.decrement, rel=1e-12)
            assert np.allclose(found.step(), expected.step, rtol=1e-11)


def test_curvature_that_is_not_finite_gives_no_step():
    R, _, z = triangle(2)
    assert curved(R.tolist(), z.tolist(), [[np.nan, 0.0], [0.0, 1.0]]) is None
