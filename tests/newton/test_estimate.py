from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import raphson as rp
from raphson.data import blocks, from_arrays
from raphson.data.sample_rows import spread_rows
from raphson.errors import ConvergenceError, ModelError
from raphson.execute import serial
from raphson.model import families
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.limits import Limit
from raphson.model.objective import Need
from raphson.model.problem import Problem
from raphson.newton.directions import MANY_BLOCKS
from raphson.newton.estimate import Options, estimate
from raphson.newton.maximize import maximize
from raphson.newton.methods import METHODS
from raphson.status import Status

NEWTON = Options(METHODS["newton"])


@dataclass
class Model(Problem):
    """An objective with a start, and a limit that it gives when asked."""

    objective: Any = None
    found: Limit | None = None
    suspicious: bool = False
    asked: int = 0
    free: Any = None
    concave: bool = False

    def start(self, need, plain=False):
        return self.objective.evaluate(np.zeros(self.objective.n_params), need)

    def suspects_infinity(self, evaluation):
        return self.suspicious

    def limit(self, theta, evaluation, converged):
        self.asked += 1
        return self.found


def test_an_ordinary_maximum(poisson):
    model = Model(poisson())
    found = estimate(model, NEWTON)
    assert found.status is Status.CONVERGED and found.model is model and found.direction is None
    assert not found.infinite.any() and model.asked == 1


def test_a_limit_is_maximised_in_place_of_the_model(poisson, quadratic):
    inner = Model(quadratic(np.eye(3)))
    limit = Limit("separated", inner, np.array([0.0, 1, -1]), np.array([0.0, 9, -9]), "far")
    found = estimate(Model(poisson(), limit), NEWTON)
    assert found.status is Status.SEPARATED and found.model is inner
    np.testing.assert_allclose(found.result.theta, 1.0)
    np.testing.assert_array_equal(found.infinite, [0, 1, -1])
    assert found.note == "far" and found.direction is limit.direction
    # The path tells both parts, numbered through.
    iterations = [step.iteration for step in found.result.path.steps]
    assert iterations == list(range(len(iterations)))


def test_a_limit_that_is_not_reached_is_not_called_one(poisson):
    limit = Limit("separated", Model(poisson()), np.ones(3), np.ones(3))
    found = estimate(Model(poisson(), limit), Options(METHODS["newton"], max_iter=1))
    assert found.status is Status.STEP_LIMIT


def test_an_unfounded_suspicion_only_interrupts(poisson):
    model = Model(poisson(), None, suspicious=True)
    found = estimate(model, NEWTON)
    assert found.status is Status.CONVERGED and found.result.distance < 1e-8


def test_a_limit_with_fewer_parameters(poisson, quadratic):
    limit = Limit("boundary", Model(quadratic(np.eye(2))), np.array([0.0, 0, 1]), None)
    found = estimate(Model(poisson(), limit), NEWTON)
    assert found.status is Status.BOUNDARY and len(found.result.theta) == 2


def test_a_start_of_the_users_own(poisson):
    start = np.array([0.4, 0.7, -0.3])
    objective = poisson()
    found = estimate(Model(objective), NEWTON, start)
    np.testing.assert_array_equal(objective.asked[0][0], start)
    assert found.status is Status.CONVERGED
    bad = poisson()
    bad.value = lambda theta: np.nan
    with pytest.raises(ConvergenceError, match="start"):
        estimate(Model(bad), NEWTON, start)


# -- many rows: begin with a part of them ----------------------------------------------------------------------


@pytest.fixture
def many(monkeypatch):
    """A logistic model in eight blocks of 256 rows."""
    monkeypatch.setattr(blocks, "BLOCK_ROWS", (256,))
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(2000), rng.normal(size=(2000, 2))])
    y = (rng.random(2000) < 1 / (1 + np.exp(-X @ [0.2, 1.0, -0.5]))).astype(float)
    return y, X


def glm(y, X):
    return GeneralisedLinearModel.of(from_arrays(y, X), families.Binomial(), "precision", None, serial())


def exact(y, X):
    """The maximum by plain Newton."""
    theta = np.zeros(X.shape[1])
    for _ in range(30):
        mu = 1 / (1 + np.exp(-X @ theta))
        theta = theta + np.linalg.solve((X.T * (mu * (1 - mu))) @ X, X.T @ (y - mu))
    return theta


@pytest.mark.parametrize("method", ["newton", "fisher-scoring", "bhhh", "irls", "newton-cg"])
def test_a_part_first_leads_to_the_maximum_of_the_whole(many, method):
    found = estimate(glm(*many), Options(METHODS[method]))
    assert found.status is Status.CONVERGED
    np.testing.assert_allclose(found.result.theta, exact(*many), rtol=1e-10)
    # The first steps read the part, the later ones all rows.
    rows = [step.rows for step in found.result.path.steps]
    assert rows[-1] >= 2000 and rows[0] <= 2000
    assert rows[0] == 1000 or method == "newton-cg"  # which looks for aliased columns first


