"""A reader that gives other rows later, and files that are changed meanwhile, are found out."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import raphson as rp
from raphson.data.same_rows import SameRows, placed_sum
from raphson.data.sources import Source
from raphson.data.values import Table
from raphson.errors import DataError

N = 1000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=N), "g": rng.choice(["a", "b"], N), "w": rng.integers(0, 3, N)})
    frame["y"] = rng.poisson(np.exp(0.2 * frame["x"]))
    frame.loc[::17, "x"] = np.nan
    return frame


def changed_in(column, row, value):
    def change(frame):
        return frame.assign(**{column: frame[column].where(frame.index != row, value)})

    return change


def tiny(frame):
    x = frame["x"].to_numpy().copy()
    x[701] = np.nextafter(x[701], np.inf) + 1e-9
    return frame.assign(x=x)


CHANGES = {
    "one number": (changed_in("x", 702, 0.5), "other values of 'x'"),
    "a slight change": (tiny, "other values of 'x'"),
    "one missing more": (changed_in("x", 702, np.nan), "other values of 'x'"),
    "one level": (changed_in("g", 702, "b"), "other values of 'g'"),
    "one new level": (changed_in("g", 702, "new"), "other values of 'g'"),
    "one weight": (changed_in("w", 702, 7), "other values of 'w'"),
    "a row less": (lambda frame: frame[:-1], "fewer rows"),
    "a piece less": (lambda frame: frame[:512], "fewer rows"),
    "none": (lambda frame: frame[:0], "fewer rows"),
    "a row more": (lambda frame: pd.concat([frame, frame[:1]]), "more rows"),
    "rows in another order": (lambda frame: frame.iloc[[1, 0, *range(2, N)]], "other values"),
    "missing values in another order": (
        lambda frame: frame.iloc[[17, *range(1, 17), 0, *range(18, N)]],
        "other values",
    ),
    "pieces in another order": (lambda frame: pd.concat([frame[512:], frame[:512]]), "other values"),
}


@pytest.mark.parametrize("arrow", [False, True], ids=["frames", "Arrow"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_reader_that_gives_other_rows_later_is_found_out(name, arrow, frame, monkeypatch):
    monkeypatch.setattr("raphson.data.pieces.MOST_PIECES", 1)
    change, says = CHANGES[name]
    frame = frame.assign(g=frame["g"].where(frame.index != 702, "a"))
    readings = []

    def reader():
        readings.append(0)
        # The first two begin a reading for the names of the columns alone; the third is the first pass.
        now = frame if len(readings) < 4 else change(frame)
        for start in range(0, len(now), 300):
            some = now[start : start + 300]
            yield pa.Table.from_pandas(some, preserve_index=False) if arrow else some

    with (
        pytest.raises(DataError, match=f"data: a second reading gave other rows than the first .{says}"),
        pytest.warns(rp.MissingDataWarning),
    ):
        rp.glm("y ~ x + g", rp.stream(reader, 256), family="poisson", weights="w")


def test_rows_more_than_whole_pieces_are_found(frame):
    frame = frame[:512].assign(x=1.0)
    readings = []

    def reader():
        readings.append(0)
        yield frame if len(readings) < 3 else pd.concat([frame, frame])

    with pytest.raises(DataError, match=r"gave other rows than the first .more rows"):
        rp.glm("y ~ g", rp.stream(reader, 256), family="poisson")


def test_columns_that_the_model_does_not_read_may_change(frame):
    readings = []

    def reader():
        readings.append(0)
        yield frame.assign(z=float(len(readings)))

    assert rp.glm("y ~ g", rp.stream(reader, 256), family="poisson").converged


@pytest.mark.parametrize("how", ["values", "longer", "shorter", "cut short", "gone"])
@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv"])
def test_a_file_that_is_changed_while_it_is_fitted_is_named(how, ending, frame, tmp_path, monkeypatch):
    path = tmp_path / f"rows.{ending}"

    def write(rows):
        new = tmp_path / f"new.{ending}"
        if ending == "parquet":
            rows.to_parquet(new, row_group_size=300)
        elif ending == "arrow":
            rows.reset_index(drop=True).to_feather(new)
        else:
            rows.to_csv(new, index=False)
        new.replace(path)

    def change():
        if how == "gone":
            path.unlink()
        elif how == "cut short":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        else:
            other = changed_in("y", 3, 99)
            write({"values": other, "longer": lambda f: pd.concat([f, f]), "shorter": lambda f: f[:-5]}[how](frame))

    write(frame)
    source = rp.stream(path, 256)
    before, passes = type(source).rows, []

    def rows(self, part, columns):
        if part == 0:
            passes.append(part)
            if len(passes) == 3:
                change()
        return before(self, part, columns)

    monkeypatch.setattr(type(source), "rows", rows)
    with pytest.raises(DataError, match=rf"rows\.{ending}: ") as caught:
        rp.glm("y ~ g", source, family="poisson", executor=rp.execute.serial())
    assert "\n" not in str(caught.value) and len(passes) == 3


class Held(Source):
    """A source of which only the stamp is asked."""

    names = ("x",)

    def __init__(self, stamp=None):
        self.now = stamp

    def stamp(self, part):
        return self.now


def test_values_that_are_not_finite_have_a_place():
    same, source = SameRows(("x",)), Held()
    same.note((0, 0), Table(pd.DataFrame({"x": [np.nan, np.inf, 1.0]})), source)
    same.check((0, 0), Table(pd.DataFrame({"x": [np.nan, np.inf, 1.0]})), source)
    for other in ([np.nan, np.inf, 2.0], [np.inf, np.nan, 1.0], [np.nan, -np.inf, 1.0], [1.0, np.inf, np.nan]):
        with pytest.raises(DataError, match="other values"):
            same.check((0, 0), Table(pd.DataFrame({"x": other})), source)


def test_rows_of_files_that_have_not_changed_are_not_added_up_again():
    source, same = Held("before"), SameRows(("x",))
    same.begin(0, source)
    values, others = np.linspace(0.0, 1.0, 9000), np.ones(9000)
    same.note((0, 0), Table(pd.DataFrame({"x": values})), source)
    with_missing = np.where(np.arange(9000) == 7, np.nan, values)
    same.note((0, 1), Table(pd.DataFrame({"x": with_missing})), source)
    table = Table(pd.DataFrame({"x": others}))
    same.check((0, 0), table, source)  # what cannot be
    assert table.column("x").total == placed_sum(values)
    missing = Table(pd.DataFrame({"x": with_missing}))
    same.check((0, 1), missing, source)
    assert missing.bad("x").sum() == 1
    with pytest.raises(DataError, match="fewer rows"):
        same.check((0, 0), Table(pd.DataFrame({"x": others[1:]})), source)
    source.now = "after"
    same.check((0, 0), Table(pd.DataFrame({"x": values})), source)
    with pytest.raises(DataError, match="other values of 'x'"):
        same.check((0, 0), Table(pd.DataFrame({"x": others})), source)


@pytest.mark.parametrize("when", ["before", "just now", "during"])
def test_files_that_were_changed_during_the_first_reading_or_just_before_are_not_trusted(when):
    source, same = Held(None if when == "just now" else "before"), SameRows(("x",))
    same.begin(0, source)
    source.now = "during" if when == "during" else source.now
    same.note((0, 0), Table(pd.DataFrame({"x": [1.0, 2.0]})), source)
    other = Table(pd.DataFrame({"x": [1.0, 3.0]}))
    if when == "before":
        same.check((0, 0), other, source)
        return
    with pytest.raises(DataError, match="other values of 'x'"):
        same.check((0, 0), other, source)


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv"])
def test_a_file_that_was_there_for_long_is_trusted_until_it_is_changed(ending, frame, tmp_path):
    path = tmp_path / f"rows.{ending}"
    write = {"parquet": frame.to_parquet, "arrow": frame.to_feather, "csv": frame.to_csv}[ending]
    write(path)
    source = rp.stream(path)
    assert source.stamp(0) is None
    os.utime(path, (1e9, 1e9))
    before = source.stamp(0)
    assert before is not None and before == source.stamp(0)
    copy = tmp_path / f"other.{ending}"
    write(copy)
    os.utime(copy, (1e9, 1e9))
    copy.replace(path)
    assert source.stamp(0) != before
    path.unlink()
    assert source.stamp(0) is None


@pytest.mark.parametrize("n", [1, 5, 1023, 1024, 5000, 131_072])
def test_a_sum_has_the_same_bits_wherever_the_values_lie_and_others_for_any_two_that_change_places(n):
    rng = np.random.default_rng(n)
    values, room = rng.normal(size=n), np.empty(n + 8)
    sums = set()
    for start in range(8):
        room[start : start + n] = values
        sums.add(placed_sum(room[start : start + n]))
    assert len(sums) == 1
    for _ in range(200):
        i, j = rng.integers(n, size=2)
        other = values.copy()
        other[[i, j]] = other[[j, i]]
        assert (placed_sum(other) in sums) == (i == j)


def test_huge_values_do_not_overflow_to_a_sum_that_differs_from_itself():
    same = SameRows(("x",))
    huge = Table(pd.DataFrame({"x": [1e308, -1e308] * 3000}))
    same.note((0, 0), huge, Held())
    same.check((0, 0), Table(huge.frame.copy()), Held())


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_what_the_sum_says_of_missing_values_is_true(value):
    table = Table(pd.DataFrame({"x": np.where(np.arange(9000) == 8000, value, 1.0)}))
    SameRows(("x",)).note((0, 0), table, Held())
    bad = table.bad("x")
    assert (None if bad is None else np.flatnonzero(bad).tolist()) == (None if value == 0.0 else [8000])
