"""Maxima on planes and curves, of likelihoods with known answers and of real models."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raphson.errors import ConvergenceError
from raphson.inference.functions import Combinations, ParameterFunction
from raphson.inference.restricted import Restricted, maximum_on_curve, maximum_on_plane
from raphson.model.objective import VALUE, Evaluation, Gram, Need, Objective


@dataclass(frozen=True)
class Quadratic(Objective):
    """ℓ(θ) = −½ (θ − c)ᵀM(θ − c), −∞ where θ_0 > edge."""

    M: np.ndarray
    centre: np.ndarray
    edge: float = math.inf
    bounds: tuple | None = None

    n_rows = 100
    linear = True

    @property
    def n_params(self):
        return len(self.centre)

    def evaluate(self, theta, need=VALUE):
        gap = theta - self.centre
        value = -0.5 * gap @ self.M @ gap if theta[0] <= self.edge else -math.inf
        parts = {kind: Gram(self.M) for kind in need.kinds}
        return Evaluation(theta, float(value), -self.M @ gap, parts, 1.0, 0.0, 100)


def problem(seed=0, p=4):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(p, p + 2)) * np.array([1.0, 30.0, 0.03, 1.0])[:p, None]
    return Quadratic(A @ A.T, rng.normal(size=p)), rng


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4))
def test_a_quadratic_on_a_plane(seed, q):
    objective, rng = problem(seed)
    R, r = rng.normal(size=(q, 4)), rng.normal(size=q)
    free = np.ones(4, dtype=bool)
    found = maximum_on_plane(objective, R, r, objective.centre, free, objective.M)
    np.testing.assert_allclose(R @ found.theta, r, atol=1e-9 * np.abs(R @ np.diag(found.theta)).max())
    # Lagrange: θ = c − M⁻¹Rᵀ(RM⁻¹Rᵀ)⁻¹(Rc − r), and ℓ = −½ (Rc − r)ᵀ(RM⁻¹Rᵀ)⁻¹(Rc − r).
    MR = np.linalg.solve(objective.M, R.T)
    gap = R @ objective.centre - r
    assert found.value == pytest.approx(-0.5 * gap @ np.linalg.solve(R @ MR, gap), rel=1e-4)
    # The score is normal to the plane.
    N = np.linalg.svd(R)[2][q:]
    away = N @ found.score
    assert np.abs(np.linalg.solve(N @ objective.M @ N.T, away) @ away) < 1e-12


@pytest.mark.parametrize("metric", [True, False])
def test_held_parameters_stay(metric):
    objective, _ = problem()
    free = np.array([True, True, False, True])
    start = objective.centre + 0.1
    found = maximum_on_plane(
        objective, np.array([[1.0, 0, 0, 0]]), np.array([0.3]), start, free, objective.M if metric else None
    )
    assert found.converged and found.theta[0] == pytest.approx(0.3, abs=1e-14) and found.theta[2] == start[2]


def test_the_edge_of_the_domain():
    objective, _ = problem()
    R, free = np.array([[1.0, 0, 0, 0]]), np.ones(4, dtype=bool)
    limited = Quadratic(objective.M, objective.centre, edge=1.0)
    assert maximum_on_plane(limited, R, np.array([0.9]), objective.centre, free, objective.M).converged
    with pytest.raises(ConvergenceError, match="parameters with a finite log-likelihood can satisfy"):
        maximum_on_plane(limited, R, np.array([1.1]), objective.centre, free, objective.M)
    boxed = Quadratic(objective.M, objective.centre, bounds=(np.full(4, -9.0), np.full(4, 1.0)))
    with pytest.raises(ConvergenceError):
        maximum_on_plane(boxed, R, np.array([1.1]), objective.centre, free, objective.M)


@pytest.mark.parametrize("root", [False, True])
def test_restricted_objective_is_the_objective_on_the_plane(root, sample):
    from raphson import families
    from raphson.data import from_arrays
    from raphson.execute import serial
    from raphson.model.glm.glm import GeneralisedLinearModel

    data = from_arrays(sample.count, sample.X)
    inner = GeneralisedLinearModel.of(data, families.Poisson(), "precision", None, serial()).objective
    N = np.array([[1.0, 0.0], [0.5, 1.0], [0.0, -1.0]])
    plane = Restricted(inner, np.array([0.1, 0.2, 0.0]), N)
    gamma = np.array([0.05, -0.1])
    here = plane.evaluate(gamma, Need(kinds=("expected", "opg"), root=root))
    full = inner.evaluate(plane.theta(gamma), Need(kinds=("expected", "opg")))
    assert here.value == full.value and plane.n_params == 2 and plane.n_rows == sample.n
    np.testing.assert_allclose(here.score, N.T @ full.score)
    for kind in ("expected", "opg"):
        np.testing.assert_allclose(here.information[kind].matrix, N.T @ full.information[kind].matrix @ N)
    np.testing.assert_allclose(plane.design_root(gamma).matrix, N.T @ sample.X.T @ sample.X @ N)


def test_a_curve_meets_the_plane_where_it_is_one():
    objective, rng = problem(5)
    R, r = rng.normal(size=(2, 4)), rng.normal(size=2)
    free = np.ones(4, dtype=bool)
    plane = maximum_on_plane(objective, R, r, objective.centre, free, objective.M)
    function = Combinations(R, np.zeros(2), ["a", "b"])
    curve = maximum_on_curve(objective, function, r, objective.centre, free)
    assert curve.converged
    np.testing.assert_allclose(curve.theta, plane.theta, rtol=1e-8)


def test_the_nearest_point_of_a_circle():
    objective = Quadratic(np.eye(2), np.array([3.0, 4.0]))
    function = ParameterFunction(lambda p: p["x"] ** 2 + p["y"] ** 2, ["x", "y"])
    for start in ([3.0, 4.0], [-0.5, 2.0], [1e-3, 1e-3]):
        found = maximum_on_curve(objective, function, np.ones(1), np.array(start), np.ones(2, dtype=bool))
        assert found.converged
        np.testing.assert_allclose(found.theta, [0.6, 0.8], rtol=1e-10)
        assert found.value == pytest.approx(-8.0)
    with pytest.raises(ConvergenceError, match="not finite where the search starts"):
        limited = Quadratic(np.eye(2), np.zeros(2), edge=1.0)
        maximum_on_curve(limited, function, np.ones(1), np.array([2.0, 0.0]), np.ones(2, dtype=bool))


def test_no_point_satisfies_it():
    objective = Quadratic(np.eye(2), np.array([3.0, 4.0]))
    function = ParameterFunction(lambda p: p["x"] ** 2 + p["y"] ** 2, ["x", "y"])
    found = maximum_on_curve(objective, function, -np.ones(1), objective.centre, np.ones(2, dtype=bool))
    assert not found.converged
