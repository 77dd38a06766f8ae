"""Order statistics of numbers that are read in passes and not kept, exactly.

Doubles have an order of 64 bits. A pass counts how many numbers lie in each of 4,096 intervals of it, the next ones
count within those intervals that matter and are not small enough, and the last ones keep what lies in the small ones.
If there are few different values the first pass keeps all of these. So one pass, or three, find the quantiles of any
number of rows. Quantiles of the different values, which have to be told from each other, take a pass for every
8,388,608 rows more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

DIGITS = 12
"""Binary digits of the order by which a pass tells numbers apart: 64 take six passes at most."""

FEW, FEWEST = 2**21, 2**14
"""Different values that the first pass keeps, shared out among the parts of the source, of each of which it keeps the
second number at least: 32 MB with their counts."""

KEPT = 2**23
"""Numbers that a later pass keeps (64 MB)."""


def ordered(values: np.ndarray) -> np.ndarray:
    """Whole numbers (n,) of 64 bits in the order of finite doubles (n,).

    Examples
    --------
    >>> keys = ordered(np.array([-1e300, -1.0, -0.0, 0.0, 5e-324, 2.0]))
    >>> bool((np.diff(keys.astype(float)) >= 0).all()), doubles(keys).tolist()
    (True, [-1e+300, -1.0, 0.0, 0.0, 5e-324, 2.0])
    """
    bits = np.ascontiguousarray(values + 0.0).view(np.uint64)  # −0 becomes 0
    negative = bits >> np.uint64(63) != 0
    return np.where(negative, ~bits, bits | np.uint64(1 << 63))


def doubles(keys: np.ndarray) -> np.ndarray:
    """The doubles of these places in the order."""
    negative = keys >> np.uint64(63) == 0
    return np.where(negative, ~keys, keys & np.uint64((1 << 63) - 1)).view(np.float64)


def different(keys: np.ndarray) -> np.ndarray:
    """Sorted numbers, each once. `np.unique` takes ten times as long where nearly all of them differ."""
    return keys[np.concatenate([np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1]])]


@dataclass(frozen=True)
class Intervals:
    """Intervals of the order: numbers are counted in parts of them, or kept.

    Attributes
    ----------
    starts : (m,) where they begin, ascending.
    bits : (m,) binary digits by which the numbers within one may differ.
    """

    starts: np.ndarray
    bits: np.ndarray

    @staticmethod
    def whole() -> Intervals:
        """The one that has all numbers."""
        return Intervals(np.zeros(1, np.uint64), np.full(1, 64))

    def parts(self) -> Intervals:
        """4,096 parts of each."""
        finer = np.maximum(self.bits - DIGITS, 0)
        steps = np.arange(1 << DIGITS, dtype=np.uint64)
        starts = self.starts[:, None] + (steps << finer.astype(np.uint64)[:, None])
        return Intervals(starts.ravel(), np.repeat(finer, 1 << DIGITS))

    def of(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The keys that lie in an interval, and its number."""
        at = np.searchsorted(self.starts, keys, side="right") - 1
        width = self.bits[np.maximum(at, 0)]
        away = keys - self.starts[np.maximum(at, 0)]
        inside = (at >= 0) & ((width == 64) | (away >> np.minimum(width, 63).astype(np.uint64) == 0))
        return keys[inside], at[inside]

    def counted(self, keys: np.ndarray) -> np.ndarray:
        """How many keys lie in each of the 4,096 parts of each interval."""
        keys, at = self.of(keys)
        finer = np.maximum(self.bits - DIGITS, 0).astype(np.uint64)
        part = (keys - self.starts[at]) >> finer[at]
        return np.bincount((at << DIGITS) + part.astype(np.intp), minlength=len(self.starts) << DIGITS)

    def chosen(self, which: np.ndarray) -> Intervals:
        """Some of them."""
        return Intervals(self.starts[which], self.bits[which])


