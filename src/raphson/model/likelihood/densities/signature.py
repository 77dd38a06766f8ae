"""The arguments of a density: its response, its linear predictors, and other columns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raphson.errors import ModelError


@dataclass(frozen=True)
class Signature:
    """The arguments of a density.

    Attributes
    ----------
    parameters : its linear predictors, after the response.
    columns : its keyword-only arguments.
    optional : those of them with a default.
    """

    parameters: tuple[str, ...]
    columns: tuple[str, ...]
    optional: tuple[str, ...]


def signature_of(density: Callable[..., Any]) -> Signature:
    """Read the arguments of logpdf(y, parameter, ..., *, column, ...).

    Raises
    ------
    ModelError
        If there is no response and parameter, or an argument is a catch-all.
    """
    form = "expected logpdf(y, parameter, ..., *, column, ...)"
    if not callable(density):
        raise ModelError(f"logpdf: {form}; got {density!r}")
    try:
        arguments = list(inspect.signature(density).parameters.values())
    except (TypeError, ValueError):
        raise ModelError(f"logpdf: {form}; the arguments of {density!r} cannot be read") from None
    kinds = inspect.Parameter
    if any(one.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD) for one in arguments):
        raise ModelError(f"logpdf: {form}; got *args or **kwargs. Name each argument")
    positional = [one.name for one in arguments if one.kind is not kinds.KEYWORD_ONLY]
    keywords = [one for one in arguments if one.kind is kinds.KEYWORD_ONLY]
    if len(positional) < 2:
        raise ModelError(f"logpdf: {form}; got the positional arguments ({', '.join(positional)})")
    optional = tuple(one.name for one in keywords if one.default is not kinds.empty)
    return Signature(tuple(positional[1:]), tuple(one.name for one in keywords), optional)
