"""What a worker in another process does: it keeps the parcels that it was sent, and computes parts of sums.

Nothing here is of one fit: a worker may serve many, in several threads.
"""

from __future__ import annotations

import os
import pickle
import platform
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from raphson.errors import DataError, ModelError
from raphson.execute.inside import inside
from raphson.execute.parcels import Unpacker
from raphson.execute.tree import Tree
from raphson.numeric import one_blas_thread

HELD_BYTES = 2**30
"""Bytes of parcels, 1 GiB, that a worker process keeps; beyond that those that were used longest ago are dropped, and
sent again when they are needed. The environment variable ``RAPHSON_WORKER_BYTES`` of a worker sets another number."""

MALLOC = ((-3, 2**25), (-1, 2**26))
"""M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, the highest values that glibc goes to by itself: 32 and 64 MiB."""

PACKAGES = ("raphson", "numpy", "jax")
"""Those of which workers have to have the same version: by them the sums have the same bits."""


@dataclass(frozen=True)
class Task:
    """Part of a sum, or of a list of results.

    Attributes
    ----------
    root : key of the parcel with what is computed: ``(function, reader)`` for blocks that are read by their numbers,
        or the function alone.
    needs : keys of the parcels that it refers to.
    sent : bytes of parcels, by key.
    ranges : numbers of the first block and of the one behind the last, several times.
    items : key of the parcel with the blocks themselves; None if they are read.
    terms : number of all terms of the sum; None if the results are wanted one by one.
    parts : by name, what of the data the worker gets from the cluster itself; here the futures, in a worker nothing.
    where : the worker that has them.
    versions : of the packages.
    """

    root: bytes
    needs: frozenset[bytes]
    sent: dict[bytes, bytes]
    ranges: tuple[tuple[int, int], ...]
    items: bytes | None
    terms: int | None
    parts: dict[tuple[str, int], Any] = field(default_factory=dict[tuple[str, int], Any])
    where: str | None = None
    versions: tuple[str, ...] = field(default_factory=lambda: versions())


@dataclass(frozen=True)
class Missing:
    """What a worker answers that lacks parcels: their keys."""

    keys: frozenset[bytes]


Results = dict[tuple[int, int], Any]
"""Nodes of the tree, or results by ``(0, number)``."""


@cache
def versions() -> tuple[str, ...]:
    """Those of Python and of :data:`PACKAGES` in this process."""
    from importlib.metadata import PackageNotFoundError, version  # with email and more, 10 ms

    found = [".".join(platform.python_version_tuple()[:2])]
    for name in PACKAGES:
        try:
            found.append(version(name))
        except PackageNotFoundError:
            found.append("unknown")
    return tuple(found)


def perform(task: Task) -> Results | Missing:
    """Compute a task, in a worker.

    Raises
    ------
    ModelError
        If the worker has other versions than the process that sent the task.
    """
    _check(task.versions)
    lacking = held.lacking(task)
    if lacking:
        return Missing(lacking)
    try:
        with one_blas_thread(), inside(), np.errstate(all="ignore"):
            return _computed(task)
    except _DroppedError as error:
        return Missing(frozenset(error.args))
    except DataError as error:
        unseen = error.__cause__
        if not isinstance(unseen, FileNotFoundError):
            raise
        path = unseen.filename or str(error).partition(": ")[0]
        raise DataError(
            f"data: a worker on {platform.node()} finds no file {path}; put the files where all workers see them under "
            "the same path"
        ) from unseen


def perform_pickled(content: bytes, partitions: tuple[Any, ...] = ()) -> bytes:
    """Compute a task that was sent as bytes, with the partitions of its parts, which the cluster has."""
    keep_memory()
    task: Task = pickle.loads(content)  # noqa: S301 - from the process of the fit
    token = _partitions.set(dict(zip(task.parts, partitions, strict=True)))
    try:
        return pickle.dumps(perform(task), protocol=pickle.HIGHEST_PROTOCOL)
    finally:
        _partitions.reset(token)


@cache
def keep_memory() -> bool:
    """Let the C library keep what is freed, as it does by itself, where Dask has told it not to; whether it had.

    Dask starts workers with MALLOC_TRIM_THRESHOLD_, by which each block of rows is given back to the system and the
    next one taken from it page by page: a pass over Parquet takes a quarter more processor time (0.56 s beside 0.44 for
    2,000,000 rows of 11 columns, and 0.40 in a process without).
    """
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ or not sys.platform.startswith("linux"):
        return False
    import ctypes

    with suppress(OSError, AttributeError):
        adjust = ctypes.CDLL(None).mallopt
        for parameter, value in MALLOC:
            adjust(parameter, value)
    return True


_partitions: ContextVar[dict[tuple[str, int], Any]] = ContextVar("partitions")


def partition(key: str, part: int) -> Any:
    """A partition that came with the task that runs here; None if it did not."""
    return _partitions.get({}).get((key, part))


def _computed(task: Task) -> Results:
    tree = None if task.terms is None else Tree(task.terms)
    results: Results = {}
    function = held.value(task.root, task)
    if task.items is None:
        function, reader = function
        blocks: Iterator[tuple[int, Any]] = (
            (number, block)
            for first, stop in task.ranges
            for number, block in zip(range(first, stop), reader(range(first, stop)), strict=True)
        )
    else:
        numbers = (number for first, stop in task.ranges for number in range(first, stop))
        blocks = zip(numbers, held.value(task.items, task), strict=True)
    for number, block in blocks:
        if tree is None:
            results[0, number] = function(block)
        else:
            tree.add(number, function(block))
    return results if tree is None else tree.nodes


def _check(theirs: tuple[str, ...]) -> None:
    mine = versions()
    if mine == theirs:
        return
    different = [
        f"{name} {one} where the fit has {other}"
        for name, one, other in zip(("Python", *PACKAGES), mine, theirs, strict=True)
        if one != other
    ]
    raise ModelError(
        f"executor: a worker on {platform.node()} has {', '.join(different)}; install the same versions on all workers"
    )


class _DroppedError(Exception):
    """Another thread has dropped a parcel that a task needs: its key."""


class Held:
    """The parcels that this process keeps, those used last at the end."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0
        self._values: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()
        self._lock = threading.RLock()

    def lacking(self, task: Task) -> frozenset[bytes]:
        """Keys of the parcels that a task needs, and that neither it nor this process has."""
        with self._lock:
            return frozenset(key for key in task.needs if key not in task.sent and key not in self._values)

    def value(self, key: bytes, task: Task) -> Any:
        """What is in a parcel."""
        with self._lock:
            known = self._values.get(key)
            if known is not None:
                self._values.move_to_end(key)
                return known[0]
            content = task.sent.get(key)
            if content is None:
                raise _DroppedError(key)
            value = Unpacker(content, lambda other: self.value(other, task)).load()
            self._values[key] = value, len(content)
            self.size += len(content)
            while self.size > self.most and len(self._values) > 1:
                _, (_, size) = self._values.popitem(last=False)
                self.size -= size
            return value


held = Held(int(os.environ.get("RAPHSON_WORKER_BYTES", HELD_BYTES)))
