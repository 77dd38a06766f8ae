"""Functions of arrays that JAX compiles for each shape, and whose machine code is kept from one process to the next.

:func:`compiled` is used like :func:`jax.jit`. The function is traced and lowered in every process, which takes some
tens of milliseconds; XLA, which takes hundreds, is spared where :mod:`raphson.kept` has the code of the same program
for the same processor, options and versions. JAX's own store of compiled code is not used: it is one for the whole
process, so that it would take in what the user compiles.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from raphson import kept
from raphson.compat import (
    BRIEF,
    UNOPTIMISED,
    code_of,
    compilation_settings,
    has_own_store,
    is_traced,
    jax,
    loaded_code,
    program_of,
    versions,
)
from raphson.numeric import device

Options = dict[str, bool | str | int]


class Compiled:
    """A function that is compiled when it first meets arguments of a shape.

    Parameters
    ----------
    function : of arrays and nested tuples, dicts and registered classes of them. One of its arguments is
        :func:`raphson.numeric.anchor`, so that it runs on :func:`raphson.numeric.device`.
    options : of XLA.
    """

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        self._function, self._options = function, options
        self._forms: dict[Any, Callable[..., Any]] = {}
        self._lock = RLock()

    @cached_property
    def jitted(self) -> Any:
        """The function as JAX compiles it by itself, for use inside of other traced functions."""
        return jax.jit(self._function, keep_unused=True)

    def __call__(self, *arguments: Any) -> Any:
        leaves, tree = jax.tree_util.tree_flatten(arguments)
        form: list[Any] = [tree]
        for leaf in leaves:
            kind = type(leaf)
            if kind is np.ndarray:
                form += (leaf.shape, leaf.dtype)
            elif is_traced(leaf):
                return self.jitted(*arguments)
            elif isinstance(leaf, jax.Array):
                form += (leaf.shape, leaf.dtype, leaf.weak_type)
            else:
                form.append(kind)
        key = tuple(form)
        code = self._forms.get(key)
        return self._first(key, arguments, len(leaves)) if code is None else code(*arguments)

    def _first(self, key: Any, arguments: tuple[Any, ...], n_leaves: int) -> Any:
        """The result of the first call of this form."""
        with self._lock:
            if key in self._forms:
                return self._forms[key](*arguments)
            lowered = self.jitted.lower(*arguments)
            name = self._name(lowered, n_leaves)
            payload = None if name is None else kept.read(name)
            if payload is not None:
                with suppress(Exception):  # whatever it is, it can be compiled; this code calls none of the user's
                    code = loaded_code(payload, lowered, device())
                    out = code(*arguments)
                    self._forms[key] = code
                    return out
            code = self._forms[key] = _compile(lowered, self._options)
            if name is not None and not has_own_store():
                with suppress(Exception):  # code that cannot be stored is compiled in every process
                    kept.write(name, code_of(code))
        return code(*arguments)

    def _name(self, lowered: Any, n_leaves: int) -> str | None:
        """The name under which a program's code is kept; None if it is not to be kept."""
        if kept.folder() is None or device().platform != "cpu":
            return None
        text = program_of(lowered)
        # Calls of other libraries' code (LAPACK's, or back into Python) are addresses of this process. Stored code with
        # LAPACK calls crashes a process that has lowered none.
        if "custom_call" in text:
            return None
        parts = [text, str(n_leaves), repr(self._options), *_surroundings()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def compiled(function: Callable[..., Any], brief: bool = False, once: bool = False) -> Compiled:
    """A function as compiled code, like :func:`jax.jit`, which is kept between processes.

    Parameters
    ----------
    function : see :class:`Compiled`.
    brief : whether to turn off XLA's fusion emitters, which build each fusion through MLIR rather than directly in
        LLVM. A long loop then compiles in two thirds of the time, and runs as fast.
    once : for code that runs once or twice. LLVM does not optimise either: the rows of a likelihood compile in 90 to
        190 ms instead of 320 to 620, and take up to four times as long.
    """
    return Compiled(function, (BRIEF if brief or once else {}) | (UNOPTIMISED if once else {}))


def _compile(lowered: Any, options: Options) -> Any:
    if options and _unknown.isdisjoint(options):
        try:
            return lowered.compile(compiler_options=options)
        except (RuntimeError, ValueError):  # an XLA without these options
            _unknown.update(options)
    return lowered.compile()


_unknown = set[str]()
"""Options that the installed XLA does not have."""


def _surroundings() -> list[str]:
    """What compiled code depends on besides the program and the options it is compiled with."""
    flags = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("XLA_")]
    python = f"{sys.implementation.cache_tag} {sys.platform} {platform.machine()}"
    return [*versions(), python, np.__version__, *flags, compilation_settings(), *processor_features()]


@cache
def processor_features() -> tuple[str, ...]:
    """What tells this processor from others: machine code for one may have instructions that another lacks."""
    found = [platform.processor(), os.environ.get("PROCESSOR_IDENTIFIER", ""), str(os.cpu_count())]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        found += sorted({line for line in lines if line.startswith(_TOLD)})
    if sys.platform == "darwin":
        found += _told_by_macos()
    with suppress(ImportError, AttributeError):
        from numpy._core._multiarray_umath import __cpu_features__ as known

        found += sorted(name for name, there in known.items() if there)
    return tuple(found)


_TOLD = ("flags", "Features", "vendor_id", "cpu family", "model", "CPU implementer", "CPU part", "CPU variant", "isa")
"""Beginnings of the lines of /proc/cpuinfo that tell of the processor's kind."""


def _told_by_macos() -> list[str]:
    import ctypes

    told = []
    with suppress(OSError, AttributeError):
        ask = ctypes.CDLL(None).sysctlbyname
        for name in (b"machdep.cpu.brand_string", b"machdep.cpu.features", b"machdep.cpu.leaf7_features"):
            size = ctypes.c_size_t(4096)
            text = ctypes.create_string_buffer(size.value)
            if ask(name, text, ctypes.byref(size), None, ctypes.c_size_t(0)) == 0:
                told.append(text.value.decode("utf-8", "replace"))
    return told
