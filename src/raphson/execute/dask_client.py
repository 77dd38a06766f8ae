"""Clusters of Dask: the workers of a :class:`dask.distributed.Client`, on this machine or on others.

A task has a wish where it runs, the same in every pass, where the parcels and the files that it reads are in memory
already. When a worker dies, Dask gives its tasks to others; these compute the same parts of the sum.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any
from uuid import uuid4

from raphson.errors import ModelError, RaphsonError
from raphson.execute.remote import TASKS, Remote, Share
from raphson.execute.worker import Task

ASKED_EVERY = 2.0
"""Seconds without a result after which the scheduler is asked whether there are workers."""

WITHOUT_WORKERS = 30.0
"""Seconds without any worker after which a fit gives up: a nanny starts a worker that died again within a few."""

KILLED = 2
"""How many times a task is given up by Dask, each after `allowed-failures` workers have died of it, before a fit is."""

AGAIN = "With checkpoint= the same call goes on from the last complete pass"


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

    @property
    def workers(self) -> int:
        return len(self._slots())

    def _slots(self) -> list[str]:
        """The address of the worker of each thread, waiting for the first one."""
        end = time.monotonic() + WITHOUT_WORKERS
        while True:
            threads = self._asked()
            if threads:
                return [address for address in sorted(threads) for _ in range(threads[address])]
            if time.monotonic() > end:
                raise self._without_workers()
            time.sleep(0.1)

    def _asked(self) -> dict[str, int]:
        """Number of threads of each worker, from the scheduler."""
        try:
            if self.client.status != "running":
                raise OSError(f"the client is {self.client.status}")
            return dict(self.client.nthreads())
        except (OSError, TimeoutError, RuntimeError) as error:
            raise self._without_scheduler(error) from error

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, bytes]]:
        running = _Running()
        try:
            for where, here in self._places(tasks):
                self._submit([(task, 0) for task in here], where, running)
            while running.tasks:
                yield from self._answered(running)
        finally:
            if running.tasks and self.client.status == "running":
                self.client.cancel([future for future, _, _ in running.tasks.values()])

    def shares(self, blocks: Sequence[Any]) -> list[Share]:
        """Where the cluster has the parts of the blocks, each task is of parts that one worker has."""
        held = getattr(blocks, "held", None)
        if held is None:
            return super().shares(blocks)
        begins: Any = getattr(blocks, "runs", None) or range(len(blocks))
        runs = list(pairwise([*begins, len(blocks)]))
        parts = [held(first) for first, _ in runs]
        where = self._where([future for _, future in parts])
        slots, own = self._slots(), dict[str, list[int]]()
        for number, (_, future) in enumerate(parts):
            own.setdefault(where.get(future.key) or slots[number * len(slots) // len(parts)], []).append(number)
        shares = []
        for address, numbers in own.items():
            tasks = min(len(numbers), TASKS * max(1, slots.count(address)))
            for task in range(tasks):
                mine = numbers[len(numbers) * task // tasks : len(numbers) * (task + 1) // tasks]
                shares.append(Share(_joined([runs[k] for k in mine]), dict(parts[k] for k in mine), address))
        return shares

    def _where(self, futures: list[Any]) -> dict[str, str]:
        """A worker that has each future's result, by key; none of those that are still to be computed."""
        try:
            found = self.client.who_has(futures)
        except (OSError, TimeoutError, RuntimeError) as error:
            raise self._without_scheduler(error) from error
        return {key: min(addresses) for key, addresses in found.items() if addresses}

    def _places(self, tasks: Sequence[Task]) -> Iterator[tuple[str, list[Task]]]:
        """The tasks of each worker, runs of them."""
        slots = self._slots()
        where = [task.where or slots[number * len(slots) // len(tasks)] for number, task in enumerate(tasks)]
        for address, several in groupby(zip(where, tasks, strict=True), key=lambda one: one[0]):
            yield address, [task for _, task in several]

    def _submit(self, tasks: Sequence[tuple[Task, int]], where: str | None, running: _Running) -> None:
        """Tasks, and how many times each was given up before."""
        contents = [self.pickled(task) for task, _ in tasks]  # bytes: in anything else Dask would look for futures
        keys = [f"raphson-{uuid4().hex}" for _ in tasks]
        wish = {
            "workers": None if where is None else [where],
            "allow_other_workers": where is not None,
            "pure": False,
        }
        try:
            if any(task.parts for task, _ in tasks):
                futures = [
                    self.client.submit(_performer(), content, *task.parts.values(), key=key, **wish)
                    for content, key, (task, _) in zip(contents, keys, tasks, strict=True)
                ]
            else:
                futures = self.client.map(_performer(), contents, key=keys, **wish)
        except (OSError, RuntimeError) as error:
            raise self._without_scheduler(error) from error
        for future, (task, times) in zip(futures, tasks, strict=True):
            running.tasks[future.key] = future, task, times
            future.add_done_callback(running.ended.put)

    def _answered(self, running: _Running) -> Iterator[tuple[Task, bytes]]:
        """The answers that have come meanwhile; tasks of workers that died are given to others."""
        finished, again = [], []
        for future in self._ended(running.ended):
            _, task, times = running.tasks.pop(future.key)
            if future.status == "finished":
                finished.append((future, task))
            elif future.status == "lost":  # its worker died with the answer
                again.append((task, times))
            elif times < KILLED and _was_killed(future):
                again.append((task, times + 1))
            else:
                raise self._failed(future, task)
        if again:
            self._submit(again, None, running)
        answers = self._gathered([future for future, _ in finished])
        yield from zip((task for _, task in finished), answers, strict=True)

    def _ended(self, done: queue.SimpleQueue[Any]) -> list[Any]:
        """The futures that have ended since, one at least."""
        last = time.monotonic()
        while True:
            try:
                found = [done.get(timeout=ASKED_EVERY)]
            except queue.Empty:
                if self._asked():
                    last = time.monotonic()
                elif time.monotonic() > last + WITHOUT_WORKERS:
                    raise self._without_workers() from None
                continue
            while not done.empty():
                found.append(done.get())
            return found

    def _gathered(self, futures: list[Any]) -> list[bytes]:
        from concurrent.futures import CancelledError

        try:
            return self.client.gather(futures) if futures else []
        except (CancelledError, OSError, TimeoutError) as error:
            raise self._without_scheduler(error) from error

    def _failed(self, future: Any, task: Task) -> Exception:
        """The error for a task that has none of the results."""
        if future.status != "error":
            return self._without_scheduler(f"its tasks are {future.status}")
        error = future.exception()
        if _was_killed(future):
            first, stop = task.ranges[0][0], task.ranges[-1][1]
            return RaphsonError(
                f"executor: each worker that was given the blocks {first} to {stop - 1} died; these may need more "
                f"memory: read fewer rows at a time, rp.stream(..., piece_rows=). {AGAIN}"
            )
        if isinstance(error, ModuleNotFoundError):
            return ModelError(
                f"executor: a worker of the cluster lacks a module ({error}); install what the fit imports, in the "
                "same versions, on all workers"
            )
        return error

    def _without_workers(self) -> RaphsonError:
        return RaphsonError(
            f"executor: the cluster has had no workers for {WITHOUT_WORKERS:g} seconds; start workers and call again. "
            f"{AGAIN}"
        )

    def _without_scheduler(self, error: Any) -> RaphsonError:
        said = str(error) or type(error).__name__
        return RaphsonError(
            f"executor: the scheduler of the cluster cannot be reached ({said.splitlines()[0]}); start one and pass "
            f"its client. {AGAIN}"
        )


@dataclass
class _Running:
    """Tasks that have not ended, with their futures and how many times they were given up, by key; and futures that
    have."""

    tasks: dict[str, tuple[Any, Task, int]] = field(default_factory=dict[str, tuple[Any, Task, int]])
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


def _was_killed(future: Any) -> bool:
    return future.status == "error" and type(future.exception()).__name__ == "KilledWorker"
