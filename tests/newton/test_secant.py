"""The update of a kept matrix against its formula, written out."""

from __future__ import annotations

import numpy as np

from raphson.linalg import cholesky
from raphson.newton.secant import Secant


def test_it_is_the_update_of_the_inverse():
    rng = np.random.default_rng(0)
    A, B = (rng.normal(size=(5, 5)) for _ in range(2))
    M, true = A @ A.T + np.eye(5), B @ B.T + np.eye(5)
    guess, H = Secant(cholesky(M)), np.linalg.inv(M)
    for _ in range(3):
        s = rng.normal(size=5)
        g = true @ s
        rho = 1.0 / (g @ s)
        left = np.eye(5) - rho * np.outer(s, g)
        H = left @ H @ left.T + rho * np.outer(s, s)
        guess = guess.after(s, g)
    v = rng.normal(size=5)
    found = guess.direction(v)
    assert np.allclose(found.step, H @ v, rtol=1e-10)
    assert np.isclose(found.decrement, np.sqrt(v @ H @ v), rtol=1e-10)
    assert np.allclose(guess.direction(g).step, s, rtol=1e-9)


def test_a_step_along_which_the_score_rises_is_left_out():
    guess = Secant(cholesky(np.eye(2)))
    assert guess.after(np.array([1.0, 0.0]), np.array([-1.0, 0.0])) is guess


def test_parameters_that_are_held_stay():
    guess = Secant(cholesky(np.diag([2.0, 1.0, 4.0]), np.array([True, False, True])))
    guess = guess.after(np.array([1.0, 0.0, 0.0]), np.array([3.0, 0.0, 0.0]))
    assert guess.direction(np.array([3.0, 9.0, 4.0])).step.tolist() == [1.0, 0.0, 1.0]
