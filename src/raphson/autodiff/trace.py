"""A function as the list of its elementary operations: tracing it, and walking through what was traced.

JAX traces a function into a *jaxpr*: equations, each one elementary operation (a *primitive*) on the results of
earlier ones. :func:`walk` goes through them in order and looks into every call it meets, so that whoever visits the
equations sees one flat list. What is carried along is the visitor's choice: numbers (to compute), sets of inputs (to
see what depends on what), or intervals.
"""

from __future__ import annotations

import linecache
import os
import sysconfig
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from raphson.compat import Equation, called_by, file_of, frames_of, is_literal, name_of, parts_of
from raphson.errors import DataError, ModelError, RaphsonError, warn_user
from raphson.numeric import x64


class Source(NamedTuple):
    """A line of the user's code: ``str(source)`` is ``file.py:12``."""

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


@dataclass(frozen=True)
class Trace:
    """A traced function.

    Attributes
    ----------
    jaxpr : closed jaxpr
        Its equations, with 64-bit numbers.
    names : tuple of str
        What each flat input is called: the argument's name, with the path inside it (``theta['beta']``).
    values : tuple of ndarray
        The flat inputs it was traced at.
    tree : PyTreeDef
        Structure of ``(arguments, keywords)``, whose leaves are ``values``.
    output : PyTreeDef
        Structure of what it returns, whose leaves are the jaxpr's outputs.
    """

    jaxpr: Any
    names: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    tree: Any
    output: Any


def trace(
    function: Callable[..., Any],
    *arguments: Any,
    keywords: Mapping[str, Any] | None = None,
    what: str = "f",
    whole: bool = False,
) -> Trace:
    """Trace a function of ``jax.numpy`` into its elementary operations, in 64 bits.

    Parameters
    ----------
    function : callable
    *arguments : numbers, arrays, or dicts, lists and tuples of them
        Whole numbers become doubles, truth values stay. Only their shapes and types matter to the jaxpr.
    keywords : mapping, optional
        Keyword arguments.
    what : str
        What the function is called in messages.
    whole : bool
        Whether whole numbers stay such, for the function to pick elements by.

    Returns
    -------
    Trace

    Raises
    ------
    ModelError
        If JAX cannot trace it; the message has the user's line.
    DataError
        If an argument is not made of numbers.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [name_of(equation) for equation in parts_of(trace(lambda x: jnp.log(1 + jnp.exp(x)), 0.3).jaxpr).equations]
    ['exp', 'add', 'log']
    """
    names, values, tree = flat(function, arguments, keywords or {}, what, whole)

    def called(*leaves: Any) -> Any:
        given, named = jax.tree_util.tree_unflatten(tree, leaves)
        return function(*given, **named)

    with x64(), readable_errors(what):
        jaxpr, shape = jax.make_jaxpr(called, return_shape=True)(*values)
    warn_of_single_precision(jaxpr, what)
    return Trace(jaxpr, names, values, tree, jax.tree_util.tree_structure(shape))


def walk(
    jaxpr: Any,
    inputs: Sequence[Any],
    visit: Callable[[Equation, list[Any], Equation], Sequence[Any]],
    lift: Callable[[Any], Any] = lambda constant: constant,
    keep: Collection[str] = (),
    site: Equation | None = None,
) -> list[Any]:
    """Go through a jaxpr's equations in order, looking into calls.

    Parameters
    ----------
    jaxpr : ClosedJaxpr
    inputs : sequence
        What stands for the flat inputs.
    visit : callable
        ``visit(equation, inputs, site) -> outputs``, one for each of ``equation.outvars``. ``site`` is the equation
        whose place in the user's code is meant (see :func:`source_of`): inside a library's function, its call.
        ``cond``, ``while`` and ``scan`` are visited like any other; their jaxprs are in ``equation.params``.
    lift : callable
        Makes what is carried along from a constant.
    keep : collection of str
        Names of calling primitives to visit instead of looking into, such as `CUSTOM`.
    site : equation, optional
        Stands for the place of everything inside.

    Returns
    -------
    list
        What stands for the outputs.

    Examples
    --------
    Which inputs does each output depend on?

    >>> traced = trace(lambda x, y: (x * y, 2 * y), 1.0, 2.0)
    >>> union = lambda equation, inputs, site: [set().union(*inputs)] * len(equation.outvars)
    >>> [sorted(names) for names in walk(traced.jaxpr, [{"x"}, {"y"}], union, lift=lambda constant: set())]
    [['x', 'y'], ['y']]
    """
    values: dict[Any, Any] = {}

    def read(atom: Any) -> Any:
        if is_literal(atom):
            return lift(np.asarray(atom.val, getattr(atom.aval, "dtype", None)))
        return values[atom]

    inside = parts_of(jaxpr)
    values.update((variable, lift(constant)) for variable, constant in inside.constants)
    values.update(zip(inside.inputs, inputs, strict=True))
    for equation in inside.equations:
        given = [read(atom) for atom in equation.invars]
        body = None if name_of(equation) in keep else called_by(equation)
        if body is None:
            results = visit(equation, given, site or equation)
        else:
            # A library's function may have been traced before, from another line: the call knows the right one.
            place = site or (equation if _hidden(file_of(body)) else None)
            results = walk(body, given, visit, lift, keep, place)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in inside.outputs]


