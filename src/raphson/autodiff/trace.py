"""Tracing a function into the list of its elementary operations.

JAX traces a function into a *jaxpr*: a list of equations, each an elementary operation (a *primitive*) on the results
of earlier ones. :func:`raphson.autodiff.walk.walk` visits them.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from raphson.autodiff.walk import hidden
from raphson.compat import Equation, frames_of, jax
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
        The name of each flat input: the argument's name, with the path inside it (``theta['beta']``).
    values : tuple of ndarray
        The flat inputs at which it was traced.
    tree : PyTreeDef
        Structure of ``(arguments, keywords)``, whose leaves are ``values``.
    output : PyTreeDef
        Structure of the result, whose leaves are the jaxpr's outputs.
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
        Integers become doubles, booleans stay. The jaxpr depends only on their shapes and types.
    keywords : mapping, optional
        Keyword arguments.
    what : str
        Name of the function, for messages.
    whole : bool
        Whether integers stay integers, so that the function can index with them.

    Returns
    -------
    Trace

    Raises
    ------
    ModelError
        If JAX cannot trace it; the message names the user's line.
    DataError
        If an argument contains anything but numbers.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from raphson.compat import name_of, parts_of
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


def source_of(equation: Equation) -> Source | None:
    """The line of the user's code from which an equation comes; None if there is none."""
    for frame in frames_of(equation):
        if not hidden(frame.file_name):
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
    """Flatten arguments into arrays: their names, the arrays, and the structure of ``(arguments, keywords)``.

    Raises
    ------
    DataError
        If one contains anything but real numbers.
    """
    if not callable(function):
        raise ModelError(f"{what}: expected a function; got {function!r}. Pass the function itself, such as {what}=g")
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
    """An argument as an array of doubles or of booleans; with `whole`, also of integers.

    Raises
    ------
    DataError
        If it contains anything but real numbers.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = array.astype(float)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise DataError(
            f"{what}: expected a real number, an array, or a dict, list or tuple of arrays as the argument {name}; "
            f"got {_described(value)}"
        )
    return array if array.dtype.kind in ("biu" if whole else "b") else np.asarray(array, dtype=np.float64)


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Names of a function's arguments, as in its definition."""
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
    """Turn errors that arise while JAX runs the user's function into one line that names the user's line."""
    try:
        yield
    except RaphsonError:
        raise
    except jax.errors.TracerArrayConversionError as error:
        raise ModelError(
            f"{what} cannot be traced{_where(error)}: it passes a traced value to NumPy; write it with jax.numpy, or "
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
    """Warn if a function closes over 32-bit arrays, which have only half the digits."""
    lost = [one.shape for one in jaxpr.consts if getattr(one, "dtype", None) == np.float32]
    if lost:
        shapes = ", ".join(map(str, lost[:3]))
        warn_user(
            f"{what} uses 32-bit arrays of shape {shapes}, which have only seven digits; make them 64-bit, for example "
            "with numpy.asarray(..., dtype=float)",
            UserWarning,
        )


def _where(error: BaseException) -> str:
    """The innermost line of the user's code at which an error arose."""
    place = None
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if not hidden(name):
            place = Source(name, traceback.tb_lineno, "", linecache.getline(name, traceback.tb_lineno).strip())
        traceback = traceback.tb_next
    return "" if place is None else f" at {place}" + (f" (`{place.text}`)" if place.text else "")


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].strip().rstrip(".:;") if text else "no reason given"


def _described(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
