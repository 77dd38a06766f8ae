"""Arrays of any shape, in tuples and dicts, lose the rows that lack something all alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raphson.data.points import absent_rows, as_arrays, leaves, note_missing, per_response, require_finite, taken
from raphson.data.rows import MissingRows
from raphson.errors import DataError


def test_frames_dicts_and_tuples_become_arrays_of_numbers():
    made = as_arrays({"a": pd.DataFrame({"u": [1, 2]}), "b": ([1, 2], [3.0, 4.0]), "c": (1, 2)})
    assert set(made["a"]) == {"u"} and len(made["b"]) == 2 and made["c"].tolist() == [1.0, 2.0]
    assert all(leaf.dtype == float for leaf in leaves(made))
    assert as_arrays([1, 2], whole=True).dtype == np.int64 and as_arrays([1.0, 2.0], whole=True).dtype == float


@pytest.mark.parametrize(("x", "told"), [([1j], "complex numbers"), (["a"], "values of type")])
def test_other_values_are_refused(x, told):
    with pytest.raises(DataError, match=f"x: expected real numbers; got {told}"):
        as_arrays(x)


def test_rows_are_absent_only_where_every_array_has_them():
    x = {"a": np.array([1.0, np.nan, 3.0]), "b": np.array([[1.0, 2], [3, 4], [np.nan, 6]])}
    assert absent_rows(x).tolist() == [False, True, True]
    assert absent_rows({**x, "c": np.ones(5)}) is None and absent_rows({"a": np.ones(3)}) is None


def test_missing_values_of_an_array_with_other_rows_than_y_cannot_be_dropped():
    rows = MissingRows(3)
    note_missing(rows, np.array([1.0, np.nan, 3.0]), np.array([1.0, 2.0, np.nan]))
    assert rows.bad is not None and rows.bad.tolist() == [False, True, True]
    with pytest.raises(DataError, match="expected 3 rows as in y"):
        note_missing(MissingRows(3), np.array([1.0, np.nan]), np.ones(3))


def test_only_arrays_with_the_rows_lose_some():
    x = taken((np.arange(3.0), np.arange(2.0), np.array(7.0)), np.array([0, 2]), 3)
    assert [leaf.tolist() for leaf in x] == [[0.0, 2.0], [0.0, 1.0], 7.0]


def test_values_by_row_are_repeated_for_each_response():
    y, kept = np.ones((2, 3)), np.array([0, 2])
    assert per_response([1.0, 9.0, 2.0], y, kept).tolist() == [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    assert per_response(np.arange(6.0).reshape(2, 3), y, None).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert per_response(None, y, kept) is None


def test_infinity_is_refused_with_its_count():
    with pytest.raises(DataError, match="y: expected finite numbers; 2 are missing or infinite"):
        require_finite(np.array([1.0, np.inf, np.nan]), "y")