def source_of(equation: Equation) -> Source | None:
    """Find the line of the user's code that an equation comes from; None if there is none."""
    for frame in frames_of(equation):
        if not _hidden(frame.file_name):
            text = linecache.getline(frame.file_name, frame.line_num).strip()
            return Source(frame.file_name, frame.line_num, frame.function_name, text)
    return None


def flat(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    what: str,
    whole: bool = False,
) -> tuple[tuple[str, ...], tuple[np.ndarray, ...], Any]:
    """Take arguments apart into arrays: their names, the arrays, and the structure of ``(arguments, keywords)``.

    Raises
    ------
    DataError
        If one is not made of real numbers.
    """
    if not callable(function):
        raise ModelError(f"{what}: expected a function; got {function!r}: pass the function itself, such as {what}=g")
    called = argument_names(function, len(arguments))
    both = (tuple(arguments), dict(keywords))
    leaves, tree = jax.tree_util.tree_flatten_with_path(both)
    names, values = [], []
    for path, leaf in leaves:
        kind, which, *inner = path
        name = called[which.idx] if kind.idx == 0 else str(which.key)
        names.append(name + jax.tree_util.keystr(tuple(inner)))
        values.append(as_number(leaf, names[-1], what, whole))
    return tuple(names), tuple(values), tree


def as_number(value: Any, name: str, what: str, whole: bool = False) -> np.ndarray:
    """Give an argument as an array of doubles, or of truth values; with `whole` also of whole numbers.

    Raises
    ------
    DataError
        If it is not made of real numbers.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = array.astype(float)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise DataError(
            f"{what}: its argument {name} must be a real number, an array of them, or a dict, list or tuple of arrays; "
            f"got {_told(value)}"
        )
    return array if array.dtype.kind in ("biu" if whole else "b") else np.asarray(array, dtype=np.float64)


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Name a function's arguments as its definition does."""
    import inspect

    names: list[str] = []
    try:
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                names.append(parameter.name)
            elif parameter.kind == parameter.VAR_POSITIONAL:
                names += [f"{parameter.name}[{k}]" for k in range(max(0, count - len(names)))]
    except (TypeError, ValueError):
        pass
    return (names + [f"argument {k + 1}" for k in range(len(names), count)])[:count]


@contextmanager
def readable_errors(what: str) -> Iterator[None]:
    """Turn whatever goes wrong while JAX runs the user's function into one line that names the user's own line."""
    try:
        yield
    except RaphsonError:
        raise
    except jax.errors.TracerArrayConversionError as error:
        raise ModelError(
            f"{what} cannot be traced{_where(error)}: it hands a traced value to NumPy; write it with jax.numpy, or "
            "differentiate it with method='finite'"
        ) from error
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerIntegerConversionError) as error:
        raise ModelError(
            f"{what} cannot be traced{_where(error)}: a Python `if`, `while`, `float()` or index depends on a traced "
            "value; use jnp.where or jax.lax.cond, or differentiate with method='finite'"
        ) from error
    except NotImplementedError as error:
        raise ModelError(
            f"{what} has an operation without a derivative{_where(error)}: {_first_line(error)}; rewrite that line, "
            "or differentiate with method='finite'"
        ) from error
    except Exception as error:
        raise ModelError(f"{what} failed{_where(error)}: {type(error).__name__}: {_first_line(error)}") from error


def warn_of_single_precision(jaxpr: Any, what: str) -> None:
    """Warn if a function closes over 32-bit arrays, which have lost half their digits already."""
    lost = [one.shape for one in jaxpr.consts if getattr(one, "dtype", None) == np.float32]
    if lost:
        shapes = ", ".join(map(str, lost[:3]))
        warn_user(
            f"{what} uses 32-bit arrays of shape {shapes}: their digits after the seventh are lost; make them 64-bit, "
            "for example with numpy.asarray(..., dtype=float)",
            UserWarning,
        )


def _where(error: BaseException) -> str:
    """Where in the user's code an error arose, innermost line first."""
    place = None
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if not _hidden(name):
            place = Source(name, traceback.tb_lineno, "", linecache.getline(name, traceback.tb_lineno).strip())
        traceback = traceback.tb_next
    return "" if place is None else f" at {place}" + (f" (`{place.text}`)" if place.text else "")


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].strip().rstrip(".:;") if text else "no reason given"


def _told(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


@cache
def _hidden_folders() -> tuple[str, ...]:
    """Folders whose code is not the user's: JAX and Raphson, wherever they are installed."""
    import jaxlib

    parts = [*(Path(module.__file__ or "").parent for module in (jax, jaxlib)), Path(__file__).parents[1]]
    return tuple(str(folder) + os.sep for folder in parts)


@cache
def _standard_library() -> str:
    return sysconfig.get_path("stdlib") + os.sep


def _hidden(file: str) -> bool:
    if file.startswith((*_hidden_folders(), "<frozen")):
        return True
    # Another library in the same folder is nearer to the user than its caller's line.
    return file.startswith(_standard_library()) and "site-packages" not in file
