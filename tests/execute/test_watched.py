"""An executor that shows how far a sum over streamed blocks is."""

from __future__ import annotations

import pickle

import pytest

from raphson.execute import serial, sum_blocks, threads
from raphson.execute.journal import Journal, Recorded, answering
from raphson.execute.watched import Watched


class Streamed(list):
    n_rows = 1000


@pytest.mark.parametrize("inner", [serial(), threads(2)], ids=["serial", "threads"])
def test_each_block_is_shown_and_the_end_once(inner):
    shown = []
    total = sum_blocks(Watched(inner, lambda *rows: shown.append(rows)), lambda x: x, Streamed(range(8)))
    assert total == 28
    assert sorted(shown[:-1]) == [(125 * k, 1000) for k in range(1, 8)] and shown[-1] == (1000, 1000)


def test_sums_in_memory_and_sums_from_a_journal_show_nothing(tmp_path):
    shown = []
    watched = Watched(serial(), lambda *rows: shown.append(rows))
    assert sum_blocks(watched, abs, [-1, 2]) == 3
    for readings in (8, 8):
        with Journal(tmp_path / "j", {}) as journal:
            executor = Recorded(watched, journal)
            assert sum_blocks(executor, abs, Streamed(range(8)), lambda: ("sum",)) == 28
            assert answering(executor).show is watched.show
        assert len(shown) == readings
    assert answering(watched)(("first",), lambda: 5) == 5 and answering(watched).show is watched.show
    answering(serial()).show(1, 2)


def test_an_error_in_a_block_is_raised():
    with pytest.raises(ZeroDivisionError):
        sum_blocks(Watched(serial(), lambda *rows: None), lambda x: 1 / x, Streamed([1, 0]))


def test_nobody_watches_a_copy_in_another_process():
    assert pickle.loads(pickle.dumps(Watched(serial(), print))) == serial()  # noqa: S301
