from __future__ import annotations

import numpy as np
import pytest

from raphson.errors import ConvergenceError
from raphson.model.objective import Need
from raphson.newton.maximize import maximize
from raphson.newton.methods import METHODS as EVERY
from raphson.status import Status

METHODS = {name: method for name, method in EVERY.items() if method.solver != "batch"}
"""Those that climb: a step of the others reads a batch."""

SECOND_ORDER = ("newton", "fisher-scoring", "irls", "newton-cg")


@pytest.fixture
def maximum(poisson):
    return maximize(poisson(), np.zeros(3), METHODS["newton"]).theta


@pytest.mark.parametrize("method", METHODS)
def test_every_method_reaches_the_maximum(poisson, method):
    objective = poisson()
    result = maximize(objective, np.zeros(3), METHODS[method])
    assert result.status is Status.CONVERGED and result.distance < 1e-8
    # Measured in standard errors, by the observed information.
    score = objective.score(result.theta)
    M = objective.functions["observed"](result.theta)
    assert np.sqrt(score @ np.linalg.solve(M, score)) < 1e-11


@pytest.mark.parametrize("method", METHODS)
def test_a_maximum_is_left_where_it_is(quadratic, method):
    result = maximize(quadratic(np.diag([1.0, 1e4, 1e-4])), np.ones(3), METHODS[method])
    assert result.status is Status.CONVERGED and result.n_iter <= 1
    np.testing.assert_array_equal(result.theta, np.ones(3))


def test_newton_solves_a_quadratic_in_one_step(quadratic):
    result = maximize(quadratic([[2.0, 1], [1, 3]]), np.array([5.0, -7.0]), METHODS["newton"])
    np.testing.assert_allclose(result.theta, 1.0, atol=1e-14)
    # One step there, and at most one more by which it is seen that nothing is left.
    assert result.n_iter <= 2 and result.path.steps[1].step == 1.0


def test_a_slowly_converging_method_is_polished(poisson, maximum):
    # Fisher scoring with an information that is off by a half gains a third of a digit a step; the last step, by
    # the observed information, squares what is left.
    exact = poisson().functions["observed"]
    result = maximize(poisson(expected=lambda t: 1.5 * exact(t)), np.zeros(3), METHODS["fisher-scoring"])
    distances = [step.distance for step in result.path.steps]
    assert result.status is Status.CONVERGED and distances[-2] > 1e-10 and distances[-1] < 1e-13
    np.testing.assert_allclose(result.theta, maximum, rtol=1e-13)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("option", [{"damping": 0.3}, {"learning_rate": 0.25}])
def test_damping_and_learning_rate_leave_the_maximum_where_it_is(poisson, maximum, method, option):
    result = maximize(poisson(), np.zeros(3), METHODS[method], **option)
    assert result.status.converged
    np.testing.assert_allclose(result.theta, maximum, rtol=1e-11)
    if "damping" in option and method in ("newton", "fisher-scoring", "irls"):
        tau = [step.damping for step in result.path.steps]
        assert tau[:3] == pytest.approx([0.3, 0.03, 0.003])
        # (M + τD)⁻¹ with a diagonal of 1 + τ takes a shorter first step.
        plain = maximize(poisson(), np.zeros(3), METHODS[method]).path.steps[1]
        assert result.path.steps[1].llf != plain.llf


def test_running_out_of_steps_is_no_success(poisson):
    for limit in (0, 1, 2):
        result = maximize(poisson(), np.zeros(3), METHODS["newton"], max_iter=limit)
        assert result.status is Status.STEP_LIMIT and result.n_iter == limit


def test_every_step_is_watched(poisson):
    seen = []
    result = maximize(poisson(), np.zeros(3), METHODS["newton"], watch=seen.append)
    assert seen == result.path.steps and [step.iteration for step in seen] == list(range(len(seen)))
    assert np.isnan(seen[0].step) and seen[1].step > 0
    values = [step.llf for step in seen]
    assert values == sorted(values)


def test_a_start_outside_the_domain(toy):
    objective = toy(lambda t: -np.inf, lambda t: np.zeros(1), lambda t: np.eye(1), 1)
    with pytest.raises(ConvergenceError, match="start: expected parameters with a finite log-likelihood"):
        maximize(objective, np.zeros(1), METHODS["newton"])


def test_held_parameters_do_not_move(poisson):
    free = np.array([True, False, True])
    for method in METHODS:
        result = maximize(poisson(), np.array([0.0, 0.3, 0.0]), METHODS[method], free=free)
        assert result.status.converged and result.theta[1] == 0.3
        assert abs(poisson().score(result.theta)[free]).max() < 1e-8 and not result.aliased.any()


@pytest.mark.parametrize("method", [*SECOND_ORDER, "gradient-descent"])
@pytest.mark.parametrize("start", [np.zeros(3), np.array([1.0, -2.0, 5.0])])
def test_aliased_parameters_are_zero_and_named(quadratic, method, start):
    # The third column is the sum of the first two. Wherever it starts, its share goes to these.
    B = np.array([[1.0, 0, 1], [0, 1, 1], [1, 1, 2], [2, 0, 2]])
    result = maximize(quadratic(B.T @ B, tall=B), start, METHODS[method])
    assert result.status.converged
    np.testing.assert_array_equal(result.aliased, [False, False, True])
    assert result.theta[2] == 0.0
    np.testing.assert_allclose(B @ result.theta, B @ np.ones(3), rtol=1e-9)


