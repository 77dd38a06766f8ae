from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from raphson.errors import DataError
from raphson.files import write_table, written_set, written_whole


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "fit.json"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), written_whole(target) as draft:
        draft.write_text("half of the n")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["fit.json"]


def test_success_replaces_and_keeps_the_mode(tmp_path: Path) -> None:
    target = tmp_path / "fit.json"
    target.write_text("old")
    target.chmod(0o640)
    with written_whole(target) as draft:
        draft.write_text("new")
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_new_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a") as draft:
        draft.write_text("")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    with written_whole(tmp_path / "link.json") as draft:
        draft.write_text("new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"


@pytest.mark.parametrize(("name", "says"), [("none/fit.json", "no folder"), ("", "is a folder")])
def test_bad_places_are_named(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(DataError, match=says), written_whole(tmp_path / name):
        pass


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("t.csv", pd.read_csv),
        ("t.tsv", lambda path: pd.read_csv(path, sep="\t")),
        ("t.parquet", pd.read_parquet),
        ("t.arrow", pd.read_feather),
    ],
)
def test_tables_come_back(tmp_path: Path, name: str, read) -> None:
    frame = pd.DataFrame({"prediction": [0.1, 1 / 3], "lower": [0.0, float("nan")]})
    write_table(frame, tmp_path / name)
    pd.testing.assert_frame_equal(read(tmp_path / name), frame)


def test_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.csv \.tsv"):
        write_table(pd.DataFrame({"a": [1]}), tmp_path / "t.xlsx")


@pytest.mark.parametrize("bad", [None, 3, "a\0.json", "x" * 300 + ".json"])
def test_what_is_no_name_of_a_file_is_refused(tmp_path: Path, bad: object) -> None:
    place = str(tmp_path / bad) if isinstance(bad, str) else bad
    with (
        pytest.raises(DataError, match=r"expected the name of a file|cannot be written") as caught,
        written_whole(place),
    ):  # type: ignore[arg-type]
        pass
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_with_the_path() -> None:
    with (
        pytest.raises(DataError, match="/dev/full cannot be written: No space left"),
        written_whole("/dev/full") as draft,
    ):
        draft.write_text("x" * 10_000)


@pytest.mark.skipif(os.name != "posix", reason="processes of another kind")
def test_drafts_of_killed_processes_are_swept_and_others_kept(tmp_path: Path) -> None:
    code = """
import os, sys
from raphson.files import written_whole
with written_whole(sys.argv[1]) as draft:
    draft.write_text("half")
    os.kill(os.getpid(), 9)
"""
    target = tmp_path / "fit.json"
    subprocess.run([sys.executable, "-c", code, str(target)], timeout=600)
    assert len(list(tmp_path.iterdir())) == 1  # what was left
    with written_whole(target) as mine:
        with written_whole(target) as other:  # of a process that is alive
            other.write_text("other")
        assert mine.exists()
        mine.write_text("mine")
    assert [file.name for file in tmp_path.iterdir()] == ["fit.json"] and target.read_text() == "mine"


def test_a_set_of_files_is_complete_or_absent(tmp_path: Path) -> None:
    place = tmp_path / "set"
    with pytest.raises(ZeroDivisionError), written_set(place) as folder:
        (folder / "part-00000.parquet").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    for text in ("one", "two"):
        with written_set(place) as folder:
            assert not place.exists() or (place / "part-00000.parquet").read_text() == "one"
            (folder / "part-00000.parquet").write_text(text)
        assert (place / "part-00000.parquet").read_text() == text
        assert [one.name for one in tmp_path.iterdir()] == ["set"]
    (place / "notes.txt").write_text("mine")
    with (
        pytest.raises(DataError, match=r"set has other files, such as notes\.txt; name a new folder"),
        written_set(place),
    ):
        pass
    assert (place / "notes.txt").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file without an ending"), written_set(tmp_path / "file"):
        pass
    with pytest.raises(DataError, match="there is no folder"), written_set(tmp_path / "none" / "set"):
        pass
