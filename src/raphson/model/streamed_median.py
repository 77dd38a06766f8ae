"""The median of numbers that are streamed, to the last bit, by counting them in narrowing intervals.

Doubles of 0 or more have the order of their bits read as whole numbers, so that intervals of those are halved exactly.
A reading counts the numbers in equal parts of an interval; the part with the middle ones is the next interval, until it
has so few that they can be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

PARTS = 4096
"""Parts of an interval: their counts take 32 KB. The middle 4% of 100,000,000 numbers are then less than 1,000 in
each."""

KEPT = 2**17
"""Numbers that are kept, 1 MB."""

LAST = 2**63
"""One more than the bits of any double of 0 or more."""

MARGIN = 2.5
"""Half the width of the first interval, in ranks of a sample of m numbers over √m: five standard deviations, ½/√m of a
rank, of the median's place among them."""


@dataclass(frozen=True)
class Counts:
    """How many numbers lie in each part of an interval.

    Attributes
    ----------
    below : numbers below the interval.
    parts : numbers in each part.
    """

    below: int
    parts: np.ndarray

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.below + other.below, self.parts + other.parts)


@dataclass(frozen=True)
class Interval:
    """Bits from `low` up to and not including `high`, cut into at most PARTS parts of 2^`shift`."""

    low: int
    high: int

    @property
    def shift(self) -> int:
        """The logarithm of a part's width to the base 2."""
        return max(0, (self.high - self.low - 1).bit_length() - PARTS.bit_length() + 1)

    def count(self, values: np.ndarray) -> Counts:
        """The counts of some numbers of 0 or more."""
        bits = np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)
        below = bits < self.low
        inside = bits[~below & (bits < self.high)]
        places = (inside - np.uint64(self.low)) >> np.uint64(self.shift)
        return Counts(int(np.count_nonzero(below)), np.bincount(places.astype(np.intp), minlength=PARTS))

    def inside(self, values: np.ndarray) -> np.ndarray:
        """Those of some numbers that lie in it."""
        bits = np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)
        return values[(bits >= self.low) & (bits < self.high)]

    def part(self, number: int) -> Interval:
        """One of its parts."""
        low = self.low + (number << self.shift)
        return Interval(low, min(self.high, low + (1 << self.shift)))


WHOLE = Interval(0, LAST)


def around(sample: np.ndarray) -> Interval:
    """Where the median of many numbers of 0 or more lies, judging by a sample of them."""
    m = len(sample)
    if not m:
        return WHOLE
    ordered, reach = np.sort(sample), int(MARGIN * np.sqrt(m)) + 1
    low, high = ordered[max(0, m // 2 - reach)], ordered[min(m - 1, m // 2 + reach)]
    return Interval(int(np.float64(low).view(np.uint64)), int(np.float64(high).view(np.uint64)) + 1)


def median(
    n: int, where: Interval, counts: Callable[[Interval], Counts], values: Callable[[Interval], np.ndarray]
) -> float:
    """The median of n numbers of 0 or more, as :func:`numpy.median` gives it.

    Parameters
    ----------
    where : an interval that probably contains it.
    counts, values : a reading of all numbers, for the counts in an interval and for those inside.
    """
    return float(np.mean(_at(((n - 1) // 2, n // 2), where, counts, values)))


def _at(
    ranks: Sequence[int],
    where: Interval,
    counts: Callable[[Interval], Counts],
    values: Callable[[Interval], np.ndarray],
) -> list[float]:
    """The numbers of these ranks, in order."""
    while True:
        found = counts(where)
        ends = found.below + np.cumsum(found.parts)
        if ranks[0] < found.below or ranks[-1] >= ends[-1]:
            where = WHOLE  # the sample misled
            continue
        inside = [int(np.searchsorted(ends, rank, side="right")) for rank in ranks]
        if inside[0] != inside[-1]:  # with whatever lies between the two parts, they could not be narrowed
            both = zip(ranks, inside, strict=True)
            return [_at([rank], where.part(number), counts, values)[0] for rank, number in both]
        kept, before = int(found.parts[inside[0]]), int(ends[inside[0]] - found.parts[inside[0]])
        where = where.part(inside[0])
        if where.high - where.low == 1:
            return [float(np.uint64(where.low).view(np.float64))] * len(ranks)
        if kept <= KEPT:
            ordered = np.sort(values(where))
            return [float(ordered[rank - before]) for rank in ranks]
