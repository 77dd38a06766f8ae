"""What a worker does, here in this process."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.execute import inside as place
from raphson.execute.parcels import Sender
from raphson.execute.worker import Held, Missing, Task, keep_memory, perform


def task_of(function, items, **changes):
    sender = Sender()
    root, content = sender.pack(function)
    packed, inside = sender.pack(items)
    sent = {root.key: content, packed.key: inside} | {key: sender.content(key) for key in root.needs}
    task = Task(root.key, frozenset(sent), sent, ((2, 2 + len(items)),), packed.key, 8)
    return replace(task, **changes)


def test_neighbours_are_added_and_others_are_not():
    assert perform(task_of(lambda x: 10 * x, [1, 2, 3])) == {(1, 1): 30, (0, 4): 30}
    assert perform(task_of(lambda x: 10 * x, [1, 2, 3], terms=None)) == {(0, 2): 10, (0, 3): 20, (0, 4): 30}


def test_what_it_was_not_sent_is_asked_for():
    task = task_of(lambda x: -x, [1])
    without = {key: content for key, content in task.sent.items() if key == task.root}
    fresh = replace(task, needs=task.needs | {b"other"}, sent=without)
    assert isinstance(answer := perform(fresh), Missing) and b"other" in answer.keys


def test_other_versions_are_named():
    task = task_of(lambda x: x, [1])
    theirs = (task.versions[0], "9.9.9", *task.versions[2:])
    with pytest.raises(ModelError, match=r"a worker on .* has raphson .* where the fit has 9.9.9; install the same"):
        perform(replace(task, versions=theirs))


def test_code_in_a_worker_does_not_use_pools_of_its_own():
    assert perform(task_of(lambda x: place.is_inside.get(), [1])) == {(0, 2): True}
    assert not place.is_inside.get()


def test_parcels_used_longest_ago_are_dropped():
    held, sender = Held(20_000), Sender()
    values = [np.full(1_000, float(k)) for k in range(4)]
    packed = [sender.pack(one) for one in values]
    for parcel, content in packed:
        task = Task(parcel.key, frozenset([parcel.key]), {parcel.key: content}, (), None, None)
        assert held.value(parcel.key, task)[0] == values[len(held._values) - 1][0] or held.size <= 20_000
    assert held.size <= 20_000
    empty = Task(b"", frozenset(parcel.key for parcel, _ in packed), {}, (), None, None)
    assert held.lacking(empty) == {packed[0][0].key, packed[1][0].key}


def test_only_where_dask_has_set_it_the_allocator_is_set_back(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    assert not keep_memory.__wrapped__()
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    monkeypatch.setattr("raphson.execute.worker.MALLOC", ())
    assert keep_memory.__wrapped__() is sys.platform.startswith("linux")
