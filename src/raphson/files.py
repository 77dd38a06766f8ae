"""Writing files so that they are complete or absent, and checks of paths before long work."""

from __future__ import annotations

import glob
import os
import platform
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from raphson.errors import DataError, Needs

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path``; when the block ends without an error, rename it to ``path``.

    Renaming within a folder is atomic, so that even after an interruption a reader finds the old file or the new one,
    never half of it. A device or a pipe, such as ``/dev/stdout``, is written directly.

    Parameters
    ----------
    path : str or path

    Yields
    ------
    pathlib.Path
        The file to write, with the same ending as ``path``.

    Raises
    ------
    DataError
        If the folder does not exist or cannot be written, ``path`` is a folder, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(Path(folder) / "note.txt") as draft:
    ...         _ = draft.write_text("whole")
    ...     (Path(folder) / "note.txt").read_text()
    'whole'
    """
    target = check_writable(path)
    draft = None
    try:
        if target.exists() and not target.is_file():
            yield target
            return
        draft = _draft(target)
        yield draft
        draft.chmod(_mode(target))  # mkstemp lets only the owner read the file
        draft.replace(target)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise DataError(
            f"{os.fspath(path)} cannot be written: {error.strerror or error}; make room, or choose another place"
        ) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def _draft(target: Path) -> Path:
    """An empty file beside the target, whose name contains the number of the writing process.

    Drafts of processes that no longer exist are deleted.
    """
    mark, here = f".{target.stem[:40]}~{zlib.crc32(platform.node().encode()):08x}~", os.getpid()
    for left in target.parent.glob(f"{glob.escape(mark)}*{glob.escape(target.suffix)}"):
        writer = left.name.removeprefix(mark).partition("~")[0]
        if writer.isdecimal() and int(writer) != here and not _is_alive(int(writer)):
            left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{mark}{here}~", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    return Path(name)


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere os.kill(process, 0) would end the process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Raise a DataError if ``path`` cannot be written: call it before long work.

    Returns
    -------
    pathlib.Path
        The file itself; symbolic links are followed, so that they are kept.

    Raises
    ------
    DataError
        If it is not a path, the folder does not exist or cannot be written, or ``path`` is a folder.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise DataError(f"path: expected the name of a file to write; got {path!r}")
    try:
        target = Path(os.path.realpath(path))
        target.exists()
    except (ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{str(path)[:80]!r} cannot be written: {reason}; choose another name") from error
    if target.is_dir():
        raise DataError(f"{os.fspath(path)} is a folder; name a file to write")
    if not target.parent.is_dir():
        raise DataError(f"{os.fspath(path)} cannot be written: there is no folder {target.parent}; make it first")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise DataError(f"{os.fspath(path)} cannot be written: permission denied; choose another place")
    return target


def check_output(
    path: str | os.PathLike[str], endings: tuple[str, ...], what: str, inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Raise a DataError if `path` cannot be written, has the wrong ending, or is one of the inputs.

    Parameters
    ----------
    path : str or path
        A device or a pipe, such as ``/dev/stdout``, may have any name.
    endings : tuple of str
        Allowed endings, such as ``(".html", ".htm")``.
    what : str
        What is written, for the message.
    inputs : iterable of str or path
        Files that the command reads.
    """
    target = check_writable(path)
    if target.suffix.lower() not in endings and (target.is_file() or not target.exists()):
        raise DataError(f"{os.fspath(path)}: expected {what} to end in {' or '.join(endings)}; rename it")
    if any(target == Path(os.path.realpath(place)) for place in inputs):
        raise DataError(f"{os.fspath(path)}: {what} would overwrite the file that is read; name another file")


def _mode(target: Path) -> int:
    if target.exists():
        return target.stat().st_mode & 0o777
    umask = os.umask(0)  # the only way to read it is to set it
    os.umask(umask)
    return 0o666 & ~umask


def write_table(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a data frame as CSV, TSV, Parquet or Arrow, according to the ending of ``path``.

    Parameters
    ----------
    frame : pandas.DataFrame
        The index is not written.
    path : str or path

    Raises
    ------
    DataError
        If the ending is none of ``.csv .tsv .parquet .pq .arrow .feather``, or the file cannot be written.
    """
    check_table(path)
    ending = Path(path).suffix.lower()
    with written_whole(path) as draft:
        if ending in _TEXT:
            frame.to_csv(draft, sep=_TEXT[ending], index=False)
        elif ending in _PARQUET:
            frame.to_parquet(draft, index=False)
        else:
            import pyarrow as pa
            import pyarrow.ipc

            table = pa.Table.from_pandas(frame, preserve_index=False)
            with pyarrow.ipc.new_file(draft, table.schema) as file:
                file.write_table(table)


def check_table(path: str | os.PathLike[str]) -> None:
    """Raise a DataError unless :func:`write_table` supports the ending and the path can be written."""
    if Path(path).suffix.lower() not in TABLES:
        raise DataError(f"{os.fspath(path)}: expected one of the endings {' '.join(TABLES)}; rename it")
    if Path(path).suffix.lower() not in _TEXT:
        with Needs("parquet", f"{os.fspath(path)}: writing Parquet and Arrow"):
            import_module("pyarrow.parquet")
    check_writable(path)


_TEXT = {".csv": ",", ".tsv": "\t"}
_PARQUET = (".parquet", ".pq")
_ARROW = (".arrow", ".feather")
TABLES = (*_TEXT, *_PARQUET, *_ARROW)
"""Endings of the tables that :func:`write_table` writes."""
