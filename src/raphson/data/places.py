"""Where the usable rows of streamed data are, and what they contain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from raphson.data.blocks import BLOCK_ROWS
from raphson.data.extras import Column, counted, take
from raphson.data.values import Variable


@dataclass(frozen=True)
class Piece:
    """The location of some rows: the `number`-th piece of a part.

    Attributes
    ----------
    part, number : location.
    rows : number of usable rows.
    start : number of its first row among the usable rows of all pieces.
    positive : number of usable rows with a positive weight.
    """

    part: int
    number: int
    rows: int
    start: int
    positive: int


def usable_pieces(
    part: int,
    number: int,
    n_rows: int,
    kept: np.ndarray | None,
    size: int,
    start: int,
    weights: np.ndarray | None = None,
) -> Iterator[Piece]:
    """The pieces of `size` rows that have usable ones, of rows that are read together from the `number`-th piece on.

    `kept` are the usable ones among the `n_rows`, None for all; `start` is the number of the first among all rows.
    `weights` are those of the usable rows, or None.
    """
    usable = np.arange(n_rows) if kept is None else kept
    ends = np.searchsorted(usable, np.arange(0, n_rows + size, size))
    for k, (first, end) in enumerate(pairwise(ends.tolist())):
        n = end - first
        if n:
            positive, _ = counted(None if weights is None else weights[first:end], n)
            yield Piece(part, number + k, n, start, positive)
        start += n


@dataclass(frozen=True)
class Selection:
    """The usable rows among some that follow one another.

    Attributes
    ----------
    cut : where those are.
    kept : (rows,) numbers of the usable ones among them; None if all are.
    n_rows : how many are usable.
    """

    cut: slice
    kept: np.ndarray | None
    n_rows: int

    @staticmethod
    def of(bad: np.ndarray | None, start: int, stop: int) -> Selection:
        """Those that are not marked in `bad`, from `start` up to `stop`."""
        cut = slice(start, stop)
        kept = None if bad is None else np.flatnonzero(~bad[cut])
        return Selection(cut, kept, stop - start if kept is None else len(kept))

    def __call__(self, values: np.ndarray | None) -> Any:
        """The usable ones of an array; of None it is None."""
        return None if values is None else take(values[self.cut], self.kept)


@dataclass(frozen=True)
class UsableRows:
    """What the data of some rows are made of.

    Attributes
    ----------
    variables : of each right side, of all these rows.
    kept : the usable ones; None if all are.
    n_rows : their number.
    response, offsets, weights, trials, columns, groups : of the usable rows.
    """

    variables: list[list[Variable]]
    kept: np.ndarray | None
    n_rows: int
    response: np.ndarray
    offsets: list[np.ndarray | None]
    weights: np.ndarray | None
    trials: np.ndarray | None
    columns: dict[str, Column]
    groups: np.ndarray | None

    @property
    def by_columns(self) -> bool:
        """Whether a design is better stored column after column."""
        return self.n_rows <= BLOCK_ROWS[-1]
