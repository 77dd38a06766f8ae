"""The user's arrays after the fit: small ones are copied, large ones are watched for changes.

A fit computes residuals, robust covariances and predictions when they are needed, from the arrays that it was given. If
these were changed after the fit, the results would mix old estimates with new data.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

COPIED = 1 << 20
"""Largest array that is copied, in bytes. That takes some 60 µs."""

SAMPLED_ROWS = 1024
"""Number of evenly spaced rows in an array's checksum. It misses a change of 1% of the rows, anywhere, with probability
0.99¹⁰²⁴ = 3e-5, and takes microseconds."""

QUICK = 1 << 24
"""Largest array, in bytes, that is always checked whole; larger ones are only if the result depends on all rows. 16 MB,
which take 1 ms."""

PIECE = 1 << 13
"""Numbers whose squares are added up at once, in the calling thread. Of more than 10,000 OpenBLAS would use several. On
a busy machine a million take 14 ms of processor time so, and 1 in pieces, and the threads then wait for more work for
20 ms, during which they take half of a core from what follows."""

_ROUNDING = 1e-12
"""Relative difference of two sums of squares that is rounding: of n rows it is about √n ε/2, 3e-13 of ten million."""


@dataclass(frozen=True)
class WatchedArray:
    """An array with a record of its contents at the fit.

    Attributes
    ----------
    name : name of the argument.
    values : the array itself.
    squares : the sum of its squares, which the check for missing values computes anyway.
    sample : checksum of some of its rows.
    """

    name: str
    values: np.ndarray
    squares: float
    sample: int

    def changed(self, whole: bool) -> bool:
        """Whether the array has changed; unless `whole`, only the sampled rows of a large one are read.

        A change that keeps the sum of squares to 12 digits and touches none of the sampled rows is not detected: a full
        checksum would take as long as a step of the fit.
        """
        if self.sample != _sample(self.values):
            return True
        if not whole and self.values.nbytes > QUICK:
            return False
        before, now = self.squares, squares(self.values)
        return not (before == now or abs(now - before) <= _ROUNDING * before)


class Watch:
    """The arrays that a model shares with the user."""

    def __init__(self) -> None:
        self._seen: list[WatchedArray] = []

    def held(self, name: str, values: Any, known: float | None = None) -> Any:
        """The array that the model keeps: a copy, or the user's own, which is then watched; None stays None.

        Parameters
        ----------
        known : its sum of squares, if it has been computed already.
        """
        if values is None:
            return None
        if values.nbytes <= COPIED:
            return values.copy(order="C")
        self.watch(name, values, known)
        return values

    def watch(self, name: str, values: np.ndarray, known: float | None = None) -> None:
        """Watch an array that is not copied."""
        self._seen.append(WatchedArray(name, values, squares(values) if known is None else known, _sample(values)))

    def changed(self, whole: bool) -> list[str]:
        """Names of the arrays that have changed: see :meth:`WatchedArray.changed`."""
        return [one.name for one in self._seen if one.changed(whole)]


def squares(values: np.ndarray) -> float:
    """Sum of squares of an array in doubles, in one pass; not finite if an element is not."""
    flat = values.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        if flat.dtype == np.float64 and flat.size <= PIECE:
            return float(flat.dot(flat))
        pieces = (flat[start : start + PIECE].astype(np.float64, copy=False) for start in range(0, flat.size, PIECE))
        return float(sum(float(piece.dot(piece)) for piece in pieces))


def _sample(values: np.ndarray) -> int:
    step = max(1, len(values) // SAMPLED_ROWS)
    return zlib.crc32(np.ascontiguousarray(values[::step]).data)


def changed_message(changed: Sequence[str], what: str) -> str:
    """The message for data changed after the fit, on which `what` depends."""
    one = len(changed) == 1
    return (
        f"{what}: {' and '.join(changed)} {'was' if one else 'were'} changed in place after the fit, which does not "
        "copy arrays of more than 1 MB; fit again, or pass copies (X.copy())"
    )
