"""The columns that a likelihood reads by name keep their kind: whole numbers, labels, matrices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raphson.data.columns import Columns, RowSchema, from_columns
from raphson.errors import DataError, MissingDataWarning


def test_whole_numbers_stay_whole_unless_one_is_missing():
    columns = Columns({"k": [1, 2, 3], "m": [1, None, 3], "x": [0.5, 1.0, 2.0]})
    assert columns["k"].values.dtype.kind == "i" and columns["x"].values.dtype.kind == "f"
    np.testing.assert_array_equal(columns["m"].values, [1.0, np.nan, 3.0])


def test_text_becomes_codes_with_its_labels_and_truth_becomes_numbers():
    columns = Columns(pd.DataFrame({"g": ["b", "a", "b"], "t": [True, False, True]}))
    assert columns["g"].values.tolist() == [1, 0, 1] and columns["g"].labels == ("a", "b")
    assert columns["t"].values.tolist() == [1, 0, 1] and columns["t"].labels is None


def test_a_matrix_stands_beside_columns():
    columns = Columns({"y": [1.0, 2.0], "X": np.ones((2, 3))})
    assert columns.names == ("y", "X") and columns.n_rows == 2 and columns["X"].values.shape == (2, 3)


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        ({"y": [1.0, 2.0], "X": np.ones((3, 2))}, "X", "arrays of the same length; got y 2, X 3"),
        ({"y": [1.0, 2.0], "X": np.array([["a"], ["b"]])}, "X", "expected numbers in the matrix 'X'"),
        ({"y": [1.0, 2.0]}, "z", "'z'"),
    ],
)
def test_what_cannot_be_read_is_told(data, name, message):
    with pytest.raises(DataError, match=message):
        Columns(data)[name]


def test_rows_that_lack_a_used_column_go_and_infinity_stays():
    data = {"y": [1.0, np.nan, np.inf, 4.0], "z": [np.nan, 1.0, 1.0, 1.0], "g": ["a", "b", "b", "c"]}
    with pytest.warns(MissingDataWarning, match="1 of 4 rows dropped for missing values in y"):
        rows = from_columns(Columns(data), ["y"], weights=[1.0, 1.0, 2.0, 3.0], groups="g")
    assert rows.columns["y"].values.tolist() == [1.0, np.inf, 4.0]
    assert rows.weights is not None and rows.weights.tolist() == [1.0, 2.0, 3.0]
    assert rows.groups is not None and rows.groups.tolist() == [0, 1, 2]
    assert rows.index is not None and rows.index.tolist() == [0, 2, 3] and rows.n_dropped == 1


def test_a_schema_comes_back():
    schema = RowSchema(("y", "x"))
    assert RowSchema.from_dict(schema.to_dict()) == schema
