"""A column of a frame is numbers or a factor, whatever type it has."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from raphson.data.values import Levels, Numbers, as_levels, drop_unused, label_of, read_series, recode
from raphson.errors import DataError


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series([1.0, 2.0, np.nan]),
        pd.Series([1, 2.0, None], dtype=object),
        pd.Series([Decimal(1), Decimal(2), None]),
        pd.Series(pd.arrays.SparseArray([1.0, 2.0, np.nan])),
    ],
)
def test_numbers_of_every_type(column):
    found = read_series(column, "x")
    assert isinstance(found, Numbers)
    np.testing.assert_array_equal(found.values, [1.0, 2.0, np.nan])
    assert found.bad().tolist() == found.absent().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("column", "labels", "codes", "origin"),
    [
        (pd.Series(["b", "a", None]), ("a", "b"), [1, 0, -1], "text"),
        (
            pd.Series(pd.Categorical(["lo", None, "hi"], ["lo", "mid", "hi"])),
            ("lo", "mid", "hi"),
            [0, -1, 2],
            "category",
        ),
        (pd.Series([True, False, None], dtype="boolean"), ("False", "True"), [1, 0, -1], "boolean"),
        (pd.Series([True, False, None], dtype=object), ("False", "True"), [1, 0, -1], "boolean"),
    ],
)
def test_factors_of_every_type(column, labels, codes, origin):
    found = read_series(column, "g")
    assert isinstance(found, Levels) and found.labels == labels and found.codes.tolist() == codes
    assert found.origin == origin and found.bad().tolist() == [code < 0 for code in codes]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.Series([1.0, "a", 2.0], dtype=object), "contains numbers and text"),
        (pd.Series([1j, 2.0]), "contains complex numbers"),
        (pd.Series(pd.to_datetime(["2020-01-01"])), "turn dates and times into numbers first"),
        (pd.Series([(1, 2), {3}], dtype=object), "mixes types"),
        (pd.Series(pd.Categorical([1, 1.0, "1"], [1, "1"])), "two of its categories have the same text"),
    ],
)
def test_what_is_neither(column, message):
    with pytest.raises(DataError, match=f"column 'z'.*{message}"):
        read_series(column, "z")


def test_levels_of_numbers_are_written_as_they_are_read():
    assert [label_of(value) for value in (6.0, 6, 0.5, True, "a", np.float32(2))] == ["6", "6", "0.5", "True", "a", "2"]
    assert as_levels(Numbers(np.array([2.0, np.nan, 1.0]))).labels == ("1", "2")


def test_levels_that_do_not_occur_go_and_unknown_ones_are_named():
    factor = Levels(np.array([2, 0, -1]), ("a", "b", "c"), "category")
    assert drop_unused(factor).labels == ("a", "c") and drop_unused(factor).codes.tolist() == [1, 0, -1]
    assert recode(factor, ("c", "b", "a"), "g").codes.tolist() == [0, 2, -1]
    with pytest.raises(DataError, match="g: expected the levels 'a', 'b'; got 'c'"):
        recode(factor, ("a", "b"), "g")


def test_a_sum_that_overflows_is_not_infinite():
    assert Numbers(np.array([1e308, 1e308])).bad() is None
