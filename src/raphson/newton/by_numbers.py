"""Triangles of a few parameters, by Python's numbers: with so few the calls of NumPy take longer than the arithmetic.

A triangle [R, z] is a list of its rows, R (p, p) upper with pivots that are not 0.
"""
# pyright: strict, reportConstantRedefinition=false

from __future__ import annotations

import math
from typing import NamedTuple

MOST_BY_NUMBERS = 8
"""Number of parameters up to which a step of the trust region is found here. With 1, 3, 6 and 8 that takes 8, 12, 39
and 43 µs, by arrays 30, 33, 46 and 45, on a busy core."""

MOST_CURVED = 5
"""Number of parameters up to which a step with a second-order term is. With 1, 3, 5 and 8 that takes 4, 12, 72 and 230
µs, by arrays 47, 79, 96 and 166."""

Rows = list[list[float]]


def forward(R: Rows, v: list[float]) -> list[float]:
    """R⁻ᵀ v.

    Examples
    --------
    >>> forward([[2.0, 1.0], [0.0, 4.0]], [2.0, 9.0])
    [1.0, 2.0]
    """
    x: list[float] = []
    for i, vi in enumerate(v):
        for k in range(i):
            vi -= R[k][i] * x[k]
        x.append(vi / R[i][i])
    return x


def backward(R: Rows, v: list[float], known: int = 0) -> list[float]:
    """R⁻¹ v; the last `known` elements of v are those of the result already.

    Examples
    --------
    >>> backward([[2.0, 1.0], [0.0, 4.0]], [4.0, 8.0])
    [1.0, 2.0]
    """
    x = v.copy()
    for i in range(len(v) - 1 - known, -1, -1):
        row, xi = R[i], x[i]
        for j in range(i + 1, len(v)):
            xi -= row[j] * x[j]
        x[i] = xi / row[i]
    return x


def column_lengths(R: Rows, p: int, first: int = 0) -> list[float]:
    """Lengths of the first p columns, from row `first` on."""
    return [math.hypot(*[row[j] for row in R[first : j + 1]]) for j in range(p)]


class Curved(NamedTuple):
    """The step d = (RᵀR + B)⁻¹ g for g = Rᵀz and a symmetric B, not yet taken back to the parameters.

    With LLᵀ = I + R⁻ᵀBR⁻¹, which does not square the condition number of R, √(gᵀd) = ‖h‖ for h = L⁻¹z, and
    d = R⁻¹ L⁻ᵀ h.

    Attributes
    ----------
    R, L : (p, p), upper and lower triangles.
    h : (p,).
    """

    R: Rows
    L: Rows
    h: list[float]

    @property
    def length(self) -> float:
        """√(gᵀd)."""
        return math.hypot(*self.h)

    def step(self) -> list[float]:
        """d."""
        x = self.h.copy()
        for i in range(len(x) - 1, -1, -1):
            row = self.L[i]
            x[i] /= row[i]
            for k in range(i):
                x[k] -= row[k] * x[i]
        return backward(self.R, x)


def curved(R: Rows, z: list[float], B: Rows) -> Curved | None:
    """The step by RᵀR + B; None if that is not positive definite.

    Examples
    --------
    >>> found = curved([[2.0]], [3.0], [[5.0]])
    >>> found.length, found.step(), curved([[2.0]], [3.0], [[-4.0]])
    (2.0, [0.6666666666666666], None)
    """
    p = len(z)
    half = [forward(R, row) for row in B]  # the rows of B R⁻¹
    L: Rows = []
    for i in range(p):
        across = forward(R, [row[i] for row in half])  # row i of R⁻ᵀ B R⁻¹
        row: list[float] = []
        rest = 1.0 + across[i]
        for k, other in enumerate(L):
            value = across[k]
            for m in range(k):
                value -= row[m] * other[m]
            value /= other[k]
            row.append(value)
            rest -= value * value
        if not rest > 0.0:
            return None
        row.append(math.sqrt(rest))
        L.append(row)
    h: list[float] = []
    for row, zi in zip(L, z, strict=True):
        for a, b in zip(row, h, strict=False):
            zi -= a * b
        h.append(zi / row[-1])
    return Curved(R, L, h)
