"""Paths, glob patterns, lists and folders as lists of files of one format."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from raphson.data.messages import listing
from raphson.data.paths import check_path, is_folder, unreadable
from raphson.errors import DataError

FORMATS = {"Parquet": (".parquet", ".pq"), "Arrow": (".arrow", ".feather", ".ipc"), "text": (".csv", ".tsv")}
"""Formats, with the endings of their files' names."""

COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
"""Endings of compressed text files."""

_LOOKED_AT = 1000
"""Files of a folder that tell its format."""


@dataclass(frozen=True)
class FileList:
    """Files of one format.

    Attributes
    ----------
    format : a key of :data:`FORMATS`; "" where the names of the files do not say.
    paths : the files, sorted unless they were listed.
    keys : for each file the values that the names of its folders give, as of ``year=2024``.
    """

    format: str
    paths: list[str]
    keys: list[dict[str, Any]] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        """Size of the files together."""
        return sum(Path(path).stat().st_size for path in self.paths)


def format_of(path: object) -> str:
    """The format that a file's name says; "" if it does not.

    >>> format_of("a.csv.gz"), format_of("b.PQ"), format_of("c.txt")
    ('text', 'Parquet', '')
    """
    name = Path(str(path))
    ending = (name.with_suffix("") if name.suffix.lower() in COMPRESSED else name).suffix.lower()
    found = next((one for one, endings in FORMATS.items() if ending in endings), "")
    return found if found == "text" or name.suffix.lower() == ending else ""


def is_pattern(path: object) -> bool:
    """Whether a path is a glob pattern, and names no file or folder itself."""
    text = str(path)
    return glob.has_magic(text) and "\0" not in text and "\n" not in text and not os.path.lexists(text)


def expanded(source: Any) -> list[str] | None:
    """The paths that a path, a glob pattern or a list of them names; None if `source` is anything else.

    Raises
    ------
    DataError
        If no file matches a pattern.
    """
    several = list(source) if isinstance(source, (list, tuple)) else [source]
    if not several or not all(isinstance(path, (str, os.PathLike)) for path in several):
        return None
    paths: list[str] = []
    for path in several:
        check_path(path)
        if not is_pattern(path):
            paths.append(os.fspath(path))
            continue
        found = sorted(glob.glob(os.fspath(path), recursive=True))  # noqa: PTH207 - it may begin at the root
        if not found:
            raise DataError(f"{path}: no file matches this pattern; check it")
        paths.extend(found)
    return paths


def files_of(source: Any) -> FileList | None:
    """The files that a path, a glob pattern, a folder or a list of them names; None if `source` is anything else.

    Raises
    ------
    DataError
        If a file is not there, or the files have different formats.
    """
    paths = expanded(source)
    if paths is None:
        return None
    for path in paths:
        try:
            Path(path).stat()
        except OSError as error:
            if len(paths) == 1:
                return FileList(format_of(path), paths, [{}])  # its reader says so
            raise unreadable(path, error) from error
    if len(paths) == 1 and is_folder(paths[0]):
        return _in_folder(paths[0])
    formats = [format_of(path) or ("Parquet" if is_folder(path) else "") for path in paths]
    if len(set(formats)) > 1:
        other = next(path for path, one in zip(paths, formats, strict=True) if one != formats[0])
        raise DataError(
            f"{other}: expected the format of {paths[0]}, by the ending of its name; give files of one format, or join "
            "others in Python: pandas.concat(...)"
        )
    return FileList(formats[0], paths, [_keys(path) for path in paths])


def _in_folder(folder: str) -> FileList:
    """The files of a folder, of Parquet unless all are Arrow or all are text."""
    files = visible(folder)
    formats = {format_of(path) for path in islice(files, _LOOKED_AT)}
    if formats not in ({"Arrow"}, {"text"}):
        return FileList("Parquet", [folder], [{}])
    wrong = [path for path in files if {format_of(path)} != formats]
    if wrong:
        raise DataError(f"{wrong[0]}: in a folder of {formats.pop()} files; move it elsewhere, or list the others")
    return FileList(formats.pop(), [str(path) for path in files], [_keys(path.relative_to(folder)) for path in files])


def visible(folder: Any) -> list[Path]:
    """The files in a folder and its folders; as by pyarrow, none whose name begins with a dot or an underscore."""
    named = (
        path
        for path in Path(folder).rglob("*")
        if path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    )
    return sorted(named)


def _keys(path: object) -> dict[str, Any]:
    """What folders named like ``year=2024`` say of a file in them: whole numbers, or text."""
    named = (part.partition("=") for part in Path(str(path)).parent.parts)
    return {
        key: int(value) if value.removeprefix("-").isdecimal() else value for key, sign, value in named if key and sign
    }


def not_of_parquet(folder: Any) -> DataError | None:
    """The error for a folder in which some files are not Parquet; None if all begin as Parquet files do."""
    if not is_folder(folder):
        return None
    files = visible(folder)[:_LOOKED_AT]
    other = [path for path in files if not _begins_as_parquet(path)]
    if not other:
        return None
    if len(other) < len(files):
        return DataError(
            f"{other[0]}: not a Parquet file, in a folder of Parquet files; move it elsewhere, or list the others"
        )
    return DataError(
        f"{folder}: expected a folder of Parquet, Arrow or text files; it contains "
        f"{listing((path.name for path in other), 3)}. Name one file, or join them in Python: "
        "pandas.concat(map(pandas.read_csv, paths))"
    )


def _begins_as_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"
