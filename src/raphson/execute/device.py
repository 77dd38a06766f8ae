"""An executor that keeps rows on a GPU and computes there, in float64.

What it is given to map runs with :func:`raphson.numeric.computing_on` the device, so that compiled functions run there.
Sums over rows go further: where the rows can be traced (:mod:`raphson.model.device_rows`), they stay on the device from
one evaluation to the next, and only θ goes there and sums come back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Literal, NamedTuple, TypeVar, get_args
from weakref import WeakKeyDictionary

from raphson.compat import jax
from raphson.errors import ModelError, RaphsonError, check_choice
from raphson.numeric import computing_on, x64

B = TypeVar("B")
T = TypeVar("T")

Platform = Literal["gpu", "cpu"]

KEPT_SHARE = 0.5
"""The part of a device's memory that rows are kept in, unless `memory` says otherwise: the other half is for the pieces
that are computed, and for others who use the device."""

KEPT_UNKNOWN = 2**30
"""Bytes for rows where a device does not tell how much memory it has, as the processor does not."""


class _Kept(NamedTuple):
    n_bytes: int
    of: int
    arrays: Any


class KeptRows:
    """Arrays on a device, each kept for as long as the object that it was made of lives.

    Together they stay within a bound: others' arrays go first; those of the same data stay, as they are read in turn,
    and one that has no room is not kept.

    Parameters
    ----------
    most : bytes of all arrays together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: WeakKeyDictionary[Any, dict[Hashable, _Kept]] = WeakKeyDictionary()
        self._lock = RLock()

    @property
    def n_bytes(self) -> int:
        """Bytes that are kept now."""
        with self._lock:
            return sum(one.n_bytes for forms in self._kept.values() for one in forms.values())

    def find(self, owner: Any, form: Hashable) -> Any:
        """The arrays that were kept for an object in some form; None if there are none."""
        with self._lock:
            found = self._kept.get(owner, {}).get(form)
            return None if found is None else found.arrays

    def keep(self, owner: Any, form: Hashable, of: int, n_bytes: int, make: Callable[[], Any]) -> Any:
        """The arrays that `make` makes, kept; None, and not made, if there is no room for them.

        `of` is the same for all parts of the same data.
        """
        with self._lock:
            room = self.most - n_bytes
            if self.n_bytes > room:
                for forms in list(self._kept.values()):
                    for other in [key for key, one in forms.items() if one.of != of]:
                        del forms[other]
            if self.n_bytes > room:
                return None
            arrays = make()
            self._kept.setdefault(owner, {})[form] = _Kept(n_bytes, of, arrays)
            return arrays


@dataclass(frozen=True, eq=False)
class Device:
    """A device of JAX, and the rows that it keeps.

    Attributes
    ----------
    place : as JAX knows it.
    kept : the rows.
    """

    place: Any
    kept: KeptRows

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute there inside a ``with`` block.

        Raises
        ------
        ModelError
            If the device runs out of memory.
        """
        with computing_on(self.place):
            try:
                yield
            except RuntimeError as error:
                if isinstance(error, RaphsonError) or "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                raise ModelError(
                    f"executor: {self.place} ran out of memory, with {self.kept.n_bytes / 1e9:.3g} GB of rows kept; "
                    f"keep fewer by rp.execute.gpu(memory={0.5 * self.kept.n_bytes:.2g}), or free what else is on it"
                ) from error


@dataclass(frozen=True)
class Gpu:
    """Maps with compiled functions on a device.

    Attributes
    ----------
    number, platform, memory : as of :func:`raphson.execute.gpu`.
    inner : the executor that maps: it reads, and runs what is not compiled.
    device : the device.
    """

    number: int
    platform: Platform
    memory: int | None
    inner: Any = field(repr=False)
    device: Device = field(compare=False, repr=False)

    def map(self, function: Callable[[B], T], blocks: Sequence[B]) -> list[T]:
        # Threads compute in copies of this context, and so on the device too.
        with self.device.computing():
            return self.inner.map(function, blocks)

    def __reduce__(self) -> Any:
        return executor_on, (self.number, self.platform, self.memory, self.inner)


def executor_on(number: int, platform: Platform, memory: float | None, inner: Any) -> Gpu:
    """The executor of :func:`raphson.execute.gpu`; `inner` maps itself."""
    check_choice("platform", platform, get_args(Platform))
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ModelError(f"number: expected the number of a GPU, 0 or more; got {number!r}")
    if memory is not None and (isinstance(memory, bool) or not isinstance(memory, int | float) or not memory >= 0):
        raise ModelError(f"memory: expected a number of bytes, 0 or more, or None for half of it; got {memory!r}")
    place = _place(number, platform)
    most = _room(place) if memory is None else int(memory)
    return Gpu(number, platform, None if memory is None else most, inner, Device(place, KeptRows(most)))


def _place(number: int, platform: Platform) -> Any:
    with x64():
        try:
            found = jax.devices(platform)
        except RuntimeError:
            found = []
        if number < len(found):
            return found[number]
        seen = ", ".join(sorted({one.platform for one in jax.devices()}))
    if found:
        raise ModelError(f"number: expected one of the {len(found)} that JAX sees, counted from 0; got {number}")
    raise ModelError(
        f"executor: JAX sees no GPU here, only {seen}. Install JAX for it, as by pip install 'jax[cuda13]', and look "
        f"that JAX_PLATFORMS{_set('JAX_PLATFORMS')} does not leave it out; rp.execute.gpu(platform='cpu') runs the "
        "same code on the processor"
    )


def _set(variable: str) -> str:
    value = os.environ.get(variable)
    return "" if value is None else f"={value}"


def _room(place: Any) -> int:
    """Bytes for rows on a device."""
    told = (place.memory_stats() or {}).get("bytes_limit")
    return KEPT_UNKNOWN if told is None else int(KEPT_SHARE * told)
