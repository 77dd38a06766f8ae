"""Run a traced row function again, with accurate special functions in the place of those that JAX lacks or has wrong.

JAX 0.10's ``betaln`` is off by up to 5e-7, the derivatives of its ``log_ndtr`` by 2e-6 at −20; ``betainc`` has no
derivatives in its shapes, ``gammainc`` and ``gammaincc`` no second ones; second derivatives of ``logaddexp``,
``expit``, ``softplus`` and ``log_sigmoid`` keep two digits at 30, those of ``erfcx`` eight at 100. All were held
against mpmath, with gammaln, digamma, polygamma, ndtri, erfc, i0e, i1e, xlogy, expi and zeta, which are good as they
are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from raphson.autodiff.trace import CUSTOM, operation_name, walk

Visit = Callable[[Any, list[Any], Any], Sequence[Any]]


def run(jaxpr: Any, inputs: Sequence[Any], visit: Visit | None = None) -> list[Any]:
    """Evaluate a closed jaxpr on traced or concrete inputs, special functions replaced.

    Parameters
    ----------
    jaxpr : ClosedJaxpr
    inputs : one for each flat input.
    visit : called in place of each operation, in order; it may call :func:`operate`.
    """
    return walk(jaxpr, list(inputs), visit or (lambda equation, given, site: operate(equation, given)), keep=CUSTOM)


def operate(equation: Any, inputs: list[Any]) -> list[Any]:
    """The results of one operation."""
    primitive = equation.primitive
    better = _better().get(operation_name(equation))
    real = all(getattr(one, "dtype", np.dtype(float)).kind == "f" for one in inputs)
    if better is not None and real and (primitive.name in CUSTOM) == (better[0] == "custom"):
        return [better[1](*inputs)]
    return apply(equation, inputs)


def apply(equation: Any, inputs: list[Any]) -> list[Any]:
    """The results of one operation as JAX has it."""
    primitive = equation.primitive
    bound = primitive.get_bind_params(equation.params)
    functions, parameters = bound if isinstance(bound, tuple) else ((), bound)  # JAX before 0.10 gives both
    out = primitive.bind(*functions, *inputs, **parameters)
    return list(out) if primitive.multiple_results else [out]


@cache
def _better() -> dict[str, tuple[str, Callable[..., Any]]]:
    from raphson.model import incomplete, special

    return {
        "log_ndtr": ("custom", special.log_ndtr),
        "logaddexp": ("custom", special.log_sum),
        "erfcx": ("custom", lambda *inputs: special.erfcx(inputs[-1])),  # JAX hands over constants first
        "logistic": ("primitive", special.sigmoid),
        "igamma": ("primitive", incomplete.gammainc),
        "igammac": ("primitive", incomplete.gammaincc),
        "regularized_incomplete_beta": ("primitive", incomplete.betainc),
    }


@cache
def _betaln_operations() -> tuple[str, ...]:
    """The operations that JAX's betaln is made of, in order."""
    import jax
    from jax.scipy.special import betaln

    names: list[str] = []

    def note(equation: Any, inputs: list[Any], site: Any) -> list[Any]:
        names.append(operation_name(equation))
        return [None] * len(equation.outvars)

    traced = jax.make_jaxpr(betaln)(1.0, 2.0)
    run(traced, [None, None], note)
    return tuple(names)


def betaln_calls(jaxpr: Any) -> dict[int, int]:
    """Where the traced function takes JAX's betaln: number of its first operation -> number of its last.

    Operations are numbered as :func:`run` visits them. A call that is there, by the traceback, but is not made as
    this version of JAX makes it, is warned of.
    """
    pattern = _betaln_operations()
    names: list[str] = []
    called = False

    def note(equation: Any, inputs: list[Any], site: Any) -> list[Any]:
        nonlocal called
        names.append(operation_name(equation))
        if names[-1] == pattern[0] and not called:
            called = _comes_from_betaln(equation)
        return [None] * len(equation.outvars)

    run(jaxpr, [None] * len(jaxpr.jaxpr.invars), note)
    found: dict[int, int] = {}
    at = 0
    while at <= len(names) - len(pattern):
        if tuple(names[at : at + len(pattern)]) == pattern:
            found[at] = at + len(pattern) - 1
            at += len(pattern)
        else:
            at += 1
    if called and not found:
        warnings.warn(
            "the likelihood calls jax.scipy.special.betaln, which is wrong by up to 5e-7; "
            "use rp.densities.betaln in its place",
            UserWarning,
            stacklevel=2,
        )
    return found


def _comes_from_betaln(equation: Any) -> bool:
    traceback = equation.source_info.traceback
    if traceback is None:
        return False
    return any(frame.function_name == "betaln" and "jax" in frame.file_name for frame in traceback.frames)


def accurate(jaxpr: Any) -> Callable[..., list[Any]]:
    """A function of the flat inputs that runs a traced function with accurate special functions throughout."""
    calls = betaln_calls(jaxpr)

    def again(*inputs: Any, visit: Visit | None = None) -> list[Any]:
        return run(jaxpr, inputs, numbered(calls, visit))

    return again


def numbered(calls: dict[int, int], inner: Visit | None = None) -> Visit:
    """A visit that replaces the calls of betaln found by :func:`betaln_calls`, and leaves the others to `inner`."""
    from raphson.model.incomplete import betaln

    number = -1
    last, result = -1, None

    def visit(equation: Any, inputs: list[Any], site: Any) -> Sequence[Any]:
        nonlocal number, last, result
        number += 1
        if number in calls:
            last, result = calls[number], betaln(*inputs)
        if number <= last:
            return [result if number == last else None] * len(equation.outvars)
        return operate(equation, inputs) if inner is None else inner(equation, inputs, site)

    return visit
