"""Rounding a design to 32 bits, with what that does to each column.

A double has 53 binary digits, a single 24, so that a number x is rounded by up to u|x|, u = 2⁻²⁴ = 6e-8. That is a
share of the number and not of its spread: a timestamp of 1.7e9 s is rounded to 128 s. Such a column is held as its
differences from a number c near its middle, which are rounded by u|x − c|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from raphson.data.messages import listing
from raphson.data.pieced_design import LARGEST, SMALLEST, MadeDesign, SingleDesign
from raphson.errors import DataError
from raphson.execute import threads

SAMPLED = 2_048
"""Evenly spaced rows that the middles are of."""

FAR = 2.0
"""How many times its half range a column is away from 0 before it is held as differences. Nearer than that they would
gain less than two binary digits, and every product takes an addition more for each number."""

PIECE, RUN = 1 << 15, 1 << 22
"""Numbers that are rounded at once, which stay in the cache, and those that one thread rounds one after another."""

UNIT = 2.0**-24
"""Largest rounding of a number, relative to it."""


class _Seen(NamedTuple):
    """What was seen of some rows when they were rounded.

    Attributes
    ----------
    squares : (p,) Σ (x − x̃)².
    nearest, farthest : smallest |x̃| and largest |x − c|, each (p,), of the columns with c ≠ 0.
    """

    squares: np.ndarray
    nearest: np.ndarray
    farthest: np.ndarray


def rounded(exact: MadeDesign, names: Sequence[str]) -> SingleDesign:
    """A design in 32 bits.

    Raises
    ------
    DataError
        If a column has numbers that 32 bits do not hold.
    """
    n, p = exact.shape
    centre = _centres(exact)
    numbers = np.empty((n, p), dtype=np.float32)
    step, run = max(1, PIECE // p), max(1, RUN // p)

    def one(start: int) -> _Seen:
        total, nearest, farthest = np.zeros(p), np.full(p, math.inf), np.zeros(p)
        for here in range(start, min(start + run, n), step):
            stop = min(here + step, start + run, n)
            seen = _round(exact.piece(here, stop), centre, numbers[here:stop], names)
            total += seen.squares
            np.minimum(nearest, seen.nearest, out=nearest)
            np.maximum(farthest, seen.farthest, out=farthest)
        return _Seen(total, nearest, farthest)

    found = threads().map(one, range(0, n, run))
    error = np.sqrt(np.sum([one.squares for one in found], axis=0) / n)
    relative = np.where(error > 0, UNIT, 0.0)
    if centre is not None:
        nearest = np.min([one.nearest for one in found], axis=0)
        farthest = np.max([one.farthest for one in found], axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where((centre != 0) & (error > 0), UNIT * farthest / nearest, relative)
    return SingleDesign(numbers, centre, error, relative, exact if error.any() else None)


def _round(values: np.ndarray, centre: np.ndarray | None, out: np.ndarray, names: Sequence[str]) -> _Seen:
    """Round some rows into `out`."""
    with np.errstate(all="ignore"):
        difference = values if centre is None else values - centre
        out[:] = difference
        if centre is None:
            off = difference - out
        else:
            held = out + centre
            off = values - held
        off *= off
        squares = np.ones(len(off)) @ off
        small = np.count_nonzero(np.abs(out) < SMALLEST)
    if not np.isfinite(squares).all() or (small and small != difference.size - np.count_nonzero(difference)):
        _refuse(difference, out, names)
    if centre is None:
        return _Seen(squares, np.full(len(squares), math.inf), np.zeros(len(squares)))
    nearest, farthest, apart = np.full(len(squares), math.inf), np.zeros(len(squares)), np.flatnonzero(centre)
    nearest[apart] = np.abs(held[:, apart]).min(axis=0)
    farthest[apart] = np.abs(difference[:, apart]).max(axis=0)
    return _Seen(squares, nearest, farthest)


def _centres(exact: MadeDesign) -> np.ndarray | None:
    """(p,) the number that each column is held as the differences from; None where all of them are 0.

    It has few binary digits: differences of whole numbers are whole numbers then, which 32 bits hold.
    """
    n = exact.shape[0]
    step = max(1, n // SAMPLED)
    sample = np.concatenate([exact.piece(row, row + 1) for row in range(0, n, step)])
    low, high = sample.min(axis=0), sample.max(axis=0)
    middle, half = 0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low
    with np.errstate(over="ignore", under="ignore"):
        inexact = (sample.astype(np.float32) != sample).any(axis=0)
        apart = inexact & np.isfinite(middle) & (np.abs(middle) > FAR * half)
        if not apart.any():
            return None
        unit = np.exp2(np.floor(np.log2(np.where(half > 0, half, 1.0))))
        centre = np.where(half > 0, np.round(middle / unit) * unit, middle)
    return np.where(apart & np.isfinite(centre), centre, 0.0)


def _refuse(values: np.ndarray, held: np.ndarray, names: Sequence[str]) -> None:
    """Refuse numbers that 32 bits do not hold.

    Raises
    ------
    DataError
    """
    size = np.abs(held)
    lost = ~(size <= LARGEST) | ((size < SMALLEST) & (values != 0))
    where = np.flatnonzero(lost.any(axis=0))
    first = float(values[:, where[0]][lost[:, where[0]]][0])
    raise DataError(
        f"storage: 'float32' holds 0 and numbers from {SMALLEST:.2g} to {LARGEST:.2g}; "
        f"column{'s' if len(where) > 1 else ''} {listing([repr(names[j]) for j in where.tolist()], 5)} "
        f"{'have' if len(where) > 1 else 'has'} others, such as {first:g}. Change the column's units, or leave "
        "storage= out"
    )
