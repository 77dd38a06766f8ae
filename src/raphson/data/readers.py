"""Read any table: data frames, dicts of columns, and CSV, TSV, Parquet and Arrow files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raphson.data.messages import listing
from raphson.data.parquet import read_whole
from raphson.errors import DataError

if TYPE_CHECKING:
    import pandas

ENDINGS = (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".ipc")
"""File name endings that :func:`read_table` knows."""

MISSING_MARKS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""What stands for a missing value in a text file."""

# One field of a CSV record, quoted or not, and what ends it.
_FIELD = '("(?:[^"]|"")*"|[^{separator}\r\n]*)({separator}|\r\n|\n|\r|$)'
_SAMPLE = 1 << 16


def read_table(source: Any) -> pandas.DataFrame:
    """Read a table into a pandas frame.

    Parameters
    ----------
    source : data frame, mapping, path or open file
        A pandas, polars or Arrow frame (or another that narwhals knows); a dict of columns;
        the path of a ``.csv``, ``.tsv``, ``.parquet``, ``.arrow``, ``.feather`` or ``.ipc``
        file; a folder or a list of Parquet files, or a ``pyarrow.dataset`` of them; an open file
        with CSV text.

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
    table = read_whole(source)
    if table is not None:
        frame = table.to_pandas()
    elif isinstance(source, (str, os.PathLike)):
        frame = _read_path(Path(source))
    elif hasattr(source, "read"):
        frame = _read_stream(source)
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
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"{what}: more than one column is called {listing(map(repr, twice))}; rename them")
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
        except (ValueError, TypeError) as error:
            raise DataError(f"data: the columns of the dict do not make a table: {_one_line(error)}") from error
    import narwhals as nw

    try:
        frame: Any = nw.from_native(source)
        if isinstance(frame, nw.LazyFrame):
            frame = frame.collect()
        return frame.to_pandas()
    except (TypeError, AttributeError) as error:
        raise DataError(
            f"data: expected a data frame (pandas, polars, Arrow), a dict of columns, a path or an open "
            f"text file; got {type(source).__name__}"
        ) from error
    except ValueError as error:
        raise DataError(f"data: the frame cannot be read: {_one_line(error)}") from error


def _read_stream(source: Any) -> pandas.DataFrame:
    try:
        content = source.read()
    except (UnicodeDecodeError, ValueError) as error:
        raise DataError(f"data: the open file cannot be read as text: {_one_line(error)}") from error
    if isinstance(content, str):
        content = content.encode()
    name = str(getattr(source, "name", "the open file"))
    return _read_delimited(content, ",", name)


def _read_path(path: Path) -> pandas.DataFrame:
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise DataError(
            f"{path}: cannot tell the format by the ending {ending!r}; known endings are {', '.join(ENDINGS)}"
        )
    if not path.exists():
        raise DataError(f"{path}: there is no such file")
    if not path.is_file():
        raise DataError(f"{path}: not a file")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty")
        if ending in (".csv", ".tsv"):
            return _read_delimited(path.read_bytes(), "," if ending == ".csv" else "\t", str(path))
        return _read_binary(path, ending)
    except OSError as error:
        # pyarrow's errors of a damaged file are OSErrors too.
        raise DataError(f"{path}: cannot be read: {_one_line(error)}; is it cut short or damaged?") from error


def _read_binary(path: Path, ending: str) -> pandas.DataFrame:
    import pyarrow as pa

    try:
        if ending == ".parquet":
            import pyarrow.parquet as pq

            with pq.ParquetFile(path) as file:
                table = file.read()
        else:
            import pyarrow.feather as feather

            try:
                table = feather.read_table(path)
            except pa.ArrowInvalid:
                # Feather reads the random-access form; a stream has no footer.
                with pa.OSFile(str(path)) as handle:
                    table = pa.ipc.open_stream(handle).read_all()
    except pa.ArrowException as error:
        format_name = "Parquet" if ending == ".parquet" else "Arrow"
        raise DataError(
            f"{path}: not a whole {format_name} file ({_one_line(error)}); is it cut short or damaged?"
        ) from error
    _check_unique(table.column_names, str(path))
    return table.to_pandas()


def _check_unique(names: list[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"{what}: more than one column is called {listing(map(repr, twice))}; rename them")


def _read_delimited(content: bytes, separator: str, what: str) -> pandas.DataFrame:
    import pyarrow as pa
    import pyarrow.csv as csv

    if not content.strip():
        raise DataError(f"{what}: the file is empty")
    if content.count(b'"') % 2 and _quote_is_open(content, separator):
        raise DataError(f"{what}: a quotation mark is never closed; is the file cut short?")
    text = _text_columns(content[:_SAMPLE].decode("utf-8", errors="replace"), separator)
    try:
        table = csv.read_csv(
            pa.BufferReader(content),
            parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                null_values=list(MISSING_MARKS),
                strings_can_be_null=True,
                column_types={name: pa.string() for name in text},
            ),
        )
        names = table.column_names
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(
            f"{what}: cannot be read as {'CSV' if separator == ',' else 'TSV'}: {_one_line(error)}; "
            "is it cut short, or not in UTF-8?"
        ) from error
    _check_unique(names, what)
    for name, kind in zip(names, table.schema.types, strict=True):
        if pa.types.is_binary(kind):
            raise DataError(f"{what}: column {name!r} is not UTF-8 text; save the file in UTF-8")
        if pa.types.is_temporal(kind):
            # Dates stay as they were written: text, which a model may use as a factor or not at all.
            table = table.set_column(names.index(name), name, table.column(name).cast(pa.string()))
    if len(names) == 1 and separator == "," and ";" in names[0]:
        raise DataError(f"{what}: the columns are separated by ';'; save the file with commas")
    return table.to_pandas()


def _quote_is_open(content: bytes, separator: str) -> bool:
    import csv
    import io

    try:
        for _ in csv.reader(io.StringIO(content.decode("utf-8", "replace")), delimiter=separator, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def _text_columns(sample: str, separator: str) -> list[str]:
    """Name the columns that the writer quoted, if it left others unquoted."""
    import csv

    rows: list[list[str]] = [[]]
    for match in re.finditer(_FIELD.format(separator=re.escape(separator)), sample):
        rows[-1].append(match[1])
        if match[2] != separator:
            rows.append([])
    if len(rows) < 2:
        return []
    header = next(csv.reader([separator.join(rows[0])], delimiter=separator), [])
    # The sample may end within a record; the last one is left out unless it is all there is.
    records = [row for row in rows[1:] if len(row) == len(header)]
    quoted, bare = set(), set()
    for record in records[:-1] or records:
        for number, field in enumerate(record):
            if field.startswith('"'):
                quoted.add(number)
            elif field not in MISSING_MARKS:
                bare.add(number)
    if not bare:
        return []
    return [header[number].lstrip("\ufeff") for number in sorted(quoted - bare)]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
