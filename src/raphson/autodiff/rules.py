"""The rules of single operations: their values, and the adjoints that they pass back to their inputs.

Arithmetic that every computer rounds in the same way, and operations that only move numbers, are done by NumPy. They
form a table as in textbooks, and need no compilation. All other operations use JAX's rules, compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np

from raphson.compat import bind, is_jaxpr, jax


class Rule(Protocol):
    """The rule of a step's operation φ."""

    def value(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Compute φ."""
        ...

    def pullback(
        self, inputs: Sequence[Any], active: tuple[int, ...], used: tuple[int, ...], adjoints: Sequence[Any]
    ) -> Sequence[Any]:
        """Pass the adjoints of the ``used`` outputs back to the ``active`` inputs: Σ z̄ ∂φ/∂z."""
        ...


class CompiledRule:
    """The rule of a JAX operation, compiled once for each shape."""

    def __init__(self, primitive: Any, parameters: Mapping[str, Any]) -> None:
        self._primitive = primitive
        self._parameters = dict(parameters)
        self._functions: dict[Any, Callable[..., Any]] = {}

    def _apply(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(bind(self._primitive, self._parameters, inputs))

    def value(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Compute the operation."""
        if "value" not in self._functions:
            self._functions["value"] = jax.jit(self._apply)
        return [host(one) for one in self._functions["value"](list(inputs))]

    def pullback(
        self, inputs: Sequence[Any], active: tuple[int, ...], used: tuple[int, ...], adjoints: Sequence[Any]
    ) -> Sequence[Any]:
        """Apply the transpose of the operation's linear map, by JAX's rule.

        Unused outputs are left out: if f does not depend on an eigenvector, its infinite derivative at a double
        eigenvalue is not multiplied by zero.
        """
        if (active, used) not in self._functions:

            def pull(inputs: list[Any], adjoints: list[Any]) -> Any:
                def chosen(*varied: Any) -> list[Any]:
                    given = list(inputs)
                    for k, one in zip(active, varied, strict=True):
                        given[k] = one
                    results = self._apply(given)
                    return [results[k] for k in used]

                _, transpose = jax.vjp(chosen, *(inputs[k] for k in active))
                return transpose(adjoints)

            self._functions[active, used] = jax.jit(pull)
        return [host(one) for one in self._functions[active, used](list(inputs), list(adjoints))]


class TextbookRule(CompiledRule):
    """The rule of an operation in the table; JAX's rule for cases that the table lacks."""

    def value(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Compute the operation."""
        if all(map(_is_plain, inputs)):
            with np.errstate(all="ignore"):
                found = _VALUES[self._primitive.name](self._parameters, *inputs)
            if found is not None:
                return [np.asarray(found)]
        return super().value(inputs)

    def pullback(
        self, inputs: Sequence[Any], active: tuple[int, ...], used: tuple[int, ...], adjoints: Sequence[Any]
    ) -> Sequence[Any]:
        """Pass the adjoint back."""
        pull = _PULLBACKS.get(self._primitive.name)
        if pull is not None and len(adjoints) == 1 and all(map(_is_plain, [*inputs, *adjoints])):
            with np.errstate(all="ignore"):
                found = pull(self._parameters, adjoints[0], *inputs)
            # The adjoint of a number combined with an array is a sum over elements, left to JAX and its order.
            if found is not None and all(np.shape(found[k]) == inputs[k].shape for k in active):
                return [np.asarray(found[k]) for k in active]
        return super().pullback(inputs, active, used, adjoints)


class Take:
    """z = x[k]; passes its adjoint to that element of x."""

    def __init__(self, k: int) -> None:
        self._k = k

    def value(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Compute x[k]."""
        return [np.asarray(inputs[0][self._k])]

    def pullback(
        self, inputs: Sequence[Any], active: tuple[int, ...], used: tuple[int, ...], adjoints: Sequence[Any]
    ) -> Sequence[Any]:
        """The adjoint at its element, 0 elsewhere."""
        del active, used
        whole = np.zeros_like(inputs[0])
        whole[self._k] = adjoints[0]
        return [whole]


class Stack:
    """z = (x₁, x₂, ...); passes each its part of the adjoint."""

    def value(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Stack along a new first axis."""
        return [np.stack(inputs)]

    def pullback(
        self, inputs: Sequence[Any], active: tuple[int, ...], used: tuple[int, ...], adjoints: Sequence[Any]
    ) -> Sequence[Any]:
        """Split the adjoint."""
        del inputs, used
        return [np.asarray(adjoints[0][k]) for k in active]


def rule_of(primitive: Any, parameters: Mapping[str, Any]) -> Rule | None:
    """The rule of an operation, cached; None if it contains functions, which the cache would keep alive."""
    listed = tuple(sorted(parameters.items(), key=lambda item: item[0]))
    if any(_holds_code(value) for _, value in listed):
        return None
    try:
        return _kept_rule(primitive, listed)
    except TypeError:  # a parameter is not hashable
        return None


@cache
def _kept_rule(primitive: Any, parameters: tuple[tuple[str, Any], ...]) -> Rule:
    kind = TextbookRule if primitive.name in _VALUES else CompiledRule
    return kind(primitive, dict(parameters))


def host(value: Any) -> Any:
    """A NumPy array; random keys, which NumPy does not have, stay as they are."""
    try:
        return np.asarray(value)
    except TypeError:
        return value


def _holds_code(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_holds_code, value))
    return is_jaxpr(value) or (callable(value) and not isinstance(value, type))


def _is_plain(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiub"


def _floats(*values: Any) -> bool:
    return all(value.dtype.kind == "f" for value in values)


def _reshaped(p: Mapping[str, Any], x: Any) -> Any:
    return x.reshape(p["new_sizes"]) if p.get("dimensions") is None else None


def _broadcast(p: Mapping[str, Any], x: Any) -> Any:
    wide = [1] * len(p["shape"])
    for axis, size in zip(p["broadcast_dimensions"], x.shape, strict=True):
        wide[axis] = size
    return np.broadcast_to(x.reshape(wide), p["shape"])


def _slice(p: Mapping[str, Any], x: Any) -> Any:
    return x[_places(p)]


def _places(p: Mapping[str, Any]) -> tuple[slice, ...]:
    steps = p["strides"] or (1,) * len(p["start_indices"])
    return tuple(map(slice, p["start_indices"], p["limit_indices"], steps))


def _into_slice(p: Mapping[str, Any], adjoint: Any, x: Any) -> Any:
    whole = np.zeros_like(x)
    whole[_places(p)] = adjoint
    return (whole,)


def _parts(p: Mapping[str, Any], adjoint: Any, *inputs: Any) -> Any:
    ends = np.cumsum([one.shape[p["dimension"]] for one in inputs])[:-1]
    return np.split(adjoint, ends, axis=p["dimension"])


def _iota(p: Mapping[str, Any]) -> Any:
    along = [1] * len(p["shape"])
    along[p["dimension"]] = p["shape"][p["dimension"]]
    count = np.arange(along[p["dimension"]]).astype(p["dtype"])
    return np.broadcast_to(count.reshape(along), p["shape"])


def _selected(p: Mapping[str, Any], which: Any, *cases: Any) -> Any:
    del p  # which = 0 selects the first case
    return np.where(which == 0, cases[0], cases[1]) if len(cases) == 2 else None


def _to_selected(p: Mapping[str, Any], adjoint: Any, which: Any, *cases: Any) -> Any:
    del p
    # Not a product with 0 or 1, as an infinite adjoint belongs only to the case that was selected.
    chosen = which == 0
    return (None, np.where(chosen, adjoint, 0.0), np.where(chosen, 0.0, adjoint)) if len(cases) == 2 else None


def _convert(p: Mapping[str, Any], x: Any) -> Any:
    kind = np.dtype(p["new_dtype"]).kind
    return x.astype(p["new_dtype"]) if kind in "fb" or (kind in "iu" and x.dtype.kind in "biu") else None


_VALUES: dict[str, Callable[..., Any]] = {
    "add": lambda p, a, b: a + b,
    "add_any": lambda p, a, b: a + b,
    "sub": lambda p, a, b: a - b if a.dtype.kind != "b" else None,
    "mul": lambda p, a, b: a * b if p.get("out_dtype") in (None, a.dtype) else None,
    "div": lambda p, a, b: a / b if _floats(a, b) else None,
    "neg": lambda p, a: -a,
    "sqrt": lambda p, a: np.sqrt(a) if _floats(a) else None,
    "square": lambda p, a: a * a,
    "abs": lambda p, a: np.abs(a),
    "eq": lambda p, a, b: a == b,
    "ne": lambda p, a, b: a != b,
    "lt": lambda p, a, b: a < b,
    "le": lambda p, a, b: a <= b,
    "gt": lambda p, a, b: a > b,
    "ge": lambda p, a, b: a >= b,
    "and": lambda p, a, b: a & b,
    "or": lambda p, a, b: a | b,
    "not": lambda p, a: ~a,
    "is_finite": lambda p, a: np.isfinite(a),
    "select_n": _selected,
    "convert_element_type": _convert,
    "copy": lambda p, a: a,
    "stop_gradient": lambda p, a: a,
    "iota": lambda p, *dynamic: None if dynamic else _iota(p),
    "broadcast_in_dim": lambda p, a, *dynamic: None if dynamic else _broadcast(p, a),
    "reshape": lambda p, a, *dynamic: None if dynamic else _reshaped(p, a),
    "squeeze": lambda p, a: a.reshape([n for k, n in enumerate(a.shape) if k not in p["dimensions"]]),
    "transpose": lambda p, a: a.transpose(p["permutation"]),
    "rev": lambda p, a: np.flip(a, p["dimensions"]),
    "slice": _slice,
    "concatenate": lambda p, *parts: np.concatenate(parts, axis=p["dimension"]),
}
"""z = φ(a, b, ...); None for cases that the table lacks."""

_PULLBACKS: dict[str, Callable[..., Any]] = {
    "add": lambda p, g, a, b: (g, g),
    "add_any": lambda p, g, a, b: (g, g),
    "sub": lambda p, g, a, b: (g, -g),
    "mul": lambda p, g, a, b: (g * b, g * a),
    "div": lambda p, g, a, b: (g / b, -g * a * (1.0 / (b * b))),
    "neg": lambda p, g, a: (-g,),
    "sqrt": lambda p, g, a: (g * (0.5 / np.sqrt(a)),),
    "square": lambda p, g, a: (g * (2.0 * a),),
    "abs": lambda p, g, a: (g * np.sign(a),),
    "select_n": _to_selected,
    "convert_element_type": lambda p, g, a: (g.astype(a.dtype),),
    "copy": lambda p, g, a: (g,),
    "broadcast_in_dim": lambda p, g, a: (g.reshape(a.shape),) if g.size == a.size else None,
    "reshape": lambda p, g, a: (g.reshape(a.shape),) if p.get("dimensions") is None else None,
    "squeeze": lambda p, g, a: (g.reshape(a.shape),),
    "transpose": lambda p, g, a: (g.transpose(np.argsort(p["permutation"])),),
    "rev": lambda p, g, a: (np.flip(g, p["dimensions"]),),
    "slice": _into_slice,
    "concatenate": _parts,
}
"""(g ∂φ/∂a, g ∂φ/∂b, ...) for the adjoint g of z; None for cases that the table lacks."""
