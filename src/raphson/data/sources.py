"""Streamed sources: data that are read in pieces and not kept in memory, and the registry of their kinds."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from raphson.data.blocks import BLOCK_ROWS
from raphson.data.file_lists import files_of
from raphson.data.messages import check_unique
from raphson.data.pieces import Rows, pieces, variables_of
from raphson.errors import DataError, ModelError, takes
from raphson.registry import Registry

if TYPE_CHECKING:
    import pandas

STREAM_BYTES = 2**28
"""Data that take more bytes than this in memory (256 MB) are streamed, even if they could be read at once."""


class Source:
    """Base class of tables that are read in pieces, again for each pass over them.

    An object that is sent to other processes has to be picklable.

    Attributes
    ----------
    name : name of this kind of source.
    names : names of the columns.
    n_rows : total number of rows; None if only a reading tells.
    piece_rows : number of rows of a piece.
    """

    name: ClassVar[str]
    whole_if_small: ClassVar[bool] = False
    """Whether small data of this kind are read at once by :func:`raphson.data.read_table`."""
    names: tuple[str, ...]
    n_rows: int | None = None
    held: Callable[[int], Any] | None = None
    """What gives the name and the future of a part, where a cluster has the parts in memory."""
    client: Any = None
    """The client of that cluster."""
    piece_rows: int = BLOCK_ROWS[-1]

    @classmethod
    def of(cls, given: Any) -> Self | None:
        """The source for a value of ``data=``; None if the value is not of this kind."""
        raise NotImplementedError

    def rows(self, part: int, columns: Sequence[str]) -> Iterator[Any]:
        """The rows of a part, in order, as data frames or dicts of columns with any number of rows."""
        raise NotImplementedError

    def first_rows(self, part: int, columns: Sequence[str], rows: int) -> Rows:
        """So many of the first rows of a part, or fewer, read for less than all of it; of a source with `part_rows`."""
        raise NotImplementedError

    @property
    def parts(self) -> int:
        """Number of parts, each of which can be read separately."""
        return 1

    @property
    def part_rows(self) -> Sequence[int] | None:
        """Number of rows of each part; None if only a reading tells."""
        return None

    def for_workers(self) -> Self:
        """Itself: what other processes read the parts by."""
        return self

    @property
    def nbytes(self) -> float:
        """Size in memory: eight bytes for each number and for a column of ones; without end if not known."""
        return math.inf if self.n_rows is None else 8 * self.n_rows * (len(self.names) + 1)

    @property
    def files(self) -> list[tuple[str, int, int]] | None:
        """Name, size and time of each file, in order; None where only a reading tells these data from others."""
        return None

    def stamp(self, part: int) -> Any:
        """Size and time of the files of a part, which change when its rows do; None where only a reading tells."""
        return None

    @property
    def identity(self) -> Any:
        """What tells these data from others, as JSON would give it back, without reading them."""
        files = None if self.files is None else [_file(*one) for one in self.files]
        return {"columns": list(self.names), "rows": self.n_rows, "piece": self.piece_rows, "files": files}

    def declared(self, column: str) -> bool:
        """Whether a column has declared categories, whose order is kept."""
        return False

    def place(self, part: int) -> str:
        """What messages call a part."""
        return "data" if self.parts == 1 else f"part {part + 1} of the data"

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raise a DataError if it is known without a reading that some of the data lack one of these columns."""

    def read(self, part: int, columns: Sequence[str], rows: int | None = None) -> Iterator[Rows]:
        """One part in pieces of `rows` rows, `piece_rows` by default; the last one may be shorter."""
        return pieces(self.rows(part, columns), rows or self.piece_rows)

    def whole(self) -> pandas.DataFrame:
        """All rows as one frame."""
        import pandas as pd

        read = [variables_of(piece).frame for part in range(self.parts) for piece in self.read(part, self.names)]
        return pd.concat(read, ignore_index=True)


def _file(name: str, size: int, changed: int | None) -> dict[str, Any]:
    """What tells a file from others: its name, size, and time of the last change to the nanosecond.

    The time is in UTC, as a fit may go on in a process with another time zone.
    """
    seconds, rest = divmod(changed or 0, 10**9)
    time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest:09d} UTC"
    return {"name": name, "size in bytes": size, "time of change": None if changed is None else time}


def lacks(place: object, name: str) -> DataError:
    """The error for a column that a file or a batch lacks, though others have it."""
    return DataError(
        f"{place}: lacks the column {name!r}, which others have; add it, with missing values if they are not known, or "
        "leave that part of the data out"
    )


def check_source(kind: Any) -> None:
    """Raise a ModelError if a class lacks what a source needs.

    Raises
    ------
    ModelError
    """
    if not (isinstance(kind, type) and issubclass(kind, Source)):
        raise ModelError(f"sources.register: expected a subclass of raphson.data.sources.Source; got {kind!r}")
    lacking = [what for what in ("of", "rows") if getattr(kind, what).__qualname__ == f"Source.{what}"]
    if lacking:
        raise ModelError(f"sources.register: {kind.__name__} lacks {' and '.join(lacking)}; see docs/add-your-own.md")
    if not takes(kind.of, 1):
        raise ModelError(
            f"sources.register: {kind.__name__}.of is to be a classmethod of(given); see docs/add-your-own.md"
        )
    if not takes(kind.rows, 3):
        raise ModelError(f"sources.register: {kind.__name__}.rows is to be a method rows(part, columns)")


