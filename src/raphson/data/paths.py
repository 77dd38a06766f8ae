"""Paths of data: checks, and errors for files that cannot be read."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raphson.data.messages import one_line, short
from raphson.errors import DataError

SETTLED = 2.0
"""Seconds after which a file that is changed again has another time: some file systems count in seconds."""


def stamp_of(paths: Sequence[str]) -> tuple[tuple[int, int, int], ...] | None:
    """Size, time and number of local files, which change with them; None where they were changed just now."""
    try:
        found = [Path(path).stat() for path in paths]
    except OSError:
        return None
    if max(one.st_mtime for one in found) > time.time() - SETTLED:
        return None
    return tuple((one.st_size, one.st_mtime_ns, one.st_ino) for one in found)


def check_path(source: Any) -> None:
    """Refuse text that is not a path."""
    text = os.fspath(source)
    if not isinstance(text, str):
        return
    if not text.strip():
        raise DataError("data: the path is empty; name a file")
    try:
        if Path(text).exists():
            return
    except OSError as error:
        if "\n" not in text:
            raise unreadable(text, error) from error
    if "\n" in text:
        raise DataError(f"data: expected a path; got text of several lines, {short(text, 40)}. Wrap it in io.StringIO")
    try:
        unusable = b"\0" in os.fsencode(text)
    except UnicodeEncodeError:
        unusable = True
    if unusable:
        raise DataError(f"data: expected a path; got {short_path(text)}")
    if "://" in text:
        raise DataError(f"data: {short(text)} is a web address; read it with pandas and pass the data frame")


def is_folder(path: Any) -> bool:
    """Whether a path names a folder; False for names that the system refuses."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def short_path(path: object) -> str:
    """A path as the user wrote it, shortened if it is too long for a path."""
    text = str(path).encode(errors="backslashreplace").decode().replace("\0", "\\0")
    return text if len(text) <= 300 else f"{text[:60]}..."


def unreadable(path: object, error: OSError) -> DataError:
    """The error for a file that cannot be read."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return DataError(f"{short_path(path)}: there is no such file; check the path")
    if error.errno is not None:
        return DataError(f"{short_path(path)}: cannot be read: {error.strerror}")
    # pyarrow raises OSErrors for damaged files too, but without an errno.
    return DataError(f"{short_path(path)}: cannot be read: {one_line(error)}; check whether it is complete")
