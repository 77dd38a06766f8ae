"""Dense designs that are not held in 64 bits: each of their products reads them in pieces of doubles.

`SingleDesign` holds a matrix in 32 bits, as x̃_ij = c_j + s_ij with s_ij in 32 bits and c_j in 64. A piece is made of
doubles where it is read, and stays in the processor's cache, so all sums are those of the doubles x̃_ij. A
`WrittenDesign` holds the columns of streamed rows as they were decoded, of which each piece is a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from raphson.data.products import is_dense, sandwich

NUMBERS = 32_768
"""Doubles of a piece: 256 KiB, which leaves room for a product in a core's second-level cache."""

FEWEST = 1 << 17
"""Numbers of a design up to which it is held in 64 bits: they take 1 MiB, which is not worth halving."""

SMALLEST, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
"""The range of the numbers that 32 bits hold with all of their 24 binary digits."""


class PiecedDesign:
    """A design (n, p) that is read in pieces of doubles.

    Attributes
    ----------
    shape : (n, p).
    """

    ndim = 2
    shape: tuple[int, int]
    order: Literal["C", "F"] = "C"
    """How a piece is best stored."""
    # NumPy is not to take the object for an array: `u @ X` would make one of all of it.
    __array_ufunc__ = None

    def piece(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """The rows from `start` to before `stop` (m, p), in `out` if they are not at hand."""
        raise NotImplementedError

    def run(self, start: int, stop: int) -> PiecedDesign:
        """A design of the rows from `start` to before `stop`."""
        raise NotImplementedError

    def __getitem__(self, key: Any) -> PiecedDesign | np.ndarray:
        """Some rows: a run of them as a design of this kind."""
        if isinstance(key, slice) and key.step in (None, 1):
            start, stop, _ = key.indices(self.shape[0])
            return self.run(start, max(start, stop))
        return self.toarray()[key]

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """X v, (n,)."""
        out = np.empty(self.shape[0])
        for rows, piece in self._pieces():
            np.matmul(piece, v, out=out[rows])
        return out

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        return self.matvec(v)

    def transpose_matvec(self, u: np.ndarray) -> np.ndarray:
        """Xᵀ u, (p,)."""
        total = np.zeros(self.shape[1])
        for rows, piece in self._pieces():
            total += u[rows] @ piece
        return total

    def sandwich(self, w: np.ndarray) -> np.ndarray:
        """Xᵀ diag(w) X, (p, p) symmetric."""
        total = np.zeros((self.shape[1], self.shape[1]))
        for rows, piece in self._pieces():
            total += sandwich(piece, w[rows])
        return total

    def cross_sandwich(self, w: np.ndarray, Z: Any) -> np.ndarray:
        """Xᵀ diag(w) Z, (p, q), for a design Z (n, q) that is dense or pieced too."""
        total = np.zeros((self.shape[1], Z.shape[1]))
        for rows, piece in self._pieces():
            other = Z[rows] if is_dense(Z) else Z.piece(rows.start, rows.stop)
            total += (piece * w[rows, None]).T @ other
        return total

    def weighted_squares(self, w: np.ndarray) -> np.ndarray:
        """The diagonal of Xᵀ diag(w) X, (p,)."""
        total = np.zeros(self.shape[1])
        for rows, piece in self._pieces():
            total += w[rows] @ (piece * piece)
        return total

    @property
    def constant(self) -> np.ndarray:
        """(p,) mask of the columns that have one value."""
        first, mask = self.piece(0, 1)[0], np.ones(self.shape[1], dtype=bool)
        for _, piece in self._pieces():
            mask &= (piece == first).all(axis=0)
        return mask

    def toarray(self) -> np.ndarray:
        """All rows in doubles."""
        return self.piece(0, self.shape[0]).copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.toarray() if dtype is None else self.toarray().astype(dtype, copy=False)

    def _pieces(self) -> Any:
        n, p = self.shape
        size = max(256, NUMBERS // max(p, 1))
        space = np.empty((min(size, n), p), order=self.order)
        for start in range(0, n, size):
            rows = slice(start, min(start + size, n))
            yield rows, self.piece(rows.start, rows.stop, space)


class MadeDesign(PiecedDesign):
    """A design whose rows are made whenever they are read, and not held.

    Parameters
    ----------
    shape : (n, p).
    make : ``make(start, stop)`` makes the rows from `start` to before `stop`.
    """

    def __init__(self, shape: tuple[int, int], make: Callable[[int, int], np.ndarray]) -> None:
        self.shape, self._make = shape, make

    def piece(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        return self._make(start, stop)

    def with_columns(self, columns: Any) -> MadeDesign:
        """Some of the columns."""
        width = len(np.arange(self.shape[1])[columns])
        return MadeDesign((self.shape[0], width), lambda start, stop: self._make(start, stop)[:, columns])

    def run(self, start: int, stop: int) -> MadeDesign:
        return MadeDesign((stop - start, self.shape[1]), lambda a, b: self._make(start + a, start + b))


class WrittenDesign(PiecedDesign):
    """A design that is written from columns of data whenever it is read, and not held.

    Parameters
    ----------
    shape : (n, p).
    write : ``write(out, start, stop)`` writes the rows from `start` to before `stop` to an array.
    """

    order = "F"

    def __init__(self, shape: tuple[int, int], write: Callable[[np.ndarray, int, int], None]) -> None:
        self.shape, self._write = shape, write

    def piece(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        out = np.empty((stop - start, self.shape[1]), order=self.order) if out is None else out[: stop - start]
        self._write(out, start, stop)
        return out

    def run(self, start: int, stop: int) -> WrittenDesign:
        return WrittenDesign((stop - start, self.shape[1]), lambda out, a, b: self._write(out, start + a, start + b))

    def toarray(self) -> np.ndarray:
        return self.piece(0, self.shape[0])


class SingleDesign(PiecedDesign):
    """A design that is held in 32 bits.

    Parameters
    ----------
    numbers : (n, p) of float32, in C order.
    centre : (p,) what is added to each column; None for nothing.
    error : (p,) root mean square of x_ij − x̃_ij, the rounding of a column; None where nothing was rounded.
    relative : (p,) no less than the largest |x_ij − x̃_ij| / |x̃_ij|.
    exact : the design before it was rounded; None where nothing was, or once :meth:`forget` was called.
    """

    def __init__(
        self,
        numbers: np.ndarray,
        centre: np.ndarray | None = None,
        error: np.ndarray | None = None,
        relative: np.ndarray | None = None,
        exact: MadeDesign | None = None,
    ) -> None:
        p = numbers.shape[1]
        self.shape, self.numbers, self.centre = numbers.shape, numbers, centre
        self.error = np.zeros(p) if error is None else error
        self.relative = np.zeros(p) if relative is None else relative
        self.exact = exact

    def piece(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        part = self.numbers[start:stop]
        out = np.empty(part.shape) if out is None else out[: len(part)]
        np.copyto(out, part)
        if self.centre is not None:
            out += self.centre
        return out

    def run(self, start: int, stop: int) -> SingleDesign:
        return SingleDesign(self.numbers[start:stop], self.centre, self.error, self.relative)

    def __getitem__(self, key: Any) -> SingleDesign:  # type: ignore[override]
        """Some rows, or some rows and columns; a run of rows is a view. Of all rows the exact design stays known."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        exact = self.exact if isinstance(rows, slice) and rows == slice(None) else None
        if isinstance(rows, int | np.integer):
            rows = [int(rows)]
        return SingleDesign(
            np.ascontiguousarray(self.numbers[rows][:, columns]),
            None if self.centre is None else self.centre[columns],
            self.error[columns],
            self.relative[columns],
            None if exact is None else exact.with_columns(columns),
        )

    def toarray(self) -> np.ndarray:
        return self.piece(0, self.shape[0])

    def forget(self) -> None:
        """Let go of the design before it was rounded."""
        self.exact = None
