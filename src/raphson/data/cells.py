"""Cells of a design: the rows that are equal in every column, and in the numbers beside it.

A cell is numbered by its factors one at a time: of c cells so far and L levels of the next factor there are at most
c·L, in a table that says which of them have rows. Nothing is sorted, and a row takes about 2 ns a factor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from raphson.data.factor_design import SMALL, FactorDesign

FEWEST_ROWS = 4_096
"""Rows from which on cells are looked for: fewer take less time than the search."""

SHARE = 4
"""How many rows a cell has on average at least, where merging is worth it: finding the cells takes as long as one or
two readings of all rows, and the iteration begins without a maximum over a part of the rows."""

SAMPLE, SAMPLED_ROOTS = 8_192, 10.0
"""Least number of rows that tell whether equal ones are likely, and rows for each square root of all. Of k rows from m
equally frequent cells about k²/2m repeat another: with k = 10 √n and m = n/4 that is 200, with a standard deviation of
14."""

ENOUGH = 0.75
"""Share of the repetitions expected of n/4 equally frequent cells from which on cells are looked for. Where they are
not equally frequent there are more repetitions: of 327,346 rows in 151,735 cells half of those expected of 81,836."""

MOST_VALUES = 256
"""Distinct values up to which a column of numbers is a factor."""


@dataclass(frozen=True)
class Cells:
    """Which rows are equal.

    Attributes
    ----------
    number : (n,) the cell of each row.
    first : (m,) a row of each cell, -1 where it has none.
    """

    number: np.ndarray
    first: np.ndarray

    @property
    def count(self) -> int:
        """m."""
        return len(self.first)


def cells(X: object, beside: Sequence[np.ndarray] = ()) -> Cells | None:
    """The cells of a design of factors; None where there are too many to be worth it, or the design is another
    or has columns in 32 bits.

    Parameters
    ----------
    X : the design, n rows.
    beside : further numbers, each (n,), that the rows of a cell have in common.
    """
    if not isinstance(X, FactorDesign) or X.absent is not None or X.shape[0] < FEWEST_ROWS:
        return None
    n, factors = X.shape[0], [(codes, levels) for codes, levels in zip(X.codes, X.layout.levels, strict=True)]
    if not isinstance(X.dense, np.ndarray):
        return None  # its columns would have to be made doubles of all rows
    numbers = [*X.dense.T, *X.scales, *beside]
    possible = math.inf if numbers else math.prod(X.layout.levels)
    if SHARE * possible > n and not _repeats([*X.codes, *numbers]):
        return None
    count, number = 1, np.zeros(n, dtype=SMALL)
    for codes, levels in _all_factors(factors, numbers):
        if levels == 0 or count * levels > SHARE * n:
            return None
        if levels > 1:
            if count * levels > np.iinfo(number.dtype).max:
                number = number.astype(np.int32 if n < 2**28 else np.int64)
            np.multiply(number, levels, out=number, casting="unsafe")
            np.add(number, codes, out=number, casting="unsafe")
            count *= levels
        if SHARE * count > n:
            present = np.bincount(number, minlength=count) > 0
            places = np.cumsum(present, dtype=np.int32 if n < 2**28 else np.int64) - 1
            count = int(places[-1]) + 1
            if SHARE * count > n:
                return None
            number = np.take(places, number, mode="clip")
    number = number.astype(np.intp)  # what sums over cells would make of it each time
    first = np.full(count, -1)
    for start in range(0, n, SAMPLE):  # in the cache, where an array of all numbers of rows would go through memory
        here = number[start : start + SAMPLE]
        first[here] = np.arange(start, start + len(here))
    return Cells(number, first)


def _repeats(columns: Sequence[np.ndarray]) -> bool:
    """Whether an evenly spread sample has nearly as many repetitions as one of the most cells that are worth it."""
    n = len(columns[0])
    every = max(SHARE, n // max(SAMPLE, int(SAMPLED_ROOTS * math.sqrt(n))))
    mixed = np.zeros(-(-n // every), dtype=np.uint64)
    for values in columns:
        mixed *= np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ over the golden ratio, as in Fibonacci hashing
        part = values[::every]
        mixed += part.astype(np.float64).view(np.uint64) if part.dtype.kind == "f" else part.astype(np.uint64)
        mixed ^= mixed >> np.uint64(29)
    k, m = len(mixed), n / SHARE
    return k - len(np.unique(mixed)) >= ENOUGH * (k + m * math.expm1(-k / m))


def _all_factors(
    factors: Sequence[tuple[np.ndarray, int]], numbers: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, int]]:
    """The factors, and the columns of numbers as factors; one of no levels for a column of many values."""
    yield from factors
    for values in numbers:
        yield _as_factor(values)


def _as_factor(values: np.ndarray) -> tuple[np.ndarray, int]:
    """The place of each value among the distinct ones, and how many there are; 0 if more than :data:`MOST_VALUES`."""
    distinct = np.unique(values[:: max(1, len(values) // SAMPLE)])
    for _ in range(2):
        if len(distinct) > MOST_VALUES:
            break
        places = np.minimum(np.searchsorted(distinct, values), len(distinct) - 1)
        others = values[distinct[places] != values]
        if not len(others):
            return places, len(distinct)
        distinct = np.unique(np.concatenate([distinct, others]))
    return values[:0], 0
