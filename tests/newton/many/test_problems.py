"""Many small problems at once: each ends where it would alone, to all digits, with a status of its own."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.execute import serial, threads
from raphson.newton.many import problems
from raphson.status import Status

X = np.linspace(0.0, 5.0, 30)


def decay(theta, data, shared):
    return theta[0] * jnp.exp(-theta[1] * shared["x"]) + theta[2]


def simulated(count, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.column_stack([rng.uniform(1, 5, count), rng.uniform(0.3, 2, count), rng.uniform(0, 1, count)])
    mean = truth[:, :1] * np.exp(-truth[:, 1:2] * X) + truth[:, 2:]
    return truth, mean + noise * rng.normal(size=mean.shape)


@pytest.fixture(scope="module")
def fitted():
    truth, y = simulated(100)
    return truth, y, problems.solve(problems.least_squares(decay), np.ones(3), {"y": y}, {"x": X})


def test_it_finds_what_scipy_finds(fitted):
    from scipy.optimize import curve_fit

    _, y, found = fitted
    assert found.counts() == {"converged": 100}
    for i in range(0, 100, 20):
        at, V = curve_fit(lambda x, a, b, c: a * np.exp(-b * x) + c, X, y[i], p0=np.ones(3), xtol=1e-13, ftol=1e-13)
        np.testing.assert_allclose(found.theta[i], at, rtol=1e-5)
        np.testing.assert_allclose(found.covariance()[i], V, rtol=1e-4)


def test_the_score_vanishes_and_the_observed_information_is_its_derivative(fitted):
    _, y, found = fitted
    theta, i = found.theta[7], 7

    def score(t):
        e = np.exp(-t[1] * X)
        J = np.column_stack([e, -t[0] * X * e, np.ones_like(X)])
        return J.T @ (y[i] - t[0] * e - t[2])

    assert np.abs(score(theta)).max() < 1e-12
    step = 1e-6
    H = np.column_stack([(score(theta - step * e) - score(theta + step * e)) / (2 * step) for e in np.eye(3)])
    np.testing.assert_allclose(found.observed[i], H, rtol=1e-6)
    assert (found.distance <= 1e-8).all()


def test_a_problem_ends_the_same_whatever_is_solved_beside_it(fitted):
    _, y, found = fitted
    kind = problems.least_squares(decay)
    # other neighbours in chunks of the same size, another order, another executor
    order = np.random.default_rng(1).permutation(100)[:70]
    other = problems.solve(kind, np.ones(3), {"y": y[order]}, {"x": X}, executor=serial())
    np.testing.assert_array_equal(other.theta, found.theta[order])
    again = problems.solve(kind, np.ones(3), {"y": y}, {"x": X}, executor=threads(2))
    np.testing.assert_array_equal(again.theta, found.theta)


@pytest.mark.parametrize("name", ["Misra1a", "Thurber", "Rat42", "Chwirut2"])
def test_the_certified_digits_are_reached_from_both_starts(name, correct_digits):
    case = json.loads((Path(__file__).parents[2] / "reference" / "nist_nls" / f"{name}.json").read_text())
    code = compile(case["expr"], name, "eval")
    names = case["param_names"]

    def curve(theta, data, shared):
        return eval(code, {"exp": jnp.exp}, {"x": shared["x"]} | {n: theta[i] for i, n in enumerate(names)})

    shared = {"x": np.array(case["x"][0]), "y": np.array(case["y"])}
    starts = np.array([case["start1"], case["start2"]], dtype=float)
    found = problems.solve(problems.least_squares(curve), starts, None, shared)
    assert found.converged.all()
    for theta, V in zip(found.theta, found.covariance(), strict=True):
        assert correct_digits(theta, case["polished"]["params"]) > 10
        assert correct_digits(np.sqrt(np.diag(V)), case["polished"]["sd"]) > 8


def test_bounds_hold_what_pushes_against_them(fitted):
    _, y, free = fitted
    upper = np.array([np.inf, np.inf, 0.3])
    found = problems.solve(problems.least_squares(decay), np.array([1.0, 1.0, 0.1]), {"y": y}, {"x": X}, upper=upper)
    assert found.converged.all()
    assert (found.theta[:, 2] <= 0.3).all()
    inside = free.theta[:, 2] < 0.29
    np.testing.assert_allclose(found.theta[inside], free.theta[inside], rtol=1e-10)
    assert found.held[free.theta[:, 2] > 0.31, 2].all()
    assert np.isnan(found.covariance()[free.theta[:, 2] > 0.31][:, 2]).all()


def test_a_parameter_whose_bounds_are_equal_stays():
    truth, y = simulated(10)
    low = np.full((10, 3), -np.inf)
    high = -low
    low[:, 2] = high[:, 2] = truth[:, 2]
    found = problems.solve(problems.least_squares(decay), truth, {"y": y}, {"x": X}, lower=low, upper=high)
    assert found.converged.all()
    np.testing.assert_array_equal(found.theta[:, 2], truth[:, 2])
    value = -0.5 * np.sum((y - truth[:, :1] * np.exp(-truth[:, 1:2] * X) - truth[:, 2:]) ** 2, axis=1)
    assert (found.value > value).all()


def test_each_problem_has_its_own_status():
    _, y = simulated(5)
    y[1] = np.nan  # not finite anywhere
    y[2] = 0.0  # nothing for the rate to explain once the amplitude is 0
    start = np.ones((5, 3))
    start[3] = [0.0, 1.0, 0.0]
    found = problems.solve(problems.least_squares(decay), start, {"y": y}, {"x": X})
    assert found.status[1] is Status.NOT_FINITE
    assert not found.status[2].converged or found.value[2] > -1e-20
    assert found.converged[[0, 4]].all()
    alone = problems.solve(problems.least_squares(decay), np.ones((1, 3)), {"y": y[4:]}, {"x": X})
    np.testing.assert_allclose(found.theta[4], alone.theta[0], rtol=1e-12)


def test_running_out_of_steps_is_no_success():
    _, y = simulated(4)
    found = problems.solve(problems.least_squares(decay), np.ones(3), {"y": y}, {"x": X}, max_iter=2)
    assert set(found.status) == {Status.STEP_LIMIT}


def test_an_undetermined_combination_is_singular():
    def double(theta, data, shared):
        return theta[0] + theta[1] + 0.0 * shared["x"]

    found = problems.solve(problems.least_squares(double), np.ones(2), {"y": simulated(3)[1]}, {"x": X})
    assert not found.converged.any()
    assert np.isnan(found.covariance()).all()


def test_a_likelihood_with_its_own_score_and_information():
    """Poisson means, θ = log μ: the information is exact and no other is asked for."""

    def evaluate(theta, data, shared):
        mu = jnp.exp(theta[0])
        return data["y"] * theta[0] - mu, (data["y"] - mu)[None], mu[None, None]

    y = np.array([1.0, 4.0, 100.0, 0.3])
    found = problems.solve(problems.TracedProblem(evaluate), np.zeros(1), {"y": y})
    np.testing.assert_allclose(found.theta[:, 0], np.log(y), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(found.covariance()[:, 0, 0], 1 / y, rtol=1e-13)


def test_weights_and_padding_are_left_out():
    _, y = simulated(6)
    codes = np.repeat(np.arange(6), 30)
    keep = np.random.default_rng(2).random(180) < 0.8
    columns = {"y": y.ravel()[keep], "x": np.tile(X, 6)[keep]}

    def curve(theta, data, shared):
        return theta[0] * jnp.exp(-theta[1] * data["x"]) + theta[2]

    kind = problems.least_squares(curve)
    for groups, padded in problems.stacked(codes[keep], columns):
        found = problems.solve(kind, np.ones(3), padded)
        for i, group in enumerate(groups):
            here = keep[codes == group]
            alone = problems.solve(kind, np.ones((1, 3)), {"y": y[group][here][None], "x": X[here][None]})
            np.testing.assert_allclose(found.theta[i], alone.theta[0], rtol=1e-11)
            np.testing.assert_allclose(found.dispersion[i], alone.dispersion[0], rtol=1e-11)


def test_groups_of_many_sizes_need_few_lengths():
    codes = np.repeat(np.arange(40), np.arange(1, 41))
    rng = np.random.default_rng(0)
    codes = rng.permutation(codes)
    values = rng.normal(size=len(codes))
    seen, lengths = np.zeros(40), []
    for groups, columns in problems.stacked(codes, {"v": values}):
        lengths.append(columns["v"].shape[1])
        seen[groups] = (columns["v"] * columns["weight"]).sum(axis=1)
    np.testing.assert_allclose(seen, np.bincount(codes, values))
    assert lengths == [8, 16, 32, 64]


def test_a_second_batch_compiles_nothing():
    count = [0]

    def listen(event, seconds, **_):
        count[0] += event == "/jax/core/compile/backend_compile_duration"

    _, y = simulated(90)
    kind = problems.least_squares(decay)
    problems.solve(kind, np.ones(3), {"y": y}, {"x": X})
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        problems.solve(kind, np.full(3, 0.9), {"y": y[:80]}, {"x": X})
        problems.solve(
            problems.least_squares(decay), np.ones(3), {"y": y}, {"x": X}, upper=np.full(3, 9.0), max_iter=50
        )
    finally:
        jax.monitoring.clear_event_listeners()
    assert count[0] == 0


def test_compiled_code_goes_with_the_function():
    def curve(theta, data, shared):
        return theta[0] + 0.0 * data["y"]

    problems.solve(problems.least_squares(curve), np.zeros(1), {"y": np.ones((2, 3))})
    watched = weakref.ref(curve)
    del curve
    gc.collect()
    assert watched() is None


def test_numbers_of_problems_must_agree():
    with pytest.raises(ModelError, match="a row for each of 4 problems"):
        problems.solve(problems.least_squares(decay), np.ones((3, 3)), {"y": np.ones((4, 30))}, {"x": X})


def test_inverses_of_definite_matrices_alone():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(6, 4, 8))
    M = A @ A.swapaxes(1, 2) * np.outer([1e-8, 1.0, 1e3, 1e8], [1e-8, 1.0, 1e3, 1e8])
    M[1] = np.diag([1.0, 1.0, -1.0, -1.0])  # its determinant is 1
    M[2] += np.nan
    M[3, 1] = M[3, 0] * 1e8
    M[3, :, 1] = M[3, :, 0] * 1e8
    V = problems.inverses(M, np.ones((6, 4), dtype=bool))
    assert np.isnan(V[[1, 2, 3]]).all()
    for i in (0, 4, 5):
        np.testing.assert_allclose(
            V[i] @ M[i], np.eye(4), atol=1e-9 * np.abs(V[i]).max() * np.abs(M[i]).max() * 1e-16 + 1e-6
        )


def test_an_inverse_of_nearly_dependent_columns_is_given():
    near = 1.0 - 1e-9  # the determinant does not tell that the smallest eigenvalue, 1e-9, is above the tolerance
    M = np.full((1, 12, 12), near) + (1.0 - near) * np.eye(12)
    V = problems.inverses(M, np.ones((1, 12), dtype=bool))
    np.testing.assert_allclose(V[0] @ M[0], np.eye(12), atol=1e-6)
