"""Streamed rows in two parts, by chance: those to train on, and those held out to validate with.

Which rows are held out follows from the seed and the number of the row's piece, so that every reading finds the same
ones, in any order and on any number of threads, and nothing is kept by row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from raphson.data.same_rows import Place

if TYPE_CHECKING:
    from raphson.data.streams import Streamed

S = TypeVar("S", bound="Streamed")


def number_held(share: float, n: int) -> int:
    """Number of rows that are held out of n of positive weight: one at least, if there are two, and never all.

    Examples
    --------
    >>> number_held(0.1, 200), number_held(0.1, 2), number_held(0.1, 1), number_held(0.0, 200)
    (20, 1, 0, 0)
    """
    return max(min(max(1, round(share * n)), n - 1), 0) if share else 0


def drawn(rng: np.random.Generator, n: int, weights: np.ndarray | None) -> np.ndarray:
    """The rows of positive weight among n in an order by chance, of which the first are held out."""
    order = rng.permutation(n)
    return order if weights is None else order[weights[order] > 0]  # a row of weight 0 validates nothing


@dataclass(frozen=True)
class RowSplit:
    """Which rows of each piece are held out.

    Attributes
    ----------
    share : of the rows of positive weight that are held out.
    entropy : of the generator that draws them, which is :class:`numpy.random.PCG64`'s state and increment.
    starts : number of the first usable row of each piece, by its place.
    held : whether the split stands for the rows held out, or for the others.
    """

    share: float
    entropy: tuple[int, int]
    starts: dict[Place, int]
    held: bool = False

    @staticmethod
    def of(share: float, rng: np.random.Generator, starts: dict[Place, int]) -> RowSplit:
        """A split that a generator draws, as it is now."""
        state = rng.bit_generator.state["state"]
        return RowSplit(share, (state["state"], state["inc"]), starts)

    @property
    def other(self) -> RowSplit:
        """The other part."""
        return replace(self, held=not self.held)

    def count(self, place: Place, positive: int) -> int:
        """Number of held-out rows among those of positive weight of a piece.

        Over pieces without rows of weight 0 the numbers add up to share · n, rounded once. The first piece gives one
        row at least, if it has two, and keeps one.
        """
        start = self.starts[place]
        if not start:
            return number_held(self.share, positive)
        return round(self.share * (start + positive)) - round(self.share * start)

    def chosen(self, place: Place, n_rows: int, weights: np.ndarray | None) -> np.ndarray:
        """(n,) mask of the rows of this part, among the usable rows of a piece with weights (n,) or None."""
        bits: Any = np.random.PCG64()
        state, increment = self.entropy
        bits.state = bits.state | {"state": {"state": state, "inc": increment}, "has_uint32": 0, "uinteger": 0}
        # Each piece has its own stretch of the generator's period; the first one's begins where the generator is.
        order = drawn(np.random.Generator(bits.jumped(self.starts[place])), n_rows, weights)
        mask = np.full(n_rows, not self.held)
        mask[order[: self.count(place, len(order))]] = self.held
        return mask

    def kept(
        self, first: Place, size: int, bad: np.ndarray | None, weights: np.ndarray | None, n_rows: int
    ) -> np.ndarray:
        """(n,) mask of the rows of this part among pieces that are read together.

        Parameters
        ----------
        first : place of the first of them.
        size : rows of a piece.
        bad : (n,) mask of the rows that cannot be used; None if all can.
        weights : (n,) or None.
        n_rows : n.
        """
        kept = np.ones(n_rows, dtype=bool) if bad is None else ~bad
        part, number = first
        for k in range(0, n_rows, size):
            here = k + np.flatnonzero(kept[k : k + size])
            if len(here):
                place = part, number + k // size
                kept[here] = self.chosen(place, len(here), None if weights is None else weights[here])
        return kept


def parted(data: S, share: float, rng: np.random.Generator) -> tuple[S, S | None]:
    """Streamed data without the rows that are held out, and these; None if there are none.

    The generator goes on as if it had drawn the order of the first piece's rows, which are those of data in memory
    where there is one piece.
    """
    split = RowSplit.of(share, rng, {(one.part, one.number): one.start for one in data.pieces})
    rng.permutation(data.pieces[0].rows)
    held = _part(data, split.other)
    return (_part(data, split), held) if held.pieces else (data, None)


def _part(data: S, split: RowSplit) -> S:
    """The rows of a split, and where they are."""
    pieces, start = [], 0
    for piece in data.pieces:
        count = split.count((piece.part, piece.number), piece.positive)
        rows = count if split.held else piece.rows - count
        if rows:
            positive = count if split.held else piece.positive - count
            pieces.append(replace(piece, rows=rows, start=start, positive=positive))
        start += rows
    return replace(data, split=split, pieces=tuple(pieces))
