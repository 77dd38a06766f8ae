"""Sums by the processes of a pool."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from raphson.errors import ModelError, RaphsonError
from raphson.execute import serial, sum_blocks
from raphson.execute.pools import Pool
from raphson.execute.watched import Watched


def rows(n):
    rng = np.random.default_rng(1)
    return [rng.normal(size=20_000) * 10.0 ** rng.integers(-8, 8) for _ in range(n)]


@pytest.mark.parametrize("n", [2, 13, 37])
def test_sums_have_the_bits_of_one_thread(pool, n):
    blocks, scale = rows(n), np.linspace(0.0, 1.0, 20_000)

    def one(block):
        return float(block @ scale)

    assert sum_blocks(Pool(pool), one, blocks) == sum_blocks(serial(), one, blocks)
    assert Pool(pool).map(one, blocks) == serial().map(one, blocks)


def test_progress_is_told_of_each_task_and_of_the_end(pool):
    class Streamed(list):
        n_rows = 1000

    shown = []
    assert sum_blocks(Watched(Pool(pool), lambda *rows: shown.append(rows)), abs, Streamed(range(16))) == 120
    assert shown[-1] == (1000, 1000) and shown == sorted(shown) and len(shown) > 2


def test_an_error_in_a_worker_is_raised_as_it_is(pool):
    def one(block):
        raise ModelError(f"block {block}: not that one")

    with pytest.raises(ModelError, match=r"^block \d: not that one$"):
        sum_blocks(Pool(pool), one, [1, 2])


def test_a_pool_that_has_lost_a_process_says_how_to_go_on():
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
        pytest.raises(
            RaphsonError, match=r"executor: a process of the pool has died .* With checkpoint= the same call"
        ),
    ):
        sum_blocks(Pool(pool), lambda block: os._exit(1), [1, 2])


def test_threads_of_ones_own_are_taken_but_not_when_shut_down():
    with ThreadPoolExecutor(2) as pool:
        assert sum_blocks(Pool(pool), lambda x: 2 * x, range(7)) == 42
    with pytest.raises(ModelError, match=r"executor: the pool has been shut down"):
        sum_blocks(Pool(pool), abs, range(7))
