"""Newton's method over stacks: what it leaves to the one loop, and what it never does."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.model.families import resolve
from raphson.model.glm.stacked import Stack
from raphson.newton.many.stacks import MOST_PASSES, inverted, maxima, solved

rng = np.random.default_rng(0)


def stack(groups: int = 6, rows: int = 50) -> tuple[Stack, np.ndarray]:
    X = np.concatenate([np.ones((groups, 1, rows)), rng.normal(size=(groups, 2, rows))], axis=1)
    y = (rng.random((groups, rows)) < 1 / (1 + np.exp(-0.5 * X[:, 1]))).astype(float)
    return Stack(resolve("binomial"), X, y, None, None), np.full(groups, rows)


def run(one: Stack, rows: np.ndarray, start=None, tol: float = 1e-8):
    with np.errstate(all="ignore"):
        return maxima(one, start, rows - 3.0, rows, tol, 1e-7)


@pytest.mark.parametrize("p", [1, 2, 5, 30])
def test_many_systems_are_solved_as_one_by_one(p) -> None:
    A = rng.normal(size=(7, 2 * p, p)) * 10.0 ** rng.uniform(-5, 5, (7, 1, p))
    M, v = np.swapaxes(A, 1, 2) @ A, rng.normal(size=(7, p))
    found = solved(M, v)
    assert found.sound.all()
    scale = np.sqrt(np.einsum("bii->bi", M))
    for k in range(7):
        x = np.linalg.solve(M[k] / np.outer(scale[k], scale[k]), v[k] / scale[k])
        np.testing.assert_allclose(found.step[k] * scale[k], x, rtol=1e-7)
        np.testing.assert_allclose(found.square[k], x @ v[k] / 1 if p < 1 else (x / scale[k]) @ v[k], rtol=1e-7)
    np.testing.assert_allclose(
        inverted(M)[0] * np.outer(scale[0], scale[0]), np.linalg.inv(M[0] / np.outer(scale[0], scale[0])), rtol=1e-6
    )


def test_matrices_that_are_not_definite_or_not_finite_are_not_sound_and_spoil_no_other() -> None:
    M = np.stack([np.eye(2), np.ones((2, 2)), -np.eye(2), np.full((2, 2), np.nan), np.zeros((2, 2)), 4.0 * np.eye(2)])
    found = solved(M, np.ones((6, 2)))
    assert found.sound.tolist() == [True, False, False, False, False, True]
    np.testing.assert_allclose(found.step[[0, 5]], [[1.0, 1.0], [0.25, 0.25]])


def test_every_group_ends_at_its_maximum() -> None:
    one, rows = stack()
    found = run(one, rows)
    assert found.found.all() and (found.distance <= 1e-8).all() and (found.n_iter < MOST_PASSES).all()
    score = one.at(found.theta).score
    np.testing.assert_allclose(solved(one.at(found.theta).observed, score).square, 0.0, atol=1e-24)


def test_a_group_goes_its_way_whatever_the_others_do() -> None:
    one, rows = stack()
    whole = run(one, rows)
    for k in range(6):
        which = np.arange(6) == k
        alone = run(one.taken(which), rows[which])
        np.testing.assert_allclose(alone.theta[0], whole.theta[k], rtol=1e-12)


def test_separated_groups_and_those_without_a_finite_step_are_left() -> None:
    one, rows = stack()
    one.y[1] = one.X[1, 1] > 0  # separated
    one.X[2, 2] = one.X[2, 1]  # aliased
    one.X[4, 2, 3] = np.nan
    found = run(one, rows)
    assert found.found.tolist() == [True, False, False, True, False, True]


def test_a_start_from_which_newton_does_not_come_nearer_is_left() -> None:
    one, rows = stack()
    assert not run(one, rows, start=np.array([0.0, 40.0, 0.0])).found.any()
    assert run(one, rows, start=np.zeros(3)).found.all()


def test_a_tolerance_below_rounding_is_left_to_the_loop() -> None:
    one, rows = stack()
    assert not run(one, rows, tol=1e-18).found.any()
