"""What tracing shows about a user's curve, an expression or a function, and explanations where it is not finite."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from raphson.autodiff.trace import trace
from raphson.data.curves import Curve
from raphson.data.messages import listing
from raphson.errors import ModelError
from raphson.model.curve.code import CurveCode
from raphson.model.curve.dimensions import Dimensions, dimensions
from raphson.model.curve.linearity import NOTHING, Dependence, curved_pairs, largest_linear_set
from raphson.model.curve.nonlinear import CompiledDerivatives, Derivatives, jax_function
from raphson.model.curve.waves import Phase, Wave, waves
from raphson.model.memory import cached_for, weak_getter
from raphson.model.parameters import Parameters


@dataclass(frozen=True)
class CurveStructure:
    """What tracing a curve shows.

    Attributes
    ----------
    linear : (p,) mask of the parameters that it is jointly linear in, with the others held fixed.
    absent : (p,) mask of the parameters that it does not depend on.
    dimensions : of the parameters; None where the curve was not traced.
    waves, phases : the parameters that set a frequency, and those that shift a wave.
    """

    linear: np.ndarray
    absent: np.ndarray
    dimensions: Dimensions | None = None
    waves: tuple[Wave, ...] = ()
    phases: tuple[Phase, ...] = ()


@lru_cache(maxsize=256)
def structure_of_curve(curve: Curve, columns: tuple[str, ...], parameters: tuple[str, ...]) -> CurveStructure:
    """Trace an expression."""

    def function(parts: list[Any], x: list[Any]) -> Any:
        values = dict(zip(parameters, parts, strict=True)) | dict(zip(columns, x, strict=True))
        return curve.evaluate(values, jax_function) * 1.0

    traced = trace(function, [1.0] * len(parameters), [1.0] * len(columns), what="the curve")
    return _structure(traced.jaxpr, Parameters.scalars(parameters), len(columns))


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
    return _structure(traced.jaxpr, parameters, n_data), tuple(outputs[0].shape)


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


def _structure(jaxpr: Any, parameters: Parameters, n_data: int) -> CurveStructure:
    parts = [Dependence(frozenset([j]), frozenset()) for j in range(len(parameters.shapes))]
    reach = curved_pairs(jaxpr, parts + [NOTHING] * n_data)
    linear = largest_linear_set(reach.pairs, sorted(reach.on))

    def spread(chosen: Any) -> np.ndarray:
        return np.repeat([j in chosen for j in range(len(parameters.shapes))], parameters.sizes)

    inputs = [*range(len(parameters.shapes)), *[None] * n_data]
    found = dimensions(jaxpr, inputs, n_data)
    first = np.concatenate([[0], np.cumsum(parameters.sizes)]).astype(int)

    def elements(kind: tuple[Any, ...]) -> tuple[Any, ...]:
        """The scalar parameters, renumbered as elements of θ."""
        single = [one for one in kind if parameters.sizes[one.parameter] == 1]
        return tuple(one._replace(parameter=int(first[one.parameter])) for one in single)

    frequencies, phases = waves(jaxpr, inputs)
    each = Dimensions(*(np.repeat(table, parameters.sizes, axis=0) for table in (found.exponents, found.position)))
    return CurveStructure(spread(linear), ~spread(reach.on), each, elements(frequencies), elements(phases))


def refuse_absent(structure: CurveStructure, names: tuple[str, ...]) -> None:
    """Refuse parameters that the model does not depend on."""
    absent = [name for name, is_absent in zip(names, structure.absent, strict=True) if is_absent]
    if absent:
        raise ModelError(
            f"start: the model does not depend on {listing(map(repr, absent))}; leave it out of start=, or use it in "
            "the model"
        )


def function_derivatives(function: Callable[[Any, Any], Any], parameters: Parameters) -> CompiledDerivatives:
    """Derivatives of a user's function of (params, x) as one of (θ, x); its code is cached with the function."""
    get = weak_getter(function)

    def make() -> CurveCode:
        return CurveCode(lambda theta, x: get()(parameters.unflatten(theta), x).reshape(-1) * 1.0)

    code = cached_for(function, parameters, make)
    return CompiledDerivatives(code, _name(function), (function_derivatives, (function, parameters)))


@dataclass(frozen=True)
class CurveExplanation:
    """Explains where an expression is not finite: the step, the rows, the values.

    Attributes
    ----------
    curve, columns, parameters : the expression and its names.
    X : (n, d) the columns.
    index : (n,) the user's row numbers; None if no row was dropped.
    """

    curve: Curve
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    X: np.ndarray
    index: np.ndarray | None

    def __call__(self, theta: np.ndarray) -> str:
        values: dict[str, Any] = dict(zip(self.parameters, theta, strict=True))  # NumPy numbers: they may divide by 0
        values |= {name: self.X[:, k] for k, name in enumerate(self.columns)}
        found = self.curve.first_not_finite(values)
        at = ", ".join(f"{name}={value:.6g}" for name, value in zip(self.parameters, theta.tolist(), strict=True))
        if found is None:
            return f"start: the curve is finite at {at}, but its squares are not; choose smaller starting values"
        step, bad = found
        rows = np.flatnonzero(np.broadcast_to(bad, len(self.X)))
        shown = listing(rows if self.index is None else self.index[rows], 5)
        return (
            f"start: {step!r} is not finite in {len(rows)} of {len(self.X)} rows (row {shown}, counted from 0) at "
            f"{at}; choose other starting values"
        )


@dataclass(frozen=True)
class FunctionExplanation:
    """Explains where a function is not finite."""

    derivatives: Derivatives
    parameters: Parameters
    x: Any

    def __call__(self, theta: np.ndarray) -> str:
        values = self.derivatives.value(theta, self.x)
        rows = np.flatnonzero(~np.isfinite(values))
        at = ", ".join(f"{name}={value:.6g}" for name, value in zip(self.parameters.names, theta.tolist(), strict=True))
        return (
            f"start: the model is not finite in {len(rows)} of {values.size} values (number "
            f"{listing(rows, 5)}, counted from 0) at {at}; choose other starting values"
        )


def _name(function: Any) -> str:
    return getattr(function, "__name__", "the model")
