"""Parquet files as a streamed source: read in pieces and not kept in memory, so that they may be larger than it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raphson.data.blocks import BLOCK_ROWS
from raphson.data.file_lists import files_of, not_of_parquet
from raphson.data.messages import check_unique, one_line
from raphson.data.paths import stamp_of, unreadable
from raphson.data.pieces import kind_of, together
from raphson.data.sources import Source, lacks
from raphson.data.values import REFUSED
from raphson.errors import DataError, Needs

if TYPE_CHECKING:
    import pandas

READ_BYTES = 2**16
"""Bytes of a file that are read at a time: these stay in the processor's cache until they are decoded."""

PART_ROWS = 2**17
"""Neighbouring row groups are joined until they have this many rows: eight blocks of the largest size."""


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
    wrong : dict of str to DataError
        The error for each column that some file lacks, or has as another type.
    """

    name = "parquet"
    whole_if_small = True

    def __init__(self, dataset: Any, piece_rows: int = BLOCK_ROWS[-1]) -> None:
        self._schema = dataset.schema
        self._dataset = dataset
        self.piece_rows = piece_rows
        self.names = tuple(dataset.schema.names)
        check_unique(self.names, "data")
        self._parts: list[list[Any]] = []
        self.n_rows = self._nbytes = 0
        room = 0
        self.wrong: dict[str, DataError] = {}
        self._first = ""
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
            here = fragment.metadata.schema.to_arrow_schema()
        except (pa.ArrowException, OSError) as error:
            raise _not_whole(fragment.path, error) from error
        self._first = self._first or fragment.path
        given = ds.get_partition_keys(fragment.partition_expression)
        for number, name in enumerate(self.names):
            if name in given or name in self.wrong:
                continue
            at = here.get_field_index(name)
            if at < 0:
                self.wrong[name] = lacks(fragment.path, name)
                continue
            mine, theirs = self._schema.field(number).type, here.field(at).type
            if mine.equals(theirs) or kind_of(theirs) == "nothing":
                continue
            if kind_of(mine) == "nothing":
                self._schema = self._schema.set(number, pa.field(name, theirs))
            elif kind_of(mine) == kind_of(theirs) == "numbers":
                # Whole numbers in one file, and others in another.
                self._schema = self._schema.set(number, pa.field(name, pa.float64()))
            elif not (pa.types.is_string(mine) and pa.types.is_large_string(theirs)):
                self.wrong[name] = DataError(
                    f"{fragment.path}: column {name!r} has the type {theirs}, but {mine} in {self._first}; give it one "
                    "type in all files"
                )
        return groups

    def place(self, part: int) -> str:
        paths = list(dict.fromkeys(fragment.path for fragment in self._parts[part]))
        return paths[0] if len(paths) == 1 else f"{paths[0]} to {paths[-1]}"

    def check_columns(self, columns: Sequence[str]) -> None:
        for name in columns:
            if name in self.wrong:
                raise self.wrong[name]

    @property
    def parts(self) -> int:
        return len(self._parts)

    @property
    def part_rows(self) -> list[int]:
        return [sum(group.num_rows for one in part for group in one.row_groups) for part in self._parts]

    def first_rows(self, part: int, columns: Sequence[str], rows: int) -> Any:
        fragment = self._parts[part][0]
        with _readable(fragment):
            found = next(self._batches(fragment, list(columns), rows))
            return found.take(list(range(min(rows, found.num_rows))))  # a slice would keep all in memory

    @property
    def nbytes(self) -> int:
        return self._nbytes

    @property
    def files(self) -> list[tuple[str, int, int]]:
        paths = sorted({fragment.path for part in self._parts for fragment in part})
        found = self._dataset.filesystem.get_file_info(paths)
        return [(Path(one.path).name, one.size, one.mtime_ns) for one in found]

    def stamp(self, part: int) -> Any:
        from pyarrow.fs import LocalFileSystem

        local = isinstance(self._dataset.filesystem, LocalFileSystem)
        return stamp_of(sorted({fragment.path for fragment in self._parts[part]})) if local else None

    @classmethod
    def of(cls, given: Any) -> Stream | None:
        found = _dataset(given)
        return None if found is None else cls(found)

    def declared(self, column: str) -> bool:
        import pyarrow as pa

        return pa.types.is_dictionary(self._schema.field(column).type)

    def whole(self) -> pandas.DataFrame:
        """All rows as one frame, in which columns that are not in all files, of one type, are refused when used."""
        import pyarrow as pa

        alike = [name for name in self.names if name not in self.wrong]
        try:
            if self._schema.equals(self._dataset.schema):
                table = self._dataset.to_table(columns=alike)
            else:
                files = self._dataset.get_fragments()
                table = pa.concat_tables([one.to_table(schema=self._schema, columns=alike) for one in files])
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"data: the files cannot be read together ({one_line(error)})") from error
        frame = table.to_pandas()
        if self.wrong:
            frame = frame.reindex(columns=list(self.names))
            frame.attrs[REFUSED] = {name: str(error) for name, error in self.wrong.items()}
        return frame

    def _batches(self, fragment: Any, columns: list[str], first: int | None = None) -> Iterator[Any]:
        """The rows of a row group; only so many of the `first` ones may be wanted."""
        import pyarrow.dataset as ds

        rows = first or together(self.piece_rows, len(columns))
        if not ds.get_partition_keys(fragment.partition_expression):
            return _in_order(fragment, self._schema, columns, rows)
        # One thread and no reading ahead, as pieces that are read ahead take memory.
        return fragment.to_batches(
            schema=self._schema,
            columns=columns,
            batch_size=rows,
            batch_readahead=1,
            fragment_readahead=1,
            use_threads=False,
        )

    def rows(self, part: int, columns: Sequence[str]) -> Iterator[Any]:
        """The rows of one part as record batches.

        Raises
        ------
        DataError
            If a file is damaged, or was deleted or changed since.
        """
        for fragment in self._parts[part]:
            with _readable(fragment):
                yield from self._batches(fragment, list(columns))


@contextmanager
def _readable(fragment: Any) -> Iterator[None]:
    """A context in which errors of reading a file name it."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{fragment.path}: cannot be read ({one_line(error)}); check whether it is damaged, or was changed while "
            "it was read"
        ) from error


