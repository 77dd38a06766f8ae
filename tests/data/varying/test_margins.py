"""Margins and their products: penalties are diagonal, coordinates orthonormal, and products those of Kronecker."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data.varying import margins
from raphson.data.varying.bases import basis_of, knots_of
from raphson.data.varying.margins import Margin, parted, uncentred

X = np.random.default_rng(3).uniform(-1, 4, (80, 3))


def made(kind, column=0, k=7, by_values=True):
    return Margin.of(kind, X[:, [column]], k, "te(x, z)", by_values)


@pytest.mark.parametrize("kind", ["cr", "ps", "cc"])
def test_a_penalty_is_parted_into_orthonormal_coordinates(kind):
    basis = basis_of(kind, knots_of(kind, X[:, 0], 7, "s(x)"))
    V, strengths, N = parted(basis.S, basis.null)
    both = np.column_stack([V, N])
    np.testing.assert_allclose(both.T @ both, np.eye(len(basis.S)), atol=1e-13)
    np.testing.assert_allclose(V.T @ basis.S @ V, np.diag(strengths), atol=1e-12 * strengths[-1])
    assert strengths[0] > 0 and np.ptp(N[:, 0]) < 1e-13
    own = made(kind, by_values=False).with_unit_strengths()
    np.testing.assert_allclose(own.penalised.T @ basis.S @ own.penalised, np.eye(len(strengths)), atol=1e-10)


def test_uncentred_combinations_are_orthonormal_and_have_no_mean():
    means = np.array([0.4, -1.0, 2.0, 0.3])
    found = uncentred(means)
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-14)
    assert np.abs(means @ found).max() < 1e-14
    assert uncentred(np.array([0.4])).shape == (1, 0)


@pytest.mark.parametrize("kind", ["ps", "tp"])
def test_by_values_the_coordinates_are_the_functions_values_at_even_points(kind):
    one = made(kind)
    even = np.linspace(X[:, 0].min(), X[:, 0].max(), 7)[:, None]
    whole = np.column_stack(one.values(even))
    np.testing.assert_allclose(whole.T @ whole, np.eye(7), atol=1e-10)  # orthonormal in these values
    # the same functions and penalty as in other coordinates, of which each is a combination
    other = made(kind, by_values=False)
    mine, its = np.column_stack(one.values(X[:, :1])), np.column_stack(other.values(X[:, :1]))
    A = np.linalg.lstsq(its, mine, rcond=None)[0]
    np.testing.assert_allclose(its @ A, mine, atol=1e-10)
    penalty = np.diag(np.concatenate([other.strengths, np.zeros(2)]))
    expected = np.diag(np.concatenate([one.strengths, np.zeros(2)]))
    np.testing.assert_allclose(A.T @ penalty @ A, expected, atol=1e-9 * one.strengths.max())


@pytest.mark.parametrize("kinds", [("cr", "ps"), ("cc", "cr"), ("tp", "cc", "cr")])
def test_a_product_has_all_products_of_columns_with_the_sums_of_penalties(kinds):
    several = [made(kind, column, 5) for column, kind in enumerate(kinds)]
    x = [X[:, [column]] for column in range(len(kinds))]
    own, null = margins.values(several, x)
    D = margins.strengths(several)
    parts = [np.column_stack(one.values(at)) for one, at in zip(several, x, strict=True)]
    full = parts[0]
    sizes = [np.concatenate([one.strengths, np.zeros(one.null.shape[1])]) for one in several]
    for part in parts[1:]:
        full = (full[:, :, None] * part[:, None, :]).reshape(len(X), -1)
    penalties = [
        np.prod(np.meshgrid(*[s if j == m else np.ones_like(s) for j, s in enumerate(sizes)], indexing="ij"), axis=0)
        for m in range(len(sizes))
    ]
    penalties = np.stack([one.ravel() for one in penalties])
    assert D.shape == (len(kinds), own.shape[1]) and (D.sum(axis=0) > 0).all()
    free = penalties.sum(axis=0) == 0
    ours = sorted(map(tuple, np.round(np.vstack([D, own]).T, 9)))
    theirs = sorted(map(tuple, np.round(np.vstack([penalties[:, ~free], full[:, ~free]]).T, 9)))
    np.testing.assert_allclose(ours, theirs, atol=1e-8)
    np.testing.assert_allclose(
        sorted(map(tuple, np.round(null.T, 9))), sorted(map(tuple, np.round(full[:, free].T, 9))), atol=1e-8
    )


@pytest.mark.parametrize("kind", ["cr", "ps", "cc", "tp"])
def test_a_centred_margin_has_the_functions_without_the_constant(kind):
    whole = made(kind)
    own = Margin.of(kind, X[:, :1], 7, "ti(x, z)", True, True)
    columns, all_columns = np.column_stack(own.values(X[:, :1])), np.column_stack(whole.values(X[:, :1]))
    assert np.abs(columns.mean(axis=0)).max() < 1e-12 * np.abs(columns).max()
    assert np.linalg.matrix_rank(columns) == columns.shape[1] == all_columns.shape[1] - 1
    A = np.linalg.lstsq(all_columns, columns, rcond=None)[0]
    np.testing.assert_allclose(all_columns @ A, columns, atol=1e-9 * np.abs(columns).max())
    penalties = [np.concatenate([one.strengths, np.zeros(one.null.shape[1])]) for one in (whole, own)]
    np.testing.assert_allclose((A.T * penalties[0]) @ A, np.diag(penalties[1]), atol=1e-9 * penalties[1].max())
    assert own.powers == whole.powers[1:]
    again = Margin.from_dict(kind, 1, own.to_dict())
    assert np.array_equal(np.column_stack(again.values(X[:, :1])), columns)


def test_names_of_what_is_not_penalised():
    two = [made("cr"), made("ps", 1)]
    assert margins.null_names(two, [["x"], ["z"]]) == ["constant", "x", "z", "x:z"]
    assert margins.null_names([made("cr"), made("cc", 1)], [["x"], ["z"]]) == ["constant", "x"]
    assert margins.null_names([made("tp")], [["x"]]) == ["constant", "linear"]
    plate = Margin.of("tp", X, 20, "s(x, z, a)", False)
    assert margins.null_names([plate], [["x", "z", "a"]])[:6] == ["constant", "x", "z", "a", "x^2", "x:z"]


@pytest.mark.parametrize("kind", ["cr", "ps", "cc", "tp"])
def test_what_is_kept_gives_the_same_columns(kind):
    one = made(kind)
    again = Margin.from_dict(kind, 1, one.to_dict())
    for mine, its in zip(one.values(X[:, :1]), again.values(X[:, :1]), strict=True):
        assert np.array_equal(mine, its)
