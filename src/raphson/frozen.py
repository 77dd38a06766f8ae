"""Frozen dataclasses that are made quickly.

The constructor of a frozen dataclass sets each field past its own refusal, which takes four times as long as to write
it into the instance: of the records that a fit of a few rows is made of, some hundred fields, 10 µs. Here the
constructor does the latter. All else is the dataclass's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def frozen(cls: type[T]) -> type[T]: ...
@overload
def frozen(*, eq: bool = True) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, *, eq: bool = True) -> Any:
    """Class decorator: as ``dataclass(frozen=True)``, for classes without slots.

    Examples
    --------
    >>> @frozen
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> Point(1.0)
    Point(x=1.0, y=0.0)
    """

    def made(cls: type[T]) -> type[T]:
        record = dataclass(frozen=True, eq=eq)(cls)
        record.__init__ = _constructor(record)
        return record

    return made if cls is None else made(cls)


def _constructor(record: Any) -> Any:
    """The constructor, with the signature of the dataclass's own."""
    names: dict[str, Any] = {"_absent": inspect.signature(record).parameters}  # any object of its own
    given, lines = ["self"], ["_fields = self.__dict__"]
    for number, one in enumerate(fields(record)):
        if one.default is not MISSING:
            names[f"_default{number}"] = one.default
            given.append(f"{one.name}=_default{number}")
        elif one.default_factory is not MISSING:
            names[f"_make{number}"] = one.default_factory
            given.append(f"{one.name}=_absent")
            lines.append(f"if {one.name} is _absent: {one.name} = _make{number}()")
        else:
            given.append(one.name)
        lines.append(f"_fields[{one.name!r}] = {one.name}")
    if hasattr(record, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n    ".join(lines)
    exec(f"def __init__({', '.join(given)}):\n    {body}", names)  # noqa: S102 - written above
    made = names["__init__"]
    made.__annotations__, made.__qualname__ = record.__init__.__annotations__, record.__init__.__qualname__
    return made
