"""From tables, files and arrays to a model's data: a response, a design matrix, and weights, offsets and groups.

:func:`from_formula` and :func:`from_arrays` return a :class:`ModelData`; its :class:`Schema` rebuilds
the design for new data. Nothing here depends on families or links.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raphson.data.sources import SOURCES
from raphson.lazy import Lazy, on_request

if TYPE_CHECKING:
    import raphson.data.arrow_files as _arrow_files
    import raphson.data.batches as _batches
    import raphson.data.dask_frames as _dask_frames
    import raphson.data.parquet as _parquet
    import raphson.data.text_files as _text_files
    from raphson.data.arrays import from_arrays
    from raphson.data.delimited import TextFormat
    from raphson.data.frames import from_formula
    from raphson.data.model_data import ModelData, NewData, Response
    from raphson.data.parquet import Stream
    from raphson.data.readers import read_table
    from raphson.data.schema import Schema
    from raphson.data.sources import stream, streamed
    from raphson.data.streams import StreamedData, from_stream

__all__ = [
    "ModelData",
    "NewData",
    "Response",
    "Schema",
    "Stream",
    "StreamedData",
    "TextFormat",
    "from_arrays",
    "from_formula",
    "from_stream",
    "read_table",
    "stream",
    "streamed",
]

_WHERE = {
    "ModelData": ("raphson.data.model_data", "ModelData"),
    "NewData": ("raphson.data.model_data", "NewData"),
    "Response": ("raphson.data.model_data", "Response"),
    "Schema": ("raphson.data.schema", "Schema"),
    "Stream": ("raphson.data.parquet", "Stream"),
    "StreamedData": ("raphson.data.streams", "StreamedData"),
    "TextFormat": ("raphson.data.delimited", "TextFormat"),
    "from_arrays": ("raphson.data.arrays", "from_arrays"),
    "from_formula": ("raphson.data.frames", "from_formula"),
    "from_stream": ("raphson.data.streams", "from_stream"),
    "read_table": ("raphson.data.readers", "read_table"),
    "stream": ("raphson.data.sources", "stream"),
    "streamed": ("raphson.data.sources", "streamed"),
}

if not TYPE_CHECKING:  # otherwise a type checker would accept any name
    _arrow_files, _batches = Lazy("raphson.data.arrow_files"), Lazy("raphson.data.batches")
    _dask_frames, _parquet = Lazy("raphson.data.dask_frames"), Lazy("raphson.data.parquet")
    _text_files = Lazy("raphson.data.text_files")
    __getattr__ = on_request(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)


# The kinds of sources; those behind are tried first.
SOURCES.add_later("pyarrow dataset", lambda: _arrow_files.Dataset)
SOURCES.add_later("arrow", lambda: _arrow_files.ArrowFiles)
SOURCES.add_later("batches", lambda: _batches.Batches)
SOURCES.add_later("dask", lambda: _dask_frames.DaskFrame)
SOURCES.add_later("text", lambda: _text_files.TextFiles)
SOURCES.add_later("parquet", lambda: _parquet.Stream)