@pytest.mark.parametrize("method", ["newton", "newton-cg"])
def test_an_indefinite_information_does_not_keep_from_the_maximum(toy, method):
    # −log cosh with ripples: between them the curve is convex, and Newton's step would lead down.
    objective = toy(
        lambda t: float(-np.log(np.cosh(t)).sum() - 0.05 * np.cos(3 * t).sum()),
        lambda t: -np.tanh(t) + 0.15 * np.sin(3 * t),
        lambda t: np.diag(1 / np.cosh(t) ** 2 - 0.45 * np.cos(3 * t)),
        2,
    )
    assert np.linalg.eigvalsh(objective.functions["observed"](np.array([1.9, 2.1])))[0] < 0
    result = maximize(objective, np.array([1.9, 2.1]), METHODS[method])
    assert result.status.converged and abs(objective.score(result.theta)).max() < 1e-9
    if method == "newton-cg":
        return
    tau = [step.damping for step in result.path.steps]
    assert max(tau) > 0 and tau[-1] < 1e-3 * max(tau)


def test_a_saddle_without_a_way_out_is_singular(toy):
    objective = toy(lambda t: float(t @ t), lambda t: 2 * t, lambda t: -2 * np.eye(2), 2)
    result = maximize(objective, np.ones(2), METHODS["newton"], max_iter=50)
    assert not result.status.converged


def test_a_search_that_finds_nothing(toy):
    # The score points uphill where the value only falls.
    objective = toy(lambda t: -abs(float(t[0])), lambda t: np.ones(1), lambda t: np.eye(1), 1)
    result = maximize(objective, np.zeros(1), METHODS["newton"])
    assert result.status is Status.SEARCH_FAILED
    assert result.theta[0] == 0.0


def test_the_rounding_floor_is_said_to_be_one(toy):
    # A score with noise of 1e-6: no step gets nearer than that.
    noise = np.random.default_rng(0)
    objective = toy(
        lambda t: -0.5 * float((t - 1) @ (t - 1)) * 1e-30 - 1e10,
        lambda t: 1e6 * (1 - t) + 1e-2 * noise.normal(size=1),
        lambda t: 1e6 * np.eye(1),
        1,
        rows=10**20,
    )
    result = maximize(objective, np.zeros(1), METHODS["newton"])
    assert result.status is Status.ROUNDING_FLOOR and result.status.converged
    assert result.floor > 1e-8 and abs(result.theta[0] - 1) < 1e-6


def test_suspicion_stops_the_climb(poisson):
    result = maximize(poisson(), np.zeros(3), METHODS["newton"], suspect=lambda e: e.value > -1e9)
    assert result.status is Status.SEPARATED and result.n_iter == 0


def test_an_evaluation_may_stand_for_the_start(poisson):
    objective = poisson()
    method = METHODS["newton"]
    first = objective.evaluate(np.zeros(3), method.need(root=False, near=False))
    objective.asked.clear()
    by_evaluation = maximize(objective, first, method)
    assert not any((theta == 0).all() for theta, _ in objective.asked)
    np.testing.assert_array_equal(by_evaluation.theta, maximize(poisson(), np.zeros(3), method).theta)


def test_distances_are_in_standard_errors(poisson):
    # Four times the dispersion is twice the standard error, and half the distance.
    one = maximize(poisson(), np.zeros(3), METHODS["newton"]).path.steps[0].distance
    four = maximize(poisson(dispersion=4.0), np.zeros(3), METHODS["newton"]).path.steps[0].distance
    assert four == pytest.approx(one / 2)


@pytest.mark.parametrize("method", SECOND_ORDER)
def test_the_scale_of_a_parameter_does_not_matter(poisson, toy, maximum, method):
    D = np.array([1.0, 1e8, 1e-8])
    inner = poisson()
    scaled = toy(
        lambda t: inner.value(t * D),
        lambda t: inner.score(t * D) * D,
        lambda t: inner.functions["observed"](t * D) * np.outer(D, D),
        3,
    )
    result = maximize(scaled, np.zeros(3), METHODS[method])
    assert result.status.converged and not result.aliased.any()
    np.testing.assert_allclose(result.theta * D, maximum, rtol=1e-9)


def test_an_ill_conditioned_matrix_changes_the_solver(quadratic):
    # Two columns whose correlation is 1 − 1e-7
    result = maximize(quadratic([[1.0, 1 - 1e-7], [1 - 1e-7, 1.0]]), np.zeros(2), METHODS["newton"])
    assert result.status.converged and result.root
    assert {step.solver for step in result.path.steps} == {"qr"}
    assert maximize(quadratic(np.eye(2)), np.zeros(2), METHODS["newton"]).path.steps[0].solver == "cholesky"


def test_rows_read_are_counted(poisson):
    objective = poisson()
    result = maximize(objective, np.zeros(3), METHODS["newton"])
    assert sum(step.rows for step in result.path.steps) == 40 * len(objective.asked)
    assert Need() not in [need for _, need in objective.asked]
