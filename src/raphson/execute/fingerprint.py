"""A digest of a function, by which a checkpoint tells it from one with the same name and another body.

It covers the function's compiled code, its defaults, the values that it closes over, and the globals that it names:
functions, classes and modules of the user's in the same way, all other values by what they contain. What belongs to the
standard library or to an installed package counts by its name and the package's version. Comments, line numbers and a
docstring do not count. What a function reads by itself while it runs, such as a file, or an attribute by a name that
is computed, is not covered. The digest is the same in every process of one version of Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

LENGTH = 16
"""Hexadecimal digits of a digest, 64 bits: it tells a function from its last version, not from an enemy's."""

_PASSED_OVER = frozenset(
    ["__dict__", "__weakref__", "__module__", "__doc__", "__firstlineno__", "__static_attributes__", "__annotations__"]
)
"""What classes have of themselves."""

_PACKAGE = __name__.partition(".")[0]


def fingerprint(value: Any) -> str:
    """The digest of a function, or of anything else.

    Examples
    --------
    >>> def first(x): return 2 * x
    >>> def second(x): return 3 * x
    >>> def third(y): return 2 * y
    >>> fingerprint(first) == fingerprint(second), len(fingerprint(third))
    (False, 16)
    """
    return _Digest().of(value).hex()[:LENGTH]


class _Digest:
    """Digests of values and of what they consist of; a part that contains itself counts by its place."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._held: list[Any] = []  # an object's number is its own only while it lives

    def of(self, value: Any) -> bytes:
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
            return _joined(type(value).__name__, [repr(value).encode()])
        if id(value) in self._places:
            return _joined("again", [str(self._places[id(value)]).encode()])
        self._places[id(value)] = len(self._places)
        self._held.append(value)
        try:
            return self._compound(value)
        finally:
            del self._places[id(value)]

    def _compound(self, value: Any) -> bytes:
        for kinds, digest in self._kinds:
            if isinstance(value, kinds):
                return digest(value)
        if hasattr(value, "__array__") and hasattr(value, "dtype"):
            return self._array(np.asarray(value))
        if hasattr(value, "__wrapped__") and callable(value):
            return _joined("wrapper", [type(value).__qualname__.encode(), self.of(value.__wrapped__)])
        return self._object(value)

    @property
    def _kinds(self) -> tuple[tuple[Any, Callable[[Any], bytes]], ...]:
        return (
            ((tuple, list), lambda one: _joined("sequence", map(self.of, one))),
            ((set, frozenset), lambda one: _joined("set", sorted(map(_Digest().of, one)))),
            (dict, lambda one: _joined("dict", sorted(self.of(key) + self.of(part) for key, part in one.items()))),
            (np.ndarray, self._array),
            (CodeType, self._code),
            (FunctionType, self._function),
            (BuiltinFunctionType, lambda one: _named("builtin", one)),
            (MethodType, lambda one: _joined("method", [self.of(one.__func__), self.of(one.__self__)])),
            (partial, lambda one: _joined("partial", map(self.of, (one.func, one.args, one.keywords)))),
            (ModuleType, lambda one: self._module(one, ())),
            (type, self._class),
        )

    def _array(self, value: np.ndarray) -> bytes:
        content = self.of(value.tolist()) if value.dtype.hasobject else np.ascontiguousarray(value).tobytes()
        return _joined("array", [str(value.dtype).encode(), str(value.shape).encode(), content])

    def _code(self, code: CodeType, documentation: str | None = None) -> bytes:
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        constants = code.co_consts
        if documentation is not None and constants and constants[0] == documentation:
            constants = constants[1:]
        parts = [code.co_code, code.co_exceptiontable, repr((counts, names)).encode()]
        return _joined("code", [*parts, *map(self.of, constants)])

    def _function(self, function: FunctionType) -> bytes:
        if installed(function.__module__):
            return _named("function", function)
        cells = [self._cell(cell) for cell in function.__closure__ or ()]
        parts = [
            self._code(function.__code__, function.__doc__),
            self.of(function.__defaults__),
            self.of(function.__kwdefaults__),
            *cells,
        ]
        names = _names(function.__code__)
        for name in sorted(names):
            if name in function.__globals__:
                found = function.__globals__[name]
                digest = self._module(found, names) if isinstance(found, ModuleType) else self.of(found)
                parts += [name.encode(), digest]
        return _joined("function", parts)

    def _cell(self, cell: Any) -> bytes:
        try:
            return self.of(cell.cell_contents)
        except ValueError:  # it is empty
            return b"empty"

    def _module(self, module: ModuleType, names: Iterable[str]) -> bytes:
        """A module of the user's by those of its attributes that are named."""
        if installed(module.__name__):
            return _joined("module", [module.__name__.encode(), _version(module.__name__)])
        parts = [module.__name__.encode()]
        for name in sorted(names):
            if name in vars(module):
                parts += [name.encode(), self.of(vars(module)[name])]
        return _joined("module", parts)

    def _class(self, kind: type) -> bytes:
        if installed(kind.__module__):
            return _named("class", kind)
        parts = [kind.__qualname__.encode(), *map(self.of, kind.__bases__)]
        for name, part in sorted(vars(kind).items()):
            if name not in _PASSED_OVER:
                parts += [name.encode(), self.of(part)]
        return _joined("class", parts)

    def _object(self, value: Any) -> bytes:
        """Any other object by its class and by what a copy would be made of."""
        parts: list[bytes] = [self.of(type(value))]
        reduced: Any = None
        with suppress(Exception):
            reduced = value.__reduce_ex__(4)
        if isinstance(reduced, tuple):
            # What it is made of and its state, then iterators over what it contains.
            parts += [self.of(list(one) if hasattr(one, "__next__") else one) for one in reduced[1:5]]
        elif isinstance(reduced, str):
            parts.append(reduced.encode())
        elif hasattr(value, "__dict__"):
            parts.append(self.of(vars(value)))
        return _joined("object", parts)


def _joined(kind: str, parts: Iterable[bytes]) -> bytes:
    digest = sha256(kind.encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _named(kind: str, value: Any) -> bytes:
    module = str(getattr(value, "__module__", None))
    name = str(getattr(value, "__qualname__", getattr(value, "__name__", "")))
    return _joined(kind, [module.encode(), name.encode(), _version(module)])


def _names(code: CodeType) -> set[str]:
    """The names that a code and the functions in it refer to."""
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def installed(module: str | None) -> bool:
    """Whether a module belongs to Python, to this package or to an installed one."""
    first = str(module).partition(".")[0]
    if first in sys.stdlib_module_names or first == _PACKAGE:
        return first != "__main__"
    place = getattr(sys.modules.get(first), "__file__", None)
    return place is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(place).parts)


def _version(module: str) -> bytes:
    found = sys.modules.get(module.partition(".")[0])
    return str(getattr(found, "__version__", "")).encode()
