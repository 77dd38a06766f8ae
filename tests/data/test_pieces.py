"""Tables of any kind and length as pieces of one length."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from raphson.data.pieces import count, is_arrow, joined, pieces, taken, together, variables_of

KINDS = {
    "batches": (pa.record_batch, True),
    "tables": (pa.table, True),
    "polars": (pl.DataFrame, True),
    "frames": (pd.DataFrame, False),
    "dicts": (dict, False),
}


def values(rows):
    return variables_of(rows).column("x").values


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_have_the_size_asked_for_and_every_row_in_order(kind):
    make, arrow = KINDS[kind]
    lengths = [5, 0, 1, 12, 2, 3]
    edges = np.cumsum([0, *lengths])
    tables = [make({"x": np.arange(a, b, dtype=float)}) for a, b in itertools.pairwise(edges)]
    found = list(pieces(tables, 4))
    assert [count(one) for one in found] == [4, 4, 4, 4, 4, 3]
    assert all(is_arrow(one) == arrow for one in found)
    np.testing.assert_array_equal(np.concatenate([values(one) for one in found]), np.arange(23.0))
    np.testing.assert_array_equal(values(taken(found[0], np.array([1, 3]))), [1.0, 3.0])
    np.testing.assert_array_equal(values(joined(found)), np.arange(23.0))
    assert list(pieces(tables[1:2], 4)) == []


def test_numbers_of_two_types_are_joined():
    found = joined([pa.table({"x": [1, 2]}), pa.table({"x": [0.5]})])
    assert found["x"].tolist() == [1.0, 2.0, 0.5]
    one, other = (pa.table({"g": pa.array(text).dictionary_encode()}) for text in (["a", "b"], ["c", "a"]))
    assert variables_of(joined([one, other])).frame["g"].tolist() == ["a", "b", "c", "a"]


def test_few_columns_are_read_in_more_rows_at_a_time():
    assert together(16_384, 3) == 8 * 16_384
    assert together(16_384, 40) == 3 * 16_384
    assert together(16_384, 5000) == 16_384
    assert together(256, 0) == 8 * 256
