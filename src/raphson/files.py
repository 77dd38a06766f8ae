"""Writing files so that they are complete or absent, and checks of paths before long work."""

from __future__ import annotations

import glob
import os
import platform
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    with written_in_pieces(path) as add:
        add(frame)


@contextmanager
def written_in_pieces(path: str | os.PathLike[str]) -> Iterator[Callable[[Any], None]]:
    """Give a function that adds the rows of a table to a file, whose format is that of its ending.

    The file is complete or absent, as with :func:`written_whole`, and only the rows that are added are in memory.

    Parameters
    ----------
    path : str or path
        Endings as for :func:`write_table`.

    Yields
    ------
    function
        It takes frames of pandas (the index is not written) or Arrow tables, all with the same columns.

    Raises
    ------
    DataError
        As :func:`write_table`; also if a column has another type than in the rows before.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_in_pieces(Path(folder) / "rows.csv") as add:
    ...         add(pd.DataFrame({"x": [1, 2]}))
    ...         add(pd.DataFrame({"x": [3]}))
    ...     (Path(folder) / "rows.csv").read_text().split()
    ['x', '1', '2', '3']
    """
    check_table(path)
    ending = Path(path).suffix.lower()
    with written_whole(path) as draft:
        rows: _TextRows | _ArrowRows = (
            _TextRows(draft, _TEXT[ending]) if ending in _TEXT else _ArrowRows(draft, ending in _PARQUET)
        )
        with closing(rows):
            yield rows.add


PARTS = "part-{:05d}.parquet"
"""Names of the files of a set."""


def names_folder(path: Any) -> bool:
    """Whether a path is that of a set of files: of a folder, or without an ending."""
    return isinstance(path, str | os.PathLike) and (not Path(path).suffix or Path(path).is_dir())


@contextmanager
def written_set(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; when the block ends without an error, rename it to ``path``.

    So the set of files is complete or absent. It takes the place of an earlier set, whose files have the names of
    :data:`PARTS`.

    Raises
    ------
    DataError
        If there is no folder to write it in, or ``path`` has other files.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise DataError(f"{os.fspath(path)} is a file without an ending; name a folder, or a file with one")
    others = (
        [one.name for one in target.iterdir() if not fnmatch(one.name, "part-*.parquet")] if target.exists() else []
    )
    if others:
        raise DataError(f"{os.fspath(path)} has other files, such as {others[0]}; name a new folder")
    if not target.parent.is_dir():
        raise DataError(f"{os.fspath(path)} cannot be written: there is no folder {target.parent}; make it first")
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}~", dir=target.parent))
        try:
            files = draft / "files"
            files.mkdir()
            draft.chmod(files.stat().st_mode & 0o777)  # mkdtemp lets only the owner in, and workers may be others
            yield files
            if target.exists():
                target.rename(draft / "before")
            files.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"{os.fspath(path)} cannot be written: {error.strerror or error}; make room, or choose another place"
        ) from error


class _TextRows:
    """Rows of a text file; the names of the columns stand above the first ones."""

    def __init__(self, draft: Path, separator: str) -> None:
        self._separator, self._above = separator, True
        self._file = draft.open("w", encoding="utf-8", newline="")

    def add(self, table: Any) -> None:
        frame = table if hasattr(table, "to_csv") else table.to_pandas(integer_object_nulls=True)
        frame.to_csv(self._file, sep=self._separator, index=False, header=self._above)
        self._above = False

    def close(self) -> None:
        self._file.close()


class _ArrowRows:
    """Rows of a Parquet or an Arrow file, whose columns have the types of the first ones."""

    def __init__(self, draft: Path, parquet: bool) -> None:
        self._draft, self._parquet = draft, parquet
        self._schema: Any = None
        self._writer: Any = None

    def add(self, table: Any) -> None:
        import pyarrow as pa

        if not isinstance(table, pa.Table):
            try:
                table = pa.Table.from_pandas(table, preserve_index=False)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                reason = " ".join(" ".join(map(str, error.args)).split())
                raise DataError(f"a column has values of several types ({reason}); give it one type") from error
        elif not self._parquet:
            table = _decoded(table)  # an Arrow file has one dictionary for all rows
        if self._writer is None:
            self._schema, self._writer = table.schema, self._begun(table.schema)
        elif not table.schema.equals(self._schema):
            table = self._alike(table)
        self._writer.write_table(table)

    def _begun(self, schema: Any) -> Any:
        if self._parquet:
            import pyarrow.parquet as pq

            return pq.ParquetWriter(self._draft, schema)
        import pyarrow.ipc

        return pyarrow.ipc.new_file(self._draft, schema)

    def _alike(self, table: Any) -> Any:
        """The rows with the types of the first ones."""
        import pyarrow as pa

        columns = []
        for field in self._schema:
            try:
                columns.append(table.column(field.name).cast(field.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise DataError(
                    f"column {field.name!r} has the type {table.schema.field(field.name).type}, and in the rows before "
                    f"{field.type}, so that both do not go into one file; give it one type in all of the data"
                ) from error
        return pa.Table.from_arrays(columns, schema=self._schema)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _decoded(table: Any) -> Any:
    """An Arrow table with text in place of codes."""
    import pyarrow as pa

    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(field.type.value_type))
    return table


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
