"""Which rows an iteration begins with, and how many the sample of streamed rows has.

Of each run of rows there is one, at a place that looks random. At the same place in each run, as every 18th row, those
of data that repeat after 1,000 rows would be 500 different ones, however many they are: a logistic regression of
2,000,000 such rows took seven readings for three.
"""

from __future__ import annotations

import numpy as np

PART_ROWS, PART_NUMBERS, PART_SHARE = 10_000, 2**23, 20
"""A larger sample has so many rows for each column, but no more numbers than these (64 MB), and no more than so much of
the rows.

From the maximum of m rows two readings of n lead to within (p/m)^3.5 √n standard errors of theirs
(:data:`raphson.newton.part.LIGHT`), 3e-11 of n = 10⁷ with m = 10⁴ p: of 10,000,000 rows × 10 to 5e-11. The sample's own
maximum takes as long as a reading of some 3 m rows."""


def sample_rows(n_rows: int, n_columns: int, least: int) -> int:
    """Number of rows of the sample: `least`, or as many as two readings of all rows need where that is affordable.

    >>> sample_rows(10_000_000, 11, 50_000), sample_rows(2_000_000, 11, 50_000), sample_rows(10**8, 100, 50_000)
    (110000, 100000, 83886)
    """
    affordable = min(PART_NUMBERS // max(1, n_columns), n_rows // PART_SHARE)
    return max(least, min(PART_ROWS * n_columns, affordable))


def spread_rows(first: int, n_rows: int, every: int, base: int | None = None) -> np.ndarray:
    """Places among `n_rows` rows, of which the first has the number `first`, of one row in each run of `every` rows.

    Where the runs are `base` times a power of two rows long, their rows are some of those of the shorter runs.

    Examples
    --------
    >>> places = spread_rows(0, 12, 4)
    >>> (places // 4).tolist(), (4 + spread_rows(4, 8, 4)).tolist() == places[1:].tolist()
    ([0, 1, 2], True)
    >>> set(spread_rows(0, 12, 4, base=1)) < set(spread_rows(0, 12, 2, base=1))
    True
    """
    size = base or every
    if every == 1:
        return np.arange(n_rows)
    runs = np.arange(first // size, (first + n_rows - 1) // size + 1)
    rows = runs * size + (_mixed(runs) % np.uint64(size)).astype(np.int64) - first
    kept = (rows >= 0) & (rows < n_rows)
    while size < every:
        kept &= runs % 2 == second_of_pair(runs // 2, size)
        runs, size = runs // 2, 2 * size
    return rows[kept]


def second_of_pair(pairs: np.ndarray, size: int) -> np.ndarray:
    """(m,) which run of each pair of runs of `size` rows has the row of both: 0 for the first one, 1 for the second."""
    return (_mixed(pairs + 977 * size) >> np.uint64(32) & np.uint64(1)).astype(np.int64)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Whole numbers of 64 bits that look random, one for each number (Steele, Lea and Flood 2014, the finaliser)."""
    z = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
