"""The sample is large where it spares a reading, and then fits into memory."""

from __future__ import annotations

import pytest

from raphson.data.sample_rows import PART_NUMBERS, sample_rows


@pytest.mark.parametrize(
    ("n_rows", "columns", "rows"),
    [
        (10_000_000, 11, 110_000),
        (50_000_000, 11, 110_000),
        (2_000_000, 11, 100_000),
        (500_000, 11, 50_000),
        (50_000_000, 100, 83_886),
        (0, 3, 50_000),
    ],
)
def test_the_sample_is_large_where_it_spares_a_reading(n_rows, columns, rows):
    assert sample_rows(n_rows, columns, 50_000) == rows
    assert rows == 50_000 or rows * columns <= min(PART_NUMBERS, n_rows * columns // 20)
