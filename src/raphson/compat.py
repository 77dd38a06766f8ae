"""What Raphson uses of JAX's inside, which a new version may change: it stands here, and nowhere else.

Most of it is the *jaxpr*, the list of elementary operations that a function is traced into. Each of its equations has
a *primitive*, whose name says what is done, and parameters by name. The tables of names that the analyses of a function
go by stand with the analyses; ``tests/test_compat.py`` holds them, and everything here, against the JAX that is
installed. :data:`EARLIER` lists the names that only an earlier version within the range of ``pyproject.toml`` has.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Equation = Any
"""One equation of a jaxpr: its ``params`` by name, ``outvars`` with their ``aval``, and what functions here tell."""

CUSTOM = frozenset(["custom_jvp_call", "custom_vjp_call"])
"""Calls of functions whose author wrote their derivative; what is inside them is not what is differentiated."""

CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "call_jaxpr",
}
"""Primitives that only call a function, and the parameter that holds it."""

EARLIER = frozenset(["checkpoint", "copy_p", "core_call", "custom_vjp_call_jaxpr", "expand_dims", "pjit", "stack"])
"""Names of primitives that are not among those of the newest version."""


class Opened(NamedTuple):
    """A jaxpr, opened.

    Attributes
    ----------
    constants : its variables that stand for constants, with their values.
    inputs, outputs : its variables.
    equations : in order.
    """

    constants: list[tuple[Any, Any]]
    inputs: Sequence[Any]
    equations: Sequence[Equation]
    outputs: Sequence[Any]


def opened(jaxpr: Any) -> Opened:
    """The parts of a closed jaxpr."""
    inside = jaxpr.jaxpr
    constants = list(zip(inside.constvars, jaxpr.consts, strict=True))
    return Opened(constants, inside.invars, inside.eqns, inside.outvars)


def closed(jaxpr: Any) -> Any:
    """Close a jaxpr that has no constants; leave a closed one as it is."""
    from jax.extend.core import ClosedJaxpr

    return jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, ())


def as_function(jaxpr: Any) -> Callable[..., list[Any]]:
    """A closed jaxpr as a function of its flat inputs."""
    from jax.extend.core import jaxpr_as_fun

    return jaxpr_as_fun(jaxpr)


def is_jaxpr(value: Any) -> bool:
    """Whether a parameter of an equation is a function."""
    from jax.extend.core import ClosedJaxpr, Jaxpr

    return isinstance(value, (ClosedJaxpr, Jaxpr))


def is_literal(atom: Any) -> bool:
    """Whether an input of an equation is a number that is written into it: ``atom.val``."""
    from jax.extend.core import Literal

    return isinstance(atom, Literal)


def name_of(equation: Equation) -> str:
    """The name of an equation's primitive."""
    return equation.primitive.name


def called_by(equation: Equation) -> Any | None:
    """The closed jaxpr of the function that an equation only calls; None for an operation."""
    parameter = CALLS.get(name_of(equation))
    return None if parameter is None else closed(equation.params[parameter])


def operation_name(equation: Equation) -> str:
    """The primitive's name, or that of the function with a derivative of its own."""
    name = name_of(equation)
    if name in CUSTOM:
        written = equation.params["call_jaxpr"].jaxpr.debug_info.func_name.strip("_")
        return written if written.isidentifier() else name.removesuffix("_call")
    return name


def bind(primitive: Any, parameters: Any, inputs: Sequence[Any]) -> list[Any]:
    """The results of an operation, of values or of traced ones."""
    bound = primitive.get_bind_params(parameters)
    functions, parameters = bound if isinstance(bound, tuple) else ((), bound)  # JAX before 0.10 gives both
    out = primitive.bind(*functions, *inputs, **parameters)
    return list(out) if primitive.multiple_results else [out]


def frames_of(equation: Equation) -> Sequence[Any]:
    """Where an equation comes from, innermost first: each frame has ``file_name, line_num, function_name``."""
    traceback = equation.source_info.traceback
    return () if traceback is None else traceback.frames


def file_of(jaxpr: Any) -> str:
    """The file that a traced function is written in; empty where that is not known."""
    place = getattr(jaxpr.jaxpr.debug_info, "func_src_info", None) or ""  # "f at file.py:12"
    return place.rpartition(" at ")[2]


def backends_made() -> bool:
    """Whether JAX has been used in this process, rather than imported only."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and bridge.backends_are_initialized()


def processor() -> Any:
    """The processor as a device that computes in the thread that asks; JAX's own where there is none such."""
    import jax

    try:
        from jaxlib.xla_client import make_cpu_client

        return make_cpu_client(asynchronous=False).devices()[0]
    except (ImportError, AttributeError, TypeError):
        return jax.devices("cpu")[0]


BRIEF: dict[str, bool | str] = {"xla_cpu_use_fusion_emitters": False}
"""An option of XLA's: see :func:`raphson.numeric.brief_compilation`."""
