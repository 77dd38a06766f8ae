"""Files that are read in order as Arrow record batches: Arrow's own files and streams, text, and pyarrow datasets."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raphson.data.file_lists import FileList, files_of
from raphson.data.messages import check_unique, one_line
from raphson.data.paths import stamp_of, unreadable
from raphson.data.pieces import kind_of
from raphson.data.sources import Source, lacks
from raphson.errors import DataError, Needs

END_OF_STREAM = (b"\xff\xff\xff\xff\0\0\0\0", b"ARROW1")
"""How a complete Arrow stream ends, and a complete Arrow file."""


class Files(Source):
    """Files of one format, each a part. Their columns have the types of the first file.

    Parameters
    ----------
    files : FileList
    """

    whole_if_small = True
    format: str

    def __init__(self, files: FileList) -> None:
        self.paths = files.paths
        self._keys = files.keys
        with self._reading(self.paths[0]):
            self._schema = self.first_schema()
            self._nbytes = files.n_bytes
        inside = [name for name in self._schema.names if name not in files.keys[0]]
        self.names = (*inside, *files.keys[0])
        check_unique(self._schema.names, self.paths[0])

    @classmethod
    def of(cls, given: Any) -> Any:
        if not isinstance(given, (str, os.PathLike, list, tuple)):
            return None
        files = files_of(given)
        if files is None or files.format != cls.format:
            return None
        with Needs("parquet", f"{files.paths[0]}: reading {files.format} files in pieces"):
            import pyarrow  # noqa: F401
        return cls(files)

    @abstractmethod
    def first_schema(self) -> Any:
        """The columns of the first file."""

    @abstractmethod
    def batches(self, path: str, columns: Sequence[str]) -> Iterator[Any]:
        """The record batches of a file, with some of its columns; a LacksError for one that it does not have."""

    @property
    def parts(self) -> int:
        return len(self.paths)

    @property
    def nbytes(self) -> float:
        """Size of the files."""
        return self._nbytes

    @property
    def files(self) -> list[tuple[str, int, int]]:
        found = [(Path(path).name, Path(path).stat()) for path in self.paths]
        return [(name, one.st_size, one.st_mtime_ns) for name, one in found]

    def stamp(self, part: int) -> Any:
        return stamp_of([self.paths[part]])

    def place(self, part: int) -> str:
        return self.paths[part]

    def declared(self, column: str) -> bool:
        import pyarrow as pa

        return column in self._schema.names and pa.types.is_dictionary(self._schema.field(column).type)

    def rows(self, part: int, columns: Sequence[str]) -> Iterator[Any]:
        path, keys = self.paths[part], self._keys[part]
        with self._reading(path):
            if missing := [name for name in columns if name in self.keys_of_first and name not in keys]:
                raise lacks(path, missing[0])
            for batch in self.batches(path, [name for name in columns if name not in keys]):
                self._check_types(path, batch)
                yield _with_keys(batch, keys, columns)

    @property
    def keys_of_first(self) -> dict[str, Any]:
        """What the folders of the first file say."""
        return self._keys[0]

    def _check_types(self, path: str, batch: Any) -> None:
        for field in batch.schema:
            expected = self._schema.field(field.name).type
            mine, theirs = kind_of(expected), kind_of(field.type)
            if mine != theirs and "nothing" not in (mine, theirs):
                raise DataError(
                    f"{path}: column {field.name!r} has the type {field.type}, but {expected} in {self.paths[0]}; give "
                    "it one type in all files"
                )

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except pa.ArrowException as error:
            raise DataError(f"{path}: {self.unreadable(path, error)}") from error
        except OSError as error:
            raise unreadable(path, error) from error

    def unreadable(self, path: str, error: Exception) -> str:
        """What to say of a file that Arrow cannot read."""
        return f"not a complete {self.format} file ({one_line(error)}); it may be damaged or in another format"


def _with_keys(batch: Any, keys: dict[str, Any], columns: Sequence[str]) -> Any:
    import pyarrow as pa

    given = [pa.repeat(keys[name], batch.num_rows) if name in keys else batch.column(name) for name in columns]
    return pa.RecordBatch.from_arrays(given, names=list(columns))


class ArrowFiles(Files):
    """Arrow files and streams (IPC), as Feather is too."""

    name = "arrow"
    format = "Arrow"

    def first_schema(self) -> Any:
        with _opened(self.paths[0], None) as reader:
            return reader.schema

    def batches(self, path: str, columns: Sequence[str]) -> Iterator[Any]:
        with _opened(path, columns) as reader:
            if hasattr(reader, "get_batch"):
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number).select(list(columns))
            else:
                for batch in reader:
                    yield batch.select(list(columns))


@contextmanager
def _opened(path: str, columns: Sequence[str] | None) -> Iterator[Any]:
    """A reader of an Arrow file or stream, and of some of its columns."""
    import pyarrow as pa

    # Not mapped into memory: a file that is cut while it is read would end the process.
    with pa.OSFile(path) as file:
        begins = file.read(6)
        file.seek(max(0, file.size() - 8))
        if not file.read(8).endswith(END_OF_STREAM):
            raise DataError(f"{path}: not a complete Arrow file, as its end is missing; write it anew")
        file.seek(0)
        open_it = pa.ipc.open_file if begins == b"ARROW1" else pa.ipc.open_stream
        if columns is None:
            yield open_it(file)
            return
        names = open_it(file).schema.names
        for name in columns:
            if name not in names:
                raise lacks(path, name)
        file.seek(0)
        # Without columns all would be read.
        fields = [names.index(name) for name in columns] or [0]
        yield open_it(file, options=pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False))


class Dataset(Source):
    """A pyarrow dataset of another format than Parquet, or with a filter."""

    name = "pyarrow dataset"

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.names = tuple(dataset.schema.names)
        # A filter belongs to the dataset, not to its files.
        filtered = bool(getattr(dataset, "_scan_options", None))
        self._fragments = [dataset] if filtered else list(dataset.get_fragments())

    @classmethod
    def of(cls, given: Any) -> Dataset | None:
        if not type(given).__module__.startswith("pyarrow._dataset"):
            return None
        import pyarrow.dataset as ds

        return cls(given) if isinstance(given, ds.Dataset) else None

    @property
    def parts(self) -> int:
        return len(self._fragments)

    def place(self, part: int) -> str:
        return getattr(self._fragments[part], "path", None) or super().place(part)

    def declared(self, column: str) -> bool:
        import pyarrow as pa

        return pa.types.is_dictionary(self._dataset.schema.field(column).type)

    def rows(self, part: int, columns: Sequence[str]) -> Iterator[Any]:
        import pyarrow as pa

        fragment = self._fragments[part]
        own = {} if fragment is self._dataset else {"schema": self._dataset.schema}
        try:
            yield from fragment.to_batches(
                columns=list(columns), batch_readahead=1, fragment_readahead=1, use_threads=False, **own
            )
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.place(part)}: cannot be read ({one_line(error)}); check its format") from error
