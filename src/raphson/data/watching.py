"""The user's arrays after the fit: small ones are copied, of large ones a change is noticed.

A fit works out residuals, robust covariances and predictions when they are asked for, from the arrays that it was
given. If these have been written to since, the answer would mix old estimates with new data.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

COPIED = 1 << 20
"""Bytes up to which an array is copied. That takes some 60 µs."""

SAMPLED_ROWS = 1024
"""Rows, spread evenly, of which every bit is in the checksum of an array."""

QUICK = 1 << 24
"""Bytes that are read whole whenever a question is asked; of more, only when what all rows say is worked out. 16 MB,
which take 1 ms."""

_ROUNDING = 1e-12
"""Relative difference of two sums of squares that is rounding: of n rows it is about √n ε/2, 3e-13 of ten million."""


@dataclass(frozen=True)
class Seen:
    """An array as it was.

    Attributes
    ----------
    name : of the argument.
    values : the array itself, of doubles.
    squares : the sum of its squares, which the check for missing values works out in any case.
    sample : checksum of some of its rows.
    """

    name: str
    values: np.ndarray
    squares: float
    sample: int

    def changed(self, whole: bool) -> bool:
        """Whether it is another now; only the sampled rows of a large one are read unless `whole`.

        What leaves the sum of squares as it was to 12 digits and touches none of the sampled rows is not noticed: a
        full checksum would take as long as a step of the fit.
        """
        if self.sample != _sample(self.values):
            return True
        if not whole and self.values.nbytes > QUICK:
            return False
        before, now = self.squares, squares(self.values)
        return not (before == now or abs(now - before) <= _ROUNDING * before)


class Watch:
    """Holds what a model shares with the user."""

    def __init__(self) -> None:
        self._seen: list[Seen] = []

    def held(self, name: str, values: Any, known: float | None = None) -> Any:
        """The array for the model to keep: a copy, or the user's own, watched; None stays None.

        Parameters
        ----------
        known : its sum of squares, if that has been worked out.
        """
        if values is None:
            return None
        if values.nbytes <= COPIED:
            return values.copy(order="C")
        self.watch(name, values, known)
        return values

    def watch(self, name: str, values: np.ndarray, known: float | None = None) -> None:
        """Notice changes of an array that is not copied."""
        self._seen.append(Seen(name, values, squares(values) if known is None else known, _sample(values)))

    def changed(self, whole: bool) -> list[str]:
        """Names of the arrays that have been written to: see :meth:`Seen.changed`."""
        return [one.name for one in self._seen if one.changed(whole)]


def squares(values: np.ndarray) -> float:
    """Sum of squares of all elements, by one reading of an array of doubles; not finite where an element is not."""
    flat = values.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.dot(flat, flat))


def _sample(values: np.ndarray) -> int:
    step = max(1, len(values) // SAMPLED_ROWS)
    return zlib.crc32(np.ascontiguousarray(values[::step]).data)


def told(changed: Sequence[str], what: str) -> str:
    """Say that data were changed after the fit, which `what` would need as they were."""
    one = len(changed) == 1
    return (
        f"{what}: {' and '.join(changed)} {'was' if one else 'were'} changed in place after the fit, which does not "
        "copy arrays of more than 1 MB; fit again, or give the fit copies (X.copy())"
    )
