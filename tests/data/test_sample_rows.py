"""The sample is large where it spares a reading, and then fits into memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data.sample_rows import PART_NUMBERS, sample_rows, spread_rows


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


@pytest.mark.parametrize(("every", "base"), [(1, None), (7, None), (64, 1), (96, 3), (1000, None)])
def test_of_each_run_one_row_is_chosen_whoever_reads_which_rows(every, base):
    n = 10_007
    places = spread_rows(0, n, every, base)
    assert (places[:-1] // every == np.arange(len(places) - 1)).all() and len(places) in (n // every, -(-n // every))
    apart = [start + spread_rows(start, min(501, n - start), every, base) for start in range(0, n, 501)]
    np.testing.assert_array_equal(np.concatenate(apart), places)
    if base is not None:
        assert set(places) <= set(spread_rows(0, n, every // 2, base))
    # Each place of a run is as likely as another: of m runs the mean place has a standard error of every/√(12 m).
    assert abs((places % every).mean() - (every - 1) / 2) <= 4 * every / np.sqrt(12 * len(places))


@pytest.mark.parametrize("period", [8, 18, 1000, 1024])
@pytest.mark.parametrize(("every", "base"), [(18, None), (32, 1), (1000, None)])
def test_of_rows_that_repeat_all_are_met(period, every, base):
    met = np.unique(spread_rows(0, 5_000 * every, every, base) % period)
    assert len(met) > 0.98 * period


@pytest.mark.parametrize("streamed", [False, True])
def test_copies_of_rows_take_no_more_readings_than_other_rows(streamed):
    rng = np.random.default_rng(0)
    n, distinct = 400_000, 1_000
    x, z, u = rng.normal(size=(3, n))
    whole = pd.DataFrame({"x": x, "z": z, "y": (u < 0.5 * x - 0.3 * z).astype(float)})
    copies = pd.concat([whole[:distinct]] * (n // distinct), ignore_index=True)
    readings = []
    for rows in (whole, copies):
        data = (
            rp.stream(lambda rows=rows: (rows[at : at + 100_000] for at in range(0, n, 100_000))) if streamed else rows
        )
        fit = rp.glm("y ~ x + z", data, family="binomial")
        readings.append(int((fit.path["rows"] >= n).sum()))
    assert readings[1] <= readings[0]
