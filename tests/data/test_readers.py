"""Any table comes in as it is, and a broken one gets one clear message."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from raphson.data import TextFormat, read_table, streamed
from raphson.data.readers import table_of
from raphson.data.values import ArrayTable, Table
from raphson.errors import DataError

FRAME = pd.DataFrame({"x": [0.1, 1 / 3, 2e-300], "k": [1, 2, 3], "g": ["a", None, "b"]})


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "t.pq", "t.arrow", "t.feather", "t.ipc", "T.CSV"])
def test_files_by_their_ending(tmp_path, name):
    path = tmp_path / name
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv"):
        FRAME.to_csv(path, index=False, sep="," if ending == ".csv" else "\t")
    elif ending in (".parquet", ".pq"):
        FRAME.to_parquet(path)
    else:
        feather.write_feather(pa.Table.from_pandas(FRAME), str(path))
    read = read_table(str(path))
    assert list(read.columns) == ["x", "k", "g"]
    # Every digit of a double survives, and so does the order of the rows.
    np.testing.assert_array_equal(read["x"].to_numpy(), FRAME["x"].to_numpy())
    assert read["g"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".zst"])
@pytest.mark.parametrize("text", [".csv", ".TSV"])
def test_compressed_text_by_its_ending(text, ending, tmp_path):
    codec = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}[ending]
    if not pa.Codec.is_available(codec):
        pytest.skip(f"pyarrow without {codec}")
    content = FRAME.to_csv(index=False, sep="," if text == ".csv" else "\t").encode()
    path = tmp_path / f"my.data{text}{ending}"
    with pa.output_stream(str(path), compression=codec) as file:
        file.write(content)
    pd.testing.assert_frame_equal(read_table(path), FRAME)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"cannot be decompressed .* check whether it is complete"):
        read_table(path)


def test_gzip_of_several_members_is_read_to_its_end(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"x,y\n1,2\n") + gzip.compress(b"3,4\n"))
    assert read_table(path)["y"].tolist() == [2, 4]


def test_what_cannot_be_unpacked_is_told(tmp_path):
    for name, content, message in (
        ("t.csv.gz", b"x,y\n1,2\n", "cannot be decompressed by gzip"),
        ("t.csv.gz", gzip.compress(b"", mtime=0), "the file is empty"),
        ("t.csv.zip", b"PK", "expected one of the endings .*csv.gz.* got '.zip'"),
        ("t.parquet.gz", gzip.compress(b"PAR1", mtime=0), "compressed files are read only if they are text"),
        ("t.txt", b"x y\n1 2\n", "name the separator"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a" * 5000 + ".csv", "a{60}...: cannot be read: File name too long"),
        ("a" * 5000 + ".parquet", "a{60}...: cannot be read: File name too long"),
        ("a\0.csv", r"expected a path; got a\\0\.csv"),
        ("a\0.parquet", "expected a path; got"),
        ("a\ud800.csv", r"expected a path; got a\\ud800\.csv"),
        ("", "the path is empty"),
        ("x,y\n1,2\n", "text of several lines, 'x,y 1,2'. Wrap it in io.StringIO"),
        ("x,y\n1,2\n" * 1000, "text of several lines"),
        ("https://example.org/t.csv", "is a web address"),
    ],
)
def test_text_that_is_no_path(path, message):
    for read in (read_table, streamed, lambda path: read_table(path, TextFormat(sep=";"))):
        with pytest.raises(DataError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_text_stream_of_half_surrogates():
    with pytest.raises(DataError, match="cannot be read as text"):
        read_table(io.StringIO("x\n\ud800\n"))


def test_a_loop_of_links(tmp_path):
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    with pytest.raises(DataError, match=r"loop\.csv: cannot be read"):
        read_table(tmp_path / "loop.csv")


def test_arrow_stream(tmp_path):
    path, table = tmp_path / "stream.arrow", pa.Table.from_pandas(FRAME)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    assert read_table(path)["k"].tolist() == [1, 2, 3]


def test_frames_of_other_libraries():
    polars = pytest.importorskip("polars")
    columns = {"x": [1.0, None, 3.0], "g": ["a", "b", None]}
    for frame in (polars.DataFrame(columns), polars.LazyFrame(columns), pa.table(columns), columns):
        read = read_table(frame)
        assert read["x"].isna().tolist() == [False, True, False]
        assert read["g"].isna().tolist() == [False, False, True]


def test_pandas_is_not_copied():
    assert read_table(FRAME) is FRAME


def test_an_open_text_stream_is_csv():
    assert read_table(io.StringIO("x,g\n1.5,a\n")).iloc[0].tolist() == [1.5, "a"]
    assert read_table(io.BytesIO(b"x,g\n1.5,a\n")).iloc[0].tolist() == [1.5, "a"]


def test_quoted_numbers_are_text_where_others_are_bare(tmp_path):
    read = read_table(write(tmp_path / "r.csv", '"","cyl","x"\n"1","4",2.5\n"2","6",NA\n'))
    assert read["cyl"].tolist() == ["4", "6"] and read[""].tolist() == ["1", "2"]
    assert read["x"].dtype == np.float64 and np.isnan(read["x"][1])


def test_types_are_inferred_where_everything_is_quoted(tmp_path):
    read = read_table(write(tmp_path / "q.csv", '"k","x"\n"4","2.5"\n"6",""\n'))
    assert read["k"].dtype.kind == "i" and np.isnan(read["x"][1])


def test_quotes_around_a_separator_are_no_sign_of_text(tmp_path):
    read = read_table(write(tmp_path / "m.csv", 'x,g\n1,"a, b"\n2,c\n'))
    assert read["g"].tolist() == ["a, b", "c"] and read["x"].dtype.kind == "i"


@pytest.mark.parametrize("mark", ["", "NA", "NaN", "null"])
def test_marks_of_missing_values(tmp_path, mark):
    read = read_table(write(tmp_path / "n.csv", f"x,g\n1,a\n{mark},{mark}\n3,b\n"))
    assert read["x"].isna().tolist() == [False, True, False] == read["g"].isna().tolist()


def test_integers_then_fractions_far_down(tmp_path):
    lines = ["x", *["1"] * 300_000, "0.1"]
    read = read_table(write(tmp_path / "long.csv", "\n".join(lines)))
    assert read["x"].iloc[-1] == 0.1 and len(read) == 300_001


def test_dates_stay_as_written(tmp_path):
    assert read_table(write(tmp_path / "d.csv", "d,x\n2020-01-02,1\n"))["d"].tolist() == ["2020-01-02"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("e.csv", "", "the file is empty"),
        ("e.csv", "\n\n", "the file is empty"),
        ("h.csv", "a,b\n", "but no rows"),
        ("d.csv", "a,b,a\n1,2,3\n", "more than one column is called 'a'"),
        ("r.csv", "a,b\n1,2\n3\n", "cannot be read as CSV: line 3 has 1 field"),
        ("r.tsv", "a\tb\n1\t2\n3\n", "cannot be read as TSV"),
        ("q.csv", 'a,b\n1,"x\n2,y\n', "quotation mark is never closed; check whether the file is complete"),
        ("s.csv", "a;b\n1;2\n", "separated by ';'"),
        ("x.xlsx", "a", r"expected one of the endings \.csv, \.tsv, \.parquet, \.pq, \.arrow, \.feather, \.ipc"),
        ("noending", "a", "expected one of the endings"),
    ],
)
def test_broken_text_files(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / name, text))


def test_a_quotation_mark_inside_a_bare_field_is_fine(tmp_path):
    assert read_table(write(tmp_path / "i.csv", 'x,g\n1,5" pipe\n2,b\n'))["g"].tolist() == ['5" pipe', "b"]


def test_files_that_are_not_there_or_not_files(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_table(tmp_path / "absent.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="this folder contains no Parquet files, nor any other data"):
        read_table(tmp_path / "folder.csv")


def test_other_encodings(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("x,g\n1,caf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match="column 'g' is not UTF-8"):
        read_table(path)
    path.write_bytes("x,\xe9\n1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_table(path)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_binary_files_cut_short(tmp_path, name, share):
    path = tmp_path / name
    big = pa.table({"x": np.random.default_rng(0).normal(size=10_000)})
    if path.suffix == ".parquet":
        pq.write_table(big, path)
    else:
        feather.write_feather(big, str(path), compression="uncompressed")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"not a complete|the file is empty"):
        read_table(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pd.DataFrame({"x": []}), "but no rows"),
        (pd.DataFrame(), "the table has no columns"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than one column is called 'a'"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "more than one column is called '1'"),
        ({"x": [1, 2], "y": [1]}, "do not form a table"),
        (42, "expected a data frame .* got int"),
        (None, "got NoneType"),
    ],
)
def test_sources_that_are_no_table(source, message):
    with pytest.raises(DataError, match=message):
        read_table(source)


def test_column_names_become_text():
    assert list(read_table(pd.DataFrame([[1, 2]])).columns) == ["0", "1"]


NUMBERS = {
    "floats": np.array([1.5, np.nan, -np.inf]),
    "integers": np.array([1, 2, 3]),
    "bytes": np.array([1, 2, 255], dtype=np.uint8),
    "single": np.array([1.1, 2.2, 3.3], dtype=np.float32),
    "reversed": np.arange(3.0)[::-1],
    "listed": [1, 2.5, float("nan")],
}


def test_a_dict_of_numbers_is_read_without_a_frame_as_it_is_with_one():
    table, framed = table_of(NUMBERS), Table(read_table(NUMBERS))
    assert isinstance(table, ArrayTable)
    assert (table.names, table.n_rows, table.known) == (framed.names, framed.n_rows, framed.known)
    for name in NUMBERS:
        found, wanted = table.column(name), framed.column(name)
        assert type(found) is type(wanted) and found.values.dtype == np.float64
        np.testing.assert_array_equal(found.values, wanted.values)
        np.testing.assert_array_equal(table.bad(name), framed.bad(name))
    pd.testing.assert_frame_equal(table.frame, framed.frame)


def test_columns_of_a_dict_are_copies():
    x = np.array([1.0, 2.0])
    column = table_of({"x": x}).column("x")
    x[0] = 9.0
    assert column.values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "source",
    [
        {"x": np.array([1.0, 2.0]), "g": ["a", "b"]},
        {"x": [True, False]},
        {"x": np.array([True, False])},
        {"x": [1, None]},
        {"x": np.ma.masked_equal([1.0, 2.0], 2.0)},
        {"x": pd.Series([1.0, 2.0], index=["a", "b"])},
        {1: [1.0, 2.0]},
        {"x": [10**30, 1]},
        {"x": np.array([1.0, 2.0]), "one": 1.0},
        pd.DataFrame({"x": [1.0, 2.0]}),
    ],
    ids=str,
)
def test_other_tables_are_read_as_frames(source):
    assert type(table_of(source)) is Table


def test_columns_of_different_lengths_are_refused_as_ever():
    with pytest.raises(DataError, match="do not form a table"):
        table_of({"x": np.ones(2), "y": np.ones(3)})
