"""Read any table: data frames, dicts of columns, and CSV, TSV, Parquet and Arrow files."""

from __future__ import annotations

import importlib
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raphson.data.delimited import TextFormat, read_delimited
from raphson.data.messages import check_unicode, check_unique, listing, one_line
from raphson.data.parquet import PARQUET_ENDINGS, read_whole
from raphson.data.paths import check_path, short_path, unreadable
from raphson.data.sources import opened
from raphson.errors import DataError, Needs

if TYPE_CHECKING:
    import pandas

ENDINGS = (".csv", ".tsv", *PARQUET_ENDINGS, ".arrow", ".feather", ".ipc")
"""File name endings that :func:`read_table` knows."""

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def read_table(source: Any, text: TextFormat | None = None) -> pandas.DataFrame:
    """Read a table into a pandas frame.

    Parameters
    ----------
    source : data frame, mapping, path or open file
        A pandas, polars or Arrow frame (or another that narwhals knows); a dict of columns;
        the path of a ``.csv``, ``.tsv``, ``.parquet``, ``.pq``, ``.arrow``, ``.feather`` or ``.ipc``
        file; of a CSV or TSV file that is compressed, such as ``.csv.gz`` (``.bz2``, ``.zst``); a folder
        or a list of Parquet files, or a ``pyarrow.dataset`` of them; an open file with CSV text.
    text : TextFormat, optional
        Separator, decimal point, marks of missing values and encoding of a text file. With a
        separator, the name of the file may have any ending.

    Returns
    -------
    pandas.DataFrame
        With unique names. A pandas frame comes back as it is, not copied.

    Raises
    ------
    DataError
        If the file is missing, empty, cut short or has another ending; if the table has no
        rows, or two columns of one name.

    Notes
    -----
    In CSV and TSV, ``NA``, ``NaN``, ``null`` and nothing at all are missing. Where the
    writer quoted some columns and not others, the quoted ones are text, so that the levels
    ``"1"`` and ``"2"`` stay a factor as R's ``write.csv`` meant them; where every column is
    quoted, types are inferred.

    Examples
    --------
    >>> from raphson.data import read_table
    >>> read_table({"x": [1, 2], "group": ["a", "b"]}).shape
    (2, 2)
    """
    table = read_whole(source) if text is None else None
    theirs = opened(source, whole_if_small=False) if text is None and table is None else None
    if table is not None:
        frame = table.to_pandas()
    elif theirs is not None:
        frame = theirs.whole()
    elif isinstance(source, (str, os.PathLike)):
        check_path(source)
        frame = _read_path(Path(source), text)
    elif hasattr(source, "read"):
        frame = _read_stream(source, text or TextFormat())
    else:
        frame = _read_frame(source)
    return _check(frame, source)


def is_pandas(source: object) -> bool:
    """Tell a pandas frame without importing pandas."""
    kind = type(source)
    return kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame"


def _check(frame: pandas.DataFrame, source: object) -> pandas.DataFrame:
    what = str(source) if isinstance(source, (str, os.PathLike)) else "data"
    names = [name if type(name) is str else str(name) for name in frame.columns]
    check_unicode(names, f"{what}: the names of the columns")
    check_unique(names, what)
    if not names:
        raise DataError(f"{what}: the table has no columns")
    if len(frame) == 0:
        raise DataError(f"{what}: the table has no rows, only the columns {listing(names)}")
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
            raise DataError(f"data: the columns of the dict do not make a table: {one_line(error)}") from error
    import narwhals as nw

    try:
        frame: Any = nw.from_native(source)
        if isinstance(frame, nw.LazyFrame):
            frame = frame.collect()
        with Needs("parquet", f"data: reading a frame of {type(source).__module__.partition('.')[0]}"):
            return frame.to_pandas()
    except (TypeError, AttributeError) as error:
        if getattr(getattr(source, "dtype", None), "names", None):
            raise DataError(
                "data: a structured array is not read as a table; pass pandas.DataFrame(array), or a dict of its "
                "fields, {name: array[name] for name in array.dtype.names}"
            ) from error
        raise DataError(
            f"data: expected a data frame (pandas, polars, Arrow), a dict of columns, a path or an open "
            f"text file; got {type(source).__name__}"
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
    codec = _COMPRESSED.get(path.suffix.lower())
    ending = (path.with_suffix("") if codec else path).suffix.lower()
    if ending in _SEPARATORS:
        text = text or TextFormat()
    _check_ending(path, ending, codec, text)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise DataError(f"{path}: expected a file; this is a folder")
        if size == 0 and path.is_file():
            raise DataError(f"{path}: the file is empty")
        if text is not None:
            return read_delimited(_content(path, codec), text, str(path), _SEPARATORS.get(ending, ","))
        return _read_binary(path, ending)
    except OSError as error:
        raise unreadable(path, error) from error


def _check_ending(path: Path, ending: str, codec: str | None, text: TextFormat | None) -> None:
    """Refuse a file whose name does not say how to read it."""
    told = short_path(path)
    if ending not in _SEPARATORS and (text is None or text.sep is None):
        if ending not in ENDINGS:
            raise DataError(
                f"{told}: cannot tell the format from the ending {ending!r}; known endings are "
                f"{', '.join(ENDINGS)}, and {', '.join(f'.csv{packed}' for packed in _COMPRESSED)}; for other "
                "text, say what separates the columns (--sep on the command line), or read it with pandas and pass "
                "the data frame"
            )
        if text is not None:
            raise DataError(f"{told}: sep, decimal, na and encoding are for files of text; leave them out")
        if codec is not None:
            raise DataError(f"{told}: compressed files are read only if they are text; unpack it")
    elif ending in ENDINGS and ending not in _SEPARATORS:
        raise DataError(f"{told}: sep, decimal, na and encoding are for files of text; leave them out")


def _content(path: Path, codec: str | None) -> bytes:
    """Content of a file, unpacked."""
    if codec is None:
        return path.read_bytes()
    try:
        if codec != "zstd":
            return importlib.import_module(codec).decompress(path.read_bytes())
        with Needs("parquet", f"{path}: unpacking Zstandard"):
            import pyarrow as pa
        with pa.input_stream(str(path), compression=codec) as file:
            return file.read()
    except (OSError, EOFError, ValueError, NotImplementedError, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be unpacked by {codec} ({one_line(error)}); is it cut short or damaged?"
        ) from error


def _read_binary(path: Path, ending: str) -> pandas.DataFrame:
    with Needs("parquet", f"{path}: reading {'Parquet' if ending in PARQUET_ENDINGS else 'Arrow'}"):
        import pyarrow as pa
        import pyarrow.feather as feather
        import pyarrow.parquet as pq
    try:
        if ending in PARQUET_ENDINGS:
            with pq.ParquetFile(path) as file:
                table = file.read()
        else:
            try:
                table = feather.read_table(path)
            except pa.ArrowInvalid:
                # Feather reads the random-access form; a stream has no footer.
                with pa.OSFile(str(path)) as handle:
                    table = pa.ipc.open_stream(handle).read_all()
    except pa.ArrowException as error:
        format_name = "Parquet" if ending in PARQUET_ENDINGS else "Arrow"
        raise DataError(
            f"{path}: not a complete {format_name} file ({one_line(error)}); is it cut short or damaged?"
        ) from error
    check_unique(table.column_names, str(path))
    return table.to_pandas()
