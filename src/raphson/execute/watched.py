"""How far a sum over streamed rows is: an executor that tells of it block by block, for long passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from raphson.execute import Serial

B = TypeVar("B")
T = TypeVar("T")

Show = Callable[[int, int | None], None]
"""Called with the number of rows that a reading has read so far and that of all rows, None if it is not known. A
reading ends with a call in which they are equal."""


def unseen(rows: int, of: int | None) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Watched:
    """An executor that shows how far each sum over streamed blocks is.

    Attributes
    ----------
    inner : the executor that computes them.
    show : called after each block, from any thread, and at the end.
    """

    inner: Any
    show: Show = field(compare=False, repr=False)

    @property
    def device(self) -> Any:
        """The device of the executor inside, if it has one."""
        return getattr(self.inner, "device", None)

    def map(self, function: Callable[[B], T], blocks: Sequence[B]) -> list[T]:
        of, n_blocks = getattr(blocks, "n_rows", None), len(blocks)
        if of is None:  # in memory
            return self.inner.map(function, blocks)
        done = count(1)

        def one(block: B) -> T:
            found = function(block)
            number = next(done)
            if number < n_blocks:
                self.show(of * number // n_blocks, of)
            return found

        found = self.inner.map(one, blocks)
        self.show(of, of)
        return found

    @property
    def sum(self) -> Any:
        """The sum of an executor with workers, which tells of the blocks that are done; None of any other."""
        return self._sum if hasattr(self.inner, "sum") else None

    def _sum(self, function: Callable[[Any], Any], blocks: Sequence[Any], show: Any = None) -> Any:
        of, n_blocks = getattr(blocks, "n_rows", None), len(blocks)
        if of is None:
            return self.inner.sum(function, blocks)
        rows: int = of
        return self.inner.sum(function, blocks, lambda done: self.show(rows * done // n_blocks, rows))

    def __reduce__(self) -> Any:
        return itself, (self.inner,)  # nobody watches a copy in another process


def itself(inner: T) -> T:
    """An executor without what was around it."""
    return inner


@dataclass(frozen=True)
class Keeping:
    """What is around a reading that is no sum over blocks.

    Attributes
    ----------
    answer : answer(about, compute), which gives what is known of it from before, or ``compute()``.
    show : called with the numbers of rows.
    workers : an executor whose workers may read parts; None if there are none.
    threads : an executor that reads parts in this process.
    """

    answer: Callable[[tuple[Any, ...], Callable[[], Any]], Any] = lambda about, compute: compute()
    show: Show = unseen
    workers: Any = None
    threads: Any = field(default_factory=Serial)

    def __call__(self, about: tuple[Any, ...], compute: Callable[[], Any]) -> Any:
        return self.answer(about, compute)
