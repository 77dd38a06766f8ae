"""Linear algebra of a few columns, written out as straight lines of Python's arithmetic.

With so few columns a call of LAPACK, and the arrays around it, take longer than the arithmetic, and so do loops over
lists. Here the source of a function is written once for each number of columns, without a loop or an index.
"""

# pyright: strict

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

MOST = 8
"""Largest number of columns. A scaled Cholesky factor and a step by it take with 1, 3, 5 and 8 columns 3, 4, 6 and 11
µs so, by arrays 10 µs."""


class Triangle(NamedTuple):
    """The Cholesky decomposition M = LLᵀ.

    Attributes
    ----------
    entries : of L, row by row up to the diagonal.
    lengths : the square roots of the diagonal of M.
    smallest : smallest pivot of the matrix whose columns are scaled to M_jj = 1.
    """

    entries: tuple[float, ...]
    lengths: tuple[float, ...]
    smallest: float


Decompose = Callable[[list[list[float]]], Triangle | None]
Solve = Callable[[tuple[float, ...], list[float]], tuple[list[float], list[float]]]


@cache
def decompose(p: int) -> Decompose:
    """The function of M (p, p) that decomposes it; it gives None if M is not positive definite, or not finite.

    Examples
    --------
    >>> decompose(2)([[4.0, 2.0], [2.0, 5.0]]).entries, decompose(1)([[-1.0]])
    ((2.0, 1.0, 2.0), None)
    """
    lines = [f"{_tuple(_tuple(f'm{i}{j}' if j <= i else '_' for j in range(p)) for i in range(p))} = M"]
    for i in range(p):
        for j in range(i):
            lines.append(f"l{i}{j} = (m{i}{j}{_less(f'l{i}{k} * l{j}{k}' for k in range(j))}) / l{j}{j}")
        lines.append(f"rest = m{i}{i}{_less(f'l{i}{k} * l{i}{k}' for k in range(i))}")
        lines.append("if not 0.0 < rest < inf: return None")
        lines.append(f"l{i}{i}, n{i} = sqrt(rest), sqrt(m{i}{i})")
    entries, lengths = _tuple(_lower(p)), _tuple(f"n{i}" for i in range(p))
    pivots = ", ".join(f"l{i}{i} / n{i}" for i in range(1, p))
    smallest = f"min(1.0, {pivots})" if pivots else "1.0"
    return _function("M", lines, f"Triangle({entries}, {lengths}, {smallest})")


@cache
def solve(p: int) -> Solve:
    """The function of L and v (p,) that gives M⁻¹v = L⁻ᵀL⁻¹v and L⁻¹v.

    Examples
    --------
    >>> solve(2)((2.0, 1.0, 2.0), [8.0, 8.0])
    ([1.5, 1.0], [4.0, 2.0])
    """
    lines = [f"{_tuple(_lower(p))} = L", f"{_tuple(f'v{i}' for i in range(p))} = v"]
    for i in range(p):
        lines.append(f"h{i} = (v{i}{_less(f'l{i}{k} * h{k}' for k in range(i))}) / l{i}{i}")
    for i in reversed(range(p)):
        lines.append(f"x{i} = (h{i}{_less(f'l{k}{i} * x{k}' for k in range(i + 1, p))}) / l{i}{i}")
    x, h = (", ".join(f"{name}{i}" for i in range(p)) for name in "xh")
    return _function("L, v", lines, f"([{x}], [{h}])")


class Seen(NamedTuple):
    """What a step of a trust region needs of a triangle [R, z], whose first b columns are of parameters outside it.

    Attributes
    ----------
    lengths : of R's columns.
    own : of those of the parameters in the region, below the first b rows.
    step : R⁻¹z.
    """

    lengths: list[float]
    own: list[float]
    step: list[float]


