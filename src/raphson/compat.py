"""The internals of JAX that Raphson uses. A new version may change them, so no other module touches them.

Most of them concern the *jaxpr*, the list of elementary operations into which a function is traced. Each of its
equations has a *primitive*, whose name says what it computes, and named parameters. Modules that analyse functions
have their own tables of such names; ``tests/test_compat.py`` checks these tables, and everything here, against the
installed JAX. :data:`EARLIER` lists the names that only earlier versions within the range of ``pyproject.toml`` have.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from raphson.lazy import Lazy

if TYPE_CHECKING:
    import jax as jax
    import jax.numpy as jnp
    import numpy as np
    from jax import lax as lax
else:
    np = Lazy("numpy")  # `import raphson` takes almost no time
    # A fit that needs no JAX is spared its import, which takes 0.3 s.
    jax, jnp, lax = Lazy("jax"), Lazy("jax.numpy"), Lazy("jax.lax")


class _WhenUsed:
    """What is to be done once before JAX computes with something of Raphson's."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.lock = RLock()

    def add(self, task: Callable[[], None]) -> None:
        """Do it now if JAX is there, otherwise when JAX is first used."""
        if "jax" in sys.modules:
            task()
        else:
            self.waiting.append(task)

    def __call__(self) -> None:
        if self.waiting:
            with self.lock:  # another thread goes on only when all is done
                for task in self.waiting:
                    task()
                self.waiting.clear()


when_used = _WhenUsed()

Equation = Any
"""One equation of a jaxpr, with its named ``params`` and its ``outvars`` with their ``aval``; functions here tell more.
"""

CUSTOM = frozenset(["custom_jvp_call", "custom_vjp_call"])
"""Calls of functions that have a derivative of their own; the operations inside them are not differentiated."""

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


class JaxprParts(NamedTuple):
    """The parts of a jaxpr.

    Attributes
    ----------
    constants : the values of its constants, by variable.
    inputs, outputs : its variables.
    equations : its equations, in order.
    """

    constants: list[tuple[Any, Any]]
    inputs: Sequence[Any]
    equations: Sequence[Equation]
    outputs: Sequence[Any]


def parts_of(jaxpr: Any) -> JaxprParts:
    """The parts of a closed jaxpr."""
    inside = jaxpr.jaxpr
    constants = list(zip(inside.constvars, jaxpr.consts, strict=True))
    return JaxprParts(constants, inside.invars, inside.eqns, inside.outvars)


@cache
def _core() -> Any:
    """What a jaxpr consists of.

    JAX's public name for it is ``jax.extend.core``, whose package imports Pallas and more: 0.06 s, a tenth of the first
    likelihood of a process.
    """
    try:
        core = import_module("jax._src.core")
    except ImportError:
        return import_module("jax.extend.core")
    names = ("ClosedJaxpr", "Jaxpr", "Literal", "jaxpr_as_fun")
    return core if all(hasattr(core, name) for name in names) else import_module("jax.extend.core")


def closed(jaxpr: Any) -> Any:
    """A jaxpr without constants as a closed one; a closed one as it is."""
    core = _core()
    return jaxpr if isinstance(jaxpr, core.ClosedJaxpr) else core.ClosedJaxpr(jaxpr, ())


def as_function(jaxpr: Any) -> Callable[..., list[Any]]:
    """A closed jaxpr as a function of its flat inputs."""
    return _core().jaxpr_as_fun(jaxpr)


def is_jaxpr(value: Any) -> bool:
    """Whether a parameter of an equation is a function."""
    core = _core()
    return isinstance(value, (core.ClosedJaxpr, core.Jaxpr))


def is_literal(atom: Any) -> bool:
    """Whether an input of an equation is a literal number, ``atom.val``, rather than a variable."""
    return isinstance(atom, _core().Literal)


def name_of(equation: Equation) -> str:
    """The name of an equation's primitive."""
    return equation.primitive.name


def called_by(equation: Equation) -> Any | None:
    """The closed jaxpr of the function that an equation calls; None for any other operation."""
    parameter = CALLS.get(name_of(equation))
    return None if parameter is None else closed(equation.params[parameter])


def operation_name(equation: Equation) -> str:
    """The primitive's name or, for a function with a derivative of its own, the function's."""
    name = name_of(equation)
    if name in CUSTOM:
        written = equation.params["call_jaxpr"].jaxpr.debug_info.func_name.strip("_")
        return written if written.isidentifier() else name.removesuffix("_call")
    return name


