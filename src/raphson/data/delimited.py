"""Delimited text files: CSV, TSV, and other formats that the user describes."""

from __future__ import annotations

import codecs
import csv
import importlib.util
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raphson.data.messages import check_unique, listing, one_line
from raphson.errors import DataError

if TYPE_CHECKING:
    import pandas

MISSING_MARKS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""Texts that stand for a missing value."""

# One field of a CSV record, quoted or not, and the separator or line end that follows.
_FIELD = '("(?:[^"]|"")*"|[^{separator}\r\n]*)({separator}|\r\n|\n|\r|$)'
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
SAMPLE = 1 << 16
"""Bytes at the beginning of a file, some thousand lines, that tell its columns of text."""

_NAMES = {"\t": "tabs", " ": "spaces"}
_SEPARATORS = (";", "\t", ",", "|", " ")
_BYTE_ORDER_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FORMATS = (
    (re.compile(rb"\x1f\x8b"), "compressed by gzip; give it a name that ends in .gz, such as data.csv.gz"),
    (re.compile(rb"BZh\d1AY&SY"), "compressed by bzip2; give it a name that ends in .bz2, such as data.csv.bz2"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "compressed by Zstandard; give it a name that ends in .zst, as data.csv.zst"),
    (re.compile(rb"\xfd7zXZ"), "compressed by xz; unpack it"),
    (re.compile(rb"PK\x03\x04"), "a zip archive or an Excel workbook; unpack it, or save it as CSV"),
    (re.compile(rb"PAR1"), "Parquet; give it a name that ends in .parquet"),
    (re.compile(rb"ARROW1"), "Arrow; give it a name that ends in .arrow"),
    (re.compile(rb"\s*<(?:!doctype html|html|\?xml)", re.IGNORECASE), "a web page; download the file itself"),
)


@dataclass(frozen=True)
class TextFormat:
    """Format of a text file.

    Parameters
    ----------
    sep : str, optional
        Separator of the columns, one character. By default it follows from the file's ending.
    decimal : str
        The decimal point: ``"."`` or ``","``.
    na : sequence of str
        Texts that stand for a missing value, besides an empty field, ``NA``, ``NaN`` and ``null``.
    encoding : str, optional
        Such as ``"latin-1"``. By default UTF-8, or as a byte order mark says.

    Raises
    ------
    DataError
        If an argument has another value.
    """

    sep: str | None = None
    decimal: str = "."
    na: tuple[str, ...] = ()
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.sep is not None and (len(self.sep) != 1 or not self.sep.isascii() or self.sep in '"\r\n\0'):
            raise DataError(f"sep: expected one character, such as ';' or a tab; got {self.sep!r}")
        if self.decimal not in (".", ","):
            raise DataError(f"decimal: expected '.' or ','; got {self.decimal!r}")
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except (LookupError, ValueError) as error:
                raise DataError(
                    f"encoding: expected a name such as 'latin-1' or 'utf-16'; got {self.encoding!r}"
                ) from error


def read_delimited(content: bytes, form: TextFormat, what: str, usual: str = ",") -> pandas.DataFrame:
    """Read the content of a text file.

    Parameters
    ----------
    content : bytes
    form : TextFormat
    what : str
        Name of the file, for messages.
    usual : str
        Separator if neither `form` nor the file names one.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        If it is empty, incomplete, not text or in another encoding, or has another separator.
    """
    content, separator = declared_separator(as_utf8(content, form, what), form.sep, usual)
    if not content.removeprefix(codecs.BOM_UTF8).strip():
        raise DataError(f"{what}: the file is empty")
    if content.count(b'"') % 2 and _quote_is_open(content, separator):
        raise DataError(f"{what}: a quotation mark is never closed; check whether the file is complete")
    marks = (*MISSING_MARKS, *form.na)
    sample = content[:SAMPLE].decode("utf-8", errors="replace")
    # If commas are both decimal points and separators, numbers have to be quoted: quotes do not mean text.
    text = text_columns(sample, separator, marks) if separator != form.decimal else []
    parse = _by_arrow if importlib.util.find_spec("pyarrow") else _by_pandas
    try:
        names, frame = parse(content, separator, form.decimal, marks, text)
    except (ValueError, NotImplementedError) as error:  # Arrow's and pandas's errors are ValueErrors too
        check_separator(sample, separator, what)
        if isinstance(error, _NotUtf8Error):
            reason = f"{error} is not UTF-8 text; save the file in UTF-8{_ENCODING_HINT}"
        else:
            reason = _ragged(content, separator) or f"{one_line(error)}; check whether it is complete"
        kind = "TSV" if separator == "\t" else "CSV"
        raise DataError(f"{what}: cannot be read as {kind}: {reason}") from error
    if len(names) == 1:
        check_separator(sample, separator, what)
    check_unique(names, what)
    return frame


class _NotUtf8Error(ValueError):
    """The header, a column or the file is not UTF-8; the message says which."""


def _by_arrow(
    content: bytes, separator: str, decimal: str, marks: tuple[str, ...], text: list[str]
) -> tuple[list[str], pandas.DataFrame]:
    """The names of the columns and the table, read by Arrow: on several threads, and much faster than by pandas."""
    import pyarrow as pa
    import pyarrow.csv as pc

    table = pc.read_csv(
        pa.BufferReader(content),
        parse_options=pc.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            null_values=list(marks),
            strings_can_be_null=True,
            decimal_point=decimal,
            column_types={name: pa.string() for name in text},
        ),
    )
    try:
        names = table.column_names
    except UnicodeDecodeError as error:
        raise _NotUtf8Error("its header") from error
    for number, kind in enumerate(table.schema.types):
        if pa.types.is_binary(kind):
            raise _NotUtf8Error(f"column {names[number]!r}")
        if pa.types.is_temporal(kind):
            # Dates stay the text that was in the file, which can be used as a factor only.
            table = table.set_column(number, names[number], table.column(number).cast(pa.string()))
    return names, table.to_pandas()


def _by_pandas(
    content: bytes, separator: str, decimal: str, marks: tuple[str, ...], text: list[str]
) -> tuple[list[str], pandas.DataFrame]:
    """The same by pandas, where Arrow is not installed."""
    import pandas as pd

    try:
        decoded = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _NotUtf8Error("the file") from error
    if _ragged(content, separator):  # pandas would fill short lines with missing values
        raise ValueError("its lines have different numbers of fields")
    names = next(row for row in csv.reader(io.StringIO(decoded, newline=""), delimiter=separator) if row)
    frame = pd.read_csv(
        io.StringIO(decoded, newline=""),
        sep=separator,
        decimal=decimal,
        header=0,
        names=range(len(names)),  # duplicate names are refused later
        index_col=False,
        dtype={number: str for number, name in enumerate(names) if name in text},
        na_values=list(marks),
        keep_default_na=False,
        low_memory=False,
    )
    return names, frame.set_axis(names, axis=1)


_ENCODING_HINT = (
    ", or name its encoding: --encoding latin-1 on the command line, pandas.read_csv(..., encoding='latin-1') in Python"
)


def as_utf8(content: bytes, form: TextFormat, what: str) -> bytes:
    """The content as UTF-8."""
    for start, description in _OTHER_FORMATS:
        if start.match(content):
            raise DataError(f"{what}: the file is {description}")
    marked = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    encoding = form.encoding or marked
    if encoding is not None:
        try:
            content = content.decode(encoding).encode()
        except ValueError as error:
            raise DataError(f"{what}: the file is not in {encoding}: {one_line(error)}") from error
    if b"\0" in content:
        wide = content[1:SAMPLE:2].count(0) > len(content[1:SAMPLE:2]) / 2
        remedy = (
            f"it may be UTF-16: save it in UTF-8{_ENCODING_HINT.replace('latin-1', 'utf-16')}"
            if wide
            else "it may be damaged"
        )
        raise DataError(f"{what}: the file contains NUL characters, which text never has; {remedy}")
    return content


def declared_separator(content: bytes, separator: str | None, usual: str) -> tuple[bytes, str]:
    """The table and its separator, which a first line such as ``sep=;`` may name, as Excel writes it."""
    first = re.match(rb"(?:\xef\xbb\xbf)?sep=([;,\t|])\r?\n", content)
    if first is None:
        return content, separator or usual
    return content[first.end() :], separator or first[1].decode()


def check_separator(sample: str, separator: str, what: str) -> None:
    """Raise a DataError if the first lines form a table with another separator."""
    lines = sample.splitlines()[:50]
    if len(sample) >= SAMPLE - 3:
        del lines[-1]
    for other in _SEPARATORS:
        rows = [row for row in _records("\n".join(lines), other) if row]
        if other != separator and len(rows) > 1 and {len(row) for row in rows} == {len(rows[0])} != {1}:
            form, options, arguments = (
                f"separated by {_NAMES.get(other, repr(other))}",
                f"--sep {_quoted(other)}",
                f"sep={other!r}",
            )
            if other != "," and any(_DECIMAL_COMMA.fullmatch(field) for row in rows[1:] for field in row):
                form += ", with decimal commas"
                options, arguments = f'{options} --decimal ","', f"{arguments}, decimal=','"
            raise DataError(
                f"{what}: its columns are {form}; on the command line add {options}; in Python pass "
                f"pandas.read_csv(..., {arguments})"
            )


def _quoted(separator: str) -> str:
    return "tab" if separator == "\t" else f'"{separator}"'


def _records(text: str, separator: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error:
        return []


def _ragged(content: bytes, separator: str) -> str:
    """A description of the first line that has more or fewer fields than the header; empty if there is none."""
    text = content.decode("utf-8", errors="replace").removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = next(row for row in reader if row)
        names = f"the header, {listing(map(repr, header), 4)},"
        for row in reader:
            if row and len(row) != len(header):
                fields = f"{len(row)} field{'s' if len(row) > 1 else ''}"
                line = f"line {reader.line_num} has {fields}, but {names} has {len(header)}"
                rest = [len(other) for other in reader if other]
                if not rest and len(row) < len(header):
                    return f"{line}; check whether the file is complete"
                if len(header) > 1 and rest and all(other == len(row) for other in rest):
                    return f"{line}, as in all other lines; name every column in the header"
                return f"{line}; correct that line, or remove lines that do not belong to the table"
    except (csv.Error, StopIteration):
        pass
    return ""


def _quote_is_open(content: bytes, separator: str) -> bool:
    try:
        for _ in csv.reader(io.StringIO(content.decode("utf-8", "replace")), delimiter=separator, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def text_columns(sample: str, separator: str, marks: tuple[str, ...]) -> list[str]:
    """Names of the columns that are quoted, if others are not."""
    rows: list[list[str]] = [[]]
    for match in re.finditer(_FIELD.format(separator=re.escape(separator)), sample):
        rows[-1].append(match[1])
        if match[2] != separator:
            rows.append([])
    if len(rows) < 2:
        return []
    header = next(csv.reader([separator.join(rows[0])], delimiter=separator), [])
    # The sample may end within a record, so the last one is left out unless it is the only one.
    records = [row for row in rows[1:] if len(row) == len(header)]
    quoted, bare = set(), set()
    for record in records[:-1] or records:
        for number, field in enumerate(record):
            if field.startswith('"'):
                quoted.add(number)
            elif field not in marks:
                bare.add(number)
    if not bare:
        return []
    return [header[number].lstrip("\ufeff") for number in sorted(quoted - bare)]
