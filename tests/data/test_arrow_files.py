"""Arrow files, Arrow streams and pyarrow datasets, streamed as the same data in memory are fitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import raphson as rp
from raphson.data import read_table, sources
from raphson.data.sources import stream, streamed
from raphson.errors import DataError

N = 1000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=N), "g": rng.choice(["b", "a"], N), "k": rng.integers(0, 5, N)})
    frame["y"] = frame["x"] + (frame["g"] == "a") + rng.normal(size=N)
    frame.loc[::9, "x"] = np.nan
    frame.loc[N - 1, "g"] = "only here"
    return frame


def write(frame, path, kind):
    table = pa.Table.from_pandas(frame)
    new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=130)
    return path


@pytest.fixture(params=["file", "stream"])
def paths(request, frame, tmp_path):
    cuts = ((0, 300), (300, 300), (300, 301), (301, N))
    return [write(frame[a:b], tmp_path / f"{number}.arrow", request.param) for number, (a, b) in enumerate(cuts)]


@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
@pytest.mark.parametrize("kind", ["list", "folder", "pattern", "one", "dataset"])
def test_a_fit_is_that_of_the_frame(kind, paths, frame):
    folder = paths[0].parent
    source = {
        "list": paths,
        "folder": folder,
        "pattern": f"{folder}/*.arrow",
        "one": paths[3],
        "dataset": ds.dataset(pa.Table.from_pandas(frame)),
    }[kind]
    rows = frame[301:] if kind == "one" else frame
    held = rp.glm("y ~ x + g + k", rows)
    fit = rp.glm("y ~ x + g + k", stream(source, 256))
    assert fit.params.index.equals(held.params.index) and fit.n_dropped == held.n_dropped
    assert np.abs((fit.params - held.params) / held.bse).max() < 1e-10
    found = read_table(source).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, rows.reset_index(drop=True), check_dtype=False)


def test_small_files_are_read_at_once_and_large_ones_streamed(paths, monkeypatch):
    assert streamed(paths) is None and streamed(paths[0]) is None and streamed(paths[0].parent) is None
    monkeypatch.setattr(sources, "STREAM_BYTES", 100)
    found = streamed(paths)
    assert found is not None and found.parts == 4 and found.n_rows is None


def test_the_folders_of_a_file_are_columns(frame, tmp_path):
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        write(frame[year % 2 :: 2], tmp_path / f"year={year}" / "rows.arrow", "file")
    fit = rp.glm("y ~ k + year", stream(tmp_path))
    assert fit.nobs == N and "year" in fit.params


@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize("cut", [20, 1000, 8000, -1, -8])
def test_a_part_that_is_cut_short_is_named(kind, cut, frame, tmp_path):
    for number in range(2):
        path = write(frame, tmp_path / f"{number}.arrow", kind)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"1\.arrow: .*(not a complete Arrow file|cannot be read)") as caught:
        rp.glm("y ~ k", stream(tmp_path))
    assert "\n" not in str(caught.value)


def test_parts_that_differ_are_refused_where_they_differ(frame, tmp_path):
    write(frame, tmp_path / "0.arrow", "file")
    write(frame.drop(columns="x").assign(k=frame["k"].astype(str), y=frame["y"].round()), tmp_path / "1.arrow", "file")
    with pytest.raises(DataError, match=r"1\.arrow: lacks the column 'x'"):
        rp.glm("y ~ x", stream(tmp_path))
    with pytest.raises(DataError, match=r"1\.arrow: column 'k' has the type .*string, but int64 in .*0\.arrow"):
        rp.glm("y ~ k", stream(tmp_path))
    assert rp.glm("y ~ g", stream(tmp_path)).nobs == 2 * N


def test_files_of_two_formats_are_refused(paths, tmp_path):
    (tmp_path / "rows.csv").write_text("x\n1\n")
    with pytest.raises(DataError, match=r"rows\.csv: expected the format of .*0\.arrow"):
        stream([paths[0], tmp_path / "rows.csv"])


def test_a_dataset_that_can_be_read_once_says_so():
    batches = iter([pa.record_batch({"x": [1.0, 2.0], "y": [1.0, 3.0]})])
    once = ds.Scanner.from_batches(batches, schema=pa.schema({"x": pa.float64(), "y": pa.float64()}))
    with pytest.raises(DataError):
        rp.glm("y ~ x", once)
