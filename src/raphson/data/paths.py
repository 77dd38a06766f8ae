"""Paths of data: what is none, and what to say of a file that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from raphson.data.messages import one_line, short
from raphson.errors import DataError


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
        raise DataError(
            f"data: expected a path; got a text of several lines, {short(text, 40)}; wrap it in io.StringIO"
        )
    try:
        unusable = b"\0" in os.fsencode(text)
    except UnicodeEncodeError:
        unusable = True
    if unusable:
        raise DataError(f"data: {short_path(text)} is not a path")
    if "://" in text:
        raise DataError(f"data: {short(text)} is a web address; read it with pandas and pass the data frame")


def is_folder(path: Any) -> bool:
    """Whether a path names a folder; a name that the system refuses names none."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def short_path(path: object) -> str:
    """A path as the user wrote it, or its first letters if it is too long to be one."""
    text = str(path).encode(errors="backslashreplace").decode().replace("\0", "\\0")
    return text if len(text) <= 300 else f"{text[:60]}..."


def unreadable(path: object, error: OSError) -> DataError:
    """Say why a file cannot be read."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return DataError(f"{short_path(path)}: there is no such file")
    if error.errno is not None:
        return DataError(f"{short_path(path)}: cannot be read: {error.strerror}")
    # pyarrow's errors of a damaged file are OSErrors too, but without a number.
    return DataError(f"{short_path(path)}: cannot be read: {one_line(error)}; is it cut short or damaged?")
