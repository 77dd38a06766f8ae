"""Text that is no path is told from a file that is not there."""

from __future__ import annotations

import errno

import pytest

from raphson.data.paths import check_path, is_folder, short_path, unreadable
from raphson.errors import DataError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "the path is empty"),
        ("x,y\n1,2\n", r"got text of several lines.*io\.StringIO"),
        ("a\0b", r"expected a path; got a\\0b"),
        ("\ud800", "expected a path; got"),
        ("https://example.org/data.csv", "is a web address; read it with pandas"),
    ],
)
def test_what_is_no_path(text, message):
    with pytest.raises(DataError, match=message):
        check_path(text)


def test_a_file_and_what_is_not_there_yet_are_paths(tmp_path):
    (tmp_path / "t.csv").write_text("x\n1\n")
    check_path(tmp_path / "t.csv")
    check_path(str(tmp_path / "missing.csv"))


def test_folders(tmp_path):
    assert is_folder(tmp_path) and not is_folder(tmp_path / "missing") and not is_folder("x" * 10_000)


def test_a_long_path_is_cut():
    assert short_path("a/b.csv") == "a/b.csv" and len(short_path("x" * 1_000)) == 63


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError(errno.ENOENT, "gone"), r"t\.csv: there is no such file"),
        (PermissionError(errno.EACCES, "Permission denied"), r"t\.csv: cannot be read: Permission denied"),
        (OSError("broken\nfooter"), r"t\.csv: cannot be read: broken footer; check whether it is complete"),
    ],
)
def test_why_a_file_cannot_be_read(error, message):
    with pytest.raises(DataError, match=message):
        raise unreadable("t.csv", error)
