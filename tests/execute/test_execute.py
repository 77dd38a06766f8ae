from __future__ import annotations

import threading
import time
from itertools import pairwise

import numpy as np
import pytest

from raphson import kept
from raphson.errors import ModelError
from raphson.execute import Serial, Threads, keep_compiled, serial, sum_blocks, threads, tree_sum


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13])
def test_tree_sum_keeps_the_order_and_loses_nothing(n):
    letters = [chr(97 + i) for i in range(n)]
    assert tree_sum(letters) == "".join(letters)


def test_tree_sum_is_a_tree():
    # Neighbours first: in ((1 + ε) + …) each ε would be lost, in a tree they meet before they meet the 1.
    tiny = 2.0**-53
    assert tree_sum([1.0, 0.0, tiny, tiny]) == 1.0 + 2 * tiny


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 50])
@pytest.mark.parametrize("executor", [Serial(), Threads(1), Threads(2), Threads(5)])
def test_map_gives_results_in_block_order(executor, n):
    def slow_at_first(i):
        time.sleep(0.002 * (i == 0))
        return i * i

    assert executor.map(slow_at_first, list(range(n))) == [i * i for i in range(n)]


def test_the_sum_is_the_same_to_the_last_bit_however_it_is_shared_out():
    rng = np.random.default_rng(1)
    blocks = [rng.normal(size=100) * 10.0 ** rng.integers(-8, 8) for _ in range(37)]
    sums = {sum_blocks(executor, np.sum, blocks) for executor in (Serial(), Threads(2), Threads(3), Threads(16))}
    assert len(sums) == 1


class Read:
    """Blocks in runs, with a note of each run that is begun."""

    def __init__(self, numbers, starts, begun):
        self.numbers, self.starts, self.begun = numbers, starts, begun

    @property
    def runs(self):
        return [0, *(start - self.numbers[0] for start in self.starts if start in self.numbers[1:])]

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, cut):
        return Read(self.numbers[cut], self.starts, self.begun)

    def __iter__(self):
        self.begun.append(self.numbers)
        return iter(self.numbers)


@pytest.mark.parametrize("workers", [2, 3, 8])
@pytest.mark.parametrize("starts", [(0,), (0, 4, 5, 17), tuple(range(20))])
def test_each_run_of_blocks_that_is_read_by_itself_is_read_once(workers, starts):
    begun = []
    assert Threads(workers).map(lambda i: i * i, Read(range(20), starts, begun)) == [i * i for i in range(20)]
    edges = [*starts, 20] if len(starts) >= workers else [0, 20]
    assert sorted(begun, key=min) == [range(a, b) for a, b in pairwise(edges)]


def test_blocks_that_one_thread_reads_are_few_at_a_time_and_their_errors_reach_the_caller():
    held, most = set(), []

    def read():
        for i in range(50):
            held.add(i)
            most.append(len(held))
            yield i

    def work(i):
        held.discard(i)
        if i == 40:
            raise KeyError(i)
        return i

    class Passing(Read):
        def __iter__(self):
            return read()

    with pytest.raises(KeyError):
        Threads(2).map(work, Passing(range(50), (0,), []))
    assert max(most) <= 4
    assert Threads(2).map(abs, [-1, -2, -3]) == [1, 2, 3]


def test_threads_share_the_work():
    barrier = threading.Barrier(2, timeout=300)
    # Both workers must be inside at once, or the barrier breaks.
    assert Threads(2).map(lambda _: barrier.wait() >= 0, [0, 1]) == [True, True]


def test_blas_keeps_to_one_thread_inside_blocks():
    import scipy.linalg  # noqa: F401 - it has a library of its own
    from threadpoolctl import threadpool_info, threadpool_limits

    def pools(_):
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        assert pools(0) == {2}
        for executor in (Serial(), Threads(2)):
            assert executor.map(pools, [0, 1]) == [{1}, {1}]


def test_numpy_error_state_goes_along_into_the_workers():
    with np.errstate(divide="raise"):
        for executor in (Serial(), Threads(2)):
            with pytest.raises(FloatingPointError):
                executor.map(lambda x: np.ones(1) / x, [np.zeros(1), np.zeros(1)])


def test_an_error_in_a_block_reaches_the_caller():
    def fail(i):
        if i == 3:
            raise KeyError(i)

    for executor in (Serial(), Threads(2)):
        with pytest.raises(KeyError):
            executor.map(fail, range(5))
        # and the pool is fit for use afterwards
        assert executor.map(abs, [-1, -2, -3]) == [1, 2, 3]


def test_makers():
    assert serial() == Serial() and threads(3) == Threads(3) and threads().workers >= 1


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2"])
def test_a_number_of_workers_that_is_none(workers):
    with pytest.raises(ModelError, match="workers: expected a whole number"):
        threads(workers)


def test_a_sum_inside_a_sum_does_not_wait_for_itself():
    executor = Threads(2)
    # Each of the pool's two threads asks the pool for more: without care both would wait for ever.
    inner = executor.map(lambda i: sum_blocks(executor, lambda j: i * j, [1, 2, 3]), [1, 2, 3, 4])
    assert inner == [6, 12, 18, 24]


def test_an_error_ends_the_work_of_the_other_threads():
    done, other = [], threading.Event()

    def work(i):
        if i == 0:
            other.wait(300)
            raise KeyboardInterrupt
        other.set()
        time.sleep(0.02)
        done.append(i)

    with pytest.raises(KeyboardInterrupt):
        Threads(2).map(work, list(range(200)))
    time.sleep(0.1)
    seen = len(done)
    time.sleep(0.1)
    assert len(done) == seen < 50


def test_where_compiled_code_is_kept_can_be_said(monkeypatch, tmp_path):
    monkeypatch.setattr(kept, "_choice", kept._Choice())
    keep_compiled(tmp_path / "code")
    assert kept.folder() == tmp_path / "code"
    keep_compiled(str(tmp_path))
    assert kept.folder() == tmp_path
    keep_compiled(False)
    assert kept.folder() is None
    keep_compiled()
    assert kept.folder() is not None


def test_where_compiled_code_is_kept_must_be_a_place():
    with pytest.raises(ModelError, match=r"where: expected a folder, True .* got None"):
        keep_compiled(None)
