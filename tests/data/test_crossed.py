"""Sums of products that come with the first reading of a design."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data import from_arrays
from raphson.data.crossed import FEW_COLUMNS, MANY_ROWS, NARROW, Crossed, Crossing, piece_rows, piece_sandwich
from raphson.data.matrices import scan

N = MANY_ROWS + 2 * NARROW + 357


def arrays(p=3, seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack([np.ones(N), rng.normal(size=(N, p - 1)) + 2.0]), rng.normal(size=N)


@pytest.mark.parametrize("p", [1, 3, FEW_COLUMNS + 2])
def test_a_scan_sums_products_of_the_design(p):
    X, y = arrays(p)
    plain, seen = scan(X), scan(X, y)
    assert seen.crossed is not None and plain.crossed is None
    np.testing.assert_allclose(seen.crossed.gram, X.T @ X, rtol=1e-13)
    assert (seen.crossed.gram == seen.crossed.gram.T).all()
    np.testing.assert_allclose(seen.crossed.product, y @ X, rtol=1e-10)
    assert seen.crossed.squares == pytest.approx(y @ y, rel=1e-13)
    # The watch for changes compares it with a sum in another order.
    assert seen.squares == pytest.approx(plain.squares, rel=1e-13)
    assert seen.constant and plain.constant


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_entry_that_is_not_finite_shows_in_the_sum_of_squares(bad):
    X, y = arrays()
    X[N - 3, 1] = bad
    assert not np.isfinite(scan(X, y).squares)


def test_a_column_that_changes_late_is_not_constant():
    X, y = arrays()
    X[N - 1, 0] = 2.0
    assert not scan(X, y).constant


def test_sums_are_kept_of_the_arrays_of_the_model_alone():
    X, y = arrays()
    kept = from_arrays(y, X, crossed=True)
    assert kept.crossed is not None and kept.crossed.of(kept.X, kept.response.values)
    assert not kept.crossed.of(kept.X.copy(), kept.response.values)
    assert from_arrays(y, X).crossed is None
    assert from_arrays(y[:100], X[:100], crossed=True).crossed is None
    assert from_arrays(y, X, storage="float32", crossed=True).crossed is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["X", "y"])
def test_no_sums_are_kept_where_rows_are_dropped(where):
    X, y = arrays()
    (X[:, 1] if where == "X" else y)[17] = np.nan
    data = from_arrays(y, X, crossed=True)
    assert data.n_dropped == 1 and data.crossed is None


def test_sums_of_parts_add_up():
    X, y = arrays()
    parts = []
    for half in (slice(0, 1000), slice(1000, 1700)):
        parts.append(Crossing(3))
        parts[-1].add(X[half], y[half])
    total = Crossed.total(X[:1700], y[:1700], parts)
    np.testing.assert_allclose(total.gram, X[:1700].T @ X[:1700], rtol=1e-13)
    np.testing.assert_allclose(total.product, y[:1700] @ X[:1700], rtol=1e-10)


@pytest.mark.parametrize("p", [3, FEW_COLUMNS + 2])
@pytest.mark.parametrize("weights", ["none", "positive", "signed"])
def test_the_products_of_a_piece(p, weights):
    rng = np.random.default_rng(1)
    A = rng.normal(size=(piece_rows(p), p))
    W = {"none": None, "positive": rng.random(len(A)), "signed": rng.normal(size=len(A))}[weights]
    expected = A.T @ (A if W is None else A * W[:, None])
    np.testing.assert_allclose(piece_sandwich(A, W, np.empty_like(A)), expected, atol=1e-10)
