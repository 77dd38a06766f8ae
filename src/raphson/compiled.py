"""Functions of arrays that JAX compiles for each shape, and whose machine code is kept from one process to the next.

:func:`compiled` is used like :func:`jax.jit`. The function is traced and lowered in every process, which takes some
tens of milliseconds; XLA, which takes hundreds, is spared where :mod:`raphson.kept` has the code of the same program
for the same processor, options and versions. JAX's own store of compiled code is not used: it is one for the whole
process, so that it would take in what the user compiles.
"""

from __future__ import annotations

import hashlib
import json
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
    function : of arrays and nested tuples, dicts and registered classes of them; it runs on
        :func:`raphson.numeric.device`.
    options : of XLA.
    source : all that the function depends on besides Raphson's own code; None if that is not known.
    """

    def __init__(self, function: Callable[..., Any], options: Options, source: str | None = None) -> None:
        self._function, self._options, self._source = function, options, source
        self._forms: dict[Any, Callable[..., Any]] = {}
        self._lock = RLock()

    @cached_property
    def jitted(self) -> Any:
        """The function as JAX compiles it by itself, for use inside of other traced functions."""
        return jax.jit(self._function, keep_unused=True)

    def __call__(self, *arguments: Any) -> Any:
        leaves, tree = jax.tree_util.tree_flatten(arguments)
        form: list[Any] = [device(), tree]
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
            # 1. By what the program is made of: it need not be made.
            early = self._early(key)
            if early is not None and (found := self._known(early)) is not None:
                name, out_tree = found
                out = self._loaded(key, name, out_tree, arguments)
                if out is not None:
                    return out[0]
            # 2. By the program.
            with jax.default_device(device()):  # where no argument determines it
                lowered = self.jitted.lower(*arguments)
            name = self._name(lowered, n_leaves)
            if name is not None:
                out = self._loaded(key, name, lowered.out_tree, arguments)
                if out is not None:
                    self._note(early, name, lowered.out_tree)
                    return out[0]
            # 3. The compiler.
            code = self._forms[key] = _compile(lowered, self._options)
            if name is not None and not has_own_store():
                with suppress(Exception):  # code that cannot be stored is compiled in every process
                    kept.write(name, code_of(code))
                    self._note(early, name, lowered.out_tree)
        return code(*arguments)

    def _loaded(self, key: Any, name: str, out_tree: Any, arguments: tuple[Any, ...]) -> tuple[Any] | None:
        """The result by code that was kept; None if there is none that runs."""
        payload = kept.read(name)
        if payload is not None:
            with suppress(Exception):  # whatever it is, it can be compiled; this code calls none of the user's
                in_tree = jax.tree_util.tree_structure((arguments, {}))
                code = loaded_code(payload, in_tree, out_tree, device())
                out = (code(*arguments),)
                self._forms[key] = code
                return out
        return None

    def _name(self, lowered: Any, n_leaves: int) -> str | None:
        """The name under which a program's code is kept; None if it is not to be kept."""
        if not _may_be_kept():
            return None
        text = program_of(lowered)
        # Calls of other libraries' code (LAPACK's, or back into Python) are addresses of this process. Stored code with
        # LAPACK calls crashes a process that has lowered none.
        if "custom_call" in text:
            return None
        return _digest(text, str(n_leaves), repr(self._options))

    def _early(self, key: Any) -> str | None:
        """The name of a note on the program that arguments of this form will give."""
        if self._source is None or not _may_be_kept():
            return None
        return _digest("note", self._source, repr(key[1:]), repr(self._options), raphsons_source())

    def _known(self, early: str) -> tuple[str, Any] | None:
        """The name of the program's code and the structure of its results, as noted earlier."""
        with suppress(Exception):
            note = json.loads(kept.read(early) or b"")
            return note["code"], jax.tree_util.tree_structure(_tuples(note["results"]))
        return None

    def _note(self, early: str | None, name: str, out_tree: Any) -> None:
        """Note which program it was, if its results are arrays in nested tuples."""
        if early is None:
            return
        with suppress(TypeError):  # results that JSON does not have
            results = json.dumps(jax.tree_util.tree_unflatten(out_tree, [0] * out_tree.num_leaves))
            if jax.tree_util.tree_structure(_tuples(json.loads(results))) == out_tree:
                kept.write(early, json.dumps({"code": name, "results": json.loads(results)}).encode())


def _tuples(results: Any) -> Any:
    """Nested tuples of nested lists, as JSON has them."""
    return tuple(map(_tuples, results)) if isinstance(results, list | tuple) else results


def _may_be_kept() -> bool:
    return kept.folder() is not None and device().platform == "cpu"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join([*parts, *_surroundings()]).encode()).hexdigest()


@cache
def raphsons_source() -> str:
    """What tells this version of Raphson's modules from others: their sizes and times."""
    files, folders = list[str](), [str(Path(__file__).parent)]
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    there = entry.stat()
                    files.append(f"{entry.path} {there.st_size} {there.st_mtime_ns}")
                elif entry.is_dir() and not entry.name.startswith((".", "_")):
                    folders.append(entry.path)
    return " ".join(sorted(files))


def compiled(
    function: Callable[..., Any], brief: bool = False, once: bool = False, source: str | None = None
) -> Compiled:
    """A function as compiled code, like :func:`jax.jit`, which is kept between processes.

    Parameters
    ----------
    function : see :class:`Compiled`.
    brief : whether to turn off XLA's fusion emitters, which build each fusion through MLIR rather than directly in
        LLVM. A long loop then compiles in two thirds of the time, and runs as fast.
    once : for code that runs once or twice. LLVM does not optimise either: the rows of a likelihood compile in 90 to
        190 ms instead of 320 to 620, and take up to four times as long.
    source : all that the function depends on besides Raphson's own code, if that is known: then another process need
        not even trace it.
    """
    return Compiled(function, (BRIEF if brief or once else {}) | (UNOPTIMISED if once else {}), source)


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
    found = [os.environ.get("PROCESSOR_IDENTIFIER", ""), str(os.cpu_count())]
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
