"""Text files in pieces have the values that they have in memory."""

from __future__ import annotations

import bz2
import gzip

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data import read_table, sources, text_files
from raphson.data.pieces import variables_of
from raphson.data.sources import stream, streamed
from raphson.data.values import Numbers
from raphson.errors import DataError

TEXTS = {
    "plain": 'x,g,k\n1.5,a,1\n,b,2\nNA,"a, or b",3\n-2e-3,NaN,\n',
    "quoted text": 'x,"code"\n1,"01"\n2,"2"\n3,"01"\n',
    "lines in quotes": 'g,x\n"two\nlines",1\n"say ""no""",2\nc,3\n',
    "empty lines": "x,y\n1,2\n\n3,4\n",
    "mark": "\ufeffx,y\n1,2\n3,4\n",
    "declared": "sep=;\nx;y\n1;2\n3;4\n",
    "truth": "t,y\ntrue,1\nfalse,2\ntrue,3\n",
    "dates": "d,y\n2024-01-01,1\n2024-02-01,2\n2024-01-01,3\n",
    "whole, large": "x,y\n9007199254740993,1\n3,0.1\n",
    "all missing": "x,y\n,1\nNA,2\n",
}


def values(table):
    found = {}
    for name in table.names:
        one = table.column(name)
        found[name] = (
            one.values.tolist() if isinstance(one, Numbers) else [*map([*one.labels, None].__getitem__, one.codes)]
        )
    return found


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".csv.bz2"])
@pytest.mark.parametrize("name", TEXTS)
def test_the_values_are_those_in_memory(name, ending, tmp_path):
    content = TEXTS[name].encode()
    packed = {".csv": content, ".csv.gz": gzip.compress(content), ".csv.bz2": bz2.compress(content)}[ending]
    path = tmp_path / f"rows{ending}"
    path.write_bytes(packed)
    source = stream(path, 256)
    (rows,) = source.read(0, source.names)
    from raphson.data.values import Table

    np.testing.assert_equal(values(variables_of(rows)), values(Table(read_table(path))))


def test_tabs_and_wide_characters(tmp_path):
    (tmp_path / "rows.tsv").write_text("x\ty\n1\t2\n2\t3\n")
    assert stream(tmp_path / "rows.tsv").names == ("x", "y")
    (tmp_path / "wide.csv").write_bytes("x,g\n1,é\n2,b\n".encode("utf-16"))
    (rows,) = stream(tmp_path / "wide.csv").read(0, ["g", "x"])
    assert values(variables_of(rows)) == {"g": ["é", "b"], "x": [1.0, 2.0]}


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=2000), "g": rng.choice(["b", "a"], 2000), "k": rng.integers(0, 5, 2000)})
    frame["y"] = rng.poisson(np.exp(0.2 * frame["x"] + 0.3 * (frame["g"] == "a")))
    frame.loc[1999, "g"] = "only here"
    return frame


def test_a_fit_over_several_files_is_that_of_the_frame(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 2000)
    for number, rows in enumerate((frame[:800], frame[:0], frame[800:])):
        rows.to_csv(tmp_path / f"{number}.csv", index=False)
    held = rp.glm("y ~ x + g + C(k)", frame, family="poisson")
    monkeypatch.setattr(sources, "STREAM_BYTES", 100)
    assert streamed(tmp_path) is not None
    for source in (stream(tmp_path, 256), f"{tmp_path}/*.csv"):
        fit = rp.glm("y ~ x + g + C(k)", source, family="poisson")
        assert fit.params.index.equals(held.params.index)
        assert np.abs((fit.params - held.params) / held.bse).max() < 1e-10
        with pytest.raises(DataError, match="streamed rows are not kept"):
            fit.residuals()
    assert rp.glm("y ~ x", rp.read(f"{tmp_path}/*.csv")).residuals().shape == (2000,)


def test_a_column_keeps_the_type_of_its_first_rows(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "TYPED_BYTES", 2000)
    mixed = frame.astype({"k": object})
    mixed.loc[1500, "k"] = "many"
    mixed.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(
        DataError, match=r"rows\.csv: cannot be read \(in column 'k', row 1502 of .*invalid value 'many'.*has one type"
    ) as caught:
        rp.glm("y ~ k", stream(tmp_path / "rows.csv"))
    assert "\n" not in str(caught.value)
    frame.assign(k=0.5).drop(columns="x").to_csv(tmp_path / "sow.csv", index=False)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    assert rp.glm("y ~ k", stream(tmp_path)).nobs == 4000
    with pytest.raises(DataError, match=r"sow\.csv: lacks the column 'x'"):
        rp.glm("y ~ x", stream(tmp_path))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"x;y\n1;2\n3;4\n", "columns are separated by ';'"),
        (b"x,y\n1,2\n3\n", "cannot be read"),
        (b'x,y\n1,2\n"3,4\n', "cannot be read"),
        (b"PAR1....", "the file is Parquet"),
        (b"g,y\n\xe9a,1\nb,2\n", "is not UTF-8"),
        (gzip.compress(b"x,y\n" + b"1,2\n" * 9, mtime=0)[:-9], "compressed by gzip"),
    ],
)
def test_a_bad_file_is_named(content, says, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"rows\.csv: .*{says}") as caught:
        rp.glm("y ~ x", stream(path))
    assert "\n" not in str(caught.value)


def test_a_packed_file_that_is_cut_short_is_named(frame, tmp_path):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(frame.to_csv(index=False).encode())[:-2000])
    with pytest.raises(DataError, match=r"rows\.csv\.gz: "):
        rp.glm("y ~ x", stream(path))
