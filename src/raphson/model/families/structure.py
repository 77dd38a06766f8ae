"""A family as JAX takes it apart: numeric parameters are leaves, link and levels are structure."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from raphson.compat import jax, when_used
from raphson.errors import ModelError, named_arguments
from raphson.model.families.links import Link

STRUCTURE = ("link", "levels")
"""Fields of a family that are not numbers."""


def parameters_of(family: Any) -> tuple[str, ...]:
    """The names of a family's numeric parameters, such as the power of a Tweedie distribution."""
    return tuple(field.name for field in dataclasses.fields(family) if field.name not in STRUCTURE)


@cache
def needed_by(family: Any) -> tuple[str, ...]:
    """The names of the numeric parameters that a family has to be given."""
    return tuple(field.name for field in dataclasses.fields(family) if field.default is dataclasses.MISSING)


def structured(cls: Any) -> Any:
    """Class decorator: a frozen dataclass and pytree, whose leaves are its numeric parameters; its link comes last."""
    if not hasattr(cls, "link"):
        cls.__annotations__ = inspect.get_annotations(cls) | {"link": Link}
        cls.link = None
    made = dataclass(frozen=True)(cls)
    made.__init__ = named_arguments(made.__init__)
    data = parameters_of(made)
    meta = tuple(field.name for field in dataclasses.fields(made) if field.name not in data)

    # Not jax.tree_util.register_dataclass: under it (JAX 0.10.2) the structures of two classes with
    # the same static fields compare equal and only their hashes differ, so that a jitted function
    # occasionally ran one family's compiled code for another. Here the class is part of the comparison.
    def flatten(family: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(family, f) for f in data), (made, *(getattr(family, f) for f in meta))

    def unflatten(static: tuple[Any, ...], leaves: Any) -> Any:
        # without __post_init__: the fields were checked before, and the leaves may be tracers
        family = object.__new__(made)
        for name, value in (*zip(meta, static[1:], strict=True), *zip(data, leaves, strict=True)):
            object.__setattr__(family, name, value)
        return family

    when_used.add(lambda: jax.tree_util.register_pytree_node(made, flatten, unflatten))
    return made


def parameter(owner: object, name: str, value: Any, allowed: Any, expected: str) -> None:
    """Check a numeric parameter and store it as float64; JAX's own values are left as they are."""
    if isinstance(value, str | bool | list | tuple | dict):
        raise ModelError(f"{name}: expected {expected}; got {value!r}")
    if isinstance(value, int | float | np.number):
        number = np.float64(value)
        if not (np.isfinite(number) and allowed(number)):
            raise ModelError(f"{name}: expected {expected}; got {value!r}")
        object.__setattr__(owner, name, number)
