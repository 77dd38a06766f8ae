"""What is made of a user's function, such as compiled code: kept as long as the function lives, and no longer."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

_KEPT: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


def remembered(function: Any, key: Any, make: Callable[[], Any]) -> Any:
    """What `make` gave for this function and key before, or gives now; it must not keep the function alive."""
    try:
        kept = _KEPT.setdefault(function, {})
    except TypeError:  # not every callable can be referred to weakly
        return make()
    if key not in kept:
        kept[key] = make()
    return kept[key]


def weakly(function: Callable[..., Any]) -> Callable[[], Any]:
    """Gives the function back as long as it lives, without keeping it alive where that is possible."""
    try:
        return weakref.ref(function)
    except TypeError:
        return lambda: function
