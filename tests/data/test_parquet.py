"""Parquet data sets as streams."""

from __future__ import annotations

import tempfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import raphson as rp
from raphson.data import parquet, read_table, sources
from raphson.data.parquet import Stream
from raphson.data.pieces import variables_of
from raphson.data.sources import stream, streamed
from raphson.errors import DataError


@pytest.fixture
def files(tmp_path):
    """Three files, of 1,000 rows in all, in row groups of 130."""
    frame = pd.DataFrame({"x": np.arange(1000.0), "g": list("ab") * 500})
    for number, rows in enumerate((slice(0, 300), slice(300, 301), slice(301, 1000))):
        frame.iloc[rows].to_parquet(tmp_path / f"{number}.parquet", row_group_size=130)
    return [tmp_path / f"{number}.parquet" for number in range(3)]


def rows(source: Stream) -> list[int]:
    return [len(frame) for part in range(source.parts) for frame in source.read(part, ["x"])]


@pytest.mark.parametrize("kind", ["list", "folder", "dataset", "one"])
def test_every_row_once_and_in_order(kind, files):
    source = {"list": files, "folder": files[0].parent, "dataset": ds.dataset(files[0].parent), "one": files[2]}[kind]
    found = stream(source, 256)
    n = 699 if kind == "one" else 1000
    assert found.n_rows == n and found.names == ("x", "g") and found.nbytes > 0
    x = np.concatenate([f["x"] for part in range(found.parts) for f in found.read(part, ["x"])])
    np.testing.assert_array_equal(x, np.arange(1000.0)[-n:])


def test_pieces_have_their_size_across_row_groups_and_files(files, monkeypatch):
    assert rows(stream(files, 256)) == [256, 256, 256, 232]
    monkeypatch.setattr(parquet, "PART_ROWS", 300)
    found = stream(files, 256)
    assert found.parts > 2 and sum(rows(found)) == 1000 and max(rows(found)) == 256


def test_only_the_columns_asked_for_are_read(files):
    (rows,) = stream(files[1]).read(0, ["g"])
    assert rows.column_names == ["g"]


def test_a_data_set_in_folders_has_their_column(tmp_path):
    table = pa.table({"x": [1.0, 2.0, 3.0], "year": [2000, 2001, 2001]})
    pq.write_to_dataset(table, tmp_path, partition_cols=["year"])
    found = stream(tmp_path)
    years = np.concatenate([f["year"] for part in range(found.parts) for f in found.read(part, ["year", "x"])])
    assert sorted(years.tolist()) == [2000, 2001, 2001]


def test_small_data_are_read_whole_and_large_ones_streamed(files, monkeypatch):
    assert streamed(files) is None and streamed(files[0]) is None and streamed({"x": [1]}) is None
    assert streamed("rows.csv") is None and streamed(pd.DataFrame({"x": [1.0]})) is None
    own = stream(files)
    assert streamed(own) is own
    monkeypatch.setattr(sources, "STREAM_BYTES", 100)
    assert streamed(files).n_rows == 1000


@pytest.mark.parametrize("kind", ["list", "folder", "dataset", "stream"])
def test_tables_are_read_from_many_files_too(kind, files):
    source = {"list": files, "folder": files[0].parent, "dataset": ds.dataset(files[0].parent), "stream": stream(files)}
    assert read_table(source[kind])["x"].tolist() == list(range(1000))


def test_bad_sources_get_one_line(tmp_path, files):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(files[0].read_bytes()[:-20])
    empty = tmp_path / "empty.parquet"
    pd.DataFrame({"x": np.zeros(0)}).to_parquet(empty)
    (tmp_path / "nothing").mkdir()
    cases = [
        (broken, "it may be damaged"),
        (empty, "no rows"),
        (tmp_path / "nothing", "no Parquet files"),
        (tmp_path / "absent.parquet", "there is no such file"),
        ([files[0], files[1].parent / "0.parquet", tmp_path / "rows.csv"], "rows.csv: there is no such file"),
        (tmp_path / "rows.csv", "there is no such file"),
        (3, "expected the path of"),
    ]
    for source, says in cases:
        with pytest.raises(DataError, match=says) as caught:
            stream(source)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="piece_rows: expected one of 256"):
        stream(files, 100)


def test_a_source_that_is_not_there_is_told_from_one_of_another_format(tmp_path):
    with pytest.raises(DataError, match="nowhere: there is no such file or folder"):
        stream(str(tmp_path / "nowhere"))
    (tmp_path / "rows.txt").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"source: expected the path of a Parquet, .*; got '.*rows\.txt'"):
        stream(tmp_path / "rows.txt")


def test_few_different_values_count_as_the_numbers_they_become():
    # 100,000 rows of four columns of small integers: stored in some kilobytes, 4 MB in memory.
    table = pa.table({name: pa.array(np.arange(100_000) % 2, pa.int8()) for name in "abcd"})
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(table, f"{folder}/few.parquet")
        found = stream(f"{folder}/few.parquet")
    assert found.nbytes == 8 * 100_000 * 5


@pytest.mark.parametrize("damage", ["cut short", "another format"])
@pytest.mark.parametrize("read", [stream, read_table], ids=["streamed", "whole"])
def test_a_bad_file_that_is_not_the_first_is_named(damage, read, tmp_path):
    pd.DataFrame({"x": np.arange(100.0)}).to_parquet(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(whole[:-30] if damage == "cut short" else b"x,y\n1,2\n")
    with pytest.raises(DataError, match=r"b\.parquet: not a complete Parquet file") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [stream, read_table], ids=["streamed", "whole"])