def test_a_degenerate_part_does_not_spoil_the_whole(many):
    # A covariate that is constant on every other row: the part cannot tell it from the intercept.
    y, X = many
    X = X.copy()
    X[spread_rows(0, len(X), 2), 2] = 1.0
    found = estimate(glm(y, X), NEWTON)
    assert found.status is Status.CONVERGED and found.result.free.all()
    np.testing.assert_allclose(found.result.theta, exact(y, X), rtol=1e-10)


def test_a_part_without_an_entry_of_some_column_is_not_iterated(many):
    y, X = many
    kept = X[:, 2].copy()
    X = X.copy()
    X[:, 2] = 0.0
    X[np.setdiff1d(np.arange(2000), spread_rows(0, 2000, 2)), 2] = kept[:1000]
    found = estimate(glm(y, X), NEWTON)
    assert found.status is Status.CONVERGED and found.result.free.all()
    assert {step.rows for step in found.result.path.steps} == {2000}


def test_a_separated_part_does_not_spoil_the_whole(many):
    y, X = many
    y, part = y.copy(), spread_rows(0, len(y), 2)
    y[part] = (X[part, 1] > 0).astype(float)
    found = estimate(glm(y, X), NEWTON)
    assert found.status is Status.CONVERGED
    np.testing.assert_allclose(found.result.theta, exact(y, X), rtol=1e-10)


@pytest.mark.parametrize("method", ["newton", "newton-cg", "bhhh"])
def test_theta_far_from_its_maximum(many, method):
    # Where log θ begins, the log-likelihood is convex in it: it must be moved all the same.
    rng = np.random.default_rng(5)
    X = many[1]
    y = rng.negative_binomial(2, 2 / (2 + np.exp(X @ [0.1, 0.4, -0.3]))).astype(float)
    model = GeneralisedLinearModel.of(from_arrays(y, X), families.NegativeBinomial(), "precision", None, serial())
    start = np.array([0.1, 0.4, -0.3, 4.0])
    need = Need(("observed",))
    assert model.objective.evaluate(start, need).information["observed"].matrix[3, 3] < 0
    found = estimate(model, Options(METHODS[method]), start)
    assert found.status is Status.CONVERGED and 1.5 < np.exp(found.result.theta[3]) < 3
    assert np.abs(model.objective.evaluate(found.result.theta).score).max() < 1e-8


def test_the_observed_information_near_the_maximum_takes_no_reading_of_its_own():
    rng = np.random.default_rng(2)
    n = 16_384 * MANY_BLOCKS + 5_000
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = rng.negative_binomial(2, 2 / (2 + np.exp(X @ [0.1, 0.4, -0.3]))).astype(float)
    model = GeneralisedLinearModel.of(from_arrays(y, X), families.NegativeBinomial(), "precision", None, serial())
    found = estimate(model, Options(METHODS["fisher-scoring"]))
    assert found.status is Status.CONVERGED
    whole = [step.rows for step in found.result.path.steps if step.rows >= n]
    assert len(whole) >= 3 and set(whole) == {n}


def test_all_rows_are_read_from_the_first_step_on_if_asked_for():
    rng = np.random.default_rng(1)
    n = 16_384 * MANY_BLOCKS + 5_000
    x = rng.normal(size=n)
    data = {"x": x, "y": (rng.random(n) < 1 / (1 + np.exp(1 - x))).astype(float)}
    whole, part = (rp.glm("y ~ x", data, family="binomial", rows=rows) for rows in ("all", "part"))
    assert set(whole.path["rows"]) == {n}
    assert part.path["rows"].min() < n
    assert (abs(whole.params - part.params) / whole.bse).max() < 1e-8
    with pytest.raises(ModelError, match="rows: expected one of part, all; got 'some'"):
        rp.glm("y ~ x", data, family="binomial", rows="some")


@pytest.mark.parametrize(("rows", "readings"), [(4_500, 2), (20_000, 3)], ids=["a part", "a part of a part"])
def test_many_rows_begin_with_a_part_that_begins_with_a_part_of_it(rows, readings, monkeypatch):
    rng = np.random.default_rng(0)
    n, columns = 16_384 * MANY_BLOCKS + 5_000, 50
    X = rng.normal(size=(n, columns)) / np.sqrt(columns)
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-X.sum(axis=1)))).astype(float)
    model = GeneralisedLinearModel.of(from_arrays(y, X), families.Binomial(), "precision", None, serial())
    monkeypatch.setattr("raphson.newton.estimate.part_rows", lambda *_: rows)
    found = estimate(model, NEWTON)
    read = list(dict.fromkeys(step.rows for step in found.result.path.steps if step.solver != "part"))
    assert found.status is Status.CONVERGED and found.result.distance < 1e-9
    assert read[-1] == n and len(read) == readings
    whole = maximize(model.objective, np.zeros(columns), METHODS["newton"])
    gap = np.abs(found.result.theta - whole.theta) / np.sqrt(np.diag(whole.factor.inverse()))
    assert gap.max() < 1e-10
