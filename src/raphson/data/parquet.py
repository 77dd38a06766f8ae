"""Parquet files as a streamed source: read in pieces and not kept in memory, so that they may be larger than it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from raphson.data.blocks import BLOCK_ROWS
from raphson.data.messages import check_unique, listing, one_line
from raphson.data.paths import check_path, is_folder, unreadable
from raphson.data.pieces import together
from raphson.data.sources import SOURCES, Source
from raphson.errors import DataError, MissingDataWarning, Needs, warn_user

PART_ROWS = 2**17
"""Neighbouring row groups are joined until they have this many rows: eight blocks of the largest size."""

PARQUET_ENDINGS = (".parquet", ".pq")
"""File name endings of Parquet."""


class Stream(Source):
    """A Parquet data set as a sequence of *parts*, each read in pieces of at most `piece_rows` rows.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
        A data set of Parquet files.
    piece_rows : int
        Number of rows of a piece.

    Attributes
    ----------
    names : tuple of str
    n_rows : int
        Total number of rows, according to the files.
    parts : int
    nbytes : int
        Size in memory: eight bytes for each number and for a column of ones, and more if text takes more. The size of
        the files says little, as a column with few different values takes almost none.
    lacking : dict of str to str
        Columns that some files lack, each with the first of these files.
    """

    name = "parquet"
    whole_if_small = True

    def __init__(self, dataset: Any, piece_rows: int = BLOCK_ROWS[-1]) -> None:
        self._dataset = dataset
        self.piece_rows = piece_rows
        self.names = tuple(dataset.schema.names)
        check_unique(self.names, "data")
        self._parts: list[list[Any]] = []
        self.n_rows = self._nbytes = 0
        room = 0
        self.lacking: dict[str, str] = {}
        for fragment in dataset.get_fragments():
            for group in self._row_groups(fragment):
                info = group.row_groups[0]
                if not info.num_rows:
                    continue
                if room < info.num_rows or not self._parts:
                    self._parts.append([])
                    room = PART_ROWS
                self._parts[-1].append(group)
                room -= info.num_rows
                self.n_rows += info.num_rows
                self._nbytes += max(info.total_byte_size, 8 * info.num_rows * (len(self.names) + 1))
        if not self.n_rows:
            raise DataError("data: the Parquet files have no rows")

    def _row_groups(self, fragment: Any) -> list[Any]:
        """The row groups of one file."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        try:
            groups = fragment.split_by_row_group()
            here = set(fragment.metadata.schema.to_arrow_schema().names)
        except (pa.ArrowException, OSError) as error:
            raise _not_whole(fragment.path, error) from error
        given = ds.get_partition_keys(fragment.partition_expression)
        for name in self.names:
            if name not in here and name not in given:
                self.lacking.setdefault(name, fragment.path)
        return groups

    def warn_of_lacking(self, columns: Sequence[str]) -> None:
        """Warn if a file lacks one of these columns."""
        for name in columns:
            if name in self.lacking:
                warn_user(
                    f"column {name!r} is not in {self.lacking[name]}, whose rows count as missing; leave that "
                    "file out, or add the column to it",
                    MissingDataWarning,
                )

    @property
    def parts(self) -> int:
        return len(self._parts)

    @property
    def nbytes(self) -> int:
        return self._nbytes

    @property
    def identity(self) -> Any:
        """Names, sizes and times of the files, in order."""
        files = sorted({fragment.path for part in self._parts for fragment in part})
        found = []
        for path in files:
            info = self._dataset.filesystem.get_file_info(path)
            found.append([Path(path).name, info.size, info.mtime_ns])
        return super().identity | {"files": found}

    @classmethod
    def of(cls, given: Any) -> Stream | None:
        found = _dataset(given)
        return None if found is None else cls(found)

    def declared(self, column: str) -> bool:
        import pyarrow as pa

        return pa.types.is_dictionary(self._dataset.schema.field(column).type)

    def rows(self, part: int, columns: Sequence[str]) -> Iterator[Any]:
        """The rows of one part as record batches.

        Raises
        ------
        DataError
            If a file is damaged or was deleted, or its columns have other types than the first file's.
        """
        import pyarrow as pa

        for fragment in self._parts[part]:
            try:
                # One thread and no reading ahead, as pieces that are read ahead take memory.
                yield from fragment.to_batches(
                    schema=self._dataset.schema,
                    columns=list(columns),
                    batch_size=together(self.piece_rows, len(columns)),
                    batch_readahead=1,
                    fragment_readahead=1,
                    use_threads=False,
                )
            except (pa.ArrowException, OSError) as error:
                raise DataError(
                    f"{fragment.path}: cannot be read ({one_line(error)}); check whether it is damaged, and whether "
                    "its columns have the types of the first file"
                ) from error


