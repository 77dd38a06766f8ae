"""Text files of every make are read as pandas reads them, or said how to read."""

from __future__ import annotations

import codecs
import gzip
import importlib.util

import numpy as np
import pandas as pd
import pytest

from raphson.data import TextFormat, read_table
from raphson.errors import DataError


@pytest.fixture(params=["Arrow", "pandas"], autouse=True)
def reader(request, monkeypatch):
    """Each test reads by Arrow, and as where it is not installed."""
    if request.param == "pandas":
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return request.param


FRAME = pd.DataFrame({"x": [0.5, -1.25, 3e-3], "k": [1, 2, 3], "g": ["a", "é", "b"]})


def read(tmp_path, content, name="t.csv", **form):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, TextFormat(**form) if form else None)


@pytest.mark.parametrize("sep", [";", "\t", "|", ","])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t"])
def test_separators_and_decimal_commas(sep, decimal, name, tmp_path):
    text = FRAME.to_csv(index=False, sep=sep, decimal=decimal)
    pd.testing.assert_frame_equal(read(tmp_path, text, name, sep=sep, decimal=decimal), FRAME)


def test_every_reader_gives_the_same_table(tmp_path):
    lines = (
        'n,k,b,g,"q",d,empty,"a, name"',
        '1,2,true,x,"1",2020-01-02,,"one\ntwo"',
        'NA,-3,false,é,"2",2021-12-31,NA,"she said ""no"""',
        '0.1,4,true,,"NA",2022-05-06,,null',
        '1e-300,5,true,y,"3",2022-05-06,,z',
    )
    found = read(tmp_path, "\n".join(lines))
    expected = pd.DataFrame(
        {
            "n": [1, np.nan, 0.1, 1e-300],
            "k": [2, -3, 4, 5],
            "b": [True, False, True, True],
            "g": ["x", "é", None, "y"],
            "q": ["1", "2", None, "3"],
            "d": ["2020-01-02", "2021-12-31", "2022-05-06", "2022-05-06"],
            "empty": [np.nan] * 4,
            "a, name": ["one\ntwo", 'she said "no"', None, "z"],
        }
    )
    pd.testing.assert_frame_equal(found.drop(columns="empty"), expected.drop(columns="empty"), rtol=1e-15)
    assert found["empty"].isna().all()


def test_quoted_columns_stay_text_beside_decimal_commas(tmp_path):
    found = read(tmp_path, '"g";"x"\n"1";0,5\n"2";1,5\n', sep=";", decimal=",")
    assert found["g"].tolist() == ["1", "2"] and found["x"].tolist() == [0.5, 1.5]


def test_marks_of_missing_values_come_on_top_of_the_usual_ones(tmp_path):
    found = read(tmp_path, "x,g\n1,a\n.,-99\nNA,b\n-99,c\n", na=(".", "-99"))
    np.testing.assert_array_equal(found["x"], [1, np.nan, np.nan, np.nan])
    assert found["g"].isna().tolist() == [False, True, False, False]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le"])
def test_encodings_that_are_named(encoding, tmp_path):
    found = read(tmp_path, FRAME.to_csv(index=False).encode(encoding), encoding=encoding)
    pd.testing.assert_frame_equal(found, FRAME)


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_says_the_encoding(mark, encoding, tmp_path):
    pd.testing.assert_frame_equal(read(tmp_path, mark + FRAME.to_csv(index=False).encode(encoding)), FRAME)


def test_a_first_line_may_name_the_separator(tmp_path):
    text = "sep=;\r\n" + FRAME.to_csv(index=False, sep=";")
    for content in (text.encode(), codecs.BOM_UTF8 + text.encode()):
        pd.testing.assert_frame_equal(read(tmp_path, content), FRAME)


@pytest.mark.parametrize(
    ("sep", "told"), [(";", '--sep ";"'), ("\t", "--sep tab"), ("|", '--sep "|"'), (" ", '--sep " "')]
)
@pytest.mark.parametrize("decimal", [".", ","])
def test_the_separator_of_the_file_is_named(sep, told, decimal, tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, FRAME.to_csv(index=False, sep=sep, decimal=decimal))
    message = str(caught.value)
    assert told in message and f"sep={sep!r}" in message
    assert ("--decimal" in message) == ("decimal=','" in message) == (decimal == ",")


def test_commas_in_a_file_of_tabs_are_named(tmp_path):
    with pytest.raises(DataError, match=r"t\.tsv: its columns are separated by ','"):
        read(tmp_path, FRAME.to_csv(index=False), "t.tsv")


@pytest.mark.parametrize("text", ["x\n1\n2\n", "a name\n1\n2\n", '"a;b"\n1\n2\n', "note\nfrom a; to b\nno\n"])
def test_a_single_column_is_a_table(text, tmp_path):
    assert read(tmp_path, text).shape == (2, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"x,y\n1,2\n", mtime=0), r"compressed by gzip; give it a name that ends in \.gz"),
        (b"PK\x03\x04rest", "a zip archive or an Excel workbook"),
        (b"PAR1rest", r"Parquet; give it a name that ends in \.parquet"),
        (b"\n <!DOCTYPE html>\n<html>, </html>\n", "a web page"),
        (b"x,y\n1,2\n\x00,3\n", "NUL characters.*may be damaged"),
        ("x,y\n1,2\n".encode("utf-16-le"), "may be UTF-16.*--encoding utf-16"),
        ("x,g\n1,é\n".encode("latin-1"), "(column 'g'|the file) is not UTF-8 text.*--encoding latin-1"),
        ("é,g\n1,2\n".encode("latin-1"), "(header|the file) is not UTF-8 text.*encoding='latin-1'"),
        (codecs.BOM_UTF16_LE + b"x\x00,", "the file is not in utf-16"),
        (b"x,y\n1,2\n3,4,5\n6,7\n", "line 3 has 3 fields, but the header, 'x', 'y', has 2; correct that line"),
        (b'x,y\n"1\n2",2\n3\n4,5\n', "line 4 has 1 field, but"),
        (b"x,y\n1,2\n3", "line 3 has 1 field, .* check whether the file is complete"),
        (b'x,y\n"1",1,2\n"2",2,3\n', "as in all other lines; name every column in the header"),
        (b"\xef\xbb\xbf", "the file is empty"),
    ],
)
def test_what_is_no_table_is_told(content, message, tmp_path):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"sep": ";;"}, "sep: expected one character"),
        ({"sep": ""}, "sep: expected one character"),
        ({"sep": '"'}, "sep: expected one character"),
        ({"decimal": ";"}, "decimal: expected"),
        ({"encoding": "latin-99"}, "encoding: expected a name"),
        ({"encoding": "a\0"}, "encoding: expected a name"),
    ],
)
def test_formats_that_are_none(form, message):
    with pytest.raises(DataError, match=message):
        TextFormat(**form)


def test_a_format_is_for_text(tmp_path):
    FRAME.to_parquet(tmp_path / "t.parquet")
    for form in (TextFormat(sep=";"), TextFormat(decimal=",")):
        with pytest.raises(DataError, match="are for text files only; leave them out"):
            read_table(tmp_path / "t.parquet", form)
