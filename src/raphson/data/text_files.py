"""Text files (CSV, TSV, also compressed) in pieces: typed by their first rows, and then held to those types."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from raphson.data.arrow_files import Files
from raphson.data.delimited import (
    MISSING_MARKS,
    SAMPLE,
    TextFormat,
    as_utf8,
    check_separator,
    declared_separator,
    text_columns,
)
from raphson.data.messages import one_line
from raphson.data.sources import lacks
from raphson.errors import DataError

TYPED_BYTES = 2**23
"""Bytes at the beginning of the first file that tell the types of its columns: 8 MB, some 100,000 rows."""

BLOCK_BYTES = 2**22
"""Bytes that are parsed at a time. A row, with the lines inside its quotation marks, has to fit into them."""


class TextFiles(Files):
    """Delimited text files, whose names end in .csv or .tsv, and .gz, .bz2 or .zst where they are compressed."""

    name = "text"
    format = "text"

    def first_schema(self) -> Any:
        """The columns of the first file that has rows; whole numbers count as numbers, dates as text."""
        import pyarrow as pa

        for path in self.paths:
            with self._reading(path), _parsed(path, TYPED_BYTES, self._quoted(path)) as reader:
                rows = sum(batch.num_rows for batch in islice(reader, 1))
                schema = reader.schema
            if rows:
                break
        fields = [pa.field(field.name, self._held(path, field)) for field in schema]
        return pa.schema(fields)

    def _quoted(self, path: str) -> dict[str, Any]:
        import pyarrow as pa

        head = _head(path)
        return dict.fromkeys(text_columns(head.sample, head.separator, MISSING_MARKS), pa.string())

    @staticmethod
    def _held(path: str, field: Any) -> Any:
        import pyarrow as pa

        if pa.types.is_binary(field.type):
            raise DataError(f"{path}: column {field.name!r} is not UTF-8 text; save the file in UTF-8")
        if pa.types.is_temporal(field.type):
            return pa.string()  # as in memory: it can be used as a factor only
        number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_null(field.type)
        return pa.float64() if number else field.type

    def batches(self, path: str, columns: Sequence[str]) -> Iterator[Any]:
        types = {field.name: field.type for field in self._schema}
        with _parsed(path, BLOCK_BYTES, types, columns) as reader:
            for batch in reader:
                if batch.num_rows:
                    yield batch

    def unreadable(self, path: str, error: Exception) -> str:
        said = re.sub(r"In CSV column #(\d+)", lambda found: f"in {_column(path, int(found[1]))}", one_line(error))
        said = re.sub(r": Row #(\d+)", r", row \1 of the file", said)
        return (
            f"cannot be read ({said}); check whether it is complete, and whether each column has one type "
            "throughout, that of the first rows of the first file"
        )


class _Head:
    """What the first bytes of a text file say of all."""

    def __init__(self, path: str, content: bytes) -> None:
        usual = "\t" if ".tsv" in Path(path).name.lower() else ","
        self.encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf8"
        if self.encoding != "utf8":
            content = content[: len(content) // 2 * 2]
        content = as_utf8(content, TextFormat(), path)
        rest, self.separator = declared_separator(content, None, usual)
        self.skipped = int(len(rest) < len(content))
        self.sample = rest.decode("utf-8", errors="replace")
        if not self.sample.removeprefix("\ufeff").strip():
            raise DataError(f"{path}: the file is empty")
        if len(next(iter(self.sample.splitlines())).split(self.separator)) == 1:
            check_separator(self.sample, self.separator, path)


def _head(path: str) -> _Head:
    import pyarrow as pa

    with pa.input_stream(path, compression="detect") as file:
        return _Head(path, file.read(SAMPLE))


def _column(path: str, number: int) -> str:
    """What messages call the column of this number."""
    with suppress(Exception), _parsed(path, TYPED_BYTES, {}) as reader:
        return f"column {reader.schema.names[number]!r}"
    return f"column {number + 1}"


@contextmanager
def _parsed(path: str, block: int, types: dict[str, Any], columns: Sequence[str] | None = None) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.csv as pc

    head = _head(path)
    with pa.input_stream(path, compression="detect") as file:
        try:
            yield pc.open_csv(
                file,
                pc.ReadOptions(block_size=block, encoding=head.encoding, skip_rows=head.skipped, use_threads=False),
                pc.ParseOptions(delimiter=head.separator, newlines_in_values=True),
                pc.ConvertOptions(
                    null_values=list(MISSING_MARKS),
                    strings_can_be_null=True,
                    column_types=types,
                    include_columns=list(columns) if columns else None,
                ),
            )
        except KeyError as error:
            for name in columns or ():
                if re.search(rf"'{re.escape(name)}'", str(error)):
                    raise lacks(path, name) from error
            raise
