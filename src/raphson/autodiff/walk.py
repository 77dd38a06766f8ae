"""Walking through the list of a function's elementary operations.

The list is a jaxpr, into which JAX traces a function, or a :class:`raphson.autodiff.graph.Program`, which an expression
is turned into without JAX. :func:`walk` visits the operations in order and enters every call, so that the visitor sees
one flat list. The visitor chooses the values that the walk carries along: numbers (to compute), sets of inputs (to find
what depends on what), or intervals.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from raphson.autodiff.graph import Program
from raphson.compat import Equation, called_by, file_of, is_literal, name_of, parts_of


def walk(
    jaxpr: Any,
    inputs: Sequence[Any],
    visit: Callable[[Equation, list[Any], Equation], Sequence[Any]],
    lift: Callable[[Any], Any] = lambda constant: constant,
    keep: Collection[str] = (),
    site: Equation | None = None,
) -> list[Any]:
    """Visit a jaxpr's equations in order, entering calls.

    Parameters
    ----------
    jaxpr : ClosedJaxpr or Program
    inputs : sequence
        The values carried for the flat inputs.
    visit : callable
        ``visit(equation, inputs, site) -> outputs``, one for each of ``equation.outvars``. ``site`` is the equation
        whose line in the user's code is reported (see :func:`source_of`): inside a library's function, its call.
        ``cond``, ``while`` and ``scan`` are visited like any other equation; their jaxprs are in ``equation.params``.
    lift : callable
        Converts a constant to a carried value.
    keep : collection of str
        Names of calling primitives to visit rather than enter, such as `CUSTOM`.
    site : equation, optional
        The site of all equations inside.

    Returns
    -------
    list
        The values carried for the outputs.

    Examples
    --------
    Which inputs does each output depend on?

    >>> from raphson.autodiff.trace import trace
    >>> traced = trace(lambda x, y: (x * y, 2 * y), 1.0, 2.0)
    >>> union = lambda equation, inputs, site: [set().union(*inputs)] * len(equation.outvars)
    >>> [sorted(names) for names in walk(traced.jaxpr, [{"x"}, {"y"}], union, lift=lambda constant: set())]
    [['x', 'y'], ['y']]
    """
    if isinstance(jaxpr, Program):
        return jaxpr.walked(inputs, visit, lift)
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
            # A library's function may have been traced earlier from another line, so the call gives the line.
            place = site or (equation if hidden(file_of(body)) else None)
            results = walk(body, given, visit, lift, keep, place)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in inside.outputs]


@cache
def _hidden_folders() -> tuple[str, ...]:
    """Folders of code that is not the user's: those of JAX and Raphson."""
    import jax
    import jaxlib

    parts = [*(Path(module.__file__ or "").parent for module in (jax, jaxlib)), Path(__file__).parents[1]]
    return tuple(str(folder) + os.sep for folder in parts)


@cache
def _standard_library() -> str:
    return sysconfig.get_path("stdlib") + os.sep


def hidden(file: str) -> bool:
    """Whether a file is not the user's: JAX's, Raphson's, or of the standard library."""
    if file.startswith((*_hidden_folders(), "<frozen")):
        return True
    # Libraries in site-packages are inside that folder, but count as the user's code.
    return file.startswith(_standard_library()) and "site-packages" not in file
