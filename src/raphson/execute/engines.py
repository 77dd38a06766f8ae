"""What ``executor=`` may be, besides the executors of this package: the registry of their kinds."""

from __future__ import annotations

from typing import Any

from raphson.errors import ModelError, one_line, takes
from raphson.execute.dask_client import Cluster
from raphson.execute.pools import Pool
from raphson.registry import Registry


def _check(kind: Any) -> None:
    """Raise a ModelError if a class cannot say which objects it is for."""
    if (
        not isinstance(kind, type)
        or not takes(getattr(kind, "of", None), 1)
        or not callable(getattr(kind, "map", None))
    ):
        raise ModelError(
            "engines.register: expected a class with a classmethod of(given), which gives an executor or None, and a "
            f"method map(function, blocks); got {kind!r}"
        )


ENGINES: Registry[Any] = Registry("executor", "engine", "engines", "raphson.execute.engines.register", _check)
"""Kinds of executors by name, for objects of other packages."""


def register(kind: Any) -> Any:
    """Register a kind of executor, so that ``executor=`` takes the objects that it recognises; a class decorator.

    Parameters
    ----------
    kind : type
        A class with a ``name``, a classmethod ``of(given)``, which returns an executor or None, and a method
        ``map(function, blocks)``. It is tried before the kinds registered earlier.

    Raises
    ------
    ModelError
        If it lacks one of these.
    """
    return ENGINES.register(getattr(kind, "name", None), kind)


ENGINES.add_builtin("pool", Pool)
ENGINES.add_builtin("dask", Cluster)


def as_executor(given: Any) -> Any:
    """The executor for a value of ``executor=``, which is one or is of a registered kind.

    Raises
    ------
    ModelError
        If it is neither.

    Examples
    --------
    >>> as_executor(3)
    Traceback (most recent call last):
    raphson.errors.ModelError: executor: expected rp.execute.threads(n), rp.execute.serial(), a pool of
    concurrent.futures, a client of Dask or None; got 3
    """
    for kind in reversed(list(ENGINES.values())):
        found = kind.of(given)
        if found is not None:
            return found
    # What submits tasks has a map that returns an iterator, not a list.
    if callable(getattr(given, "map", None)) and not hasattr(given, "submit"):
        return given
    raise ModelError(
        "executor: expected rp.execute.threads(n), rp.execute.serial(), a pool of concurrent.futures, a client of Dask "
        f"or None; got {one_line(given)}"
    )