def test_a_folder_without_parquet_says_what_it_holds(read, tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.txt", "b.txt", "deep/c.txt", "deep/d.txt"):
        (tmp_path / name).write_text("x\n1\n")
    (tmp_path / ".hidden").write_bytes(b"PAR1")
    with pytest.raises(
        DataError, match=r"expected a folder of Parquet, Arrow or text files; it contains a\.txt, b\.txt, c\.txt and 1"
    ):
        read(tmp_path)


@pytest.mark.parametrize("read", [stream, read_table], ids=["streamed", "whole"])
def test_what_is_no_parquet_in_a_folder_of_parquet_is_named(read, tmp_path):
    pd.DataFrame({"x": np.arange(100.0)}).to_parquet(tmp_path / "b.parquet")
    (tmp_path / "a.txt").write_text("read me")
    with pytest.raises(DataError, match=r"a\.txt: not a Parquet file, in a folder of Parquet files"):
        read(tmp_path)


def test_the_file_of_several_that_is_not_there_is_named(files):
    with pytest.raises(DataError, match=r"absent\.pq: there is no such file"):
        stream([files[0], files[0].parent / "absent.pq"])


def test_a_column_that_a_file_lacks_is_refused_where_it_is_used(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=50), "z": rng.normal(size=50), "y": rng.normal(size=50)})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.drop(columns="z").to_parquet(tmp_path / "b.parquet")
    frame.assign(z="text").to_parquet(tmp_path / "c.parquet")
    for source in (stream(tmp_path), tmp_path):
        with pytest.raises(DataError, match=r"b\.parquet: lacks the column 'z', which others have"):
            rp.glm("y ~ z", source)
        assert rp.glm("y ~ x", source).nobs == 150  # z is not asked for
    for source in (stream(f"{tmp_path}/[ac].parquet"), f"{tmp_path}/[ac].parquet"):
        with pytest.raises(
            DataError, match=r"c\.parquet: column 'z' has the type .*string, but double in .*a\.parquet"
        ):
            rp.glm("y ~ z", source)


@pytest.mark.parametrize("read", [stream, read_table], ids=["streamed", "whole"])
def test_numbers_are_numbers_in_every_file(read, tmp_path):
    for number, column in enumerate([pa.array([1, 2]), pa.array([0.5, None]), pa.nulls(2)]):
        pq.write_table(pa.table({"x": column, "y": [1.0, 2.0]}), tmp_path / f"{number}.parquet")
    found = read(tmp_path)
    frame = found if read is read_table else pd.concat([variables_of(p).frame for p in found.read(0, ["x"])])
    np.testing.assert_array_equal(frame["x"], [1.0, 2.0, 0.5, *[np.nan] * 3])


def test_a_row_group_of_any_size_gives_the_same_fit(tmp_path):
    """One that is larger than what is read at a time is decoded page after page, here 2,048 rows at a time."""
    rng = np.random.default_rng(0)
    levels = pd.Categorical.from_codes(rng.integers(0, 3, 5000), ["low", "high", "middle", "never"])
    frame = pd.DataFrame({"x": rng.integers(0, 9, 5000), "g": rng.choice(["a", "b"], 5000), "h": levels})
    frame["y"] = rng.normal(size=5000)
    found = []
    for size in (500, 2000, 5000):
        folder = tmp_path / str(size)
        folder.mkdir()
        frame.to_parquet(folder / "0.parquet", row_group_size=size)
        frame.assign(x=frame["x"] + 0.5).to_parquet(folder / "1.parquet", row_group_size=size)
        source = stream(folder, 256)
        held = [len(rows) for part in range(source.parts) for rows in source.rows(part, source.names)]
        assert (max(held), sum(held)) == (min(size, 8 * 256), 10_000)
        found.append(rp.glm("y ~ x + g + h", source))
        assert list(found[-1].params.index) == ["Intercept", "x", "g[T.b]", "h[T.high]", "h[T.middle]"]
    np.testing.assert_array_equal(found[1].params, found[0].params)
    np.testing.assert_array_equal(found[2].params, found[0].params)
    content = (tmp_path / "5000" / "1.parquet").read_bytes()
    (tmp_path / "5000" / "1.parquet").write_bytes(content[:4] + bytes(20_000) + content[20_004:])
    with pytest.raises(DataError, match=r"1\.parquet: cannot be read"):
        rp.glm("y ~ x + g + h", stream(tmp_path / "5000", 256))


def test_a_pattern_is_the_files_that_it_matches(files):
    folder = files[0].parent
    assert stream(f"{folder}/*.parquet").n_rows == 1000 and streamed(f"{folder}/*.parquet") is None
    assert stream([f"{folder}/0.*", folder / "[2-9].parquet"]).n_rows == 999
    assert len(read_table(f"{folder}/[01].parquet")) == 301
    with pytest.raises(DataError, match=r"x\*\.parquet: no file matches this pattern"):
        stream(f"{folder}/x*.parquet")


def test_a_filter_of_a_dataset_is_kept(files):
    given = ds.dataset(files[0].parent).filter(ds.field("g") == "a")
    fit = rp.glm("x ~ 1", given)
    assert fit.nobs == 500 and fit.params["Intercept"] == pytest.approx(499.0)


@pytest.mark.parametrize("codec", ["snappy", "none"])
def test_altered_bytes_are_found_where_the_file_has_checksums(codec, tmp_path):
    table = pa.table({"x": np.random.default_rng(0).normal(size=5000)})
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path, compression=codec, use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[20_000] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"rows\.parquet: cannot be read .*check whether it is damaged"):
        rp.glm("x ~ 1", stream(path))
