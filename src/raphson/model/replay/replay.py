"""Run a traced function again with accurate special functions in place of those that JAX lacks or that lose digits.

JAX 0.10's ``betaln`` has errors of up to 5e-7, and the derivatives of its ``log_ndtr`` of 2e-6 at −20. ``betainc`` has
no derivatives by its shapes, ``gammainc`` and ``gammaincc`` no second ones. Second derivatives of ``logaddexp``,
``expit``, ``softplus`` and ``log_sigmoid`` keep two digits at 30, those of ``erfcx`` eight at 100. All were compared
with mpmath; so were gammaln, digamma, polygamma, ndtri, erfc, i0e, i1e, xlogy, expi and zeta, which are accurate.
Powers, logarithms and quotients that may meet a 0 or an infinity that does not depend on parameters have the
derivatives of :mod:`raphson.model.replay.powers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from raphson.autodiff.walk import walk
from raphson.compat import CUSTOM, bind, closed, frames_of, jax, name_of, operation_name, parts_of
from raphson.errors import warn_user
from raphson.model.replay.still import Marks, still_operations

Visit = Callable[[Any, list[Any], Any], Sequence[Any]]


def run(jaxpr: Any, inputs: Sequence[Any], visit: Visit | None = None) -> list[Any]:
    """Evaluate a closed jaxpr on traced or concrete inputs, with special functions replaced.

    Parameters
    ----------
    jaxpr : ClosedJaxpr
    inputs : one for each flat input.
    visit : called instead of each operation, in order; it may call :func:`operate`.
    """
    return walk(jaxpr, list(inputs), visit or (lambda equation, given, site: operate(equation, given)), keep=CUSTOM)


def operate(equation: Any, inputs: list[Any]) -> list[Any]:
    """The results of one operation."""
    better = _better().get(operation_name(equation))
    real = all(getattr(one, "dtype", np.dtype(float)).kind == "f" for one in inputs)
    if better is not None and real and (name_of(equation) in CUSTOM) == (better[0] == "custom"):
        return [better[1](*inputs)]
    return apply(equation, inputs)


def apply(equation: Any, inputs: list[Any]) -> list[Any]:
    """The results of one operation as JAX computes it."""
    return bind(equation.primitive, equation.params, inputs)


@cache
def _better() -> dict[str, tuple[str, Callable[..., Any]]]:
    from raphson.special import elementary, incomplete

    return {
        "log_ndtr": ("custom", elementary.log_ndtr),
        "logaddexp": ("custom", elementary.log_sum),
        "erfcx": ("custom", lambda *inputs: elementary.erfcx(inputs[-1])),  # JAX passes constants first
        "logistic": ("primitive", elementary.sigmoid),
        "igamma": ("primitive", incomplete.gammainc),
        "igammac": ("primitive", incomplete.gammaincc),
        "regularized_incomplete_beta": ("primitive", incomplete.betainc),
    }


_IN_BETALN = frozenset(["lgamma", "log1p", "max", "min"])
"""Operations without which no function calls betaln. So those of it are found, which takes 15 ms, for few functions."""


@cache
def _betaln_operations() -> tuple[str, ...]:
    """The operations that JAX's betaln consists of, in order."""
    from jax.scipy.special import betaln

    names: list[str] = []

    def note(equation: Any, inputs: list[Any], site: Any) -> list[Any]:
        names.append(operation_name(equation))
        return [None] * len(equation.outvars)

    traced = jax.make_jaxpr(betaln)(1.0, 2.0)
    run(traced, [None, None], note)
    return tuple(names)


def betaln_calls(jaxpr: Any) -> dict[int, int]:
    """Where the traced function calls JAX's betaln: number of its first operation -> number of its last.

    Operations are numbered as :func:`run` visits them. Warns of a call that the traceback shows but whose operations
    are not those of this version of JAX.
    """
    names: list[str] = []
    equations: list[Any] = []

    def note(equation: Any, inputs: list[Any], site: Any) -> list[Any]:
        names.append(operation_name(equation))
        equations.append(equation)
        return [None] * len(equation.outvars)

    run(jaxpr, [None] * len(parts_of(jaxpr).inputs), note)
    if not set(names) >= _IN_BETALN:
        return {}
    pattern = _betaln_operations()
    called = any(
        _comes_from_betaln(equation) for name, equation in zip(names, equations, strict=True) if name == pattern[0]
    )
    found: dict[int, int] = {}
    at = 0
    while at <= len(names) - len(pattern):
        if tuple(names[at : at + len(pattern)]) == pattern:
            found[at] = at + len(pattern) - 1
            at += len(pattern)
        else:
            at += 1
    if called and not found:
        warn_user(
            "the likelihood calls jax.scipy.special.betaln, which is wrong by up to 5e-7; "
            "use rp.densities.betaln instead",
            UserWarning,
        )
    return found


def _comes_from_betaln(equation: Any) -> bool:
    return any(frame.function_name == "betaln" and "jax" in frame.file_name for frame in frames_of(equation))


