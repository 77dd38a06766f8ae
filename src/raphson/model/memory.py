"""A cache of what is made from a user's function, such as compiled code, kept as long as the function lives."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

_KEPT: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


def cached_for(function: Any, key: Any, make: Callable[[], Any]) -> Any:
    """The cached result of `make` for this function and key. The result must not keep the function alive."""
    try:
        kept = _KEPT.setdefault(function, {})
    except TypeError:  # not every callable can be referred to weakly
        return make()
    if key not in kept:
        kept[key] = make()
    return kept[key]


def weak_getter(function: Callable[..., Any]) -> Callable[[], Any]:
    """A getter that returns the function without keeping it alive, where weak references allow that."""
    try:
        return weakref.ref(function)
    except TypeError:
        return lambda: function
