from __future__ import annotations

import numpy as np
import pytest

import raphson as rp
from raphson.linalg import independent
from raphson.model.objective import Gram, Root
from raphson.newton.solve import conjugate_gradients, direction, factorise

rng = np.random.default_rng(11)
# Columns whose units differ by twelve orders of magnitude
A = rng.normal(size=(30, 4)) * [1.0, 1e6, 1e-6, 10.0]
Z = rng.normal(size=30)
M, SCORE = A.T @ A, A.T @ Z
ALL = np.ones(4, dtype=bool)
FORMS = {"gram": Gram(M), "root": Root.of(np.column_stack([A, Z]))}
EXACT = np.linalg.lstsq(A / np.linalg.norm(A, axis=0), Z, rcond=None)[0] / np.linalg.norm(A, axis=0)


@pytest.fixture(params=FORMS)
def part(request):
    return FORMS[request.param]


def test_factor(part):
    factor, v = factorise(part), np.array([1.0, 2e6, 3e-6, 4.0])
    assert factor.whole
    scale = np.sqrt(np.diag(M))
    np.testing.assert_allclose(factor.matrix / scale / scale[:, None], M / scale / scale[:, None], atol=1e-13)
    np.testing.assert_allclose(M @ factor.solve(v) / scale, v / scale, rtol=1e-9)
    np.testing.assert_allclose(factor.inverse() * scale * scale[:, None], np.linalg.inv(M / scale / scale[:, None]))
    np.testing.assert_allclose(factor.diagonal, np.diag(M), rtol=1e-12)
    half = factor.half_solve(v)
    assert half @ half == pytest.approx(v @ factor.solve(v), rel=1e-10)
    B = np.column_stack([v, -v, 2 * v])
    np.testing.assert_allclose(factor.solve(B), factor.solve(v)[:, None] * [1.0, -1.0, 2.0], rtol=1e-12)


def test_units_do_not_count_as_ill_conditioning(part):
    assert factorise(part).condition < 20 and factorise(part).smallest_pivot > 0.5


def test_held_columns(part):
    free = np.array([True, False, True, True])
    factor = factorise(part, free)
    assert not factor.whole
    np.testing.assert_array_equal(factor.kept, free)
    v = np.array([1.0, 5.0, 3e-6, 4.0])
    solution = factor.solve(v)
    assert solution[1] == 0.0
    inner = M[np.ix_(free, free)]
    np.testing.assert_allclose(inner @ solution[free], v[free], rtol=1e-8)
    assert not factor.inverse()[1].any() and not factor.matrix[1].any()
    np.testing.assert_allclose(factor.inverse()[np.ix_(free, free)] @ inner, np.eye(3), atol=1e-6)


def test_direction(part):
    found = direction(part, SCORE, ALL)
    np.testing.assert_allclose(found.step, EXACT, rtol=1e-9)
    assert found.decrement == pytest.approx(np.sqrt(SCORE @ EXACT), rel=1e-10)
    assert not found.ill_conditioned


@pytest.mark.parametrize("tau", [0.1, 10.0])
def test_damping_adds_to_the_diagonal(part, tau):
    found = direction(part, SCORE, ALL, tau)
    np.testing.assert_allclose(found.step, np.linalg.solve(M + tau * np.diag(np.diag(M)), SCORE), rtol=1e-6)


def test_an_indefinite_matrix_has_no_factor():
    assert factorise(Gram(np.array([[1.0, 2.0], [2.0, 1.0]]))) is None
    assert factorise(Gram(np.diag([1.0, -1.0]))) is None
    assert direction(Gram(np.diag([1.0, np.nan])), np.ones(2), np.ones(2, dtype=bool)) is None


@pytest.mark.parametrize("position", range(4))
def test_of_aliased_columns_the_later_one_goes(position):
    # The column is a combination of two others; whichever comes last in the order is dropped.
    X = np.random.default_rng(1).normal(size=(40, 3))
    columns = [X[:, 0], X[:, 1], X[:, 2]]
    columns.insert(position, X[:, 0] - 3 * X[:, 1])
    B, z = np.column_stack(columns), np.arange(40.0)
    found = direction(Root.of(np.column_stack([B, z])), B.T @ z, np.ones(4, dtype=bool))
    # X0, X1 and their combination are dependent: the last of these three in the order goes, and X2 never.
    last = max(position, 1 if position > 1 else 2)
    np.testing.assert_array_equal(found.factor.kept, np.arange(4) != last)
    assert found.step[last] == 0.0
    reduced = np.linalg.lstsq(np.delete(B, last, axis=1), z, rcond=None)[0]
    np.testing.assert_allclose(np.delete(found.step, last), reduced, rtol=1e-10)


def test_several_aliased_and_empty_columns():
    X = np.random.default_rng(1).normal(size=(40, 2))
    B = np.column_stack([np.zeros(40), X[:, 0], 2 * X[:, 0], X[:, 1], X @ [1.0, 1.0], np.zeros(40)])
    factor = factorise(Root.of(np.column_stack([B, np.ones(40)])))
    np.testing.assert_array_equal(factor.kept, [False, True, False, True, False, False])


