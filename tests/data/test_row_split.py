"""Rows held out of a stream: the same at each reading, as many as asked for, and none of weight 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from raphson.data import from_stream
from raphson.data.row_split import RowSplit, parted
from raphson.data.sources import stream

N = 1500


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=N), "y": np.arange(N) * 1.0, "w": rng.integers(0, 3, N)})
    frame.loc[::7, "x"] = np.nan
    return frame


def streamed(frame, **given):
    arguments = {"weights": None, "offset": None, "trials": None, "groups": None}
    with pytest.warns(UserWarning, match="215 of 1500 rows dropped"):
        return from_stream("y ~ x", stream([frame[a : a + 400] for a in range(0, N, 400)], 256), arguments | given)


def responses(data, pieces=None):
    return np.concatenate([one.response.values for _, one in data.read(data.pieces if pieces is None else pieces)])


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_both_parts_are_all_rows_and_every_reading_gives_the_same(frame, weights, share):
    data = streamed(frame, weights=weights)
    training, held = parted(data, share, np.random.default_rng(3))
    both = responses(training), responses(held)
    np.testing.assert_array_equal(np.sort(np.concatenate(both)), responses(data))
    assert (training.n_rows, held.n_rows) == tuple(map(len, both))
    if weights is None:
        assert held.n_rows == round(share * data.n_rows)
    else:
        assert (frame["w"].to_numpy()[both[1].astype(int)] > 0).all()
        assert held.n_rows == pytest.approx(share * (frame["w"][frame["x"].notna()] > 0).sum(), abs=5)
    for part, rows in zip((training, held), both, strict=True):
        np.testing.assert_array_equal(
            responses(part, part.pieces[2:4]), rows[part.pieces[2].start : part.pieces[4].start]
        )
        beside = [(rows["y"].to_numpy(), one.response.values) for rows, one in part.beside()]
        np.testing.assert_array_equal(np.concatenate([one for _, one in beside]), rows)
        for one, other in beside:
            np.testing.assert_array_equal(one, other)
        shuffled = np.concatenate(
            [one.response.values for group in part.shuffled(np.random.default_rng(0)) for one in group]
        )
        np.testing.assert_array_equal(np.sort(shuffled), np.sort(rows))


def test_the_seed_decides(frame):
    data = streamed(frame)
    held = [responses(parted(data, 0.1, np.random.default_rng(seed))[1]) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(held[0], held[1])
    assert len(np.intersect1d(held[0], held[2])) < 0.3 * len(held[0])
    shares = np.histogram(held[0], bins=5, range=(0, N))[0] / len(held[0])
    assert (np.abs(shares - 0.2) < 0.1).all()


def test_one_piece_is_split_as_the_rows_of_a_frame_are():
    rng, same = np.random.default_rng(5), np.random.default_rng(5)
    frame = pd.DataFrame({"x": np.arange(90.0), "y": np.arange(90.0)})
    data = from_stream("y ~ x", stream([frame], 256), dict.fromkeys(("weights", "offset", "trials", "groups")))
    _, held = parted(data, 0.25, rng)
    np.testing.assert_array_equal(responses(held), np.sort(same.permutation(90)[: round(0.25 * 90)]))
    assert rng.random() == same.random()


def test_few_rows_give_one_and_keep_one():
    split = RowSplit.of(0.1, np.random.default_rng(0), {(0, 0): 0, (0, 1): 3})
    assert [split.count((0, 0), n) for n in (0, 1, 2, 3)] == [0, 0, 1, 1]
    assert split.count((0, 1), 3) == 1 and split.count((0, 1), 1) == 0
    frame = pd.DataFrame({"x": [1.0], "y": [1.0]})
    data = from_stream("y ~ x", stream([frame], 256), dict.fromkeys(("weights", "offset", "trials", "groups")))
    assert parted(data, 0.1, np.random.default_rng(0)) == (data, None)
