"""A training goes on only from a whole file of the same training."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.errors import DataError
from raphson.newton.training.checkpoint import read, write
from raphson.newton.training.first_order import Snapshot

ABOUT = {"layers": [{"width": 3}, {"width": 1}], "method": {"name": "adam"}, "data": "abc", "start": "def"}


def snapshot(best=1.5):
    trees = {name: [{"weight": np.arange(3.0)}] for name in ("params", "moments", "best_params")}
    states = {name: {"step": np.array(7)} for name in ("state", "best_state")}
    return Snapshot(**trees, **states, best=best, best_epoch=2, history=[], rng={"state": 5})


@pytest.mark.parametrize("best", [1.5, np.inf])
def test_it_comes_back(best, tmp_path):
    write(snapshot(best), ABOUT, tmp_path / "t.npz")
    back = read(tmp_path / "t.npz", ABOUT, snapshot())
    assert back is not None and back.best == best and back.best_epoch == 2 and back.rng == {"state": 5}
    np.testing.assert_array_equal(back.params[0]["weight"], np.arange(3.0))


def test_no_file_is_no_training(tmp_path):
    assert read(tmp_path / "t.npz", ABOUT, snapshot()) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "xyz"}, "its data were different"),
        ({"start": "xyz"}, "it started from other weights"),
        ({"method": {"name": "sgd"}}, "its method's name was 'adam', and now it is 'sgd'"),
        ({"layers": [{"width": 4}, {"width": 1}]}, "its layer 1's width was 3, and now it is 4"),
        ({"layers": [{"width": 3}]}, "the number of its layers was 2, and now it is 1"),
    ],
)
def test_another_training_is_told_by_what_differs(change, message, tmp_path):
    write(snapshot(), ABOUT, tmp_path / "t.npz")
    with pytest.raises(DataError, match=message):
        read(tmp_path / "t.npz", {**ABOUT, **change}, snapshot())


def test_a_changed_or_cut_file_is_refused(tmp_path):
    path = tmp_path / "t.npz"
    write(snapshot(), ABOUT, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="another kind of file, or was cut short"):
        read(path, ABOUT, snapshot())
    arrays = dict(np.load(_written(path, whole)))
    arrays["params_0"] = arrays["params_0"] + 1.0
    np.savez(path, **arrays)
    with pytest.raises(DataError, match="expected a file as the training wrote it"):
        read(path, ABOUT, snapshot())


def _written(path, content):
    path.write_bytes(content)
    return path
