"""Predictions as a folder of files, one for each part of the data, written by the workers that read the parts, if any.

Each file is written whole, in a folder that gets its name at the end, so that the set is complete or absent. A worker
that dies in the middle leaves nothing: another one writes the same file.
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

from raphson.data.first_pass import Parts
from raphson.data.sources import Source, streamed
from raphson.errors import DataError, Needs
from raphson.execute import serial
from raphson.files import PARTS, names_folder, write_table, written_in_pieces, written_set
from raphson.fit.by_pieces import (
    USED,
    as_frame,
    is_streamed,
    part_predictions,
    prepared,
    prepared_used,
    tell_dropped,
    used_predictions,
    warn_once,
    write_predictions,
)
from raphson.fit.means import Prediction
from raphson.fit.reading import Reading

_one_at_a_time = Lock()
"""Warnings are caught for the whole process, so that threads of one worker take turns."""


@dataclass(frozen=True)
class Written:
    """What became of a part.

    Attributes
    ----------
    read, dropped : numbers of rows.
    said : warnings, each a category and its text.
    """

    read: int
    dropped: int
    said: list[tuple[type[Warning], str]]


@dataclass(frozen=True)
class PartWriter:
    """What writes the predictions of a part, here or in a worker.

    Attributes
    ----------
    reading, asked, offset, missing : as of :func:`raphson.fit.by_pieces.predictions`.
    source, columns : the new data and what is read of them; None for the rows of the fit.
    saved : what the rows of the fit share.
    before : number of rows before each part, where it is known.
    folder : where the files go.
    """

    reading: Reading
    asked: Prediction
    offset: Any
    missing: str
    source: Source | None
    columns: list[str]
    saved: dict[str, Any]
    before: list[int] | None
    folder: Path

    def __call__(self, part: int) -> Written:
        if not self.folder.is_dir():
            raise DataError(
                f"to: a worker on {platform.node()} finds no folder {self.folder.parent.parent}; name one that all "
                "workers see under the same path"
            )
        with _one_at_a_time, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read = dropped = 0
            pieces = self._pieces(part)
            first = list(islice(pieces, 1))
            if first:  # a part without rows has no file
                with written_in_pieces(self.folder / PARTS.format(part)) as add:
                    for found, n_rows in chain(first, pieces):
                        add(found)
                        read, dropped = read + n_rows, dropped + n_rows - len(found)
        return Written(read, dropped, [(one.category, str(one.message)) for one in caught])

    def _pieces(self, part: int) -> Iterator[tuple[Any, int]]:
        if self.source is None:
            found = used_predictions(self.reading, self.asked, self.offset, self.missing, self.saved, part)
            return ((one, len(one)) for one in found)
        before = 0 if self.before is None else self.before[part]
        return part_predictions(
            self.reading, self.source, part, self.columns, self.asked, self.offset, self.missing, before
        )


def write_anywhere(
    reading: Reading, new: Any, asked: Prediction, offset: Any, missing: str, to: str | PathLike[str]
) -> None:
    """Write predictions into a file, or into a folder of Parquet files."""
    write = write_parts if names_folder(to) else write_predictions
    write(reading, new, asked, offset, missing, to)


def write_parts(
    reading: Reading,
    new: Any,
    asked: Prediction,
    offset: Any,
    missing: str,
    to: str | PathLike[str],
) -> None:
    """Write predictions into a folder of Parquet files; see :func:`raphson.fit.by_pieces.write_predictions`."""
    source = None if new is None else streamed(new)
    with Needs("parquet", "to: a folder of Parquet files"):
        import pyarrow.parquet  # noqa: F401
    given: list[str] = []
    saved: dict[str, Any] = {}
    with written_set(to) as folder:
        if source is not None:
            parts = source
            given, asked = prepared(reading, source, asked, offset)
        elif new is None and is_streamed(reading):
            at: Any = reading.at(USED)
            parts = at.asked.streamed.source
            asked, saved = prepared_used(reading, asked)
        else:
            write_table(as_frame(reading.predict(new, asked, offset, missing)), folder / PARTS.format(0))
            return
        rows = parts.part_rows
        before = None if rows is None else [0, *accumulate(rows)][:-1]
        write = PartWriter(reading, asked, offset, missing, source, given, saved, before, folder)
        done: list[Written] = _workers(reading, parts).map(write, Parts(parts))
        warn_once([one for part in done for one in part.said])
        tell_dropped(sum(one.read for one in done), sum(one.dropped for one in done), missing)
        _completed(folder, done)


def _workers(reading: Reading, source: Source) -> Any:
    """The executor of the fit, or of the cluster that has the data, if it has workers; else this thread."""
    at: Any = reading.state.at
    own: Any = None if at is None else at.asked.executor
    while hasattr(own, "inner"):
        own = own.inner
    if hasattr(own, "sum"):
        return own
    if source.client is None:
        return serial()
    from raphson.execute.engines import as_executor

    return as_executor(source.client)


def _completed(folder: Path, done: list[Written]) -> None:
    """Raise a DataError if files of workers are not in this process's folder, and delete those that are unfinished."""
    lacking = [part for part, one in enumerate(done) if one.read and not (folder / PARTS.format(part)).exists()]
    if lacking:
        raise DataError(
            f"to: {len(lacking)} of {len(done)} files that workers have written are not in {folder.parent.parent}; "
            "name a folder that all workers share"
        )
    for draft in folder.glob(".*"):  # of workers that died
        draft.unlink()
