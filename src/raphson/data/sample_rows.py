"""How many rows the sample has that an iteration over streamed rows begins with."""

from __future__ import annotations

PART_ROWS, PART_NUMBERS, PART_SHARE = 60_000, 2**23, 12
"""A larger sample has so many rows for each column, unless these are more numbers (64 MB) or more than so much of the
rows.

From the maximum of m rows that of n is d = √(p n/m) standard errors away, and a step by their M leaves √(p/m) d. Where
that is within 10 √(m/p) of 1e-8 √n, the next reading is the last one (:data:`raphson.newton.directions.DRIFT`): from
m = 46,400 p on, whatever n is. It is one reading less, and the sample's own maximum takes as long as some 3 m rows.
The second reading is the last one too where the sample judges the step that follows to a tenth of the tolerance: of
10,000,000 rows of 10 columns it does, to 8e-10 standard errors, of 50,000,000 it takes a third."""


def sample_rows(n_rows: int, n_columns: int, least: int) -> int:
    """Number of rows of the sample: `least`, or as many as spare a reading of all rows where that is affordable.

    >>> sample_rows(10_000_000, 11, 50_000), sample_rows(2_000_000, 11, 50_000)
    (660000, 50000)
    """
    wanted, affordable = PART_ROWS * n_columns, min(PART_NUMBERS // max(1, n_columns), n_rows // PART_SHARE)
    return wanted if least < wanted <= affordable else least
