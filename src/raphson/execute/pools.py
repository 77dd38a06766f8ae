"""Pools of processes: executors of :mod:`concurrent.futures`, and those of other packages that are of its class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass
from typing import Any

from raphson.errors import ModelError, RaphsonError
from raphson.execute.remote import Remote, Share
from raphson.execute.worker import Task, perform_pickled


@dataclass(eq=False)
class Pool(Remote):
    """The workers of a pool.

    Attributes
    ----------
    pool : it runs what is submitted to it, in any worker.
    """

    pool: Executor

    @classmethod
    def of(cls, given: Any) -> Pool | None:
        """The executor of a pool; None if it is none.

        Raises
        ------
        ModelError
            If it forks this process.
        """
        if not isinstance(given, Executor):
            return None
        context = getattr(given, "_mp_context", None)
        if context is not None and context.get_start_method() == "fork":
            raise ModelError(
                "executor: its processes are forks of this one, and lack the threads that JAX computes in; make it by "
                "concurrent.futures.ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn'))"
            )
        return cls(given)

    @property
    def workers(self) -> int:
        return int(getattr(self.pool, "_max_workers", None) or os.cpu_count() or 1)

    def shares(self, blocks: Sequence[Any]) -> list[Share]:
        if getattr(blocks, "held", None) is not None:
            raise ModelError(
                "executor: the partitions of this Dask data frame are in the workers of its cluster; pass "
                "executor=client, or leave it out"
            )
        return super().shares(blocks)

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, bytes]]:
        running: dict[Future[bytes], Task] = {}
        try:
            running = {self.pool.submit(perform_pickled, self.pickled(task)): task for task in tasks}
            for future in as_completed(running):
                yield running[future], future.result()
        except BrokenExecutor as error:
            raise RaphsonError(
                f"executor: a process of the pool has died ({error}), and the pool with it; make a new pool and call "
                "again. With checkpoint= the same call goes on from the last complete pass"
            ) from error
        except RuntimeError as error:
            if "shutdown" in str(error):
                raise ModelError("executor: the pool has been shut down; pass one that is open") from error
            raise
        finally:
            for future in running:
                future.cancel()
