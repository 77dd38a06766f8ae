"""Modules that are imported when something of them is first asked for.

``import raphson`` takes almost no time, and a fit imports only what it uses. A module that only some calls need is
imported in the function that needs it. Where a module is used in many places, or by name in the body of a class, it is
a :class:`Lazy` one, which ``if TYPE_CHECKING`` imports under the same name.
"""

from __future__ import annotations

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
        if self._module is None:
            self._module = import_module(self._name)
        return getattr(self._module, name)
