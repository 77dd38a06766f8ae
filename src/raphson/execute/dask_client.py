"""Clusters of Dask: the workers of a :class:`dask.distributed.Client`, on this machine or on others.

A task has a wish where it runs, the same in every pass, where the parcels and the files that it reads are in memory
already. When a worker dies, Dask gives its tasks to others; these compute the same parts of the sum. Where it does not,
or an answer is lost on its way, the task is asked for again: a wait looks at the scheduler every few seconds
(:mod:`raphson.execute.dask_scheduler`).
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby, pairwise
from typing import Any
from uuid import uuid4

from raphson.errors import ModelError, RaphsonError
from raphson.execute import dask_scheduler
from raphson.execute.dask_scheduler import AGAIN, Scheduler
from raphson.execute.remote import TASKS, Remote, Share
from raphson.execute.worker import Task

KILLED = 2
"""How many times a task is given up by Dask, each after `allowed-failures` workers have died of it, before a fit is."""

ASKED_AGAIN = 20
"""How many times a task is asked for again whose answer was lost, or which Dask left lying, before a fit gives up: some
once, as workers come and go; in ten passes of each of which a worker was killed, no task more than twice."""

LYING = ("no-worker", None, "released", "forgotten", "memory", "erred")
"""What the scheduler says of a task that will not end by itself, though nothing has come of it: Dask keeps one that
had a wish for a worker which died, while none other was there, as ``no-worker`` when others have come."""


@dataclass(eq=False)
class Cluster(Remote):
    """The workers of a client.

    Attributes
    ----------
    client : of a scheduler.
    """

    client: Any

    @classmethod
    def of(cls, given: Any) -> Cluster | None:
        """The executor of a client; None if it is none.

        Raises
        ------
        ModelError
            If it is asynchronous.
        """
        if type(given).__module__.partition(".")[0] != "distributed" or not hasattr(given, "scheduler_info"):
            return None
        if getattr(given, "asynchronous", False):
            raise ModelError("executor: expected a client that waits for results; pass Client(address), synchronous")
        return cls(given)

    @cached_property
    def scheduler(self) -> Scheduler:
        return Scheduler(self.client)

    @property
    def workers(self) -> int:
        return len(self._slots())

    def _slots(self) -> list[str]:
        """The address of the worker of each thread, waiting for the first one."""
        self.scheduler.begin()
        while not (threads := self.scheduler.threads()):
            self.scheduler.look()
            time.sleep(0.1)
        return [address for address in sorted(threads) for _ in range(threads[address])]

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, bytes]]:
        running = _Running()
        try:
            for where, here in self._places(tasks):
                self._submit([_Given(task, where) for task in here], running)
            while running.tasks:
                yield from self._answered(running)
        finally:
            self._released(list(running.tasks.values()))

    def shares(self, blocks: Sequence[Any]) -> list[Share]:
        """Where the cluster has the parts of the blocks, each task is of parts that one worker has."""
        held = getattr(blocks, "held", None)
        if held is None:
            return super().shares(blocks)
        begins: Any = getattr(blocks, "runs", None) or range(len(blocks))
        runs = list(pairwise([*begins, len(blocks)]))
        parts = [held(first) for first, _ in runs]
        where = self.scheduler.holders([future.key for _, future in parts])
        slots, own = self._slots(), dict[str, list[int]]()
        for number, (_, future) in enumerate(parts):
            holder = min(where.get(future.key) or [slots[number * len(slots) // len(parts)]])
            own.setdefault(holder, []).append(number)
        shares = []
        for address, numbers in own.items():
            tasks = min(len(numbers), TASKS * max(1, slots.count(address)))
            for task in range(tasks):
                mine = numbers[len(numbers) * task // tasks : len(numbers) * (task + 1) // tasks]
                shares.append(Share(_joined([runs[k] for k in mine]), dict(parts[k] for k in mine), address))
        return shares

    def _places(self, tasks: Sequence[Task]) -> Iterator[tuple[str, list[Task]]]:
        """The tasks of each worker, runs of them."""
        slots = self._slots()
        where = [task.where or slots[number * len(slots) // len(tasks)] for number, task in enumerate(tasks)]
        for address, several in groupby(zip(where, tasks, strict=True), key=lambda one: one[0]):
            yield address, [task for _, task in several]

    def _submit(self, given: Sequence[_Given], running: _Running) -> None:
        """Tasks that have the same wish."""
        contents = [self.pickled(one.task) for one in given]  # bytes: in anything else Dask would look for futures
        keys = [f"raphson-{uuid4().hex}" for _ in given]
        where = given[0].where
        wish = {
            "workers": None if where is None else [where],
            "allow_other_workers": where is not None,
            "pure": False,
        }
        try:
            if any(one.task.parts for one in given):
                futures = [
                    self.client.submit(_performer(), content, *one.task.parts.values(), key=key, **wish)
                    for content, key, one in zip(contents, keys, given, strict=True)
                ]
            else:
                futures = self.client.map(_performer(), contents, key=keys, **wish)
        except CancelledError as error:
            raise self.scheduler.cancelled(error) from error
        except (OSError, RuntimeError) as error:
            raise self.scheduler.lost(error) from error
        for future, one in zip(futures, given, strict=True):
            running.tasks[future.key] = replace(one, future=future)
            future.add_done_callback(running.ended.put)

    def _answered(self, running: _Running) -> Iterator[tuple[Task, bytes]]:
        """The answers that have come meanwhile; tasks whose answers will not come are given to other workers."""
        finished, again = list[_Given](), list[_Given]()
        for one in self._ended(running):
            status = one.future.status
            if status == "finished":
                finished.append(one)
            elif status == "error" and one.killed < KILLED and _was_killed(one.future):
                again.append(replace(one, killed=one.killed + 1))
            elif status == "error":
                raise self._failed(one.future, one.task)
            else:  # its worker died with the answer, or Dask has left it lying or released it
                again.append(replace(one, again=one.again + 1))
        answers = self.scheduler.results([one.future.key for one in finished])
        again += [replace(one, again=one.again + 1) for one in finished if one.future.key not in answers]
        if again:
            self._ask_again(again, running)
        for one in finished:
            if one.future.key in answers:
                yield one.task, answers[one.future.key]

    def _ask_again(self, given: list[_Given], running: _Running) -> None:
        for one in given:
            for part in one.task.parts.values():
                if part.status == "cancelled":
                    raise self.scheduler.cancelled(f"{part.key} is cancelled")
            if one.again > ASKED_AGAIN:
                there = self.scheduler.named(self.scheduler.threads())
                raise RaphsonError(
                    f"executor: the answer for the blocks {_named(one.task)} was lost {one.again} times by the workers "
                    f"of the cluster, {there}; look at the logs of the workers, and call again. {AGAIN}"
                )
        self._released(given)
        self._submit([replace(one, where=None) for one in given], running)

    def _released(self, given: Sequence[_Given]) -> None:
        """Tell the scheduler that nobody waits for tasks any more."""
        if given and self.client.status == "running":
            self.client.cancel([one.future for one in given])

    def _ended(self, running: _Running) -> list[_Given]:
        """The tasks that have ended since, or that will not end by themselves; one at least."""
        self.scheduler.begin()
        doubtful = set[str]()
        while True:
            try:
                futures = [running.ended.get(timeout=dask_scheduler.ASKED_EVERY)]
            except queue.Empty:
                self.scheduler.look()
                lying, doubtful = self._lying(running, doubtful)
                if lying:
                    return [running.tasks.pop(key) for key in lying]
                continue
            while not running.ended.empty():
                futures.append(running.ended.get())
            # Those that were asked for again meanwhile are no longer among the tasks.
            found = [one for future in futures if (one := running.tasks.pop(future.key, None)) is not None]
            if found:
                return found

    def _lying(self, running: _Running, before: set[str]) -> tuple[list[str], set[str]]:
        """The tasks that will not end by themselves, and those of which it is not certain yet.

        What the scheduler has said of a task may still be on its way: it has to say so twice, except that no worker
        does one which had a wish. One without goes to the next worker that comes.
        """
        lying, doubtful = list[str](), set[str]()
        for key, state in self.scheduler.states(list(running.tasks)).items():
            if state == "no-worker":
                if running.tasks[key].where is not None:
                    lying.append(key)
            elif state in LYING:
                (lying.append if key in before else doubtful.add)(key)
        return lying, doubtful

    def _failed(self, future: Any, task: Task) -> Exception:
        """The error for a task that has failed."""
        error = future.exception()
        if _was_killed(future):
            return RaphsonError(
                f"executor: each worker that was given the blocks {_named(task)} died; these may need more memory: "
                f"read fewer rows at a time, rp.stream(..., piece_rows=). {AGAIN}"
            )
        if isinstance(error, ModuleNotFoundError):
            return ModelError(
                f"executor: a worker of the cluster lacks a module ({error}); install what the fit imports, in the "
                "same versions, on all workers"
            )
        return error


@dataclass(frozen=True)
class _Given:
    """A task that was given to the cluster.

    Attributes
    ----------
    where : the worker that it was meant for; None if it may be any.
    future : of its answer, once it is submitted.
    killed : how many times Dask gave it up, since workers died of it.
    again : how many times it was asked for again for another reason.
    """

    task: Task
    where: str | None = None
    future: Any = None
    killed: int = 0
    again: int = 0


@dataclass
class _Running:
    """Tasks that have not ended, by the keys of their futures; and futures that have."""

    tasks: dict[str, _Given] = field(default_factory=dict[str, _Given])
    ended: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue[Any])


def _performer() -> Callable[..., bytes]:
    """What a worker is given to do: a function that goes by its code, as a worker that cannot import it would die."""

    def perform_task(content: bytes, *partitions: Any) -> bytes:
        from raphson.execute.worker import perform_pickled

        return perform_pickled(content, partitions)

    return perform_task


def _joined(runs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Runs of blocks, those that follow one another as one."""
    found: list[tuple[int, int]] = []
    for first, stop in runs:
        if found and found[-1][1] == first:
            found[-1] = found[-1][0], stop
        else:
            found.append((first, stop))
    return tuple(found)


def _named(task: Task) -> str:
    """Which blocks a task has."""
    return f"{task.ranges[0][0]} to {task.ranges[-1][1] - 1}"


def _was_killed(future: Any) -> bool:
    return future.status == "error" and type(future.exception()).__name__ == "KilledWorker"
