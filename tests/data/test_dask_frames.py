"""Data frames of Dask as streamed sources."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from raphson.data.dask_frames import DaskFrame
from raphson.data.sources import source_of, stream
from raphson.errors import DataError
from raphson.execute.worker import Task, _partitions

dd = pytest.importorskip("dask.dataframe")


def rows():
    return pd.DataFrame({"x": np.arange(10.0), 7: np.arange(10), "g": pd.Categorical(list("ababababab"))})


def test_partitions_with_rows_are_parts_and_lie_in_the_cluster(cluster):
    frame = dd.from_pandas(rows(), npartitions=5)
    source = source_of(frame[frame["x"] > 3.0])
    assert isinstance(source, DaskFrame) and source.client is cluster
    assert (source.names, source.part_rows, source.n_rows) == (("x", "7", "g"), [2, 2, 2], 6)
    (read,) = source.rows(0, ["7", "x"])
    assert list(read.columns) == ["7", "x"] and read["7"].tolist() == [4, 5]
    assert source.declared("g") and not source.declared("x")
    with pytest.raises(DataError, match="partition 1 of the data: lacks the column 'z'"):
        next(source.rows(1, ["z"]))


def test_a_copy_in_a_worker_reads_the_partitions_that_came_with_its_task(cluster):
    source = stream(dd.from_pandas(rows(), npartitions=2), piece_rows=256)
    sent = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert sent.client is None and sent.held is None and sent.part_rows == [5, 5] and sent.piece_rows == 256
    name, future = source.held(1)
    task = Task(b"", frozenset(), {}, (), None, None, parts={name: None})
    token = _partitions.set(dict.fromkeys(task.parts, future.result()))
    try:
        (read,) = sent.rows(1, ["x"])
    finally:
        _partitions.reset(token)
    assert read["x"].tolist() == [5.0, 6.0, 7.0, 8.0, 9.0]


def test_without_a_cluster_partitions_are_computed_here(monkeypatch):
    monkeypatch.setattr("raphson.data.dask_frames._client", lambda: None)
    source = source_of(dd.from_pandas(rows(), npartitions=2))
    assert source.held is None and source.part_rows == [5, 5]
    assert [len(read) for part in range(2) for read in source.rows(part, ["x"])] == [5, 5]
