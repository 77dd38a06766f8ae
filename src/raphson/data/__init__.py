"""From tables, files and arrays to one model's data: a response, a design, and what goes with the rows.

:func:`from_formula` and :func:`from_arrays` give a :class:`ModelData`; its :class:`Schema` rebuilds
the design for new data. Nothing here knows families or links.
"""

from __future__ import annotations

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
