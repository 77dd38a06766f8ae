"""Weights, offsets and groups: one for each row, in the rows' order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raphson.data.extras import (
    array_argument,
    check_index,
    check_nonnegative,
    check_sigma,
    label_codes,
    renumber,
    weights_of_sigma,
)
from raphson.data.rows import MissingRows
from raphson.errors import DataError


def test_one_number_stands_for_every_row_and_a_column_for_a_vector():
    assert array_argument(2, 3, None, "offset").tolist() == [2.0, 2.0, 2.0]
    assert array_argument([[1], [2], [3]], 3, None, "offset").tolist() == [1.0, 2.0, 3.0]
    found = array_argument(pd.Series([1, None, 3], dtype="Int64"), 3, rows := MissingRows(3), "offset")
    assert np.isnan(found[1]) and rows.bad is not None and rows.bad.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.0, 2.0], "expected 3 numbers, one for each row of the data; got shape"),
        (["a", "b", "c"], "expected numbers; got text or objects"),
        ([1j, 0, 0], "expected numbers; got complex numbers"),
    ],
)
def test_other_arrays_are_refused(value, message):
    with pytest.raises(DataError, match=message):
        array_argument(value, 3, None, "weights")


def test_groups_are_numbered_in_their_order_and_anew_without_gaps():
    codes = label_codes(np.array([30.0, 10.0, np.nan, 20.0]))
    assert codes.tolist() == [2, 0, -1, 1]
    assert label_codes(np.array(["b", "a", "b"])).tolist() == [1, 0, 1]
    assert renumber(codes, np.array([0, 3])).tolist() == [1, 0]


def test_an_index_in_another_order_is_no_accident():
    frame = pd.DataFrame({"y": [1.0, 2.0]}, index=["a", "b"])
    check_index(frame, pd.Series([1.0, 2.0], index=["a", "b"]), "weights")
    check_index(frame, pd.Series([1.0, 2.0]), "weights")  # only counts
    with pytest.raises(DataError, match="weights: its index differs"):
        check_index(frame, pd.Series([1.0, 2.0], index=["b", "a"]), "weights")


def test_standard_deviations_are_positive():
    assert weights_of_sigma(np.array([0.5, 2.0]), None).tolist() == [4.0, 0.25]
    with pytest.raises(DataError, match=r"sigma.*1 is not, in row 7 \(counted from 0\)"):
        weights_of_sigma(np.array([0.5, 0.0]), np.array([3, 7]))
    with pytest.raises(DataError, match="Correlated errors are fitted by whitening"):
        check_sigma(np.eye(3), (3,))


def test_weights_are_not_negative_nor_all_zero():
    check_nonnegative(np.array([0.0, 1.0]), "weights", None)
    with pytest.raises(DataError, match="expected numbers of 0 or more; 2 are negative, in rows 0, 2"):
        check_nonnegative(np.array([-1.0, 1.0, -2.0]), "weights", None)
    with pytest.raises(DataError, match="weights: all are 0"):
        check_nonnegative(np.zeros(2), "weights", None)
