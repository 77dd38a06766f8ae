"""Equal-sized blocks of rows, over which all sums are computed.

Derivatives are compiled for the number of rows of a block, so there are only four sizes, and a fifth for designs of
factors. The last block is padded with copies of one of its own rows at weight 0. A copy is always inside the support,
where a row of zeros may not be (the Gamma density at y = 0 is not finite, and 0 times NaN is NaN).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from raphson.data.factor_design import FactorDesign
from raphson.data.pieced_design import PiecedDesign
from raphson.frozen import frozen

BLOCK_ROWS = (256, 1_024, 4_096, 16_384)
"""The numbers of rows that derivatives are compiled for. Each is four times the last, so that at most three quarters of
a block are padding, and four codes serve all."""

SAMPLE_ROWS = 50_000
"""Approximate number of rows of the sample of streamed rows, evenly spaced over the data. A mean of them has a standard
error of 1/√50,000 = 0.4% of a standard deviation."""

FACTOR_ROWS, FACTOR_BLOCKS, FACTOR_COLUMNS = 65_536, 4, 512
"""Rows of a block of a design of factors, where that leaves more than so many blocks and there are no more columns.

A product of such a design adds up tables, and these take as long for few rows as for many: XᵀWX of 228 columns takes 73
ns a row in blocks of 16,384 rows, 48 in these. Of more columns a block would be large where it is written out.
"""


@frozen(eq=False)
class Block:
    """Some rows of the data.

    Attributes
    ----------
    designs : the distinct design matrices, each (rows, p_d), dense, of factors or tabmat; not padded.
    y : (size,) response, padded.
    weight : (size,) weights, 0 in the padding.
    offset : (K, rows) offsets of the linear predictors, or None; not padded.
    rows : number of rows without the padding.
    start : number of the first row in the whole data.
    fill : the row whose values fill the padding.
    extra : other columns that a likelihood reads, each (size, ...), padded.
    unit : whether every row is known to have the weight 1.
    """

    designs: tuple[Any, ...]
    y: np.ndarray
    weight: np.ndarray
    offset: np.ndarray | None
    rows: int
    start: int
    fill: int
    extra: tuple[np.ndarray, ...] = ()
    unit: bool = False

    def for_workers(self) -> Block:
        """A block in which arrays that are parts of larger ones keep their order, on which the last bits depend."""
        return replace(self, designs=tuple(X.copy("K") if type(X) is np.ndarray else X for X in self.designs))


class StreamedBlocks(Sequence[Block]):
    """Blocks that are read again whenever they are needed, and not kept in memory.

    Parameters
    ----------
    n_rows : total number of rows.
    count : number of blocks.
    read : returns the blocks of given numbers, in order.
    shuffled : yields all blocks in an order as random as the source allows, in groups from several places.
    starts : numbers of the blocks before which a reading may begin without decoding others; None for all.
    held : gives the name and the future of the part that a block is in, where a cluster has the parts in memory.
    first : what the first reading of all of them is to find out beside its sum; None where nothing is.
    """

    def __init__(
        self,
        n_rows: int,
        count: int,
        read: Callable[[range], Iterator[Block]],
        shuffled: Callable[[np.random.Generator], Iterator[list[Block]]],
        starts: Sequence[int] | None = None,
        held: Callable[[int], Any] | None = None,
        first: Any = None,
    ) -> None:
        self.n_rows = n_rows
        self.held = held
        self.first = first
        self.shuffled = shuffled
        self._numbers = range(count)
        self._read = read
        self._starts = starts

    @property
    def runs(self) -> list[int] | None:
        """Where in these blocks each run begins that is best read by itself; None where any run is as good."""
        if self._starts is None:
            return None
        first = self._numbers.start
        return [0, *(start - first for start in self._starts if first < start < self._numbers.stop)]

    @property
    def reader(self) -> Callable[[range], Iterator[Block]]:
        """What gives the blocks of given numbers, for workers in other processes; of all blocks, not of a part."""
        return self._read

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Block]:
        return self._read(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            part = copy(self)
            part._numbers = self._numbers[index]
            return part
        return next(self._read(range(self._numbers[index], self._numbers[index] + 1)))


def total_rows(blocks: Sequence[Block]) -> int:
    """Total number of rows."""
    return blocks.n_rows if isinstance(blocks, StreamedBlocks) else sum(block.rows for block in blocks)


def block_rows(n: int) -> int:
    """Number of rows of each block when `n` rows are cut into blocks.

    Examples
    --------
    >>> block_rows(200), block_rows(5_000), block_rows(1_000_000)
    (256, 16384, 16384)
    """
    return next((size for size in BLOCK_ROWS if n <= size), BLOCK_ROWS[-1])


def padded(values: np.ndarray, size: int, fill: int) -> np.ndarray:
    """`values`, filled up to `size` elements with copies of ``values[fill]``."""
    if len(values) == size:
        return values
    out = np.empty((size, *values.shape[1:]), dtype=values.dtype)
    out[: len(values)] = values
    out[len(values) :] = values[fill]
    return out


def make_blocks(
    designs: Sequence[Any],
    y: np.ndarray,
    weight: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    extra: Sequence[np.ndarray] = (),
    most_rows: int | None = None,
) -> list[Block]:
    """Cut arrays into blocks of one of the four sizes, or a fifth of factors; whole blocks are views, not copies.

    Parameters
    ----------
    designs : matrices of n rows, dense, of factors or tabmat.
    y : (n,) response.
    weight : (n,) or None for ones.
    offset : (K, n) or None.
    extra : arrays (n, ...).
    most_rows : largest number of rows of a block; lower it if each row takes much memory.
    """
    n = len(y)
    size = block_rows(n) if most_rows is None else min(block_rows(n), most_rows)
    if most_rows is None and n > FACTOR_BLOCKS * FACTOR_ROWS and any(map(_of_factors, designs)):
        size = FACTOR_ROWS
    ones = np.ones(size) if weight is None and n >= size else None
    blocks = []
    for start in range(0, n, size):
        stop = min(start + size, n)
        rows = stop - start
        cut = slice(start, stop)
        if weight is None:
            block_weight, fill = ones, 0
            if rows < size:
                block_weight = np.zeros(size)
                block_weight[:rows].fill(1.0)
        else:
            fill = int(np.argmax(weight[cut] > 0))
            block_weight = weight[cut]
            if rows < size:
                block_weight = np.zeros(size)
                block_weight[:rows] = weight[cut]
        assert block_weight is not None
        blocks.append(
            Block(
                designs=tuple(designs) if rows == n else tuple(design[cut] for design in designs),
                y=padded(y[cut], size, fill),
                weight=block_weight,
                offset=None if offset is None else offset[:, cut],
                rows=rows,
                start=start,
                fill=fill,
                extra=tuple([padded(values[cut], size, fill) for values in extra]),
                unit=weight is None,
            )
        )
    return blocks


def in_doubles(block: Block) -> Block:
    """The block with the designs that are read in pieces as arrays of doubles."""
    if not any(isinstance(design, PiecedDesign) for design in block.designs):
        return block
    designs = (design.toarray() if isinstance(design, PiecedDesign) else design for design in block.designs)
    return replace(block, designs=tuple(designs))


def _of_factors(design: Any) -> bool:
    return isinstance(design, FactorDesign) and design.shape[1] <= FACTOR_COLUMNS
