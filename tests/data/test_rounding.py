from __future__ import annotations

import re

import numpy as np
import pytest

from raphson import DataError
from raphson.data.matrices import in_single
from raphson.data.rounding import PIECE, UNIT

N = PIECE // 3 + 1000


def columns():
    rng = np.random.default_rng(0)
    return {
        "one": np.ones(N),
        "normal": rng.normal(size=N),
        "timestamp": rng.uniform(1.70e9, 1.72e9, N),
        "year": rng.integers(1990, 2025, N).astype(float),
        "millions": rng.integers(123_456_000, 123_457_000, N).astype(float),
        "kelvin": 300.0 + rng.normal(size=N),
        "tenth": np.full(N, 0.1),
        "dummy": rng.integers(0, 2, N).astype(float),
    }


def held(values, kept=None):
    names = list(values)
    X = np.column_stack(list(values.values()))
    return X if kept is None else X[kept], in_single(X, kept, names)


@pytest.mark.parametrize("kept", [None, np.arange(5, N, 3)])
def test_columns_far_from_zero_are_held_as_differences(kept):
    values = columns()
    X, design = held(values, kept)
    off = np.abs(design.toarray() - X)
    for name, largest in {
        "one": 0.0,
        "normal": 5 * UNIT,
        "timestamp": 1.1e7 * UNIT,  # in 32 bits without a centre 64 seconds
        "year": 0.0,
        "millions": 0.0,  # differences of whole numbers are whole
        "kelvin": 6 * UNIT,
        "tenth": 0.0,
        "dummy": 0.0,
    }.items():
        j = list(values).index(name)
        assert off[:, j].max() <= largest, name
        assert design.error[j] == pytest.approx(np.sqrt(np.mean(off[:, j] ** 2)), rel=1e-6)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(off > 0, off / np.abs(design.toarray()), 0.0).max(axis=0)
    assert np.all(share <= design.relative)
    assert np.all(design.relative <= UNIT)


def test_a_centre_from_other_rows_does_no_harm():
    # The rows that the centre is of are all near 5; one among the others is far away.
    x = 5.0 + 1e-3 * np.random.default_rng(1).normal(size=N)
    x[1] = -1e6
    X, design = held({"x": x, "z": x**2})
    off = np.abs(design.toarray() - X)
    assert np.all(off[2:, 0] <= 1e-2 * UNIT)
    assert off[1, 0] <= 1.1e6 * UNIT
    assert np.all(off / np.abs(design.toarray()) <= design.relative)


def test_numbers_that_are_held_exactly_are_known_to_be():
    X, design = held({name: values for name, values in columns().items() if name in ("one", "year", "dummy")})
    np.testing.assert_array_equal(design.toarray(), X)
    assert design.exact is None
    assert design.centre is None
    assert not design.error.any()
    assert not design.relative.any()
    assert held(columns())[1].exact is not None


def test_arrays_of_singles_are_themselves():
    X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    assert in_single(X, None, "abc").numbers is X
    np.testing.assert_array_equal(in_single(np.asfortranarray(X), None, "abc").numbers, X)
    np.testing.assert_array_equal(in_single(X, np.array([7, 9]), "abc").numbers, X[[7, 9]])


@pytest.mark.parametrize("value", [1e39, -1e39, 1e-40, -1e-46])
def test_numbers_outside_the_range_are_refused_by_the_column_s_name(value):
    values = columns()
    values["normal"][N // 2] = value
    said = rf"storage: 'float32' holds 0 .* column 'normal' has others, such as {re.escape(format(value, 'g'))}"
    with pytest.raises(DataError, match=said):
        held(values)


def test_zeros_are_no_numbers_outside_the_range():
    x = np.random.default_rng(0).normal(size=N)
    x[::3] = 0.0
    X, design = held({"x": x})
    assert np.all((design.toarray() == 0) == (X == 0))
