"""Whether code runs inside a pool: work that it submitted to the same pool could wait for itself for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

is_inside: ContextVar[bool] = ContextVar("inside", default=False)


@contextmanager
def inside() -> Iterator[None]:
    """Sums in a ``with`` block are computed in the calling thread."""
    token = is_inside.set(True)
    try:
        yield
    finally:
        is_inside.reset(token)
