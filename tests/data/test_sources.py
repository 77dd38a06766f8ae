from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data import read_table, sources
from raphson.errors import DataError, ModelError


class Memory(sources.Source):
    """Rows of a frame, handed out by sevens, in two parts."""

    name = "memory"
    parts = 2

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame, self.names, self.n_rows = frame, tuple(frame.columns), len(frame)

    @classmethod
    def of(cls, given: Any) -> Memory | None:
        return cls(given[1]) if isinstance(given, tuple) and given[:1] == ("memory",) else None

    def rows(self, part: int, columns: Sequence[str]) -> Iterator[Any]:
        half = self.frame[list(columns)].iloc[part * 300 : None if part else 300]
        for number, start in enumerate(range(0, len(half), 7)):
            some = half.iloc[start : start + 7]
            yield some if number % 2 else {name: some[name].to_numpy() for name in columns}


@pytest.fixture
def registered() -> Iterator[Any]:
    before = dict(sources.SOURCES._parts)
    yield sources.register
    sources.SOURCES._parts = before


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    x, g = rng.normal(size=700), rng.choice(["b", "a", "c"], 700)
    return pd.DataFrame({"y": rng.poisson(np.exp(0.3 * x + (g == "a"))), "x": x, "g": g})


def test_a_source_is_streamed_as_the_frame_is_fitted(registered: Any, frame: pd.DataFrame) -> None:
    registered(Memory)
    expected = rp.glm("y ~ x + g", frame, family="poisson")
    found = rp.glm("y ~ x + g", ("memory", frame), family="poisson")
    assert found.params.index.equals(expected.params.index)
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-8)
    np.testing.assert_allclose(found.llf, expected.llf, rtol=1e-10)
    with pytest.raises(DataError, match="streamed"):
        found.leverage  # noqa: B018


def test_pieces_have_the_length_that_is_asked_for(registered: Any, frame: pd.DataFrame) -> None:
    registered(Memory)
    found = rp.stream(("memory", frame), piece_rows=256)
    pieces = [piece for part in range(found.parts) for piece in found.read(part, ["x", "g"])]
    assert [len(piece) for piece in pieces] == [256, 44, 256, 144]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), frame[["x", "g"]], check_dtype=False)
    pd.testing.assert_frame_equal(read_table(("memory", frame)), frame, check_dtype=False)
    pd.testing.assert_frame_equal(read_table(found), frame, check_dtype=False)


def test_what_is_no_source_is_refused(registered: Any, frame: pd.DataFrame) -> None:
    with pytest.raises(ModelError, match=r"expected a subclass of raphson.data.sources.Source; got 3"):
        registered(3)
    with pytest.raises(ModelError, match="Half lacks rows"):
        registered(type("Half", (sources.Source,), {"name": "half", "of": Memory.of}))
    for what, says in (("of", "Bound.of is to be a classmethod"), ("rows", "Bound.rows is to be a method rows")):
        with pytest.raises(ModelError, match=says):
            registered(type("Bound", (Memory,), {"name": "bound", what: lambda self, given: None}))
    with pytest.raises(ModelError, match="'parquet' is a source that comes with Raphson"):
        registered(type("Mine", (Memory,), {"name": "parquet"}))
    registered(Memory)
    with pytest.raises(DataError, match=r"in the memory source; got 0 rows and the columns \['y', 'x', 'g'\]"):
        rp.glm("y ~ x", ("memory", frame[:0]))
    with pytest.raises(DataError, match="or a source of the kind memory; got int"):
        rp.stream(3)


def test_a_name_like_an_address_is_left_to_the_kind_that_is_registered(
    registered: Any, frame: pd.DataFrame, tmp_path: Path
) -> None:
    class Named(Memory):
        name = "named"

        @classmethod
        def of(cls, given: Any) -> Memory | None:
            return cls(frame) if isinstance(given, str) and given == "store://rows" else None

    registered(Named)
    assert sources.streamed("store://rows") is not None
    np.testing.assert_allclose(
        rp.glm("y ~ x", "store://rows", family="poisson").params, rp.glm("y ~ x", frame, family="poisson").params
    )
    with pytest.raises(DataError, match="is a web address"):
        rp.glm("y ~ x", "store://others", family="poisson")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    assert sources.streamed(tmp_path / "rows.csv") is None  # small, and so read at once


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone of a process cannot be set here")
def test_a_file_is_the_same_in_another_time_zone(tmp_path, monkeypatch):
    pd.DataFrame({"x": np.arange(10.0)}).to_parquet(tmp_path / "a.parquet")
    found = []
    for zone in ("UTC", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        found.append(rp.stream(tmp_path / "a.parquet").identity)
    monkeypatch.undo()
    time.tzset()
    assert found[0] == found[1] and found[0]["files"][0]["time of change"].endswith(" UTC")
