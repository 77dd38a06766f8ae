"""Reading of tables: data frames, dicts of columns, and CSV, TSV, Parquet and Arrow files."""

from __future__ import annotations

import importlib
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raphson.data.delimited import TextFormat, read_delimited
from raphson.data.file_lists import COMPRESSED, FORMATS, is_pattern
from raphson.data.messages import check_unicode, check_unique, listing, one_line
from raphson.data.paths import check_path, is_folder, short_path, unreadable
from raphson.data.sources import source_of
from raphson.data.values import ArrayTable, Table
from raphson.errors import DataError, Needs

if TYPE_CHECKING:
    import pandas

ENDINGS = (*FORMATS["text"], *FORMATS["Parquet"], *FORMATS["Arrow"])
"""File name endings that :func:`read_table` reads."""

_PARQUET = FORMATS["Parquet"]
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def read_table(source: Any, text: TextFormat | None = None) -> pandas.DataFrame:
    """Read a table into a pandas frame.

    Parameters
    ----------
    source : data frame, mapping, path or open file
        A pandas, polars or Arrow frame (or another that narwhals supports); a dict of columns;
        the path of a ``.csv``, ``.tsv``, ``.parquet``, ``.pq``, ``.arrow``, ``.feather`` or ``.ipc``
        file, or of a compressed CSV or TSV file, such as ``.csv.gz`` (``.bz2``, ``.zst``); a glob
        pattern, a folder or a list of such files; whatever else :func:`raphson.stream` takes; an
        open file with CSV text.
    text : TextFormat, optional
        Separator, decimal point, texts for missing values and encoding of a text file. With a
        separator, the name of the file may have any ending.

    Returns
    -------
    pandas.DataFrame
        With unique column names. A pandas frame is returned as it is, not copied.

    Raises
    ------
    DataError
        If the file is missing, empty or incomplete, or has another ending; if the table has no
        rows, or two columns have the same name.

    Notes
    -----
    In CSV and TSV files, ``NA``, ``NaN``, ``null`` and empty fields are missing values. If some
    columns are quoted and others not, the quoted ones are text, so that the levels ``"1"`` and
    ``"2"`` of a factor written by R's ``write.csv`` stay a factor. If every column is quoted,
    types are inferred.

    Examples
    --------
    >>> from raphson.data import read_table
    >>> read_table({"x": [1, 2], "group": ["a", "b"]}).shape
    (2, 2)
    """
    one = isinstance(source, (str, os.PathLike)) and not is_folder(source) and not is_pattern(source)
    theirs = source_of(source, whole_if_small=not one) if text is None else None
    if theirs is not None:
        frame = theirs.whole()
    elif isinstance(source, (str, os.PathLike)):
        check_path(source)
        frame = _read_path(Path(source), text)
    elif hasattr(source, "read"):
        frame = _read_stream(source, text or TextFormat())
    else:
        frame = _read_frame(source)
    return _check(frame, source)


def table_of(source: Any) -> Table:
    """The columns of a table, without a frame where they are arrays of numbers."""
    return ArrayTable.of(source) or Table(read_table(source))


def read(source: Any) -> pandas.DataFrame:
    """Read data into memory, however large they are.

    The opposite of :func:`raphson.stream`: large files that would be streamed are read at once, so that a fit has
    quantities by row.

    Parameters
    ----------
    source : path, glob pattern, list of them, folder, or anything else that a model takes as data

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import raphson as rp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rp.datasets.load("births").to_parquet(f"{folder}/births.parquet")
    ...     rp.read(f"{folder}/*.parquet").shape
    (189, 9)
    """
    return read_table(source)


def is_pandas(source: object) -> bool:
    """Whether it is a pandas frame, without importing pandas."""
    kind = type(source)
    return kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame"


def _check(frame: pandas.DataFrame, source: object) -> pandas.DataFrame:
    what = str(source) if isinstance(source, (str, os.PathLike)) else "data"
    names = [name if type(name) is str else str(name) for name in frame.columns]
    check_unicode(names, f"{what}: the names of the columns")
    check_unique(names, what)
    if not names:
        raise DataError(f"{what}: the table has no columns; expected at least one")
    if len(frame) == 0:
        raise DataError(f"{what}: the table has the columns {listing(names)}, but no rows; expected at least one")
    if any(name is not old for name, old in zip(names, frame.columns, strict=True)):
        frame = frame.set_axis(names, axis=1)
    return frame


