from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raphson.newton.indefinite import eigenpairs, uphill
from raphson.newton.maximize import maximize
from raphson.newton.methods import METHODS
from raphson.status import Status

ALL = np.ones(3, dtype=bool)


def step(*arguments):
    found = uphill(*arguments)
    assert found is not None
    return found.step


def symmetric(rng, values):
    Q = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
    return Q @ np.diag(values) @ Q.T


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_step_leads_upwards_and_is_newtons_where_that_one_does(seed):
    rng = np.random.default_rng(seed)
    G, score = symmetric(rng, [0.5, 1.0, 4.0]), rng.normal(size=3)
    M = symmetric(rng, rng.normal(size=3))
    assert score @ step(M, G, score, ALL) > 0
    M = symmetric(rng, rng.uniform(0.5, 2.0, size=3))
    np.testing.assert_allclose(step(M, G, score, ALL), np.linalg.solve(M, score), rtol=1e-8)


def test_a_step_is_the_same_in_all_units():
    rng = np.random.default_rng(1)
    M, G, score = symmetric(rng, [-1.0, 1e-9, 2.0]), symmetric(rng, [0.5, 1.0, 4.0]), rng.normal(size=3)
    units = np.array([1e-6, 1.0, 1e5])
    there = step(M * units * units[:, None], G * units * units[:, None], score * units, ALL)
    np.testing.assert_allclose(there * units, step(M, G, score, ALL), rtol=1e-7)


def test_held_parameters_do_not_move_and_what_is_not_finite_gives_no_step():
    M, free = np.diag([-1.0, 1.0, 1.0]), np.array([True, False, True])
    assert step(M, np.eye(3), np.ones(3), free).tolist() == pytest.approx([1.0, 0.0, 1.0])
    assert uphill(M * np.nan, np.eye(3), np.ones(3), ALL) is None
    assert eigenpairs(M, np.eye(3), ~ALL) is None


def test_a_metric_that_is_singular_or_empty_still_gives_a_step():
    ones, score = np.ones((3, 3)), np.ones(3)
    assert score @ step(np.zeros((3, 3)), ones, score, ALL) > 0
    assert score @ step(-np.eye(3), np.zeros((3, 3)), score, ALL) > 0


# -- where it takes over ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fisher-scoring", "irls", "bhhh", "modified-gauss-newton"])
def test_an_m_that_is_far_from_the_information_leaves_the_way_to_it(poisson, method):
    # M is four hundred times too large for two parameters, so that its steps go a four hundredth of the way.
    exact = poisson()
    odd = np.diag([1.0, 20.0, 20.0])
    objective = poisson(expected=lambda t: odd @ exact.functions["observed"](t) @ odd)
    objective.functions["opg"] = objective.functions["expected"]
    found = maximize(objective, np.zeros(3), METHODS[method])
    best = maximize(exact, np.zeros(3), METHODS["newton"])
    assert found.status is Status.CONVERGED and found.n_iter < 25
    np.testing.assert_allclose(found.theta, best.theta, rtol=1e-12)
    assert found.path.steps[-1].solver == "observed" and found.path.steps[0].solver != "observed"


def test_a_method_that_gets_on_keeps_its_own_m(poisson):
    exact = poisson()
    found = maximize(
        poisson(expected=lambda t: 1.5 * exact.functions["observed"](t)), np.zeros(3), METHODS["fisher-scoring"]
    )
    assert found.status is Status.CONVERGED
    assert {one.solver for one in found.path.steps} == {"cholesky"}


def test_the_way_out_of_a_valley_of_a_double_well(toy):
    # ℓ = x²/2 − x⁴/4 − y²: M is useless, and from x ≈ 0 Newton's own step would lead to the saddle.
    objective = toy(
        lambda t: 0.5 * t[0] ** 2 - 0.25 * t[0] ** 4 - t[1] ** 2,
        lambda t: np.array([t[0] - t[0] ** 3, -2.0 * t[1]]),
        lambda t: np.diag([3.0 * t[0] ** 2 - 1.0, 2.0]),
        2,
        expected=lambda t: np.full((2, 2), np.nan),
    )
    found = maximize(objective, np.array([1e-3, 1.0]), METHODS["fisher-scoring"])
    assert found.status is Status.CONVERGED
    np.testing.assert_allclose(found.theta, [1.0, 0.0], atol=1e-12)
