"""Lists, patterns and folders of files."""

from __future__ import annotations

import pytest

from raphson.data.file_lists import expanded, files_of, format_of, is_pattern
from raphson.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.csv", "a.csv", "[x].csv", ".hidden.csv", "_log.csv", "deep/c=1/d=e/f.csv", "deep/c=2/d=g/h.csv.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n1\n")
    return tmp_path


def test_a_format_is_that_of_the_name():
    names = ["a.parquet", "a.PQ", "a.csv", "a.tsv.zst", "a.feather", "a.parquet.gz", "a.txt", "a"]
    assert [format_of(name) for name in names] == ["Parquet", "Parquet", "text", "text", "Arrow", "", "", ""]


def test_a_pattern_is_expanded_in_order(folder):
    assert expanded(f"{folder}/?.csv") == [f"{folder}/a.csv", f"{folder}/b.csv"]
    assert expanded([f"{folder}/b.csv", f"{folder}/**/f.csv"]) == [f"{folder}/b.csv", f"{folder}/deep/c=1/d=e/f.csv"]
    assert not is_pattern(f"{folder}/[x].csv") and expanded(f"{folder}/[x].csv") == [f"{folder}/[x].csv"]
    assert expanded(3) is None and expanded([]) is None and expanded([3]) is None
    with pytest.raises(DataError, match="no file matches this pattern"):
        expanded(f"{folder}/z*")


def test_a_folder_has_the_files_that_it_shows_and_their_folders_values(folder):
    found = files_of(folder)
    assert found.format == "text" and found.n_bytes == 5 * 4
    shown = ["[x].csv", "a.csv", "b.csv", "deep/c=1/d=e/f.csv", "deep/c=2/d=g/h.csv.gz"]
    assert found.paths == [f"{folder}/{name}" for name in shown]
    assert found.keys == [{}, {}, {}, {"c": 1, "d": "e"}, {"c": 2, "d": "g"}]
    (folder / "a.parquet").write_bytes(b"PAR1")
    assert files_of(folder).format == "Parquet"  # whose reader says that there are others


def test_what_is_not_of_one_format_is_refused(folder):
    (folder / "a.arrow").write_bytes(b"ARROW1")
    with pytest.raises(DataError, match=r"a\.arrow: expected the format of .*b\.csv"):
        files_of([folder / "b.csv", folder / "a.arrow"])
    with pytest.raises(DataError, match=r"absent\.csv: there is no such file"):
        files_of([folder / "b.csv", folder / "absent.csv"])
