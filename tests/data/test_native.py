"""Tables in the user's own library of data frames."""

from __future__ import annotations

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from raphson.data.native import in_library, library_of, with_added

MIXED = pd.DataFrame({"name": ["a", None], "x": [1.0, np.nan], "n": [1, 2], "yes": [True, False]}, index=[7, 3])


def test_the_library_is_that_of_the_table():
    columns = {"x": [1.0, 2.0]}
    assert library_of(pl.DataFrame(columns)) == library_of(pl.LazyFrame(columns)) == "polars"
    assert library_of(pa.table(columns)) == "pyarrow"
    assert library_of(nw.from_native(pl.DataFrame(columns))) == "polars"
    for other in (pd.DataFrame(columns), columns, np.ones(3), "data.csv", None, nw.from_native(pd.DataFrame(columns))):
        assert library_of(other) is None


def test_a_frame_keeps_types_and_what_is_missing():
    found = in_library(MIXED, "polars")
    assert found.schema == {"name": pl.String, "x": pl.Float64, "n": pl.Int64, "yes": pl.Boolean}
    assert found["name"].to_list() == ["a", None]
    assert np.isnan(found["x"][1])  # NaN is a result, not a gap
    assert in_library(MIXED, None) is MIXED
    assert in_library(MIXED, "pyarrow").column("name").to_pylist() == ["a", None]


def test_a_series_gets_a_name():
    found = in_library(pd.Series([1.0, 2.0], index=[5, 6]), "polars", "fit")
    assert found.name == "fit" and found.to_list() == [1.0, 2.0]


def test_of_two_columns_of_one_name_both_are_kept():
    frame = pd.DataFrame([[1.0, 2.0]], columns=["y", "y"])
    assert in_library(frame, "polars").columns == ["y", "y_"]


@pytest.mark.parametrize("lazy", [False, True])
def test_added_columns_stand_beside_the_kept_rows_as_they_were(lazy):
    levels = pl.Enum(["low", "high"])
    source = pl.DataFrame({"dose": pl.Series(["high", "low", None], dtype=levels), "x": [1, 2, 3]})
    added = pd.DataFrame({".fitted": [0.5, 0.25]}, index=[0, 1])
    found = with_added(source.lazy() if lazy else source, np.array([0, 1]), added)
    assert found["dose"].dtype == levels  # a way over pandas would make it another type
    assert found.columns == ["dose", "x", ".fitted"] and found.height == 2
    arrow = with_added(pa.table({"x": [1, 2]}), None, added)
    assert arrow.column_names == ["x", ".fitted"]
