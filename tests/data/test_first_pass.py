"""The first pass: what workers find of files whose numbers of rows only a reading tells is what one process finds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.data.pieces import Sample
from raphson.data.products import dense
from raphson.data.sample_rows import spread_rows

SIZES = (300, 7, 500, 90)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    for k, n in enumerate(SIZES):
        frame = pd.DataFrame({"x": rng.normal(size=n), "g": rng.choice(list("abcd"[: k + 1]), n)})
        frame["y"] = (rng.random(n) < 0.5).astype(float)
        frame.loc[::40, "x"] = np.nan
        frame.to_csv(folder / f"{k}.csv", index=False)
        frame.to_feather(folder / f"{k}.arrow")
    return folder


SOURCES = {
    "text": lambda folder: [folder / f"{k}.csv" for k in range(4)],
    "arrow": lambda folder: [folder / f"{k}.arrow" for k in range(4)],
    "one file": lambda folder: folder / "2.csv",
    "a reader": lambda folder: lambda: (pd.read_csv(folder / f"{k}.csv") for k in range(4)),
}


@pytest.mark.parametrize("made", SOURCES.values(), ids=SOURCES)
@pytest.mark.filterwarnings("ignore::raphson.MissingDataWarning")
def test_workers_find_what_one_process_finds(made, folder):
    asked = {"formula": "y ~ x + g", "family": "binomial"}
    here = rp.glm(data=rp.stream(made(folder), 256), **asked)
    with ThreadPoolExecutor(2) as pool:
        there = rp.glm(data=rp.stream(made(folder), 256), executor=pool, **asked)
        assert there.passes["blocks"].iloc[0] == rp.stream(made(folder)).parts
    assert here.params.to_numpy().tobytes() == there.params.to_numpy().tobytes() and here.llf == there.llf
    assert (here.nobs, here.n_dropped) == (there.nobs, there.n_dropped)
    one, other = (fit._reading.state.at.asked.streamed for fit in (here, there))
    assert one.pieces == other.pieces and one.sample.names == other.sample.names
    np.testing.assert_array_equal(dense(one.sample.X), dense(other.sample.X))
    assert str(one.same.found) == str(other.same.found) and one.same.last == other.same.last


def test_an_impossible_weight_is_named_by_the_same_row(folder, tmp_path):
    bad = tmp_path / "bad.csv"
    pd.DataFrame({"x": [1.0, 2.0], "w": [1.0, -1.0], "y": [0.0, 1.0]}).to_csv(bad, index=False)
    good = tmp_path / "good.csv"
    pd.DataFrame({"x": np.arange(9.0), "w": 1.0, "y": np.arange(9) % 2}).to_csv(good, index=False)
    errors = []
    with ThreadPoolExecutor(2) as pool:
        for where in (rp.execute.serial(), pool):
            with pytest.raises(rp.DataError, match=r"weights: .*row") as caught:
                rp.glm("y ~ x", rp.stream([good, bad], 256), weights="w", executor=where)
            errors.append(str(caught.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("n", [0, 10, 99, 100, 101, 201, 1_000])
def test_a_stride_is_what_a_sample_comes_to(n):
    sample = Sample(1, 50, 1)
    for first in range(0, n, 20):
        sample.take(pd.DataFrame({"number": np.arange(first, min(first + 20, n))}), first)
    found = np.concatenate([one["number"] for one in sample.parts]) if sample.parts else np.zeros(0)
    assert sample.every == Sample(1, 50, 1).stride(n)
    np.testing.assert_array_equal(found, spread_rows(0, n, sample.every, 1))
