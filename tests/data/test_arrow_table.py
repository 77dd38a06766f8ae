"""Columns of Arrow tables are the variables that pandas gives."""

from __future__ import annotations

import datetime
import itertools

import numpy as np
import pyarrow as pa
import pytest

from raphson.data.arrow_table import ArrowTable, as_pandas
from raphson.data.values import Levels, Numbers, Table
from raphson.errors import DataError

COLUMNS = {
    "floats": pa.array([1.5, None, float("nan"), float("inf")]),
    "short floats": pa.array([1.5, 0.1, None, 3.0], pa.float32()),
    "whole": pa.array([1, 2, 3, 2**53 + 1], pa.int64()),
    "whole with gaps": pa.array([1, None, 3, 4], pa.int8()),
    "unsigned": pa.array([1, 2, 3, 2**63], pa.uint64()),
    "text": pa.array(["b", "a", None, "é"]),
    "large text": pa.array(["b", "B", "", "b"], pa.large_string()),
    "no text": pa.array([None] * 4, pa.string()),
    "nothing": pa.nulls(4),
    "truth": pa.array([True, None, False, True]),
    "categories": pa.array(["b", "a", None, "b"]).dictionary_encode(),
    "decimals": pa.array([1, None, 2, 3], pa.decimal128(10, 2)),
}


@pytest.mark.parametrize("cuts", [(0, 4), (0, 1, 1, 3, 4)], ids=["one run", "several runs"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_that_of_pandas(name, cuts):
    column = pa.chunked_array([COLUMNS[name][a:b] for a, b in itertools.pairwise(cuts)], COLUMNS[name].type)
    table = pa.table({"x": column})
    found, expected = ArrowTable(table), Table(as_pandas(table))
    assert found.n_rows == expected.n_rows == 4 and found.names == expected.names
    one, other = found.column("x"), expected.column("x")
    assert type(one) is type(other)
    if isinstance(one, Numbers):
        assert one.values.dtype == np.float64
        np.testing.assert_array_equal(one.values, other.values)
    else:
        assert isinstance(other, Levels)
        assert (one.labels, one.origin) == (other.labels, other.origin)
        np.testing.assert_array_equal(one.codes, other.codes)
    bad = expected.bad("x")
    assert (found.bad("x") is None) == (bad is None)
    assert bad is None or (found.bad("x") == bad).all()


def test_numbers_without_gaps_are_not_copied():
    held = np.arange(5.0)
    assert np.shares_memory(ArrowTable(pa.table({"x": held})).column("x").values, held)


def test_what_is_no_variable_is_refused_by_name():
    dates = pa.table({"day": [datetime.date(2020, 1, 1)]})
    with pytest.raises(DataError, match="column 'day'"):
        ArrowTable(dates).column("day")
    wrong = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 1], dtype=np.int32)), pa.py_buffer(b"\xff"))
    with pytest.raises(DataError, match="column 'g' holds text that is not UTF-8"):
        ArrowTable(pa.table({"g": wrong})).column("g")
