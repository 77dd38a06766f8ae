"""Executors whose workers are other processes, here or on other machines.

Rows stay where they are: what goes out is a function, which holds θ, and the numbers of the blocks, and what comes back
are sums over them. A worker adds those results that are neighbours in the fixed tree (:mod:`raphson.execute.tree`), so
that the bits do not depend on the workers.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeVar

from raphson.execute.inside import is_inside
from raphson.execute.parcels import Sender
from raphson.execute.tree import Tree
from raphson.execute.worker import Missing, Results, Task

B = TypeVar("B")
T = TypeVar("T")

TASKS = 4
"""Tasks for each worker in a pass: with more, a slow one would hold up the others for less long, but each takes some
milliseconds of the scheduler's time."""

FEWEST_BLOCKS = 8
"""Blocks that a task reads at least, where there are tasks for all workers: 131,072 rows, which take tens of
milliseconds."""

SENT_AT_ONCE = 2**18
"""Size, 256 KiB, up to which a new parcel goes with every task; a worker says first that it lacks a larger one."""


@dataclass
class PassCost:
    """What a pass cost.

    Attributes
    ----------
    blocks, tasks, workers : their numbers.
    sent, received : bytes of tasks and answers.
    seconds : from the first task to the last answer.
    """

    blocks: int
    tasks: int = 0
    workers: int = 0
    sent: int = 0
    received: int = 0
    seconds: float = 0.0


@dataclass(eq=False)
class Remote:
    """Base class: a subclass says how tasks are run.

    Attributes
    ----------
    passes : what each cost so far.
    """

    sender: Sender = field(default_factory=Sender, init=False, repr=False)
    passes: list[PassCost] = field(default_factory=list[PassCost], init=False, repr=False)
    _known: set[bytes] = field(default_factory=set[bytes], init=False, repr=False)
    """Keys of the parcels that were sent in an earlier pass."""

    @property
    def workers(self) -> int:
        """How many tasks run at a time."""
        raise NotImplementedError

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, bytes]]:
        """What workers answer to tasks, in any order: what :func:`raphson.execute.worker.perform_pickled` gives."""
        raise NotImplementedError

    def pickled(self, task: Task) -> bytes:
        """A task as it is sent: without the futures of parts, which a cluster replaces by the parts."""
        content = pickle.dumps(replace(task, parts=dict.fromkeys(task.parts)), protocol=pickle.HIGHEST_PROTOCOL)
        self.passes[-1].sent += len(content)
        return content

    def told(self) -> str:
        """How many workers there are, and how many bytes went out and came back so far."""
        sent, received = (sum(getattr(one, name) for one in self.passes) for name in ("sent", "received"))
        workers = self.passes[-1].workers if self.passes else 0
        return f"{workers} workers, {sent / 1e6:.1f} MB out, {received / 1e6:.1f} MB back"

    def __reduce__(self) -> Any:
        from raphson.execute import serial

        return serial, ()  # a copy in another process has no connection to the workers

    def map(self, function: Callable[[B], T], blocks: Sequence[B]) -> list[T]:
        if is_inside.get():
            return [function(block) for block in blocks]
        found: Results = {}
        for results in self._answers(function, blocks, None):
            found |= results
        return [found[0, number] for number in range(len(blocks))]

    def sum(
        self, function: Callable[[Any], Any], blocks: Sequence[Any], show: Callable[[int], None] | None = None
    ) -> Any:
        """The sum of ``function(block)`` by the fixed tree; `show` is told of how many blocks after each task."""
        tree, done = Tree(len(blocks)), 0
        if is_inside.get():
            for number, block in enumerate(blocks):
                tree.add(number, function(block))
            return tree.total
        for results in self._answers(function, blocks, len(blocks)):
            tree.join(results)
            done += sum(min(2**level, len(blocks) - number * 2**level) for level, number in results)
            if show is not None:
                show(done)
        return tree.total

    def _answers(self, function: Callable[[Any], Any], blocks: Sequence[Any], terms: int | None) -> Iterator[Results]:
        """What the workers answer, each part of the blocks once."""
        cost, begin = PassCost(len(blocks), workers=self.workers), time.perf_counter()
        self.passes.append(cost)
        waiting = self._tasks(function, blocks, terms)
        cost.tasks = len(waiting)
        contents = {key: content for task in waiting for key, content in task.sent.items()}
        for attempt in range(3):
            lacking = []
            for task, content in self.run(waiting):
                cost.received += len(content)
                cost.seconds = time.perf_counter() - begin
                answer: Results | Missing = pickle.loads(content)  # noqa: S301 - from a worker of the user's
                if isinstance(answer, Missing):
                    keys = task.needs if attempt else answer.keys
                    sent = {key: contents.get(key) or self.sender.content(key) for key in keys} | task.sent
                    lacking.append(replace(task, sent=sent))
                else:
                    yield answer
            if not lacking:
                return
            waiting = lacking
        raise AssertionError("a worker lacks what it was sent")

    def _tasks(self, function: Callable[[Any], Any], blocks: Sequence[Any], terms: int | None) -> list[Task]:
        reader = getattr(blocks, "reader", None)
        root, content = self.sender.pack(function if reader is None else (function, reader))
        new = {key for key in root.needs if key not in self._known}
        sent = {root.key: content} | {key: one for key in new if (one := self.sender.small(key, SENT_AT_ONCE))}
        self._known |= new
        tasks = []
        for share in self.shares(blocks):
            needs, own, items = {root.key, *root.needs}, dict(sent), None
            if reader is None:
                numbers = (number for first, stop in share.ranges for number in range(first, stop))
                packed, inside = self.sender.pack([blocks[number] for number in numbers])
                items = packed.key
                own[items] = inside
                needs |= {items, *packed.needs}
            tasks.append(Task(root.key, frozenset(needs), own, share.ranges, items, terms, share.parts, share.where))
        return tasks

    def shares(self, blocks: Sequence[Any]) -> list[Share]:
        """How the blocks are shared out."""
        return [Share(((first, stop),)) for first, stop in pairwise(self._edges(blocks))]

    def _edges(self, blocks: Sequence[Any]) -> list[int]:
        """Where tasks begin: before runs of blocks that are read together, so that each has about as many blocks."""
        runs: Iterable[int] | None = getattr(blocks, "runs", None)
        starts = list(range(len(blocks)) if runs is None else runs)
        workers = self.workers
        wanted = TASKS * workers if runs is None else max(workers, min(TASKS * workers, len(blocks) // FEWEST_BLOCKS))
        most = min(len(starts), wanted)
        edges, at = [0], 0
        for task in range(1, most):
            edge = len(blocks) * task / most
            while at < len(starts) and starts[at] < edge:
                at += 1
            if at < len(starts) and starts[at] > edges[-1]:
                edges.append(starts[at])
        return [*edges, len(blocks)]


@dataclass(frozen=True)
class Share:
    """The blocks of one task; see :class:`raphson.execute.worker.Task`."""

    ranges: tuple[tuple[int, int], ...]
    parts: dict[tuple[str, int], Any] = field(default_factory=dict[tuple[str, int], Any])
    where: str | None = None