def read_whole(source: Any) -> Any:
    """Read a Parquet data set of several files into one Arrow table; None if `source` is anything else."""
    if isinstance(source, (str, os.PathLike)) and not is_folder(source):
        return None
    found = source._dataset if isinstance(source, Stream) else _dataset(source)
    if found is None:
        return None
    import pyarrow as pa

    held = Stream(found)
    held.warn_of_lacking(held.names)
    try:
        return found.to_table()
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"data: the files cannot be read together ({one_line(error)}); give each column the same type in all files"
        ) from error


def _not_whole(path: Any, error: Exception) -> DataError:
    return DataError(f"{path}: not a complete Parquet file ({one_line(error)}); it may be damaged or in another format")


def _dataset(source: Any) -> Any:
    """The pyarrow dataset of Parquet files that `source` names; None if it names none."""
    if type(source).__module__.startswith("pyarrow"):
        import pyarrow.dataset as ds

        if not isinstance(source, ds.Dataset):
            return None
        if isinstance(source, ds.FileSystemDataset) and isinstance(source.format, ds.ParquetFileFormat):
            return source
        raise DataError(
            "data: expected a pyarrow dataset of Parquet files; got one of another format. Convert it with "
            "pyarrow.dataset.write_dataset"
        )
    several = isinstance(source, (list, tuple)) and bool(source)
    paths: list[Any] = list(source) if several else [source]
    if not all(isinstance(path, (str, os.PathLike)) for path in paths):
        return None
    for path in paths:
        check_path(path)
    parquet = [_is_parquet(path) for path in paths]
    if not all(parquet):
        if several:
            wrong = paths[int(np.argmin(parquet))]
            raise DataError(
                f"{wrong}: expected the ending .parquet, as several files have to be Parquet; join others in Python: "
                "pandas.concat(map(pandas.read_csv, paths))"
            )
        return None
    with Needs("parquet", f"{paths[0]}: reading Parquet"):
        import pyarrow as pa
        import pyarrow.dataset as ds
    for path in paths:
        try:
            Path(path).stat()
        except OSError as error:
            raise unreadable(path, error) from error
    try:
        named = [str(path) for path in paths]
        files = named if several else named[0]
        found = ds.dataset(files, format="parquet", partitioning="hive")
        next(iter(found.get_fragments())).ensure_complete_metadata()
        return found
    except StopIteration:
        raise DataError(f"{paths[0]}: this folder contains no Parquet files; name another") from None
    except (pa.ArrowException, OSError) as error:
        raise _foreign(paths[0]) or _not_whole(paths[0], error) from error


def _foreign(folder: Any) -> DataError | None:
    """The error for a folder in which some files are not Parquet; None if all begin as Parquet files do."""
    if not is_folder(folder):
        return None
    # Names that begin with a dot or an underscore are ignored, as by pyarrow.
    named = (
        path
        for path in Path(folder).rglob("*")
        if path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    )
    files = sorted(islice(named, 1000))
    other = [path for path in files if not _begins_as_parquet(path)]
    if not other:
        return None
    if len(other) < len(files):
        return DataError(
            f"{other[0]}: not a Parquet file, in a folder of Parquet files; move it elsewhere, or list the others"
        )
    return DataError(
        f"{folder}: expected a folder of Parquet files; it contains {listing((path.name for path in other), 3)}. Name "
        "one file, or join them in Python: pandas.concat(map(pandas.read_csv, paths))"
    )


def _begins_as_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _is_parquet(path: Any) -> bool:
    """Whether a path names a Parquet file, or a folder, which may contain some."""
    ending = Path(path).suffix.lower()
    return ending in PARQUET_ENDINGS or (
        ending not in (".csv", ".tsv", ".arrow", ".feather", ".ipc") and is_folder(path)
    )


SOURCES.add_builtin(Stream.name, Stream)
