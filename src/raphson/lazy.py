"""Modules that are imported when something of them is first asked for.

``import raphson`` takes almost no time, and a fit imports only what it uses. A module that only some calls need is
imported in the function that needs it. Where a module is used in many places, or by name in the body of a class, it is
a :class:`Lazy` one, which ``if TYPE_CHECKING`` imports under the same name. A package whose names lie in its modules
has its ``__getattr__`` from :func:`on_request`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class Lazy:
    """A module that is imported when something of it is first asked for.

    Examples
    --------
    >>> colours = Lazy("colorsys")
    >>> colours.rgb_to_hsv(1.0, 1.0, 1.0)
    (0.0, 0.0, 1.0)
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: ModuleType | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":  # doctest and inspect ask this of any object that they see
            raise AttributeError(name)
        if self._module is None:
            self._module = import_module(self._name)
        return getattr(self._module, name)

    def __reduce__(self) -> tuple[type[Lazy], tuple[str]]:
        return Lazy, (self._name,)  # by its name: a module cannot be pickled, and a copy without _module asks itself


def on_request(
    package: str, where: Mapping[str, tuple[str, str | None]], hint: Callable[[str], str] = lambda name: ""
) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose names are imported when they are first asked for.

    Parameters
    ----------
    package : its ``__name__``.
    where : for each name, its module and what it is called there; None for the module itself.
    hint : the end of the message on an unknown name.
    """

    def find(name: str) -> Any:
        if name not in where:
            meant = hint(name)
            told = {"name": None, "obj": None} if meant else {}  # otherwise Python adds a suggestion of its own
            raise AttributeError(f"module {package!r} has no attribute {name!r}{'.' * bool(meant)}{meant}", **told)
        module, attribute = where[name]
        loaded = import_module(module)
        value = loaded if attribute is None else getattr(loaded, attribute)
        setattr(sys.modules[package], name, value)
        return value

    return find
