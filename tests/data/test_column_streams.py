"""Columns over streamed data: the values and types of the columns in memory, piece by piece."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raphson.data.column_streams import FirstRows, columns_from_stream
from raphson.data.columns import Columns, from_columns
from raphson.data.sources import stream
from raphson.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
N = 1200


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=N),
            "whole": rng.integers(0, 5, N),
            "done": rng.random(N) < 0.5,
            "letter": rng.choice(["c", "a", "b"], N),
            "w": rng.uniform(0.5, 2.0, N),
            "sometimes": rng.integers(0, 5, N).astype(float),
        }
    )
    frame.loc[5, "letter"], frame.loc[7, "x"] = None, np.nan
    frame.loc[7, "letter"] = "z"  # a level of a row that cannot be used
    frame.loc[9, "x"] = np.inf  # to a function it may be a time
    frame.loc[N - 3 :, "letter"] = "late"
    frame.loc[800, "sometimes"] = np.nan
    return frame


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("columns") / "rows.parquet"
    frame.to_parquet(path, row_group_size=400)
    return path


USED = ("x", "whole", "done", "letter", "sometimes")


def test_the_columns_are_those_in_memory(frame, path):
    data = columns_from_stream(USED, stream(path, 256), weights="2 * w", groups="letter")
    held = from_columns(Columns(frame), USED, weights="2 * w", groups="letter")
    read = [one for _, one in data.read(data.pieces)]
    assert len(read) > 3 and data.n_rows == held.n_rows and data.head.n_dropped == held.n_dropped == 3
    for name, column in held.columns.items():
        pieces = [one.columns[name] for one in read]
        np.testing.assert_array_equal(np.concatenate([one.values for one in pieces]), column.values)
        assert {one.values.dtype for one in pieces} == {column.values.dtype} == {data.cells[name].values.dtype}
        assert {one.labels for one in pieces} == {column.labels}
    np.testing.assert_array_equal(np.concatenate([one.weights for one in read]), held.weights)
    numbers = np.concatenate([data.numbers(piece) for piece in data.pieces])
    np.testing.assert_array_equal(numbers, held.index)


def test_the_first_rows_tell_the_types(path):
    first = FirstRows(stream(path, 256))
    kinds = [first[name].values.dtype.kind for name in USED]
    assert kinds == ["f", "i", "i", "i", "f"] and first["letter"].labels == ("a", "b", "c", "z")
    with pytest.raises(DataError, match="'nothing'"):
        first["nothing"]


def test_what_is_not_in_memory_says_so(path):
    head = columns_from_stream(("x",), stream(path, 256)).head
    with pytest.raises(DataError, match="streamed rows are not kept in memory"):
        head.columns["x"].values.sum()
    with pytest.raises(DataError, match="weights: expected a column's name"):
        columns_from_stream(("x",), stream(path, 256), weights=np.ones(N))


def test_lists_of_numbers_are_rows_of_a_matrix():
    import pyarrow as pa

    X = np.arange(6000.0).reshape(2000, 3)
    table = pa.table({"X": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 3), "k": pa.array(range(2000))})
    lacking = pa.array([[0.0, 1.0, 2.0], None, [6.0, 7.0, 8.0]], table.schema.field("X").type)
    tables = [table.slice(0, 700), table.slice(700), pa.table({"X": lacking, "k": pa.array([0, 1, 2])})]
    data = columns_from_stream(("X", "k"), stream(tables, 256))
    read = np.concatenate([one.columns["X"].values for _, one in data.read(data.pieces)])
    np.testing.assert_array_equal(read, np.concatenate([X, X[[0, 2]]]))
    assert data.head.n_dropped == 1
