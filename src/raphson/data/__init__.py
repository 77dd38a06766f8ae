"""From tables, files and arrays to a model's data: a response, a design matrix, and weights, offsets and groups.

:func:`from_formula` and :func:`from_arrays` return a :class:`ModelData`; its :class:`Schema` rebuilds
the design for new data. Nothing here depends on families or links.
"""

from __future__ import annotations

import raphson.data.arrow_files
import raphson.data.batches
import raphson.data.dask_frames
import raphson.data.text_files  # noqa: F401 - kinds of sources, in the order in which they are tried
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
