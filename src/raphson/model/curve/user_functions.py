"""Curves that are functions of the user: traced by JAX, checked, and differentiated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from raphson.autodiff.trace import trace
from raphson.errors import ModelError
from raphson.model.curve.code import CurveCode
from raphson.model.curve.compiled import CompiledDerivatives
from raphson.model.curve.structure import CurveStructure, structure_of
from raphson.model.memory import cached_for, weak_getter
from raphson.model.parameters import Parameters


def structure_of_function(
    function: Callable[[Any, Any], Any], parameters: Parameters, theta: np.ndarray, x: Any
) -> tuple[CurveStructure, tuple[int, ...]]:
    """Trace a function of (params, x); returns the shape of its result too."""

    def of_parts(parts: list[Any], x: Any) -> Any:
        return function(parameters.build(parts), x)

    try:
        # Parameters are real numbers; of x, which has been read, only indices are still integers.
        traced = trace(of_parts, parameters.split(theta), x, what=_name(function), whole=True)
    except ModelError as error:
        called = _called(function)
        try:
            if not isinstance(parameters.build(parameters.split(theta)), dict):
                raise
            trace(lambda parts, x: function(x, parameters.build(parts)), parameters.split(theta), x, whole=True)
        except ModelError:
            raise ModelError(str(error).replace("method='finite'", "derivatives='finite'")) from error
        raise ModelError(
            f"model: expected f(params, x) with the parameters first; {called} takes x first. Exchange its arguments, "
            f"or wrap it: lambda params, x: {called}(x, params)"
        ) from error
    outputs = traced.jaxpr.out_avals
    if len(outputs) != 1:
        raise ModelError(f"{_name(function)}: expected one array of predictions; got {len(outputs)} values")
    if outputs[0].dtype.kind == "c":
        raise ModelError(f"model: expected real predictions; {_name(function)} returns complex numbers")
    n_data = len(traced.names) - len(parameters.shapes)
    return structure_of(traced.jaxpr, parameters, n_data), tuple(outputs[0].shape)


def check_signature(function: Callable[..., Any], start: Any) -> None:
    """Refuse a function that cannot be called as f(params, x), such as scipy's f(x, a, b).

    Raises
    ------
    ModelError
        The message shows how to wrap it.
    """
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return  # the arguments of some callables cannot be read
    places = [one for one in arguments if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = [one.name for one in places if one.default is one.empty]
    needed += [one.name for one in arguments if one.kind is one.KEYWORD_ONLY and one.default is one.empty]
    many = any(one.kind is one.VAR_POSITIONAL for one in arguments)
    names = list(start) if isinstance(start, dict) else []
    spread = len(needed) == 2 and needed[1] in names and needed[0] not in names  # f(x, a)
    if len(needed) <= 2 and (len(places) >= 2 or (many and not needed)) and not spread:
        return
    called, rest = _called(function), needed[1:]
    shown = f"{called}({', '.join(str(one) for one in arguments)})"
    if rest and set(rest) <= set(names):
        given = ", ".join(f"params[{name!r}]" for name in rest)
        remedy = f"Wrap it: lambda params, x: {called}(x, {given})"
    elif rest or many:
        remedy = f"Wrap it: lambda params, x: {called}(x, *params), with an array for start="
    else:
        remedy = "Let it take the parameters as one argument, and then x"
    raise ModelError(
        f"model: expected f(params, x), with all parameters in the first argument, as in start=; got {shown}. {remedy}"
    )


def _called(function: Any) -> str:
    """The function's name in an example."""
    name = _name(function)
    return name if name.isidentifier() else "f"


def function_derivatives(function: Callable[[Any, Any], Any], parameters: Parameters) -> CompiledDerivatives:
    """Derivatives of a user's function of (params, x) as one of (θ, x); its code is cached with the function."""
    get = weak_getter(function)

    def make() -> CurveCode:
        return CurveCode(lambda theta, x: get()(parameters.unflatten(theta), x).reshape(-1) * 1.0)

    code = cached_for(function, parameters, make)
    return CompiledDerivatives(code, _name(function), (function_derivatives, (function, parameters)))


def _name(function: Any) -> str:
    return getattr(function, "__name__", "the model")
