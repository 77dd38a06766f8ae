"""What has a value for each row, written to a file piece by piece, so that only one piece of them is in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np

from raphson.data.column_streams import FirstRows, labels_of_source
from raphson.data.pieces import Rows, together, variables_of, with_columns
from raphson.data.schema import FormulaSchema
from raphson.data.sources import Source, streamed
from raphson.errors import DataError, MissingDataWarning, RaphsonError, warn_user
from raphson.files import check_table, write_table, written_in_pieces
from raphson.fit.means import Prediction
from raphson.fit.reading import Reading
from raphson.fit.state import AtEstimate
from raphson.model.base import Model, RowTable

USED = "predict() without new data"


def write_predictions(
    reading: Reading, new: Any, asked: Prediction, offset: Any, missing: str, to: str | PathLike[str]
) -> None:
    """Write what :meth:`raphson.Fit.predict` gives to a file, its index left out.

    Raises
    ------
    DataError, ModelError
        As ``predict``; also if the file cannot be written. Then there is none.
    """
    check_table(to)
    source = None if new is None else streamed(new)
    if source is not None:
        pieces = predictions(reading, source, asked, offset, missing)
    elif new is None and is_streamed(reading):
        pieces = _of_used_rows(reading, asked, offset, missing)
    else:
        write_table(as_frame(reading.predict(new, asked, offset, missing)), to)
        return
    with written_in_pieces(to) as add:
        for piece in pieces:
            add(piece)


def predictions(reading: Reading, source: Source, asked: Prediction, offset: Any, missing: str) -> Iterator[Any]:
    """Predictions for new rows as data frames, in the order of the rows.

    Raises
    ------
    DataError
        As ``predict``, with the place of the rows; also if `offset` is an array.
    """
    columns, asked = prepared(reading, source, asked, offset)
    read = dropped = 0
    with said_once():
        for part in range(source.parts):
            for found, n_rows in part_predictions(reading, source, part, columns, asked, offset, missing, read):
                read, dropped = read + n_rows, dropped + n_rows - len(found)
                yield found
    tell_dropped(read, dropped, missing)


def prepared(reading: Reading, source: Source, asked: Prediction, offset: Any) -> tuple[list[str], Prediction]:
    """The columns that predictions read, and the request with what it needs to know of all rows."""
    if not (offset is None or isinstance(offset, (str, Real))):
        raise DataError(
            "offset: expected a column's name, an expression of columns or a number, as streamed rows are not kept in "
            f"memory; got {type(offset).__name__}. Write it into the files"
        )
    columns = _columns(reading, source, offset)
    source.check_columns(columns)
    return columns, _coded(reading, asked, source)


def part_predictions(
    reading: Reading,
    source: Source,
    part: int,
    columns: Sequence[str],
    asked: Prediction,
    offset: Any,
    missing: str,
    before: int,
) -> Iterator[tuple[Any, int]]:
    """Predictions for the rows of a part as frames, each with the number of rows read; `before` it are so many rows."""
    for rows in source.read(part, columns, together(source.piece_rows, len(columns))):
        frame = variables_of(rows).frame
        try:
            found = _predicted(reading, frame, asked, offset, missing)
        except RaphsonError as error:
            where = f"{source.place(part)}, among the rows {before + 1} to {before + len(frame)}"
            raise type(error)(f"{where}: {error}") from error
        before += len(frame)
        yield found, len(frame)


def tell_dropped(read: int, dropped: int, missing: str) -> None:
    """Refuse data of which no row can be used, and warn of rows that were dropped."""
    if read == dropped:
        raise DataError(f"data: none of {read} rows can be used; correct the columns that the fit reads")
    if missing == "drop" and dropped:
        warn_user(f"{dropped} of {read} rows dropped for missing or infinite values", MissingDataWarning)


def write_augmented(reading: Reading, shown: Callable[[Reading], Any], to: str | PathLike[str]) -> None:
    """Write what :meth:`raphson.Fit.augment` gives to a file, its index left out; `shown` makes a Fit of a reading.

    Raises
    ------
    DataError, ModelError
        As ``augment``; also if the file cannot be written. Then there is none.
    """
    import pandas as pd

    from raphson.report.tables import augment

    check_table(to)
    if not is_streamed(reading):
        write_table(augment(shown(reading), reading.frame), to)
        return
    saved = {} if reading.family.levels is not None else {"dispersion": reading.dispersion}
    with written_in_pieces(to) as add:
        for rows, piece in pieces_of(reading, "augment", saved):
            empty = pd.DataFrame(index=pd.RangeIndex(len(piece.row_labels)))
            add(with_columns(rows, augment(shown(piece), empty)))


def is_streamed(reading: Reading) -> bool:
    """Whether the rows of the fit are streamed."""
    return reading.state.at is not None and not reading.state.at.asked.by_rows


def pieces_of(
    reading: Reading, what: str, saved: dict[str, Any], part: int | None = None
) -> Iterator[tuple[Rows, Reading]]:
    """The used rows of a streamed fit, with all columns, and the reading of each piece as if it were all data.

    Its estimates, and what is in `saved`, are those of the whole fit. Of one `part` of the source, or of all.
    """
    at: Any = reading.at(what)
    for rows, data in at.asked.streamed.beside(part):
        piece = AtPiece(at.asked.of_piece(data), replace(at.estimate, model=at.estimate.model.of_piece(data)), at)
        given: dict[str, Any] = {"at": piece, "groups": None, "saved": saved, "source": rows}
        yield rows, replace(reading, state=replace(reading.state, **given, schema=piece.asked.data.schema))


@dataclass(frozen=True, eq=False)
class AtPiece(AtEstimate):
    """Some rows at the estimate of all.

    Attributes
    ----------
    whole : all rows.
    """

    whole: AtEstimate

    @property
    def uncertainty(self) -> Any:  # type: ignore[override]
        return self.whole.uncertainty

    @cached_property
    def fitted(self) -> Model:
        return self.estimate.model.with_nuisance_fixed(self.estimate.result.theta)

    @cached_property
    def rows(self) -> RowTable:
        return self.fitted.rows(self.theta)


def _of_used_rows(reading: Reading, asked: Prediction, offset: Any, missing: str) -> Iterator[Any]:
    asked, saved = prepared_used(reading, asked)
    with said_once():
        yield from used_predictions(reading, asked, offset, missing, saved)


def prepared_used(reading: Reading, asked: Prediction) -> tuple[Prediction, dict[str, Any]]:
    """The request for the rows of a streamed fit with what it needs to know of all, and what all pieces share."""
    streamed = reading.at(USED).asked.streamed  # type: ignore[attr-defined]
    asked = _coded(reading, asked, streamed.source)
    names = ("covariance_root", "dispersion", "reference_df") if asked.uncertain else ()
    return asked, {name: getattr(reading, name) for name in names}


def used_predictions(
    reading: Reading, asked: Prediction, offset: Any, missing: str, saved: dict[str, Any], part: int | None = None
) -> Iterator[Any]:
    """Predictions for the rows of a streamed fit, those of a part or all."""
    for _, piece in pieces_of(reading, USED, saved, part):
        yield as_frame(piece.predict(None, asked, offset, missing))


def _coded(reading: Reading, asked: Prediction, source: Source) -> Prediction:
    """The request with the labels of text that the fit did not read: those of its data, or where these have none, those
    of all new rows, as a piece may lack some."""
    names = reading.uncoded(asked, FirstRows(source))
    if not names:
        return asked
    labels = reading.fitted_labels(names)
    others = [name for name in names if name not in labels]
    return replace(asked, labels=labels | labels_of_source(source, others))


def _columns(reading: Reading, source: Source, offset: Any) -> list[str]:
    """The columns that predictions read, or one for their number."""
    schema = reading.state.schema
    if not isinstance(schema, FormulaSchema) or isinstance(offset, str):
        return list(source.names)
    needed = {*schema.columns, *schema.offset_columns}
    return [name for name in source.names if name in needed] or [source.names[0]]


def _predicted(reading: Reading, frame: Any, asked: Prediction, offset: Any, missing: str) -> Any:
    """The predictions of a piece; those of a piece without usable rows have none."""
    try:
        return as_frame(reading.predict(frame, asked, offset, missing))
    except DataError:
        if missing != "drop":
            raise
        found = as_frame(reading.predict(frame, asked, offset, "nan"))
        if not np.isnan(found.to_numpy()).all():
            raise
        return found.iloc[:0]


def as_frame(found: Any) -> Any:
    """Predictions as a frame."""
    return found.to_frame("fit") if found.ndim == 1 else found


@contextmanager
def said_once() -> Iterator[None]:
    """Warn once of what several pieces warn of; of dropped rows not at all, as they are counted."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    warn_once([(one.category, str(one.message)) for one in caught])


def warn_once(said: Sequence[tuple[type[Warning], str]]) -> None:
    """Warn of the first of each category."""
    for category, text in {category: text for category, text in reversed(said)}.items():
        if category is not MissingDataWarning:
            warn_user(f"{text} (of some rows; more may follow)", category)