@dataclass(frozen=True)
class Replaced:
    """The operations of a traced function that are replaced by number, besides those :func:`operate` knows by name.

    Attributes
    ----------
    betaln : as returned by :func:`betaln_calls`.
    still : as returned by :func:`raphson.model.replay.still.still_operations`.
    """

    betaln: dict[int, int]
    still: Marks


def replaced(jaxpr: Any, n_leaves: int) -> Replaced:
    """The operations to replace in a traced function f(parameter leaves..., data...)."""
    return Replaced(betaln_calls(jaxpr), still_operations(jaxpr, n_leaves))


def accurate(jaxpr: Any, n_leaves: int = 1) -> Callable[..., list[Any]]:
    """A function of the flat inputs that runs a traced function with accurate special functions throughout.

    The first `n_leaves` inputs are the parameters.
    """
    these = replaced(jaxpr, n_leaves)

    def again(*inputs: Any, visit: Visit | None = None) -> list[Any]:
        return run(jaxpr, inputs, numbered(these, visit))

    return again


def numbered(these: Replaced, inner: Visit | None = None) -> Visit:
    """A visit that replaces operations by number, and leaves the others to `inner`."""
    from raphson.special.incomplete import betaln

    number = -1
    last, result = -1, None

    def visit(equation: Any, inputs: list[Any], site: Any) -> Sequence[Any]:
        nonlocal number, last, result
        number += 1
        if number in these.betaln:
            last, result = these.betaln[number], betaln(*inputs)
        if number <= last:
            return [result if number == last else None] * len(equation.outvars)
        if number in these.still and not any(one is None for one in inputs):
            return _still(equation, inputs, these.still[number])
        return operate(equation, inputs) if inner is None else inner(equation, inputs, site)

    return visit


# --- zeros that do not depend on parameters -------------------------------------------------------------


def with_limits(function: Callable[[Any, Any], Any], with_constants: bool = False) -> Callable[[Any, Any], Any]:
    """A function f(θ, x) of ``jax.numpy`` with derivatives that are right for powers of x at x = 0; f if it has none.

    With constants, the last leaf of x holds positive numbers, which are never 0.
    """

    def again(theta: Any, x: Any) -> Any:
        traced = jax.make_jaxpr(function)(theta, x)
        marks = still_operations(traced, 1, int(with_constants))
        if not marks:
            return function(theta, x)
        (out,) = _run_still(traced, [theta, *jax.tree_util.tree_leaves(x)], marks)
        return out

    return again


def _run_still(jaxpr: Any, inputs: Sequence[Any], marks: Marks) -> list[Any]:
    return run(
        closed(jaxpr), inputs, numbered(Replaced({}, marks), lambda equation, given, site: apply(equation, given))
    )


def _still(equation: Any, inputs: list[Any], mark: Any) -> list[Any]:
    """The results of one operation that may meet a 0 that does not depend on parameters."""
    from raphson.model.replay import powers

    name, p = name_of(equation), equation.params
    if name in _CONTROLLED:
        return _CONTROLLED[name](p, inputs, mark)
    function = powers.in_place_of(name, p, mark)
    if function is None or equation.outvars[0].aval.dtype.kind != "f":
        return apply(equation, inputs)
    return [function(*inputs)]


def _scan(p: dict[str, Any], inputs: list[Any], marks: Sequence[Marks]) -> list[Any]:
    a, b = p["num_consts"], p["num_consts"] + p["num_carry"]

    def body(carry: list[Any], x: list[Any]) -> tuple[list[Any], list[Any]]:
        out = _run_still(p["jaxpr"], [*inputs[:a], *carry, *x], marks[0])
        return out[: b - a], out[b - a :]

    options = {name: p[name] for name in ("length", "reverse", "unroll")}
    carry, stacked = jax.lax.scan(body, inputs[a:b], inputs[b:], **options)
    return [*carry, *stacked]


def _while(p: dict[str, Any], inputs: list[Any], marks: Sequence[Marks]) -> list[Any]:
    a, b = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
    return jax.lax.while_loop(
        lambda state: run(closed(p["cond_jaxpr"]), [*inputs[:a], *state])[0],
        lambda state: _run_still(p["body_jaxpr"], [*inputs[a:b], *state], marks[0]),
        inputs[b:],
    )


def _cond(p: dict[str, Any], inputs: list[Any], marks: Sequence[Marks]) -> list[Any]:
    def branch(jaxpr: Any, own: Marks) -> Callable[..., list[Any]]:
        return lambda *operands: _run_still(jaxpr, operands, own)

    branches = [branch(jaxpr, own) for jaxpr, own in zip(p["branches"], marks, strict=True)]
    return list(jax.lax.switch(inputs[0], branches, *inputs[1:]))


_CONTROLLED: dict[str, Callable[[dict[str, Any], list[Any], Sequence[Marks]], list[Any]]] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}