def test_nearly_aliased_is_not_aliased():
    # One part in 1e9 is left after the earlier columns: poor, but there (the tolerance is 1e-12).
    x, e = np.random.default_rng(2).normal(size=(2, 50))
    B = np.column_stack([x, x + 1e-9 * e])
    factor = factorise(Root.of(np.column_stack([B, e])))
    assert factor.kept.all() and factor.condition > 1e8
    np.testing.assert_allclose(factor.solve(B.T @ e)[1], 1e9, rtol=1e-5)


def test_qr_keeps_the_digits_that_cholesky_squares_away():
    x = np.linspace(0, 1, 50)
    B = np.vander(x, 8, increasing=True)
    z = B @ np.ones(8)
    by_root = direction(Root.of(np.column_stack([B, z])), B.T @ z, np.ones(8, dtype=bool))
    by_gram = direction(Gram(B.T @ B), B.T @ z, np.ones(8, dtype=bool))
    assert np.abs(by_root.step - 1).max() < 1e-9
    assert by_gram.ill_conditioned and np.abs(by_gram.step - 1).max() > np.abs(by_root.step - 1).max()


def test_nothing_free():
    none = np.zeros(4, dtype=bool)
    for part in FORMS.values():
        factor = factorise(part, none)
        assert factor.solve(SCORE).tolist() == [0.0] * 4 and factor.condition == 1.0
    assert conjugate_gradients(lambda v: M @ v, np.diag(M), SCORE, none, 1e-8).step.tolist() == [0.0] * 4


def test_a_design_with_fewer_rows_than_columns():
    B, z = np.random.default_rng(3).normal(size=(2, 4)), np.ones(2)
    factor = factorise(Root.of(np.column_stack([B, z])))
    np.testing.assert_array_equal(factor.kept, [True, True, False, False])


def test_conjugate_gradients():
    found = conjugate_gradients(lambda v: M @ v, np.diag(M).copy(), SCORE, ALL, 1e-12)
    np.testing.assert_allclose(found.step, EXACT, rtol=1e-7)
    assert found.decrement == pytest.approx(np.sqrt(SCORE @ EXACT), rel=1e-8)
    free = np.array([True, True, False, True])
    held = conjugate_gradients(lambda v: M @ v, np.diag(M).copy(), SCORE, free, 1e-12).step
    assert held[2] == 0.0
    np.testing.assert_allclose(held[free], np.linalg.solve(M[np.ix_(free, free)], SCORE[free]), rtol=1e-6)


def test_conjugate_gradients_stop_at_negative_curvature_with_an_ascent_direction():
    N = np.diag([1.0, -2.0, 3.0])
    score = np.array([1.0, 1.0, 1.0])
    found = conjugate_gradients(lambda v: N @ v, np.diag(N).copy(), score, np.ones(3, dtype=bool), 1e-10)
    assert found.step @ score > 0 and np.isfinite(found.step).all()


@pytest.mark.parametrize("curvature", [-2.0, 0.0])
def test_a_parameter_of_negative_curvature_is_not_taken_for_one_at_its_maximum(curvature):
    # The other parameters are at theirs: all that is left of the score is this one's.
    N = np.diag([1.0, curvature, 3.0])
    found = conjugate_gradients(
        lambda v: N @ v, np.diag(N).copy(), np.array([1e-9, 5.0, 1e-9]), np.ones(3, dtype=bool), 1e-10
    )
    assert found.step[1] > 0.5 and found.decrement > 1


def test_a_matrix_is_factored_once(monkeypatch):
    """The last step, the condition number and the covariance need the factor of one matrix."""
    from raphson.newton import solve

    made, cholesky = [], solve.cholesky
    monkeypatch.setattr(solve, "cholesky", lambda M, free: made.append(free.sum()) or cholesky(M, free))
    part, every = Gram(np.array([[4.0, 2.0], [2.0, 3.0]])), np.array([True, True])
    step = solve.direction(part, np.array([1.0, 2.0]), every)
    assert solve.factorise(part) is step.factor and made == [2]
    np.testing.assert_allclose(step.step, np.linalg.solve(part.matrix, [1.0, 2.0]), rtol=1e-14)
    damped = solve.direction(part, np.array([1.0, 2.0]), every, damping=1.0)
    np.testing.assert_allclose(damped.step, np.linalg.solve([[8.0, 2.0], [2.0, 6.0]], [1.0, 2.0]), rtol=1e-14)
    assert solve.factorise(part, np.array([True, False])).root.shape == (1, 1) and made == [2, 2, 1]


@pytest.mark.parametrize("scale", [1e4, 1e6, 1e8])
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_a_combination_is_known_by_the_rounding_of_what_it_is_made_of(family, scale):
    """z = xz − scale·x up to the last digit of xz, which is more than that of z."""
    own = np.random.default_rng(0)
    x, z = own.normal(size=(2, 60))
    y = own.poisson(np.exp(0.3 * x + 0.3 * z))
    data = {"y": y, "x": x, "z": z, "xz": scale * x + z}
    fit = rp.glm("y ~ xz + x + z", data, family=family)
    assert fit.converged and list(fit.params.index[fit.params.isna()]) == ["z"]
    assert fit.llf == pytest.approx(rp.glm("y ~ x + z", data, family=family).llf, rel=1e-9)


def test_polynomials_are_no_combinations():
    powers = np.linspace(-8.8, -3.1, 82)[:, None] ** np.arange(11)
    assert independent(np.linalg.qr(powers, mode="r")).all()
