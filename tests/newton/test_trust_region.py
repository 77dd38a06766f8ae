from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raphson.newton.trust_region import SLACK, TrustRegion, _within


def problem(seed: int, p: int = 4, n: int = 9, spread: float = 0.0):
    """A triangle [R, Qᵀz] with its tall matrix, columns of sizes that differ by 10^spread."""
    random = np.random.default_rng(seed)
    A = random.normal(size=(n, p)) * 10.0 ** (spread * random.uniform(-1, 1, p))
    z = random.normal(size=n)
    return np.linalg.qr(np.column_stack([A, z]), mode="r"), A, z


def projected(p: int, *which: int) -> np.ndarray:
    return np.isin(np.arange(p), which)


@pytest.mark.parametrize("mask", [None, projected(4, 0, 2), projected(4, 0, 1), projected(4, 3)])
def test_a_step_that_fits_is_that_of_least_squares(mask) -> None:
    triangle, A, z = problem(0, spread=4)
    region = TrustRegion(mask)
    region.radius = 1e9
    proposal = region.propose(triangle, np.ones(4), np.ones(4, dtype=bool))
    np.testing.assert_allclose(proposal.step, np.linalg.lstsq(A, z)[0], rtol=1e-9)
    assert proposal.damping == 0.0
    d = proposal.step
    np.testing.assert_allclose(proposal.gain, z @ A @ d - 0.5 * np.sum((A @ d) ** 2), rtol=1e-10)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 0.5))
def test_a_shorter_step_is_the_damped_one_of_the_radius(seed, radius) -> None:
    triangle, A, z = problem(seed)
    region = TrustRegion(None)
    region.radius = radius
    proposal = region.propose(triangle, np.ones(4), np.ones(4, dtype=bool))
    assert proposal.length <= SLACK * radius * (1 + 1e-12)
    D2 = np.sum(A * A, axis=0)
    exact = np.linalg.solve(A.T @ A + proposal.damping * np.diag(D2), A.T @ z)
    np.testing.assert_allclose(proposal.step, exact, rtol=1e-8, atol=1e-12)
    if proposal.damping:
        assert proposal.length >= 0.85 * radius


def test_projected_parameters_follow_the_others_whatever_the_radius() -> None:
    triangle, A, z = problem(2)
    region = TrustRegion(projected(4, 1, 3))
    region.radius = 1e-3
    step = region.propose(triangle, np.ones(4), np.ones(4, dtype=bool)).step
    rest = z - A[:, [0, 2]] @ step[[0, 2]]
    np.testing.assert_allclose(step[[1, 3]], np.linalg.lstsq(A[:, [1, 3]], rest)[0], rtol=1e-9)
    assert np.linalg.norm(step[[1, 3]]) > 0.01


def test_a_column_that_those_of_the_solved_explain_is_not_stepped_along() -> None:
    # What is left of it is rounding, and a step as long as the residual over rounding leads nowhere.
    _, A, z = problem(2)
    A[:, 0] = 3.0 * A[:, 1] - 0.5 * A[:, 3] + 1e-15 * A[:, 0]
    triangle = np.linalg.qr(np.column_stack([A, z]), mode="r")
    region = TrustRegion(projected(4, 1, 3))
    step = region.propose(triangle, np.ones(4), np.ones(4, dtype=bool)).step
    assert step[0] == 0.0 and np.abs(step).max() < 100.0


def test_units_do_not_matter() -> None:
    triangle, A, z = problem(3)
    units = np.array([1e-6, 1.0, 1e5, 1e9])
    other = np.linalg.qr(np.column_stack([A * units, z]), mode="r")
    one, two = TrustRegion(None), TrustRegion(None)
    one.radius = two.radius = 0.3
    all_free = np.ones(4, dtype=bool)
    a, b = one.propose(triangle, np.ones(4), all_free), two.propose(other, np.ones(4) / units, all_free)
    np.testing.assert_allclose(a.step, b.step * units, rtol=1e-9)


def test_held_parameters_and_bounds() -> None:
    triangle, A, z = problem(4)
    region = TrustRegion(None)
    region.radius = 1e9
    free = np.array([True, False, True, True])
    step = region.propose(triangle, np.zeros(4), free).step
    np.testing.assert_allclose(step[free], np.linalg.lstsq(A[:, free], z)[0], rtol=1e-9)
    assert step[1] == 0.0
    low, high = np.full(4, -0.05), np.full(4, 0.05)
    inside = region.propose(triangle, np.zeros(4), free, (low, high)).step
    assert (np.abs(inside) <= 0.05 * (1 + 1e-12)).all() and np.isclose(np.abs(inside), 0.05).any()


def test_columns_that_are_one_another_do_not_explode() -> None:
    random = np.random.default_rng(5)
    A, z = random.normal(size=(9, 3)), random.normal(size=9)
    A = np.column_stack([A, A[:, 0]])
    region = TrustRegion(None)
    proposal = region.propose(np.linalg.qr(np.column_stack([A, z]), mode="r"), np.ones(4), np.ones(4, dtype=bool))
    assert np.isfinite(proposal.step).all() and np.abs(proposal.step).max() < 10


def test_the_radius_learns() -> None:
    triangle, *_ = problem(6)
    region = TrustRegion(None)
    region.radius = 0.1
    proposal = region.propose(triangle, np.ones(4), np.ones(4, dtype=bool))
    region.learn(0.9, proposal)
    assert region.radius == pytest.approx(2 * proposal.length)
    region.learn(0.5, proposal)
    before = region.radius
    region.learn(0.1, proposal)
    assert region.radius < before
    shorter = region.radius
    region.learn(-np.inf, proposal)
    assert region.radius <= 0.25 * shorter * SLACK
    assert not region.exhausted(np.ones(4))
    region.radius = 1e-30
    assert region.exhausted(np.ones(4))


def test_a_region_so_small_that_squares_underflow() -> None:
    s = np.array([1.4, 0.96, 4.6e-5, 3e-169])
    v, tau = _within(s, np.array([-5e-12, -1e-12, 5e-13, 0.33]), 3.6e-115)
    assert np.isfinite(tau) and 0 < np.abs(v).max() < 1.1 * 3.6e-115