SOURCES: Registry[type[Source]] = Registry("source", "source", "sources", "raphson.data.sources.register", check_source)
"""Kinds of sources by name."""


def register(kind: type[Source]) -> type[Source]:
    """Register a kind of source, so that ``data=`` accepts what it recognises; a class decorator.

    Parameters
    ----------
    kind : subclass of Source
        With a ``name``. It is tried before the kinds registered earlier.

    Returns
    -------
    type
        The class.

    Raises
    ------
    ModelError
        If it has no ``of`` or ``rows``, or its name is taken.

    Examples
    --------
    >>> from raphson.data import sources
    >>> sources.register(sources.Source)
    Traceback (most recent call last):
    raphson.errors.ModelError: sources.register: Source lacks of and rows; see docs/add-your-own.md
    """
    return SOURCES.register(getattr(kind, "name", None), kind)


def source_of(given: Any, whole_if_small: bool = True) -> Source | None:
    """The source for a value of ``data=``; None if no kind recognises it.

    Kinds whose small data are read at once are tried only with `whole_if_small`.

    Raises
    ------
    DataError
        If it has no columns or rows.
    """
    if isinstance(given, Source):
        return given
    return _recognised(given, list(SOURCES), whole_if_small)


def _recognised(given: Any, names: Sequence[str], whole_if_small: bool = True) -> Source | None:
    """The source of the last of the kinds of these names that recognises the value."""
    for name in reversed(names):
        if SOURCES.is_builtin(name) and _is_table(given):
            continue  # so that their modules need not be imported
        kind = SOURCES[name]
        found = kind.of(given) if whole_if_small or not kind.whole_if_small else None
        if found is not None:
            check_unique(found.names, "data")
            if not found.names or found.n_rows == 0:
                raise DataError(
                    f"data: expected rows and columns in the {kind.name} source; got {found.n_rows} rows and the "
                    f"columns {list(found.names)}"
                )
            return found
    return None


def _is_table(given: Any) -> bool:
    """Whether it is a dict of columns or a pandas frame, which no kind that comes with Raphson recognises."""
    kind = type(given)
    return kind is dict or (kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas")


def stream(source: Any, piece_rows: int = BLOCK_ROWS[-1]) -> Source:
    """Stream data: read them in pieces, even if they are small.

    Streamed rows are not kept in memory, but read again for each pass of the iteration. So the fit has everything
    except quantities by row (residuals, leverage, ...). Files are streamed without being asked if they would take more
    than 256 MB in memory: Parquet at 8 bytes for each row of each column, text and Arrow files by their size. So are
    readers of one's own, always. :func:`raphson.read` reads them into memory instead.

    Parameters
    ----------
    source : path, glob pattern, list of them, folder, pyarrow.dataset.Dataset, function or iterable
        Files of one format: Parquet (``.parquet``, ``.pq``), Arrow (``.arrow``, ``.feather``, ``.ipc``) or text
        (``.csv``, ``.tsv``, and these with ``.gz``, ``.bz2`` or ``.zst``). Folders named like ``year=2024`` give a
        column. A function without arguments, or an object with ``__iter__``, gives record batches, frames or dicts of
        columns, the same at each reading. Or anything recognised by a source registered with
        ``raphson.data.sources.register``.
    piece_rows : int
        Number of rows read at a time: 256, 1024, 4096 or 16384.

    Returns
    -------
    Source
        Pass it to :func:`raphson.glm` in place of a data frame.

    Raises
    ------
    DataError
        If it is anything else, or has no rows.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> import raphson as rp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rp.datasets.load("births").to_parquet(f"{folder}/births.parquet")
    ...     fit = rp.glm("low ~ lwt + smoke", rp.stream(f"{folder}/births.parquet"), family="binomial")
    ...     fit.params.round(3).to_dict()
    {'Intercept': 0.622, 'lwt': -0.013, 'smoke': 0.677}
    """
    if piece_rows not in BLOCK_ROWS:
        raise DataError(f"piece_rows: expected one of {', '.join(map(str, BLOCK_ROWS))}; got {piece_rows!r}")
    found = source_of(source)
    if found is None:
        if isinstance(source, (str, os.PathLike)) and not Path(source).exists():
            raise DataError(f"{source}: there is no such file or folder; check the path")
        got = f"{os.fspath(source)!r}" if isinstance(source, (str, os.PathLike)) else type(source).__name__
        theirs = "".join(f", or a source of the kind {name}" for name in SOURCES if not SOURCES.is_builtin(name))
        raise DataError(
            "source: expected the path of a Parquet, Arrow or text file, a pattern, a list of paths, a folder, a "
            f"pyarrow dataset, or a function or an iterable that gives tables{theirs}; got {got}"
        )
    found.piece_rows = piece_rows
    return found


def streamed(given: Any) -> Source | None:
    """The source that streams the data; None if they are read at once.

    Files are read at once if they take no more than :data:`STREAM_BYTES`: Parquet in memory, text and Arrow as files.
    """
    theirs = [name for name in SOURCES if not SOURCES.is_builtin(name)]
    found = None if isinstance(given, Source) else _recognised(given, theirs)
    if found is None and isinstance(given, (str, os.PathLike, list, tuple)):
        files = files_of(given)
        try:
            if files is not None and files.format in ("text", "Arrow") and files.n_bytes <= STREAM_BYTES:
                return None
        except OSError:
            return None  # what reads them says why
    found = source_of(given) if found is None else found
    small = found is not None and found is not given and found.whole_if_small and found.nbytes <= STREAM_BYTES
    return None if small else found
