"""How a pass is cut into tasks, and what is sent with them; the workers are this process."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from raphson.execute import Serial, remote, sum_blocks, worker
from raphson.execute.inside import inside
from raphson.execute.remote import Remote
from raphson.execute.worker import Held


class Here(Remote):
    """Tasks are performed by workers that each have what they were sent, one after another."""

    def __init__(self, workers, monkeypatch):
        super().__init__()
        self.held, self.monkeypatch, self.tasks, self.turn = [Held(2**20) for _ in range(workers)], monkeypatch, [], 0

    @property
    def workers(self):
        return len(self.held)

    def run(self, tasks):
        for task in reversed(tasks):
            self.turn = (self.turn + 1) % self.workers
            self.monkeypatch.setattr(worker, "held", self.held[self.turn])
            self.tasks.append(task)
            yield task, worker.perform_pickled(self.pickled(task))


class Read:
    """Blocks that are read by their numbers, in parts that begin at some."""

    def __init__(self, n, starts):
        self.n, self.runs = n, [0, *starts]

    def __len__(self):
        return self.n

    def __iter__(self):
        return self.reader(range(self.n))

    def reader(self, numbers):
        return (float(number) for number in numbers)


class Model:
    def __init__(self, size):
        self.weights = np.full(size, 0.1)

    def for_workers(self):
        return Model(len(self.weights))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_sum_has_the_same_bits_and_a_part_is_one_workers(workers, monkeypatch):
    here, blocks, model = Here(workers, monkeypatch), Read(37, [3, 4, 11, 20, 21, 30]), Model(3)

    def one(block):
        return block * float(model.weights[0])

    assert sum_blocks(here, one, blocks) == sum_blocks(Serial(), one, list(blocks))
    cuts = sorted(cut for task in here.tasks for cut in task.ranges)
    assert {first for first, _ in cuts} <= set(blocks.runs) and cuts[-1][1] == 37
    assert here.map(one, blocks) == [one(block) for block in blocks]


def test_a_large_parcel_goes_to_a_worker_once_and_a_function_with_every_pass(monkeypatch):
    here, model = Here(2, monkeypatch), Model(50_000)
    assert model.weights.nbytes > remote.SENT_AT_ONCE
    sizes = []
    for theta in (1.0, 2.0):
        before = len(here.tasks)
        total = here.sum(lambda block, theta=theta: theta * block * float(model.weights.sum()), Read(16, range(1, 16)))
        assert total == pytest.approx(theta * 120 * 5_000)
        sizes.append(sum(len(content) for task in here.tasks[before:] for content in task.sent.values()))
    assert sizes[0] > 2 * model.weights.nbytes and sizes[1] < 20_000


def test_what_a_worker_has_dropped_is_sent_again(monkeypatch):
    here, model = Here(1, monkeypatch), Model(20_000)
    here.held[0].most = 1_000
    for _ in range(2):
        assert here.sum(lambda block: block + model.weights[0], Read(5, [2])) == pytest.approx(10.5)


def test_inside_a_worker_sums_are_its_own_and_a_copy_has_no_workers(monkeypatch):
    here = Here(2, monkeypatch)
    with inside():
        assert here.map(abs, [-1, 2]) == [1, 2] and sum_blocks(here, abs, [-1, 2]) == 3
    assert not here.tasks
    assert isinstance(copy.copy(here), Serial)