def _read_frame(source: Any) -> pandas.DataFrame:
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        return source
    if isinstance(source, dict):
        try:
            return pd.DataFrame(source)
        except UnicodeEncodeError:
            for name, column in source.items():
                check_unicode([name], "data: the names of the columns")
                check_unicode([column] if isinstance(column, str) else column, f"column {name!r}")
            raise
        except (ValueError, TypeError) as error:
            raise DataError(f"data: the columns of the dict do not form a table: {one_line(error)}") from error
    import narwhals as nw

    if type(source).__name__ == "RecordBatch" and type(source).__module__.startswith("pyarrow"):
        import pyarrow as pa

        source = pa.Table.from_batches([source])
    try:
        frame: Any = nw.from_native(source)
        if isinstance(frame, nw.LazyFrame):
            frame = frame.collect()
        with Needs("parquet", f"data: reading a frame of {type(source).__module__.partition('.')[0]}"):
            found = frame.to_pandas()
        if frame.implementation.is_polars():
            # Categories of polars have the order of the alphabet; Arrow has that of the rows they first appear in.
            for name, kind in frame.schema.items():
                if kind == nw.Categorical:
                    found[name] = found[name].cat.reorder_categories(sorted(found[name].cat.categories))
        return found
    except (TypeError, AttributeError) as error:
        if getattr(getattr(source, "dtype", None), "names", None):
            raise DataError(
                "data: structured arrays are not supported; pass pandas.DataFrame(array), or a dict of its fields, "
                "{name: array[name] for name in array.dtype.names}"
            ) from error
        remedy = "; pandas.DataFrame(data) may make one of it" if hasattr(source, "__iter__") else ""
        raise DataError(
            f"data: expected a data frame (pandas, polars, Arrow), a dict of columns, a path or an open "
            f"text file; got {type(source).__name__}{remedy}"
        ) from error
    except ValueError as error:
        raise DataError(f"data: the frame cannot be read: {one_line(error)}") from error


def _read_stream(source: Any, text: TextFormat) -> pandas.DataFrame:
    try:
        content = source.read()
        if isinstance(content, str):
            content = content.encode()
    except ValueError as error:
        raise DataError(f"data: the open file cannot be read as text: {one_line(error)}") from error
    return read_delimited(content, text, str(getattr(source, "name", "the open file")))


def _read_path(path: Path, text: TextFormat | None) -> pandas.DataFrame:
    codec = COMPRESSED.get(path.suffix.lower())
    ending = (path.with_suffix("") if codec else path).suffix.lower()
    if ending in _SEPARATORS:
        text = text or TextFormat()
    _check_ending(path, ending, codec, text)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise DataError(f"{path}: expected a file; got a folder. Name a file in it")
        if size == 0 and path.is_file():
            raise DataError(f"{path}: the file is empty")
        if text is not None:
            return read_delimited(_content(path, codec), text, str(path), _SEPARATORS.get(ending, ","))
        return _read_binary(path, ending)
    except OSError as error:
        raise unreadable(path, error) from error


def _check_ending(path: Path, ending: str, codec: str | None, text: TextFormat | None) -> None:
    """Refuse a file whose name does not identify its format."""
    name = short_path(path)
    if ending not in _SEPARATORS and (text is None or text.sep is None):
        if ending not in ENDINGS:
            raise DataError(
                f"{name}: expected one of the endings {', '.join(ENDINGS)} and "
                f"{', '.join(f'.csv{packed}' for packed in COMPRESSED)}; got {ending!r}. For other text files name "
                "the separator (--sep on the command line), or read the file with pandas and pass the data frame"
            )
        if text is not None:
            raise DataError(f"{name}: sep, decimal, na and encoding are for text files only; leave them out")
        if codec is not None:
            raise DataError(f"{name}: compressed files are read only if they are text; decompress it")
    elif ending in ENDINGS and ending not in _SEPARATORS:
        raise DataError(f"{name}: sep, decimal, na and encoding are for text files only; leave them out")


def _content(path: Path, codec: str | None) -> bytes:
    """Content of a file, decompressed."""
    if codec is None:
        return path.read_bytes()
    try:
        if codec != "zstd":
            return importlib.import_module(codec).decompress(path.read_bytes())
        with Needs("parquet", f"{path}: decompressing Zstandard"):
            import pyarrow as pa
        with pa.input_stream(str(path), compression=codec) as file:
            return file.read()
    except (OSError, EOFError, ValueError, NotImplementedError, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be decompressed by {codec} ({one_line(error)}); check whether it is complete"
        ) from error


def _read_binary(path: Path, ending: str) -> pandas.DataFrame:
    with Needs("parquet", f"{path}: reading {'Parquet' if ending in FORMATS['Parquet'] else 'Arrow'}"):
        import pyarrow as pa
        import pyarrow.feather as feather
        import pyarrow.parquet as pq
    try:
        if ending in _PARQUET:
            with pq.ParquetFile(path) as file:
                table = file.read()
        else:
            try:
                table = feather.read_table(path)
            except pa.ArrowInvalid:
                # Feather reads files only; an Arrow stream has no footer.
                with pa.OSFile(str(path)) as handle:
                    table = pa.ipc.open_stream(handle).read_all()
    except pa.ArrowException as error:
        format_name = "Parquet" if ending in _PARQUET else "Arrow"
        raise DataError(
            f"{path}: not a complete {format_name} file ({one_line(error)}); it may be damaged or in another format"
        ) from error
    check_unique(table.column_names, str(path))
    return table.to_pandas()
