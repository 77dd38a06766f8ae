"""How many rows the sample has that an iteration over streamed rows begins with."""

from __future__ import annotations

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
