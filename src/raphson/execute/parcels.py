"""What is sent to workers in other processes: functions and what they refer to, by cloudpickle.

A pass needs a function, which is new each time, and the model, the data's description or rows, which are not. So what
has a method ``for_workers``, each function of the user's and each large array is a *parcel* of its own: it has a key
that says what it contains, and goes to a worker once, which keeps it. Whatever refers to a parcel is pickled with the
key in its place. A worker that finds the same function again has it compiled already.

``for_workers()`` gives what the workers need of an object: a model without the rows that are in memory here, say, and
without what was compiled or derived.
"""

from __future__ import annotations

import io
import pickle
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from types import FunctionType
from typing import Any

import numpy as np

from raphson.errors import Needs, RaphsonError
from raphson.execute.fingerprint import installed

ARRAY_BYTES = 2**16
"""Size from which on an array is a parcel of its own."""

KEPT_BYTES = 2**20
"""Size up to which a parcel's bytes are kept here, for workers that come later; larger ones are pickled again."""


@dataclass(frozen=True)
class Parcel:
    """A pickled value.

    Attributes
    ----------
    key : of its content.
    size : in bytes.
    needs : keys of the parcels that it refers to, and of those that they do.
    """

    key: bytes
    size: int
    needs: frozenset[bytes]


class Sender:
    """Pickles values, and knows which parcels it has made."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Any, Parcel]] = {}
        """By the number of each object: a reference that does not keep it alive, and its parcel."""
        self._found: dict[bytes, Any] = {}
        """By key, such a reference to what is in the parcel."""
        self._kept: dict[bytes, bytes] = {}

    def pack(self, value: Any) -> tuple[Parcel, bytes]:
        """A value that is sent once, and its bytes.

        Raises
        ------
        RaphsonError
            If it cannot be pickled.
        """
        return self._packed(value)

    def content(self, key: bytes) -> bytes:
        """The bytes of a parcel that this sender has made, as long as the object lives that it was made of."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        found = self._found[key]()
        return self._packed(sent_of(found), found)[1]

    def small(self, key: bytes, most: int) -> bytes | None:
        """The bytes of a parcel that has no more than `most`; None of a larger one."""
        kept = self._kept.get(key)
        return kept if kept is not None and len(kept) <= most else None

    def parcel(self, value: Any) -> Parcel:
        """The parcel of an object."""
        known = self._made.get(id(value))
        if known is not None and known[0]() is value:
            return known[1]
        made, content = self._packed(sent_of(value), value)
        reference = weakref.ref(value, self._forget(id(value), made.key))
        if not isinstance(value, np.ndarray):  # which may have other numbers in the next pass
            self._made[id(value)] = reference, made
        self._found[made.key] = reference
        if made.size <= KEPT_BYTES:
            self._kept[made.key] = content
        return made

    def _forget(self, number: int, key: bytes) -> Callable[[Any], None]:
        def forget(reference: Any) -> None:
            if number in self._made and self._made[number][0] is reference:
                del self._made[number]
            if self._found.get(key) is reference:
                del self._found[key]
                self._kept.pop(key, None)

        return forget

    def _packed(self, value: Any, of: Any = None) -> tuple[Parcel, bytes]:
        """A value and its bytes; `of` is the object that it is the parcel of."""
        file = io.BytesIO()
        pickler = _pickler()(file, self, value, of)
        try:
            pickler.dump(value)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise RaphsonError(
                f"executor: what is fitted cannot be sent to other processes ({error}); let functions of yours refer "
                "to nothing that belongs to this process, such as open files, locks or connections"
            ) from error
        content = file.getvalue()
        return Parcel(blake2b(content, digest_size=16).digest(), len(content), frozenset(pickler.needs)), content


def sent_of(value: Any) -> Any:
    """What workers get of an object."""
    return value.for_workers() if hasattr(type(value), "for_workers") else value


def _apart(value: Any, inside: bool) -> bool:
    """Whether a value is a parcel of its own; an array `inside` a parcel is not."""
    kind = type(value)
    if kind is np.ndarray:
        return not inside and value.nbytes >= ARRAY_BYTES and not value.dtype.hasobject
    return (kind is FunctionType and _users(value)) or hasattr(kind, "for_workers")


def _users(function: FunctionType) -> bool:
    """Whether a function may not be there to be imported by a worker."""
    return not installed(function.__module__)


@cache
def _pickler() -> Any:
    with Needs("cluster", "executor: sending functions to other processes"):
        from cloudpickle import Pickler

    class ParcelPickler(Pickler):
        """Puts keys in the place of parcels."""

        def __init__(self, file: Any, sender: Sender, made: Any, of: Any) -> None:
            super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
            self.sender, self.made, self.of, self.inside = sender, made, of, of is not None
            self.needs = set[bytes]()

        def persistent_id(self, value: Any) -> bytes | None:
            if not _apart(value, self.inside) or value is self.made or value is self.of:
                return None
            parcel = self.sender.parcel(value)
            self.needs |= {parcel.key, *parcel.needs}
            return parcel.key

        def reducer_override(self, value: Any) -> Any:
            if type(value) is FunctionType and _users(value):
                return self._dynamic_function_reduce(value)  # by its code, though its module is imported here
            return super().reducer_override(value)

    return ParcelPickler


class Unpacker(pickle.Unpickler):
    """Reads a parcel whose parcels `held` gives by key."""

    def __init__(self, content: bytes, held: Callable[[bytes], Any]) -> None:
        super().__init__(io.BytesIO(content))
        self._held = held

    def persistent_load(self, key: bytes) -> Any:
        return self._held(key)
