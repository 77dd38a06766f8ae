"""Thin plates: their constants, what they interpolate, the functions that are kept, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data.varying import thin_plate
from raphson.errors import DataError

RNG = np.random.default_rng(8)


def spread(d, n=40):
    return np.random.default_rng(d).uniform(-1, 2, (n, d))


@pytest.mark.parametrize(
    ("d", "order", "functions", "usual"), [(1, 2, 2, 10), (2, 2, 3, 30), (3, 3, 10, 110), (4, 3, 15, 115)]
)
def test_orders_and_numbers_of_functions_are_mgcvs(d, order, functions, usual):
    assert thin_plate.order_of(d) == order and len(thin_plate.exponents(d)) == functions
    assert thin_plate.usual_k(d) == usual and thin_plate.exponents(d)[0] == (0,) * d


def test_radial_functions_are_those_of_the_literature():
    r = np.array([0.0, 0.3, 1.0, 2.5])
    logs = np.log(np.where(r > 0, r, 1.0))
    np.testing.assert_allclose(thin_plate.radial(r**2, 1), r**3 / 12, rtol=1e-14)
    np.testing.assert_allclose(thin_plate.radial(r**2, 2), r**2 * logs / (8 * np.pi), rtol=1e-14)
    np.testing.assert_allclose(thin_plate.radial(r**2, 3), r**3 / (96 * np.pi), rtol=1e-14)
    np.testing.assert_allclose(thin_plate.radial(r**2, 4), r**2 * logs / (64 * np.pi**2), rtol=1e-14)


def test_of_one_variable_with_all_points_it_is_the_natural_cubic_spline():
    from scipy.interpolate import CubicSpline

    x, y = np.sort(spread(1, 12), axis=0), RNG.normal(size=12)
    UZ, S = thin_plate.truncated(x, 12)
    C = np.zeros((14, 12))
    C[:12, :10], C[12:, 10:] = UZ, np.eye(2)
    b = np.linalg.solve(thin_plate.product(x, x, np.zeros(1), C), y)
    new = np.linspace(-1.5, 2.5, 50)
    spline = CubicSpline(x[:, 0], y, bc_type="natural")
    inside = (new > x[0, 0]) & (new < x[-1, 0])
    found = thin_plate.product(new[:, None], x, np.zeros(1), C) @ b
    np.testing.assert_allclose(found[inside], spline(new[inside]), atol=1e-9)
    bent = spline.derivative(2)(x[:, 0])
    energy = np.sum(np.diff(x[:, 0]) / 3 * (bent[:-1] ** 2 + bent[:-1] * bent[1:] + bent[1:] ** 2))
    assert b[:10] @ S @ b[:10] == pytest.approx(energy, rel=1e-9)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_the_functions_kept_are_the_truncated_ones_and_bend_by_their_penalty(d):
    x, k = spread(d), {1: 8, 2: 12, 3: 16, 4: 20}[d]
    UZ, S = thin_plate.truncated(x, k)
    T = thin_plate.polynomials(x)
    E = thin_plate.radial(((x[:, None] - x) ** 2).sum(axis=2), d)
    assert np.abs(T.T @ UZ).max() < 1e-12
    np.testing.assert_allclose(S, UZ.T @ E @ UZ, atol=1e-13 * np.abs(E).max())
    assert np.linalg.eigvalsh(S)[0] > 0
    values, U = np.linalg.eigh(E)
    kept = np.argsort(-np.abs(values))[:k]
    assert np.abs(UZ - U[:, kept] @ (U[:, kept].T @ UZ)).max() < 1e-10  # within the largest eigenvectors


def test_some_eigenvectors_are_those_of_all(monkeypatch):
    x = spread(2, 150)
    whole = thin_plate.truncated(x, 20)
    monkeypatch.setattr(thin_plate, "DENSE", 10)
    some = thin_plate.truncated(x, 20)
    np.testing.assert_allclose(some[0] @ some[0].T, whole[0] @ whole[0].T, atol=1e-9)
    assert np.array_equal(thin_plate.truncated(x, 20)[0], some[0])


def test_rows_are_evaluated_in_pieces(monkeypatch):
    x, points = spread(2, 100), spread(2, 30)
    C = RNG.normal(size=(33, 4))
    whole = thin_plate.product(x, points, np.zeros(2), C)
    monkeypatch.setattr(thin_plate, "BLOCK", 210)
    np.testing.assert_allclose(thin_plate.product(x, points, np.zeros(2), C), whole, rtol=1e-12)


def test_points_are_distinct_in_order_and_not_too_many():
    x = spread(2, 50)
    assert np.array_equal(thin_plate.points_of(np.vstack([x, x[:9]]), 10, "s(x, z)"), x[np.lexsort(x.T[::-1])])
    many = np.random.default_rng(2).normal(size=(5000, 2))
    found = thin_plate.points_of(many, 10, "s(x, z)")
    assert len(found) == len(np.unique(found, axis=0)) == thin_plate.MOST_POINTS
    assert np.array_equal(thin_plate.points_of(many[::-1], 10, "s(x, z)"), found)


def test_too_few_points_and_points_on_a_line_are_refused():
    with pytest.raises(DataError, match="has k=10 functions, but its variable only 7 different values; write k=7"):
        thin_plate.points_of(np.arange(7.0)[:, None], 10, "s(x)")
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [2.0, 0.5]])
    with pytest.raises(DataError, match="has k=30 functions, but its variables only 5 different points; write k=5"):
        thin_plate.points_of(np.tile(corners, (3, 1)), 30, "s(x, z)")
    with pytest.raises(DataError, match="only 3 different points; use linear terms"):
        thin_plate.points_of(corners[:3], 30, "s(x, z)")
    line = np.linspace(0, 1, 40)
    with pytest.raises(DataError, match="the points of s\\(x, z\\) lie on a line"):
        thin_plate.points_of(np.column_stack([line, 3 * line + 1]), 10, "s(x, z)")
