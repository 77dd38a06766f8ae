"""Data frames of Dask as a streamed source: their partitions are its parts, and stay where they are.

With a client of a cluster the partitions are computed once, by its workers, and kept there: in memory up to the share
of it that Dask allows (60 %, ``distributed.worker.memory.target``), beyond that on the workers' disks. Sums are
computed where they are (:mod:`raphson.execute.dask_client`). What this process itself reads, it fetches a partition at
a time. Without a client a partition is computed anew each time that it is read, in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

from raphson.data.sources import Source, lacks
from raphson.errors import Needs
from raphson.execute.dask_scheduler import Scheduler
from raphson.execute.worker import partition


class DaskFrame(Source):
    """The partitions of a data frame that have rows.

    Attributes
    ----------
    futures : of the partitions, where a cluster has them; None where there is none.
    """

    name = "dask"

    def __init__(self, frame: Any) -> None:
        self.names = tuple(map(str, frame.columns))
        self._columns = dict(zip(self.names, frame.columns, strict=True))
        self._types = dict(zip(self.names, frame.dtypes, strict=True))
        self._key = uuid4().hex
        self.client = _client()
        self.futures: list[Any] | None = None
        if self.client is None:
            self._partitions = [frame.partitions[number] for number in range(frame.npartitions)]
            rows = list(frame.map_partitions(len).compute())
        else:
            self._partitions = self.client.compute(frame.to_delayed())
            rows = Scheduler(self.client).fetched(self.client.map(len, self._partitions))
        kept = [number for number, n in enumerate(rows) if n]
        self._partitions = [self._partitions[number] for number in kept]
        self._rows = [int(rows[number]) for number in kept]
        self.n_rows = sum(self._rows)
        if self.client is not None:
            self.futures = self._partitions

    @classmethod
    def of(cls, given: Any) -> DaskFrame | None:
        kind = type(given)
        if kind.__module__.partition(".")[0] not in ("dask", "dask_expr") or not hasattr(given, "npartitions"):
            return None
        if not hasattr(given, "columns") or getattr(given, "ndim", 0) != 2:
            return None
        with Needs("cluster", "data: a Dask data frame"):
            import distributed  # noqa: F401
        return cls(given)

    @property
    def parts(self) -> int:
        return len(self._rows)

    @property
    def part_rows(self) -> list[int]:
        return self._rows

    def place(self, part: int) -> str:
        return f"partition {part} of the data"

    def declared(self, column: str) -> bool:
        return str(self._types[column]) == "category"

    def for_workers(self) -> DaskFrame:
        """The same without the partitions, which the workers have."""
        made = object.__new__(DaskFrame)
        vars(made).update(vars(self) | {"client": None, "futures": None, "_partitions": []})
        return made

    def __reduce__(self) -> Any:
        return _restored, (vars(self.for_workers()),)

    def rows(self, part: int, columns: Sequence[str]) -> Iterator[Any]:
        frame = partition(self._key, part)
        if frame is None:
            held = self._partitions[part]
            frame = held.compute() if self.futures is None else Scheduler(self.client).fetched([held])[0]
        for name in columns:
            if name not in self._columns:
                raise lacks(self.place(part), name)
        chosen = frame[[self._columns[name] for name in columns]]
        yield chosen if list(chosen.columns) == list(columns) else chosen.set_axis(list(columns), axis=1)

    @property
    def held(self) -> Callable[[int], Any] | None:  # type: ignore[override]
        return None if self.futures is None else self._held

    def _held(self, part: int) -> tuple[tuple[str, int], Any]:
        return (self._key, part), self._partitions[part]


def _restored(state: dict[str, Any]) -> DaskFrame:
    made = object.__new__(DaskFrame)
    vars(made).update(state)
    return made


def _client() -> Any:
    """The client that Dask uses here; None if there is none."""
    import distributed

    try:
        return distributed.default_client()
    except ValueError:
        return None
