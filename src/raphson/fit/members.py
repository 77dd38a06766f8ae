"""The members of a Fit: descriptors that take value and documentation from the Fit's reading, or from a function of it.

A name that does not apply to this kind of model raises an error with the reason. The error is also an AttributeError,
so that ``hasattr`` is False.
"""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportConstantRedefinition=false

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache, wraps
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar, overload

from raphson.errors import RefusedName, named_arguments
from raphson.fit.reading import Reading

T = TypeVar("T")
P = ParamSpec("P")


def reading_behind(fit: Any, name: str) -> Reading:
    """The reading of a Fit, after checking that this kind of model has the name."""
    reading: Reading = fit._reading
    reading.check_name(name)
    return reading


def refuse_unknown(found: Any, name: str, of_one: Iterable[str] = ()) -> NoReturn:
    """Raise the error for a name that a Fit or Fits do not have: it says what another package's name is called here.

    Parameters
    ----------
    of_one : of Fits, the names that the Fit of one group has.

    Raises
    ------
    AttributeError
    """
    kind = type(found)
    if any(name in vars(one) for one in kind.__mro__):
        object.__getattribute__(found, name)  # a member has refused: it says why
    if name.startswith("_"):  # protocols of Python and of notebooks ask for these
        raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")
    from raphson.hints import hint

    known = {one for one in dir(kind) if not one.startswith("_")}
    meant = hint("fit", name, sorted(known.union(of_one)), "fit.")
    if of_one:
        own = re.search(r"fit\.(\w+)", meant)
        of = "fits" if own and own[1] in known else "fits[label]"
        meant = re.sub(r"\bfit\b", of, meant)
    raise RefusedName(f"{name}: {kind.__name__} has no attribute of this name.{meant or ' See dir(fit)'}")


def naming_arguments(kind: type[T]) -> type[T]:
    """A class decorator: its methods say which of their arguments is meant by an unknown one."""
    for name, member in list(vars(kind).items()):
        if isinstance(member, FunctionType) and not name.startswith("_"):
            setattr(kind, name, named_arguments(member))
    return kind


class Shown(Generic[T]):
    """A cached attribute of a Fit: the attribute of its reading, or a function of the reading."""

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
        raise AttributeError(f"{self.name}: it follows from the fit and cannot be set")


class ShownLater(Shown[T]):
    # An attribute whose source is found when it is first asked for, so that its module need not be imported before.

    def __init__(self, find: Callable[[], cached_property[T] | Callable[[Any], T]]) -> None:
        self.find = find

    @cached_property
    def function(self) -> Callable[[Any], T] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        source = self.find()
        return None if isinstance(source, cached_property) else source

    @property
    def __doc__(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.find().__doc__


class ShownByRow(ShownLater[T]):
    # An attribute with a value for each row, in the library of data frames that the data came in.

    @property
    def __doc__(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.find().__doc__

    if not TYPE_CHECKING:  # to type checkers it is pandas'

        def __get__(self, fit: Any, owner: type) -> Any:
            found = super().__get__(fit, owner)
            return found if fit is None else fit._as_given(found, self.name)


class Told(Shown[T]):
    """What a Fit tells as it was asked for, or came out: a field of its state."""

    def __init__(self, documentation: str, field: str = "") -> None:
        super().__init__(lambda reading: getattr(reading.state, field or self.name))
        self.__doc__ = documentation


@lru_cache(maxsize=256)
def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A method that says which of its arguments is meant by an unknown one."""
    return named_arguments(function, f"Fit.{name}")


class Asked(Generic[P, T]):
    # A method of a Fit: a function whose first argument is the reading. It is found when the method is first asked for,
    # so that its module need not be imported before.

    name: str

    def __init__(self, find: Callable[[], Callable[Concatenate[Any, P], T]]) -> None:
        self.find = find

    @property
    def __doc__(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.find().__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, fit: None, owner: type) -> Callable[Concatenate[Any, P], T]: ...

    @overload
    def __get__(self, fit: Any, owner: type) -> Callable[P, T]: ...

    def __get__(self, fit: Any, owner: type) -> Any:
        if fit is None:
            return self.find()
        return MethodType(_named(self.find(), self.name), reading_behind(fit, self.name))


class AskedByRow(Asked[P, T]):
    # A method that gives a value for each row, in the library of data frames that the data came in.

    @property
    def __doc__(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.find().__doc__

    if not TYPE_CHECKING:  # to type checkers it is pandas'

        def __get__(self, fit: Any, owner: type) -> Any:
            method = super().__get__(fit, owner)
            if fit is None or fit._library is None:
                return method

            @wraps(method)
            def called(*given: Any, **named: Any) -> Any:
                return fit._as_given(method(*given, **named), self.name)

            return called