@cache
def look(p: int, b: int, aliased: float) -> Callable[[list[list[float]]], Seen | None]:
    """The function of the rows of a triangle [R, z], R (p, p), that solves it, where no column depends on earlier ones.

    A column does whose pivot is at most `aliased` times its length; so does one in the region whose length below the
    first b rows is at most `aliased` times that in them.

    Examples
    --------
    >>> look(2, 1, 1e-12)([[2.0, 3.0, 4.0], [0.0, 4.0, 8.0]])
    Seen(lengths=[2.0, 5.0], own=[4.0], step=[-1.0, 2.0])
    >>> look(1, 0, 1e-12)([[0.0, 1.0]])
    """
    lines = [f"{_tuple(_tuple(f'r{i}{j}' if j >= i else '_' for j in range(p + 1)) for i in range(p))} = rows[:{p}]"]
    for j in range(p):
        shared, own = ([f"r{i}{j}" for i in part] for part in (range(min(b, j + 1)), range(b, j + 1)))
        lines.append(f"s{j}, o{j} = hypot({', '.join(shared)}), hypot({', '.join(own)})")
        lines.append(f"if not abs(r{j}{j}) > {aliased!r} * {'s' if j < b else 'o'}{j}: return None")
        if j >= b:
            lines.append(f"if o{j} <= {aliased!r} * s{j}: return None")
    for i in reversed(range(p)):
        lines.append(f"x{i} = (r{i}{p}{_less(f'r{i}{j} * x{j}' for j in range(i + 1, p))}) / r{i}{i}")
    lengths, own, x = (
        ", ".join(parts)
        for parts in (
            [f"hypot(s{j}, o{j})" for j in range(p)],
            [f"o{j}" for j in range(b, p)],
            [f"x{j}" for j in range(p)],
        )
    )
    return _function("rows", lines, f"Seen([{lengths}], [{own}], [{x}])")


@cache
def solve_many(p: int) -> Callable[[Any, Any], tuple[list[Any], Any]]:
    """The function of M (p, p, B) and v (p, B), arrays, that gives the p rows of M⁻¹v and the smallest squared pivots.

    By M = L diag(d) Lᵀ with 1 on the diagonal of L, which needs no roots: of the columns scaled to M_jj = 1 the squared
    pivots are d_j/M_jj. Where a matrix is not positive definite, they say so, and its solution is meaningless.

    Examples
    --------
    >>> import numpy as np
    >>> x, smallest = solve_many(2)(np.array([[[4.0], [2.0]], [[2.0], [3.0]]]), np.array([[1.0], [0.0]]))
    >>> [one.tolist() for one in x], smallest.round(3).tolist()
    ([[0.375], [-0.25]], [0.667])
    """
    lines = [f"v{i} = v[{i}]" for i in range(p)]
    for i in range(p):
        for j in range(i):
            lines.append(f"c{i}{j} = M[{i}, {j}]{_less(f'c{i}{k} * l{j}{k}' for k in range(j))}")
            lines.append(f"l{i}{j} = c{i}{j} / d{j}")
        lines.append(f"d{i} = M[{i}, {i}]{_less(f'c{i}{k} * l{i}{k}' for k in range(i))}")
        least = f"d{i} / absolute(M[{i}, {i}])"
        lines.append(f"least = {least}" if not i else f"least = minimum(least, {least})")
        lines.append(f"w{i} = v{i}{_less(f'l{i}{k} * w{k}' for k in range(i))}")
    for i in reversed(range(p)):
        lines.append(f"x{i} = w{i} / d{i}{_less(f'l{k}{i} * x{k}' for k in range(i + 1, p))}")
    return _function("M, v", lines, f"([{', '.join(f'x{i}' for i in range(p))}], least)")


def _lower(p: int) -> list[str]:
    """The names of the entries of L, row by row."""
    return [f"l{i}{j}" for i in range(p) for j in range(i + 1)]


def _tuple(parts: Any) -> str:
    return "".join(["(", *(f"{part}, " for part in parts), ")"])


def _less(terms: Any) -> str:
    return "".join(f" - {term}" for term in terms)


def _function(arguments: str, lines: list[str], result: str) -> Any:
    """The function with these arguments, assignments and result."""
    names: dict[str, Any] = {"sqrt": math.sqrt, "hypot": math.hypot, "minimum": np.minimum, "absolute": np.absolute}
    names["inf"] = math.inf
    names |= {"Triangle": Triangle, "Seen": Seen}
    body = "\n    ".join([*lines, f"return {result}"])
    exec(f"def function({arguments}):\n    {body}", names)  # noqa: S102 - written above
    return names["function"]
