"""What streamed data are supposed to be by the first rows of some of their parts, before a reading of all of them.

A pass that only finds out how the rows look decodes all of them once more than the sums that a fit consists of. Where
there are no weights and no missing values, and all levels occur early on, the first sum can find out the same: see
:mod:`raphson.data.first_reading`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from raphson.data.curve_streams import StreamedCurveData, curve_asked, curve_data
from raphson.data.design import make_plan
from raphson.data.first_reading import Contradicted, FirstReading, LaterTotals
from raphson.data.frames import FormulaArguments
from raphson.data.pieces import Rows, count, joined, taken, together, variables_of
from raphson.data.places import Piece
from raphson.data.same_rows import SameRows, sums
from raphson.data.sample_rows import sample_rows, spread_rows
from raphson.data.seen_states import calls
from raphson.data.several_streams import StreamedSeveral, asked_of, described
from raphson.data.sources import Source
from raphson.data.streams import SAMPLE_ROWS, FirstPass, StreamedData, StreamedPieces, check_named, computed, head_of
from raphson.data.values import Levels, Table
from raphson.errors import RaphsonError
from raphson.execute.watched import Keeping

PLACES, PAGE_ROWS, SHARE = 8, 2**17, 8
"""Number of parts, at least, whose first rows are read; rows of a page, of which Parquet decodes a whole one at a time
(1 MB of doubles); and the share of all rows that is decoded for that at most."""

ORDERED_PLACES, SORTED = 4, 0.5
"""Number of parts, at least, that are read as a whole where rows have an order: a few in a hundred of the time of a fit
of 10,000,000 rows, and less of more. And the share of the expected number of runs below which they have one."""

M = TypeVar("M")
T = TypeVar("T")


def supposed(formula: str, source: Source, arguments: dict[str, Any], keep: Keeping = computed) -> StreamedData | None:
    """The data of a formula, as far as the first rows tell; None where they do not tell enough.

    Parameters
    ----------
    formula, source, arguments, keep : as for :func:`raphson.data.from_stream`.

    Raises
    ------
    RaphsonError
        As :func:`raphson.data.from_stream`, which may raise another one for all rows.
    """
    check_named(arguments)
    if not _tells(source, arguments):
        return None
    asked = FormulaArguments.of(formula, source.names, arguments)
    like = _like_first_rows(asked, source, keep)
    if like is None:
        return None
    plan = make_plan(asked.formula, list(like.found["factors"][0]))
    head = head_of(asked, plan, like.found["levels"], 0, {})
    data = StreamedData(**like.found, plan=plan, head=head, sample=head, first=like.first)
    return replace(data, sample=data.data_of(like.rows))


def several_supposed(
    formulas: Mapping[str, str],
    source: Source,
    *,
    columns: Mapping[str, str],
    weights: Any = None,
    groups: Any = None,
    without_intercept: tuple[str, ...] = (),
    keep: Keeping = computed,
) -> StreamedSeveral | None:
    """The data of several formulas, as far as the first rows tell; None where they do not tell enough.

    Parameters
    ----------
    formulas, source, columns, weights, groups, without_intercept, keep : as for
        :func:`raphson.data.several_streams.from_streams`.
    """
    if columns or not _tells(source, {"weights": weights}):
        return None
    asked = asked_of(formulas, source, columns, weights, groups)
    like = _like_first_rows(asked, source, keep)
    if like is None:
        return None
    data = described(asked, like.found, without_intercept, columns, 0, like.first)
    return replace(data, sample=data.data_of(like.rows))


def curve_supposed(
    formula: str,
    source: Source,
    parameters: Mapping[str, str],
    *,
    weights: Any = None,
    sigma: Any = None,
    groups: Any = None,
    keep: Keeping = computed,
) -> StreamedCurveData | None:
    """The data of a curve, as far as the first rows tell; None where they do not tell enough.

    Parameters
    ----------
    formula, source, parameters, weights, sigma, groups, keep : as for
        :func:`raphson.data.curve_streams.from_curve_stream`.
    """
    asked = curve_asked(formula, source, parameters, weights, sigma, groups)
    if not _tells(source, {"weights": weights, "trials": sigma}):
        return None
    same = SameRows(tuple(asked.read))
    rows, n_rows = _first_rows(source, same, keep, SAMPLE_ROWS), source.n_rows
    if rows is None or n_rows is None:
        return None
    first = FirstReading(same, (), n_rows)
    pieces = _pieces(source.part_rows or (), source.piece_rows)
    data = curve_data(asked, source, pieces, same, LaterTotals(first), 0, first)
    sample = data.rows_of(rows)
    return None if sample.bad is not None else replace(data, sample=sample.data(0, count(rows)))


def _tells(source: Source, arguments: Mapping[str, Any]) -> bool:
    """Whether a source knows its number of rows, and each of them counts once."""
    weighted = any(arguments.get(what) is not None for what in ("weights", "trials"))
    return not weighted and source.part_rows is not None and source.files is not None


@dataclass(frozen=True)
class _Like:
    """What all rows are supposed to be like.

    Attributes
    ----------
    found : what :class:`raphson.data.streams.Streamed` consists of.
    rows : by which it was found.
    first : the reading that has to find the same.
    """

    found: dict[str, Any]
    rows: Rows
    first: FirstReading


def _first_rows(source: Source, same: SameRows, keep: Keeping, wanted: int) -> Rows | None:
    """About `wanted` rows of a source whose parts have known lengths; None where it has too few or does not give them.

    Then the first reading of all rows, which is to be noted in `same`, begins.
    """
    lengths = source.part_rows
    assert lengths is not None
    n_rows = sum(lengths)
    places = min(source.parts, n_rows // (SHARE * PAGE_ROWS))
    if places < PLACES or n_rows != source.n_rows:
        return None
    source.check_columns(same.columns)
    chosen = [(2 * k + 1) * source.parts // (2 * places) for k in range(places)]
    for part in range(source.parts):
        same.begin(part, source)
    rows: Rows = keep(("first rows",), lambda: _some_rows(source, same.columns, chosen, wanted))
    return None if 2 * count(rows) < wanted else rows


def _like_first_rows(asked: FormulaArguments, source: Source, keep: Keeping) -> _Like | None:
    lengths, n_rows = source.part_rows, source.n_rows
    assert lengths is not None
    if calls(asked.evaluated):
        return None  # the state of a transform is that of all rows
    same = SameRows(tuple(asked.columns))
    rows = _first_rows(source, same, keep, sample_rows(n_rows or 0, len(asked.columns), SAMPLE_ROWS))
    if rows is None or n_rows is None:
        return None
    passing = FirstPass(asked, source)
    seen = passing.begin()
    passing.take(seen, (0, 0), rows)
    if seen.dropped:
        return None
    seen.read = n_rows
    found = passing.finish(seen, "drop") | {"same": same, "pieces": _pieces(lengths, source.piece_rows)}
    variables = [*seen.factors, *([seen.response] if len(asked.formula.response) == 1 else [])]
    return _Like(found, rows, FirstReading(same, variables, n_rows))


def _some_rows(source: Source, columns: tuple[str, ...], chosen: Sequence[int], wanted: int) -> Rows:
    """About so many rows: the first ones of the chosen parts, or where rows have an order, some of all of fewer parts.

    The first rows of parts that are sorted within themselves are all of a kind. A sample of such rows began an
    iteration over 10,000,000 rows of which each million was sorted by a covariate that took four readings for two.
    """
    first = [source.first_rows(part, columns, -(-wanted // len(chosen))) for part in chosen]
    tables = [variables_of(one) for one in first]
    if not ordered(tables, columns) and not repeated(tables, columns):
        return joined(first)
    places = min(source.parts, max(ORDERED_PLACES, source.parts // SHARE))
    return joined(
        [
            _spread(source, (2 * k + 1) * source.parts // (2 * places), columns, -(-wanted // places))
            for k in range(places)
        ]
    )


def _spread(source: Source, part: int, columns: Sequence[str], wanted: int) -> Rows:
    """So many rows of a part, evenly spread, by reading all of it."""
    assert source.part_rows is not None
    step, start = max(1, source.part_rows[part] // wanted), 0
    found: list[Rows] = []
    for rows in source.read(part, columns, together(source.piece_rows, len(columns))):
        found.append(taken(rows, spread_rows(start, count(rows), step)))
        start += count(rows)
    return joined(found)


def repeated(parts: Sequence[Table], columns: Sequence[str]) -> bool:
    """Whether two parts have the same rows, as of data that are copies of fewer rows."""
    return len({tuple(sums(part, columns)) for part in parts}) < len(parts)


def ordered(parts: Sequence[Table], columns: Sequence[str]) -> bool:
    """Whether rows that follow each other are alike in some column, as they are in sorted data.

    By the runs above and below the mean (Wald and Wolfowitz 1940): of n₁ values above it and n₂ below there are
    1 + 2 n₁n₂/(n₁ + n₂) runs in a random order, give or take √(n₁ + n₂) at most. In sorted data there are two. A column
    that has one value in all of the rows may have others further on.

    Examples
    --------
    >>> import pandas as pd
    >>> x = np.random.default_rng(0).normal(size=1_000)
    >>> [ordered([Table(pd.DataFrame({"x": one}))], ["x"]) for one in (x, np.sort(x), np.ones(1_000))]
    [False, True, True]
    """
    for name in columns:
        runs, expected = 0.0, 0.0
        for part in parts:
            variable = part.column(name)
            values = variable.codes if isinstance(variable, Levels) else variable.values
            above = values > values.mean(axis=0)
            ones = np.count_nonzero(above, axis=0)
            runs += float(np.sum(1 + np.count_nonzero(above[1:] != above[:-1], axis=0)))
            expected += float(np.sum(1 + 2.0 * ones * (len(above) - ones) / len(above)))
        if runs < SORTED * expected or runs == len(parts):
            return True
    return False


D = TypeVar("D", bound=StreamedPieces)


def begun_as_supposed(data: D, suppose: Callable[[], D | None]) -> D:
    """Data after a first pass, with the sample that a supposition takes if the pass found what it supposes.

    Where workers sum there is a first pass, as what they find stays with them. With the same sample their iteration
    begins where that of one process does, and has its bits.
    """
    try:
        found: Any = suppose()
    except RaphsonError:
        return data
    head = getattr(data, "head", None)
    if found is None or head is None or head.n_dropped or data.n_rows != found.n_rows:
        return data
    alike = all(getattr(data, what, None) == getattr(found, what, None) for what in ("factors", "levels"))
    return replace(data, sample=found.sample) if alike else data  # type: ignore[call-arg]


def _pieces(lengths: Sequence[int], size: int) -> tuple[Piece, ...]:
    """The pieces of parts of these lengths, all of whose rows are usable."""
    pieces: list[Piece] = []
    start = 0
    for part, length in enumerate(lengths):
        for number, first in enumerate(range(0, length, size)):
            n_rows = min(size, length - first)
            pieces.append(Piece(part, number, n_rows, start, n_rows))
            start += n_rows
    return tuple(pieces)


def by_supposition(suppose: Callable[[], D | None], build: Callable[[D], M], fit: Callable[[M], T]) -> T | None:
    """The fit of a model of supposed data; None where there are none, or the first reading contradicts them.

    An error before the end of that reading, or a warning of the model, may be one of the supposition.
    """
    data = None
    try:
        data = suppose()
        if data is None:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = build(data)
        found = fit(model)
        return found if data.unread is None else None  # the few rows of a single block are not read as a sum
    except (Contradicted, RaphsonError, Warning):
        if data is not None and data.unread is None:
            raise
        return None
