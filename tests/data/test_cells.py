from __future__ import annotations

import numpy as np
import pytest

import raphson.data.cells
from raphson.data import from_formula
from raphson.data.cells import FEWEST_ROWS, MOST_VALUES, SAMPLE, cells

N = 20_000


def design(formula, **columns):
    return from_formula(formula, {"y": np.zeros(len(next(iter(columns.values())))), **columns}).X


def labels(rng, levels, n=N):
    return np.array([f"l{k:03d}" for k in range(levels)])[rng.integers(0, levels, n)]


def same_cells(number, *columns):
    """Whether rows share a number exactly where they share all columns."""
    _, expected = np.unique(
        np.stack([np.unique(one, return_inverse=True)[1] for one in columns], 1), axis=0, return_inverse=True
    )
    pairs = np.unique(np.stack([number, expected.ravel()], 1), axis=0)
    return len(pairs) == len(np.unique(number)) == expected.max() + 1


@pytest.mark.parametrize("levels", [(5, 7), (30, 40), (40, 12, 9)])
def test_rows_share_a_cell_exactly_where_they_share_all_factors(levels):
    rng = np.random.default_rng(1)
    factors = {f"f{k}": labels(rng, count) for k, count in enumerate(levels)}
    if len(levels) == 3:  # few of the 4,320 cells have rows
        factors["f2"] = np.where(factors["f0"] < "l020", factors["f2"], "l000")
        factors["f1"] = np.where(factors["f0"] < "l005", factors["f1"], "l000")
    X = design("y ~ " + " + ".join(factors), **factors)
    found = cells(X)
    assert same_cells(found.number, *factors.values())
    there = np.flatnonzero(found.first >= 0)
    np.testing.assert_array_equal(found.number[found.first[there]], there)
    assert len(there) == len(np.unique(found.number))


def test_numbers_of_few_values_are_factors_and_of_many_are_not():
    rng = np.random.default_rng(2)
    a, few, beside = labels(rng, 40), rng.integers(0, 6, N).astype(float), rng.integers(0, 3, N) / 7.0
    few[N // 2] = 99.5  # a value that the sample may not have
    X = design("y ~ a + x", a=a, x=few)
    found = cells(X, [beside])
    assert same_cells(found.number, a, few, beside)
    assert cells(X, [rng.normal(size=N)]) is None
    assert MOST_VALUES < SAMPLE
    assert cells(design("y ~ a + x", a=a, x=rng.integers(0, 2 * MOST_VALUES, N).astype(float))) is None


def test_designs_without_factors_few_rows_and_nearly_as_many_cells_as_rows_are_left():
    rng = np.random.default_rng(3)
    assert cells(np.ones((N, 2))) is None
    X = design("y ~ a", a=labels(rng, 40))
    assert cells(X[:FEWEST_ROWS]) is not None and cells(X[: FEWEST_ROWS - 1]) is None
    assert cells(design("y ~ a + b", a=labels(rng, 120), b=labels(rng, 120))) is None


@pytest.mark.parametrize(("cells_in_all", "looked_for"), [(N // 8, True), (N // 2, False)])
def test_a_column_of_numbers_is_coded_only_where_a_sample_repeats_itself_enough(monkeypatch, cells_in_all, looked_for):
    rng = np.random.default_rng(4)
    cell = rng.integers(0, cells_in_all, N)
    X = design("y ~ a + x", a=np.array([f"l{k:03d}" for k in range(100)])[cell % 100], x=(cell // 100).astype(float))
    seen = []
    monkeypatch.setattr(raphson.data.cells, "_as_factor", lambda values: seen.append(values) or (values[:0], 0))
    assert cells(X) is None and bool(seen) == looked_for