def _in_order(fragment: Any, schema: Any, columns: list[str], rows: int) -> Iterator[Any]:
    """The rows of a row group, in the types of a schema; of a large one so many at a time, page after page.

    What is decoded at a time is no more than the allocator keeps, and so takes the memory of what was decoded before. A
    whole row group of 1,048,576 rows of 11 columns takes pages that the system has to clear each time: 10,000,000 rows
    then took 0.6 s of a processor, and 300 MB, and 131,072 rows at a time 0.37 s, and 200 MB.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = pa.schema([schema.field(name) for name in columns])
    numbers = [group.id for group in fragment.row_groups]
    with pq.ParquetFile(
        fragment.open(),
        metadata=fragment.metadata,
        pre_buffer=False,
        buffer_size=READ_BYTES,
        page_checksum_verification=True,
    ) as file:
        if sum(group.num_rows for group in fragment.row_groups) <= rows:
            yield _typed(file.read_row_groups(numbers, columns=columns, use_threads=False), types)
            return
        for batch in file.iter_batches(rows, row_groups=numbers, columns=columns, use_threads=False):
            yield _typed(pa.Table.from_batches([batch]), types)


def _typed(table: Any, types: Any) -> Any:
    """A table with these columns, in their types."""
    table = table.select(types.names)
    return table if table.schema.equals(types) else table.cast(types)


def _not_whole(path: Any, error: Exception) -> DataError:
    return DataError(f"{path}: not a complete Parquet file ({one_line(error)}); it may be damaged or in another format")


def _dataset(source: Any) -> Any:
    """The pyarrow dataset of Parquet files that `source` names; None if it names none."""
    if type(source).__module__.startswith("pyarrow"):
        import pyarrow.dataset as ds

        if not isinstance(source, ds.Dataset):
            return None
        whole = not getattr(source, "_scan_options", None)  # a filter is a part of the dataset, not of its files
        if whole and isinstance(source, ds.FileSystemDataset) and isinstance(source.format, ds.ParquetFileFormat):
            return source
        return None
    files = files_of(source)
    if files is None or files.format != "Parquet":
        return None
    paths = files.paths
    with Needs("parquet", f"{paths[0]}: reading Parquet"):
        import pyarrow as pa
        import pyarrow.dataset as ds
    try:
        Path(paths[0]).stat()
    except OSError as error:
        raise unreadable(paths[0], error) from error
    # Checksums of pages are checked where a file has them.
    checked = ds.ParquetFragmentScanOptions(
        page_checksum_verification=True, pre_buffer=False, use_buffered_stream=True, buffer_size=READ_BYTES
    )
    try:
        found = ds.dataset(
            paths if len(paths) > 1 else paths[0],
            format=ds.ParquetFileFormat(default_fragment_scan_options=checked),
            partitioning="hive",
        )
        next(iter(found.get_fragments())).ensure_complete_metadata()
        return found
    except StopIteration:
        raise DataError(
            f"{paths[0]}: this folder contains no Parquet files, nor any other data; name another"
        ) from None
    except (pa.ArrowException, OSError) as error:
        raise not_of_parquet(paths[0]) or _not_whole(paths[0], error) from error