@dataclass
class Tally:
    """What a pass finds of the numbers of some rows.

    Attributes
    ----------
    low, high : only the finite numbers between these count, ends included.
    counting, keeping : in which intervals they are counted, and kept; None for none.
    most : different values that are kept with their numbers; beyond that none are. None to keep all numbers.
    distinct : whether of equal numbers one is kept.
    n : how many count.
    least, largest : ends of all finite numbers.
    counts : by interval; empty before the first number.
    keys : what is kept, in the order of doubles; by the pieces that were read.
    times : how often each occurs, where `most` is given.
    full : whether there were too many to keep.
    """

    low: float
    high: float
    counting: Intervals | None
    keeping: Intervals | None
    most: int | None
    distinct: bool
    n: int = 0
    least: float = math.inf
    largest: float = -math.inf
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    keys: list[np.ndarray] = field(default_factory=list[np.ndarray])
    times: list[np.ndarray] = field(default_factory=list[np.ndarray])
    full: bool = False

    def take(self, values: np.ndarray) -> None:
        """Add the finite ones of some numbers."""
        values = values[np.isfinite(values)]
        if not len(values):
            return
        self.least, self.largest = min(self.least, float(values.min())), max(self.largest, float(values.max()))
        if math.isfinite(self.low) or math.isfinite(self.high):
            values = values[(values >= self.low) & (values <= self.high)]
        self.n += len(values)
        keys = ordered(values)
        if self.counting is not None:
            self._count(self.counting.counted(keys))
        if self.keeping is not None and not self.full:
            kept = self.keeping.of(keys)[0]
            if self.most is not None:
                found, times = np.unique(kept, return_counts=True)
                self._keep([found], [times])
            else:
                self.keys.append(different(np.sort(kept)) if self.distinct else kept)

    def join(self, other: Tally) -> None:
        """Add what was found in the rows that follow."""
        self.n += other.n
        self.least, self.largest = min(self.least, other.least), max(self.largest, other.largest)
        if len(other.counts):
            self._count(other.counts)
        self.full = self.full or other.full
        self._keep(other.keys, other.times)

    def _count(self, counts: np.ndarray) -> None:
        self.counts = self.counts + counts if len(self.counts) else counts

    def _keep(self, keys: Sequence[np.ndarray], times: Sequence[np.ndarray]) -> None:
        self.keys += keys
        self.times += times
        if self.most is not None and sum(map(len, self.keys)) > self.most:
            self._merge()
            self.full = self.full or len(self.keys[0]) > self.most
        if self.full:
            self.keys, self.times = [], []

    def _merge(self) -> None:
        """Put equal values together."""
        keys, back = np.unique(np.concatenate(self.keys), return_inverse=True)
        times = np.bincount(back, np.concatenate(self.times), len(keys)).astype(np.int64)
        self.keys, self.times = [keys], [times]

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        """All that is kept, sorted, and how often each occurs; what is kept is then let go of."""
        if not self.keys:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        if self.most is not None:
            self._merge()
            return self.keys[0], self.times[0]
        keys = np.concatenate(self.keys)
        self.keys = []
        keys.sort()
        return different(keys) if self.distinct else keys, np.zeros(0, np.int64)


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes
    ----------
    least, largest : ends of all finite numbers; infinite where there are none.
    n : how many numbers count.
    values : (k,) the quantiles, interpolated as NumPy does; empty if no number counts.
    """

    least: float
    largest: float
    n: int
    values: np.ndarray


@dataclass(frozen=True)
class Quantiles:
    """A search for quantiles, pass by pass.

    Attributes
    ----------
    shares : (k,) of the numbers below each quantile.
    low, high : only the finite numbers between these count, ends included.
    distinct : whether equal numbers count once.
    parts : of the source, which keep the values of the first pass.
    cells : intervals that have all the numbers that count, in order; None before the first pass.
    rows, sizes : (m,) how many numbers each has, and how many of them count, -1 where that is not known yet.
    chosen : (m,) mask of those that the next pass looks at.
    counts, last : whether it counts in parts of them, and whether it keeps what is sought.
    ends : of all finite numbers.

    Examples
    --------
    >>> search = Quantiles(np.array([0.25, 0.5]), -np.inf, np.inf, distinct=False)
    >>> tally = search.begin()
    >>> for part in (np.array([4.0, 1.0]), np.array([np.nan, 3.0, 9.0, 9.0])):
    ...     tally.take(part)
    >>> search.after(tally).values.tolist()
    [3.0, 4.0]
    """

    shares: np.ndarray
    low: float
    high: float
    distinct: bool
    parts: int = 1
    cells: Intervals | None = None
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    sizes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    chosen: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    counts: bool = False
    last: bool = False
    ends: tuple[float, float] = (math.inf, -math.inf)

    def begin(self) -> Tally:
        """What the next pass fills, begun anew for each part of the rows."""
        if self.cells is None:
            whole = Intervals.whole() if len(self.shares) else None
            return Tally(self.low, self.high, whole, whole, max(FEWEST, FEW // self.parts), self.distinct)
        chosen = self.cells.chosen(self.chosen)
        if self.counts:
            return Tally(self.low, self.high, chosen, None, None, self.distinct)
        return Tally(self.low, self.high, None, chosen, None, self.distinct)

    def after(self, tally: Tally) -> Quantiles | Found:
        """What was found, or the search that goes on, after a pass."""
        keys, times = tally.kept()
        if self.cells is None:
            begun = replace(self, ends=(tally.least, tally.largest))
            if not (len(self.shares) and tally.n):
                return Found(*begun.ends, tally.n, np.zeros(0))
            if tally.full:
                return begun._split(Intervals.whole(), np.zeros(1, bool), tally.counts)
            # Each value is a cell of its own.
            found = Intervals(keys, np.zeros(len(keys), int))
            return begun._known(found, times, np.ones_like(times) if self.distinct else times)
        if self.counts:
            return self._split(self.cells, ~self.chosen, tally.counts)
        if self.last:
            return self._found(keys)
        at = self.cells.of(keys)[1]
        sizes = np.where(self.chosen, np.bincount(at, minlength=len(self.sizes)), self.sizes)
        return self._known(self.cells, self.rows, sizes)

    def _split(self, cells: Intervals, stay: np.ndarray, counts: np.ndarray) -> Quantiles | Found:
        """The search with the other cells in parts, those that have numbers."""
        parts = cells.chosen(~stay).parts()
        sizes = np.where(parts.bits == 0, 1, -1) if self.distinct else counts
        starts = np.concatenate([cells.starts[stay], parts.starts[counts > 0]])
        order = np.argsort(starts)

        def both(before: np.ndarray, now: np.ndarray) -> np.ndarray:
            return np.concatenate([before[stay] if len(before) else before, now[counts > 0]])[order]

        found = Intervals(starts[order], both(cells.bits, parts.bits))
        return self._known(found, both(self.rows, counts), both(self.sizes, sizes))

    def _known(self, cells: Intervals, rows: np.ndarray, sizes: np.ndarray) -> Quantiles | Found:
        """The next step of the search, where this is known of the cells."""
        here = replace(self, cells=cells, rows=rows, sizes=sizes)
        unknown = sizes < 0
        if not unknown.any():
            needed = np.zeros(len(sizes), bool)
            needed[here._places[0]] = True
            needed &= cells.bits > 0
            if not needed.any():
                return here._found(np.zeros(0, np.uint64))
            heavy = needed & (rows > KEPT // np.count_nonzero(needed))
            if heavy.any() and not self.distinct:
                return replace(here, chosen=heavy, counts=True, last=False)
            return replace(here, chosen=needed, counts=False, last=True)
        heavy = unknown & (rows > KEPT)
        if heavy.any():
            return replace(here, chosen=heavy, counts=True)
        fit = np.cumsum(np.where(unknown, rows, 0)) <= KEPT
        return replace(here, chosen=unknown & fit, counts=False)

    @property
    def _ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """(2, k) the places of the numbers on either side of each quantile, and (k,) its share of the way."""
        n = int(self.sizes.sum())
        at = (n - 1) * self.shares
        below = np.floor(at)
        return np.minimum([below, below + 1], n - 1).astype(np.int64), at - below

    @property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """(2k,) the cells that these numbers are in, and their places within them."""
        before = np.concatenate([[0], np.cumsum(self.sizes)])
        ranks = self._ranks[0].ravel()
        cells = np.searchsorted(before, ranks, side="right") - 1
        return cells, ranks - before[cells]

    def _found(self, keys: np.ndarray) -> Found:
        """The quantiles, where these are the numbers of the cells that they are in."""
        assert self.cells is not None
        at = self.cells.of(keys)[1]
        sought = []
        for cell, place in zip(*self._places, strict=True):
            if self.cells.bits[cell] == 0:
                sought.append(self.cells.starts[cell])
            else:
                sought.append(keys[at == cell][place])
        below, above = doubles(np.array(sought, np.uint64)).reshape(2, -1)
        values = [float(np.quantile(ends, share)) for *ends, share in zip(below, above, self._ranks[1], strict=True)]
        return Found(*self.ends, int(self.sizes.sum()), np.array(values))
