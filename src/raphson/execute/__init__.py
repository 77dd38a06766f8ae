"""Sums of any function over blocks, in the calling thread or in a pool.

An executor maps a function over blocks. The results are added with ``+`` by a tree whose shape depends only on the
number of blocks, so that the sum is the same to the last bit on one thread or many.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from functools import cache
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from raphson import kept
from raphson.errors import ModelError
from raphson.execute.inside import is_inside
from raphson.numeric import one_blas_thread

if TYPE_CHECKING:
    from raphson.execute.device import Platform

B = TypeVar("B")
T = TypeVar("T")


class Executor(Protocol):
    """What computes sums over blocks."""

    def map(self, function: Callable[[B], T], blocks: Sequence[B]) -> list[T]:
        """``[function(block) for block in blocks]``, in block order."""
        ...


def tree_sum(terms: Sequence[Any]) -> Any:
    """Add neighbouring terms, then neighbouring sums, until one is left.

    Examples
    --------
    >>> tree_sum(["a", "b", "c", "d", "e"])
    'abcde'
    """
    while len(terms) > 1:
        pairs = [terms[i] + terms[i + 1] for i in range(0, len(terms) - 1, 2)]
        terms = [*pairs, terms[-1]] if len(terms) % 2 else pairs
    return terms[0]


def sum_blocks(
    executor: Executor, function: Callable[[B], Any], blocks: Sequence[B], about: Callable[[], tuple[Any, ...]] = tuple
) -> Any:
    """Sum of ``function(block)`` over the blocks, by a fixed tree in block order.

    `about` says what the sum is of, for an executor that keeps sums in a journal (:mod:`raphson.execute.journal`).
    Blocks that were not passed over before have a `first` reading, which is to find out more than the sum.
    """
    journal, first = getattr(executor, "journal", None), getattr(blocks, "first", None)

    def compute() -> Any:
        return summed(executor, function, blocks)

    if first is None or first.settled:
        return compute() if journal is None else journal.answer(about(), compute)
    question = ("first reading", *about())
    value, found = first.beside(compute) if journal is None else journal.answer(question, lambda: first.beside(compute))
    first.settle(found)
    return value


def summed(
    executor: Any, function: Callable[[B], Any], blocks: Sequence[B], show: Callable[[int], None] | None = None
) -> Any:
    """The sum by the fixed tree, some of it by workers if the executor has them; they `show` how many are done."""
    by_workers = getattr(executor, "sum", None)
    return tree_sum(executor.map(function, blocks)) if by_workers is None else by_workers(function, blocks, show)


@dataclass(frozen=True)
class Serial:
    """One block after another, in the calling thread."""

    def map(self, function: Callable[[B], T], blocks: Sequence[B]) -> list[T]:
        if len(blocks) == 1 and not hasattr(blocks, "runs"):
            # No limit on BLAS: limiting its threads takes longer than a small block in memory.
            return [function(blocks[0])]
        with one_blas_thread():
            return [function(block) for block in blocks]


@cache
def _pool(workers: int, process: int) -> ThreadPoolExecutor:
    # One pool for each process, as threads do not survive a fork.
    return ThreadPoolExecutor(workers, thread_name_prefix="raphson")


@dataclass(frozen=True)
class Threads:
    """A pool of threads: each works on contiguous runs of blocks, with BLAS limited to one thread.

    Blocks that are read anew each time are shared out by the parts of their source, each of which is read once.
    """

    workers: int

    def map(self, function: Callable[[B], T], blocks: Sequence[B]) -> list[T]:
        if len(blocks) < 2 or self.workers < 2 or is_inside.get():
            return Serial().map(function, blocks)
        runs = getattr(blocks, "runs", None)
        if runs is None:
            # Twice as many runs as workers, so that one slow thread does not hold up the others for long.
            n_runs = min(len(blocks), 2 * self.workers)
            runs = [len(blocks) * i // n_runs for i in range(n_runs)]
        if len(runs) < self.workers:
            return self._ahead(function, blocks)
        return self._shared(function, blocks, [*runs, len(blocks)])

    def _shared(self, function: Callable[[B], T], blocks: Sequence[B], edges: list[int]) -> list[T]:
        """Each run of blocks between two edges is one worker's."""
        n_runs = len(edges) - 1
        stopped = Event()

        def run(i: int) -> list[T]:
            is_inside.set(True)
            done = []
            for block in blocks[edges[i] : edges[i + 1]]:
                if stopped.is_set():
                    break
                done.append(function(block))
            return done

        # Each worker computes in a copy of the caller's context, so that NumPy's error state holds there too.
        contexts = [copy_context() for _ in range(n_runs)]
        with one_blas_thread():
            parts = _pool(self.workers, os.getpid()).map(lambda i: contexts[i].run(run, i), range(n_runs))
            try:
                return [result for part in parts for result in part]
            except BaseException:
                # After an error in one run, or Ctrl-C, the results of the others are not needed.
                stopped.set()
                raise

    def _ahead(self, function: Callable[[B], T], blocks: Sequence[B]) -> list[T]:
        """The calling thread reads the blocks, once, and hands them to the workers."""
        pool, waiting, done = _pool(self.workers, os.getpid()), deque[Future[T]](), list[T]()

        def work(block: B) -> T:
            is_inside.set(True)
            return function(block)

        with one_blas_thread():
            try:
                for block in blocks:
                    waiting.append(pool.submit(copy_context().run, work, block))
                    if len(waiting) > self.workers:  # few at a time are in memory
                        done.append(waiting.popleft().result())
                return [*done, *(one.result() for one in waiting)]
            except BaseException:
                for one in waiting:
                    one.cancel()
                raise


