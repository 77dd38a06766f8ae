from __future__ import annotations

import numpy as np
import pytest

from raphson.data import quantiles
from raphson.data.quantiles import Found, Intervals, Quantiles, doubles, ordered

SHARES = np.linspace(0, 1, 7)[1:-1]


def searched(values: np.ndarray, low=-np.inf, high=np.inf, distinct=False, parts=1, shares=SHARES):
    """The quantiles, and the number of passes: over parts that are tallied apart, 100 numbers at a time."""
    search, passes = Quantiles(shares, low, high, distinct, parts), 0
    while not isinstance(search, Found):
        total = search.begin()
        for part in np.array_split(values, parts):
            tally = search.begin()
            for start in range(0, len(part), 100):
                tally.take(part[start : start + 100])
            total.join(tally)
        search, passes = search.after(total), passes + 1
    return search, passes


@pytest.fixture(params=["few kept", "usual"])
def kept(request, monkeypatch) -> bool:
    """With few numbers kept there are several passes."""
    if request.param == "few kept":
        for name, number in (("FEW", 20), ("FEWEST", 10), ("KEPT", 60)):
            monkeypatch.setattr(quantiles, name, number)
    return request.param == "few kept"


rng = np.random.default_rng(0)
COLUMNS = {
    "normal": rng.normal(size=2000),
    "counts": rng.poisson(3.0, 2000).astype(float),
    "one value nearly always": np.where(rng.random(2000) < 0.9, 0.1, rng.normal(size=2000)),
    "both zeros": np.where(rng.random(2000) < 0.5, -0.0, rng.integers(-1, 2, 2000)),
    "of all sizes": rng.normal(size=2000) * 10.0 ** rng.integers(-300, 300, 2000),
    "near one number": 1.7e9 + rng.integers(0, 700, 2000) * 2.0**-22,
    "missing": np.where(rng.random(2000) < 0.3, np.nan, rng.normal(size=2000)),
    "infinite": np.where(rng.random(2000) < 0.3, np.inf, rng.normal(size=2000)),
    "single": np.array([3.0]),
    "two": np.array([3.0, -1.0]),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (-0.5, 1.7e9)])
def test_quantiles_are_those_of_all_numbers(name, distinct, bounds, kept):
    column = COLUMNS[name]
    finite = column[np.isfinite(column)]
    inside = finite[(finite >= bounds[0]) & (finite <= bounds[1])]
    used = np.unique(inside) if distinct else inside
    for parts in (1, 7):
        found, passes = searched(column, bounds[0], bounds[1], distinct, parts)
        assert (found.least, found.largest, found.n) == (finite.min(), finite.max(), len(used))
        np.testing.assert_array_equal(found.values, np.quantile(used, SHARES))
        # 64 digits, 12 in each pass, one that keeps values, and those that tell 30 numbers or more from each other.
        assert passes <= (6 + 1 + (len(inside) // 30 + 1) * distinct if kept else 1)


def test_where_no_number_counts():
    found, passes = searched(np.array([1.0, 2.0]), 3.0, 4.0)
    assert (found.n, found.values.tolist(), found.least, passes) == (0, [], 1.0, 1)
    found, _ = searched(np.array([np.nan, np.inf]))
    assert found.n == 0 and found.least == np.inf


def test_ends_alone_take_one_pass(kept):
    found, passes = searched(COLUMNS["normal"], shares=np.zeros(0))
    assert (found.least, passes, len(found.values)) == (COLUMNS["normal"].min(), 1, 0)


def test_the_order_of_doubles():
    values = np.sort(COLUMNS["of all sizes"])
    keys = ordered(values)
    assert (keys[1:] > keys[:-1]).all()
    np.testing.assert_array_equal(doubles(keys), values)
    counts, (inside, at) = Intervals.whole().counted(keys), Intervals.whole().parts().of(keys)
    np.testing.assert_array_equal(inside, keys)
    np.testing.assert_array_equal(np.bincount(at, minlength=4096), counts)
