"""Readers of one's own: what they may be, and what is said of those that cannot be read again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import raphson as rp
from raphson.errors import DataError

N = 2000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.normal(size=N), "g": rng.choice(["b", "a"], N)})
    frame["y"] = frame["x"] - (frame["g"] == "a") + rng.normal(size=N)
    frame.loc[N - 1, "g"] = "late"
    return frame


class Again:
    """Tables of 300 rows."""

    def __init__(self, frame, make=pd.DataFrame):
        self.frame, self.make = frame, make

    def __iter__(self):
        for start in range(0, N, 300):
            yield self.make(self.frame[start : start + 300].to_dict("list"))


class WithSchema(Again):
    schema = pa.schema({"x": pa.float64(), "g": pa.string(), "y": pa.float64()})


READERS = {
    "object": Again,
    "record batches": lambda frame: Again(frame, pa.RecordBatch.from_pydict),
    "polars": lambda frame: Again(frame, pl.DataFrame),
    "dicts": lambda frame: Again(frame, dict),
    "schema": lambda frame: WithSchema(frame, pa.Table.from_pydict),
    "function": lambda frame: lambda: iter(Again(frame)),
    "generator function": lambda frame: Again(frame).__iter__,
    "list": lambda frame: list(Again(frame, pa.Table.from_pydict)),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_reader_is_streamed_as_the_frame_is_fitted(kind, frame):
    held = rp.glm("y ~ x + g", frame)
    for source in (READERS[kind](frame), rp.stream(READERS[kind](frame), 256)):
        fit = rp.glm("y ~ x + g", source)
        assert fit.params.index.equals(held.params.index)
        assert np.abs((fit.params - held.params) / held.bse).max() < 1e-10
    pd.testing.assert_frame_equal(rp.read(READERS[kind](frame)), frame, check_dtype=False)


def generator(frame):
    yield from Again(frame)


@pytest.mark.parametrize("through", [rp.stream, rp.read, lambda source: rp.glm("y ~ x", source)])
def test_what_can_be_read_once_is_refused_in_words(through, frame):
    kept = generator(frame)
    once = [
        generator(frame),
        iter([frame]),
        pa.RecordBatchReader.from_batches(pa.schema({"x": pa.int64()}), []),
        lambda: kept,
    ]
    for source in once:
        with pytest.raises(DataError, match=r"can be read only once.*pass the function that makes it"):
            through(source)


def test_what_a_reader_may_not_give(frame):
    parts = [frame[:900], frame[900:]]
    with pytest.raises(DataError, match="table 2 of the reader: lacks the column 'x'"):
        rp.glm("y ~ x", [parts[0], parts[1].drop(columns="x")])
    with pytest.raises(DataError, match="the reader yields no table"):
        rp.stream(lambda: iter([]))
    with pytest.raises(DataError, match="table 1 is a int"):
        rp.stream(lambda: iter([3]))
    with pytest.raises(DataError, match="column 'x'"):
        rp.glm("y ~ x", [parts[0], parts[1].assign(x="text")])
    with pytest.raises(DataError, match="no rows"):
        rp.glm("y ~ x", [frame[:0]])


def test_a_column_is_numbers_of_any_type(frame):
    whole = frame.assign(x=frame["x"].round())
    parts = [whole[:900].astype({"x": int}), whole[900:]]
    held = rp.glm("y ~ x", whole)
    for source in (parts, [pa.Table.from_pandas(one, preserve_index=False) for one in parts]):
        np.testing.assert_allclose(rp.glm("y ~ x", source).params, held.params, rtol=1e-12)