def bind(primitive: Any, parameters: Any, inputs: Sequence[Any]) -> list[Any]:
    """Apply an operation to concrete or traced values."""
    bound = primitive.get_bind_params(parameters)
    functions, parameters = bound if isinstance(bound, tuple) else ((), bound)  # JAX before 0.10 returns both
    out = primitive.bind(*functions, *inputs, **parameters)
    return list(out) if primitive.multiple_results else [out]


def frames_of(equation: Equation) -> Sequence[Any]:
    """The stack where an equation was traced, innermost frame first: ``file_name, line_num, function_name``."""
    traceback = equation.source_info.traceback
    return () if traceback is None else traceback.frames


def file_of(jaxpr: Any) -> str:
    """The file in which a traced function is defined; empty if it is not known."""
    place = getattr(jaxpr.jaxpr.debug_info, "func_src_info", None) or ""  # "f at file.py:12"
    return place.rpartition(" at ")[2]


def backends_made() -> bool:
    """Whether JAX has been used in this process, not merely imported."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and bridge.backends_are_initialized()


def processor() -> Any:
    """The CPU as a device that computes in the calling thread; JAX's own CPU device where there is no such client."""
    import jax

    try:
        from jaxlib.xla_client import make_cpu_client

        return make_cpu_client(asynchronous=False).devices()[0]
    except (ImportError, AttributeError, TypeError):
        return jax.devices("cpu")[0]


BRIEF: dict[str, bool | str | int] = {"xla_cpu_use_fusion_emitters": False}
UNOPTIMISED: dict[str, bool | str | int] = {"xla_backend_optimization_level": 0}
"""Options of XLA; see :func:`raphson.compiled.compiled`."""


def is_traced(value: Any) -> bool:
    """Whether a value stands for an argument of a function that is being traced."""
    return isinstance(value, jax.core.Tracer)  # type: ignore[attr-defined]


def text_of(jaxpr: Any) -> str | None:
    """The text of a closed jaxpr with its constants; None if it does not tell all that another process would need.

    It does not where functions have derivatives of their own or call back into Python, as the text has only their
    names, where random numbers are drawn, whose algorithm is a setting, and where constants are inside.
    """
    if not _is_told(jaxpr.jaxpr):
        return None
    text = str(jaxpr)
    if any(word in text for word in (*CUSTOM, "callback", " at 0x", "random", "threefry")):
        return None
    constants = (f"{one.dtype} {one.shape} {one.tobytes().hex()}" for one in map(np.asarray, jaxpr.consts))
    return "\n".join([text, *constants])


def _is_told(jaxpr: Any) -> bool:
    """Whether no literal is an array, and no function inside has constants of its own."""
    for equation in jaxpr.eqns:
        if any(is_literal(atom) and getattr(atom.val, "shape", ()) for atom in equation.invars):
            return False
        inside = list(equation.params.values())
        while inside:
            value = inside.pop()
            if isinstance(value, (tuple, list)):
                inside += value
            elif is_jaxpr(value):
                if getattr(value, "consts", ()) or not _is_told(getattr(value, "jaxpr", value)):
                    return False
            elif getattr(value, "shape", ()):
                return False
    return True


def program_of(lowered: Any) -> str:
    """The text of a lowered program, with its constants and without the lines it comes from."""
    return lowered.as_text()


def versions() -> tuple[str, str]:
    """The versions of JAX and of its compiler."""
    from jaxlib.version import __version__

    return jax.__version__, __version__


_SETTINGS = (
    "jax_compiler_enable_remat_pass",
    "jax_disable_most_optimizations",
    "jax_exec_time_optimization_effort",
    "jax_memory_fitting_effort",
    "jax_optimization_level",
    "jax_xla_profile_version",
)


def compilation_settings() -> str:
    """The settings of the user that change what the compiler makes of a program."""
    return " ".join(f"{name}={jax.config.values.get(name)}" for name in _SETTINGS)


def has_own_store() -> bool:
    """Whether JAX keeps compiled code in a store of its own, which the user has switched on.

    Code that was loaded from there has lost its functions and cannot be stored again.
    """
    store = sys.modules.get("jax._src.compilation_cache")
    return bool(getattr(jax.config, "jax_compilation_cache_dir", None) or getattr(store, "_cache_initialized", False))


def code_of(compiled: Any) -> bytes:
    """The machine code of a compiled program as bytes."""
    from jax.experimental.serialize_executable import serialize

    return serialize(compiled)[0]


def loaded_code(payload: bytes, in_tree: Any, out_tree: Any, device: Any) -> Any:
    """A compiled program from its machine code, and the structures of its arguments and results."""
    from jax.experimental.serialize_executable import deserialize_and_load

    return deserialize_and_load(payload, in_tree, out_tree, backend=device.client, execution_devices=[device])
