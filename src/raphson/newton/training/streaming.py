"""Batches of rows from streamed blocks, for first-order methods on data larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from raphson.data.blocks import Block, StreamedBlocks
from raphson.data.products import dense
from raphson.model.problem import RowsInMemory, RowsStreamed
from raphson.newton.training.first_order import BatchSource, Sample, chunk_steps
from raphson.newton.training.steps import Chunk

POOL_BYTES = 2**25
"""Size of what is shuffled together, 32 MiB: 760,000 rows of 10 inputs in single precision. Data that are sorted by
something need it the larger, the longer the stretches of rows that are alike."""


class StreamedBatches:
    """Rows of streamed blocks, shuffled within what is read at a time: pieces from several places of the data.

    Parameters
    ----------
    blocks : the data.
    sizes : divisors of each design's columns.
    mean_weight : divisor of the weights; None if all weights are 1.
    dtype : of the batches.
    pool : bytes of what is read before it is shuffled; 0 to shuffle each group of pieces by itself.
    """

    def __init__(
        self, blocks: StreamedBlocks, sizes: list[np.ndarray], mean_weight: float | None, dtype: Any, pool: int = 0
    ) -> None:
        self.blocks, self.sizes, self.mean_weight, self.dtype, self.pool = blocks, sizes, mean_weight, dtype, pool
        self.n = blocks.n_rows

    def steps(self, batch_size: int) -> int:
        """Number of batches in an epoch."""
        return self.n // batch_size

    def chunks(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Chunk, int]]:
        """The chunks of an epoch."""
        width = sum(len(size) for size in self.sizes)
        size = chunk_steps(self.steps(batch_size), batch_size * width * np.dtype(self.dtype).itemsize)
        left: list[np.ndarray | None] | None = None
        pools = self._pools(rng)
        while (columns := next(pools, None)) is not None:
            if left is not None:
                columns = joined([left, columns])
            n = _length(columns)
            order = rng.permutation(n)
            steps = n // batch_size
            for first in range(0, steps, size):
                count = min(size, steps - first)
                yield self._chunk(columns, order[first * batch_size :][: count * batch_size], batch_size, size), count
            rest = order[steps * batch_size :]
            left = [None if one is None else one[rest] for one in columns]
            del columns  # before the next are read

    def _pools(self, rng: np.random.Generator) -> Iterator[list[np.ndarray | None]]:
        """What is shuffled together: response, weight, offset and designs of the rows."""
        parts: list[list[np.ndarray | None]] = []
        size = 0
        for group in self.blocks.shuffled(rng):
            parts += [columns_of(block, self.sizes, self.mean_weight, self.dtype) for block in group]
            size += sum(one.nbytes for part in parts[-len(group) :] for one in part if one is not None)
            if size >= self.pool:
                yield _emptied(parts)
                size = 0
        if parts:
            yield _emptied(parts)

    def _chunk(self, columns: list[np.ndarray | None], rows: np.ndarray, batch_size: int, size: int) -> Chunk:
        def cut(values: np.ndarray) -> np.ndarray:
            out = np.zeros((size * batch_size, *values.shape[1:]), dtype=self.dtype)
            out[: len(rows)] = values[rows]
            return out.reshape(size, batch_size, *values.shape[1:])

        y, weight, offset, *designs = columns
        assert y is not None
        shift = None if offset is None else np.ascontiguousarray(cut(offset).swapaxes(1, 2))
        return Chunk(
            tuple(cut(X) for X in designs if X is not None), cut(y), None if weight is None else cut(weight), shift
        )


def batches_of(rows: RowsInMemory | RowsStreamed, dtype: Any) -> Sample | StreamedBatches:
    """The source of batches of these rows."""
    if isinstance(rows, RowsInMemory):
        return Sample(*rows, dtype)
    return StreamedBatches(rows.blocks, [np.ones(rows.width)], rows.mean_weight, dtype, POOL_BYTES)


class ToldRows:
    """Batches whose progress is told.

    Parameters
    ----------
    inner : the batches.
    n : number of rows.
    show : called with the number of rows that an epoch has read so far, and n; they are equal at its end.
    """

    def __init__(self, inner: BatchSource, n: int, show: Callable[[int, int], None]) -> None:
        self.inner, self.n, self.show = inner, n, show

    def steps(self, batch_size: int) -> int:
        """Number of batches in an epoch."""
        return self.inner.steps(batch_size)

    def chunks(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Chunk, int]]:
        """The chunks of an epoch."""
        read = 0
        for chunk, count in self.inner.chunks(batch_size, rng):
            yield chunk, count
            read += count * batch_size
            if read < self.n:
                self.show(read, self.n)
        self.show(self.n, self.n)


def _emptied(parts: list[list[np.ndarray | None]]) -> list[np.ndarray | None]:
    """Parts put together; the list is emptied, so that they can be freed."""
    whole = joined(parts)
    parts.clear()
    return whole


def columns_of(block: Block, sizes: list[np.ndarray], mean_weight: float | None, dtype: Any) -> list[np.ndarray | None]:
    """Response, weight, offset (rows, K) and designs of a block's rows.

    Parameters
    ----------
    sizes, mean_weight, dtype : as of :class:`StreamedBatches`.
    """
    rows = block.rows
    weight = None if mean_weight is None else block.weight[:rows] / mean_weight
    offset = None if block.offset is None else block.offset.T
    designs = [dense(X) / size for X, size in zip(block.designs, sizes, strict=True)]
    # In the precision of the batches, as many rows may wait to be shuffled. A copy lets the padding go.
    return [None if one is None else np.array(one, dtype) for one in (block.y[:rows], weight, offset, *designs)]


def joined(parts: list[list[np.ndarray | None]]) -> list[np.ndarray | None]:
    """Columns of several blocks, one below the other."""
    return [None if several[0] is None else np.concatenate(several) for several in zip(*parts, strict=True)]  # type: ignore[arg-type]


def _length(columns: list[np.ndarray | None]) -> int:
    assert columns[0] is not None
    return len(columns[0])
