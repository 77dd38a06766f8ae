"""The names of a Fit: each is that of its reading, or a function of it, with the same documentation.

A name that this kind of model has not is refused where it is asked for, by an error that is an AttributeError, too: of
it ``hasattr`` says no, and whoever uses it reads why.
"""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportConstantRedefinition=false

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from types import MethodType
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar, overload

from raphson.fit.reading import Reading

T = TypeVar("T")
P = ParamSpec("P")


def reading_behind(fit: Any, name: str) -> Reading:
    """The reading of a Fit, which is asked for a name."""
    reading: Reading = fit._reading
    reading.check_name(name)
    return reading


class Shown(Generic[T]):
    """What a Fit shows: what its reading has worked out, or a function of the reading does, once."""

    name: str

    def __init__(self, source: cached_property[T] | Callable[[Any], T]) -> None:
        self.function = None if isinstance(source, cached_property) else source
        self.__doc__ = source.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, fit: None, owner: type) -> Shown[T]: ...

    @overload
    def __get__(self, fit: Any, owner: type) -> T: ...

    def __get__(self, fit: Any, owner: type) -> Any:
        if fit is None:
            return self
        reading = reading_behind(fit, self.name)
        if self.function is None:
            return getattr(reading, self.name)
        kept = vars(fit)
        if self.name not in kept:
            kept[self.name] = self.function(reading)
        return kept[self.name]

    def __set__(self, fit: Any, value: Any) -> NoReturn:
        raise AttributeError(f"{self.name}: it follows from the fit, and cannot be set")


class Asked(Generic[P, T]):
    """What a Fit can be asked: a function of its reading as a method."""

    name: str

    def __init__(self, function: Callable[Concatenate[Any, P], T]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, fit: None, owner: type) -> Callable[Concatenate[Any, P], T]: ...

    @overload
    def __get__(self, fit: Any, owner: type) -> Callable[P, T]: ...

    def __get__(self, fit: Any, owner: type) -> Any:
        if fit is None:
            return self.function
        return MethodType(self.function, reading_behind(fit, self.name))
