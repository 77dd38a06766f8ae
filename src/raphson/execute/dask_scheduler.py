"""What the scheduler of a Dask cluster says: which workers there are, how tasks stand, and their results.

Each question has a bound, after which there is one clear error: no fit waits for what cannot come.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

from raphson.errors import RaphsonError

ASKED_EVERY = 1.0
"""Seconds without a result after which the scheduler is asked how things stand, which takes it milliseconds."""

WITHOUT_WORKERS = 30.0
"""Seconds without any worker after which a fit gives up: a nanny starts a worker that died again within a few."""

IDLE = 300.0
"""Seconds for which no worker did anything, though there are some, after which a fit gives up: as long as Dask waits
for a worker that gives no sign (``distributed.scheduler.worker-ttl``), before it gives the worker's tasks to others."""

ANSWERS = 60.0
"""Seconds that the scheduler has to answer a question; it needs milliseconds, but may be busy with other clients."""

AGAIN = "With checkpoint= the same call goes on from the last complete pass"


@dataclass(eq=False)
class Scheduler:
    """The scheduler that a client is connected to.

    Attributes
    ----------
    client : of the cluster.
    """

    client: Any
    _worked: float = field(default_factory=time.monotonic, repr=False)
    """When something was done last, or when the waiting for it began."""
    _workers: float = field(default_factory=time.monotonic, repr=False)
    """When there were workers last, or when the waiting for them began."""

    def ask(self, what: str, within: float = ANSWERS, **arguments: Any) -> Any:
        """What a method of the scheduler gives.

        Raises
        ------
        RaphsonError
            If it does not answer.
        """
        try:
            if self.client.status != "running":
                raise OSError(f"the client is {self.client.status}")
            return self.client.sync(getattr(self.client.scheduler, what), callback_timeout=within, **arguments)
        except (OSError, TimeoutError, RuntimeError, CancelledError) as error:
            raise self.lost(error) from error

    def threads(self) -> dict[str, int]:
        """Number of threads of each worker."""
        return dict(self.ask("ncores"))

    def begin(self) -> None:
        """Begin to wait."""
        self._worked = self._workers = time.monotonic()

    def look(self) -> None:
        """Look whether there is anything to wait for.

        Raises
        ------
        RaphsonError
            If there have been no workers for some time, or none that does anything.
        """
        now, there = time.monotonic(), self.threads()
        if there:
            self._workers = now
            running = self.ask("ncores_running")  # those that are not paused for want of memory, nor leaving
            if any(keys and address in running for address, keys in self.ask("processing").items()):
                self._worked = now
        elif now > self._workers + WITHOUT_WORKERS:
            raise RaphsonError(
                f"executor: the cluster has had no workers for {WITHOUT_WORKERS:g} seconds; start workers and call "
                f"again. {AGAIN}"
            )
        if now > self._worked + max(IDLE, WITHOUT_WORKERS):
            raise RaphsonError(
                f"executor: no worker of the cluster has done anything for {IDLE:g} seconds, {self.named(there)}; "
                f"restart them, with more memory if they are paused, and call again. {AGAIN}"
            )

    def named(self, there: Sequence[str] | dict[str, int]) -> str:
        """Which workers there are, in words."""
        some = sorted(there)
        more = f" and {len(some) - 3} more" if len(some) > 3 else ""
        return f"of {', '.join(some[:3])}{more}" if some else "and there is none now"

    def states(self, keys: Sequence[str]) -> dict[str, str | None]:
        """How tasks stand, by key; None for those that the scheduler does not know."""
        return self.ask("get_task_status", keys=list(keys))

    def holders(self, keys: Sequence[str]) -> dict[str, Sequence[str]]:
        """The workers that have results, by key."""
        return self.ask("who_has", keys=list(keys))

    def results(self, keys: Sequence[str]) -> dict[str, Any]:
        """The results of tasks that are done, by key, without those whose workers have died.

        `Client.gather` would wait until Dask has computed the latter again, however long that takes.
        """
        wanted = list(keys)
        while wanted:
            answer = self.ask("gather", within=IDLE, keys=wanted)
            if answer["status"] == "OK":
                return answer["data"]
            lacking = set(answer["keys"])
            if not lacking.intersection(wanted):
                break
            wanted = [key for key in wanted if key not in lacking]
        return {}

    def fetched(self, futures: Sequence[Any]) -> list[Any]:
        """The results of tasks that may not be done, and that Dask computes again where they are lost.

        Raises
        ------
        RaphsonError
            If they cannot come.
        """
        from distributed import wait

        self.begin()
        found: dict[str, Any] = {}
        while lacking := [future for future in futures if future.key not in found]:
            try:
                wait(lacking, timeout=ASKED_EVERY)
            except TimeoutError:
                self.look()
                continue
            except CancelledError as error:
                raise self.cancelled(error) from error
            for future in lacking:
                if future.status == "error":
                    future.result()  # raises it
            more = self.results([future.key for future in lacking])
            if not more:
                self.look()
                time.sleep(0.1)  # until the client has heard that they are lost
            found |= more
        return [found[future.key] for future in futures]

    def cancelled(self, error: Any) -> RaphsonError:
        """The error for partitions that were released, or that cannot be computed again."""
        if self.client.status != "running":
            return self.lost(error)
        return RaphsonError(
            f"executor: the cluster has lost partitions of the data ({_first(error)}); make the data frame again and "
            f"call again. {AGAIN}"
        )

    def lost(self, error: Any) -> RaphsonError:
        """The error for a scheduler that does not answer."""
        return RaphsonError(
            f"executor: the scheduler of the cluster cannot be reached ({_first(error)}); start one and pass its "
            f"client. {AGAIN}"
        )


def _first(error: Any) -> str:
    """The first line of what an error says."""
    return (str(error) or type(error).__name__).splitlines()[0]