def serial() -> Executor:
    """Run everything in the calling thread.

    Examples
    --------
    >>> serial().map(abs, [-1, 2])
    [1, 2]
    """
    return Serial()


@cache
def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(workers: int | None = None) -> Executor:
    """Run on a pool of threads; by default one for each core that the process may use.

    Raises
    ------
    ModelError
        If `workers` is not a positive whole number.

    Examples
    --------
    >>> threads(2).map(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    if workers is None:
        workers = _cores()
    if not isinstance(workers, int) or workers < 1:
        raise ModelError(f"workers: expected a whole number of threads, 1 or more; got {workers!r}")
    return Threads(workers)


def gpu(number: int = 0, platform: Platform = "gpu", memory: float | None = None) -> Executor:
    """Keep rows on a GPU that JAX sees, and compute there in float64.

    Value, score and information of every model that JAX can trace are summed there; only θ goes there and the sums come
    back. So do the training of networks, replicates of the bootstrap and the fits of many curves. The results agree
    with those of the processor to 1e-8 standard errors, not to the last bit.

    Parameters
    ----------
    number : of the GPU, counted from 0.
    platform : "gpu", or "cpu" for the processor as JAX's own device, with which the same code can be tried anywhere.
    memory : bytes of the device's memory to keep rows in; by default half of it, of the processor's 1 GiB. Rows beyond
        that are sent again for each evaluation, in pieces of no more than 256 MiB.

    Raises
    ------
    ModelError
        If JAX sees no such device.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> fit = rp.glm("low ~ lwt + smoke", births, family="binomial", executor=gpu(platform="cpu"))
    >>> fit.params.round(3).to_dict()
    {'Intercept': 0.622, 'lwt': -0.013, 'smoke': 0.677}
    """
    from raphson.execute.device import executor_on

    return executor_on(number, platform, memory, threads())


def computing_with(executor: Any) -> AbstractContextManager[None]:
    """Compute on an executor's device inside a ``with`` block, if it has one: for what is no sum over blocks."""
    device = getattr(executor, "device", None)
    return nullcontext() if device is None else device.computing()


def keep_compiled(where: str | os.PathLike[str] | bool = True) -> None:
    """Say where compiled code is kept from one process to the next.

    Likelihoods, curves and networks are compiled, which takes 0.1 to 0.4 s for each. The code is kept in a folder of
    the user's cache: ``~/.cache/raphson`` (or that of ``XDG_CACHE_HOME``) on Linux, ``~/Library/Caches/raphson`` on
    macOS, ``%LOCALAPPDATA%\\raphson`` on Windows. It is used again only for the same program, versions, options and
    processor; damaged files are ignored, and the oldest are deleted beyond 256 MiB. The folder must belong to the user,
    and no one else may be able to write into it; nothing is read from or written to another one.

    Parameters
    ----------
    where : str, path or bool
        A folder; True for that of the user's cache, False to keep nothing and use nothing that was kept. Until this is
        called, the environment variable ``RAPHSON_CACHE`` decides: a folder, or ``off``.

    Raises
    ------
    ModelError
        If `where` is none of these.

    Examples
    --------
    >>> keep_compiled(False)
    """
    if not isinstance(where, bool | str | os.PathLike):
        raise ModelError(f"where: expected a folder, True (the user's cache) or False (keep nothing); got {where!r}")
    kept.keep(where)
