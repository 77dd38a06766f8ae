"""Derivatives of a curve that is written as an expression: by NumPy for few rows, by compiled code for many."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np

from raphson.autodiff.graph import Program, UnwrittenError, traced
from raphson.autodiff.operations import ELEMENTARY
from raphson.cached import cached_property
from raphson.data.blocks import block_rows
from raphson.data.curves import Curve
from raphson.linalg import all_finite

NUMPY_ROWS = 4096
"""Number of rows up to which NumPy is used. A call of compiled code for the derivatives of Misra1a, of two humps on a
decay (8 parameters) and of a logistic curve takes 26, 31 and 36 µs at 256 rows, 38, 196 and 218 at 4,096; NumPy takes
17, 56 and 32, and 36, 216 and 106. From 16,384 rows on it takes longer. The first call compiles for 0.1 to 0.4 s."""

TOGETHER = 2**14
"""Number of values of f that NumPy computes at once, which a processor's cache holds with all intermediate results."""


def written_function(name: str) -> Any:
    """A function of numbers and of nodes of a graph."""
    short = name.removeprefix("special.")
    if short not in ELEMENTARY:
        raise UnwrittenError(name)
    return partial(traced, short)


@lru_cache(maxsize=256)
def program_of(curve: Curve, columns: tuple[str, ...], parameters: tuple[str, ...]) -> Program | None:
    """The graph of an expression; None if it has operations that a graph lacks."""

    def function(theta: list[Any], x: list[Any]) -> Any:
        values = dict(zip(parameters, theta, strict=True)) | dict(zip(columns, x, strict=True))
        return curve.evaluate(values, written_function)

    try:
        return Program.of(function, len(parameters), len(columns))
    except UnwrittenError:
        return None


class WrittenDerivatives:
    """Derivatives of an expression.

    What NumPy does not do, for many rows or operations that a graph lacks, the compiled code of
    :class:`raphson.model.curve.compiled.CompiledDerivatives` does. It also does the rows in which f is finite but a
    derivative is not, as at x = 0 in (x/c)^b: its derivatives there are limits.

    Parameters
    ----------
    curve, columns, parameters : the expression and its names; x is (d, size), one row for each of the columns.
    """

    exact: ClassVar[bool] = True

    def __init__(self, curve: Curve, columns: tuple[str, ...], parameters: tuple[str, ...]) -> None:
        self.curve, self.columns, self.parameters = curve, columns, parameters
        self._program = program_of(curve, columns, parameters)

    def __reduce__(self) -> tuple[Callable[..., WrittenDerivatives], tuple[Any, ...]]:
        return curve_derivatives, (self.curve, self.columns, self.parameters)

    @property
    def written(self) -> dict[str, Any]:
        """The expression, as stored in a saved fit."""
        return {"text": self.curve.text, "columns": list(self.columns), "parameters": list(self.parameters)}

    @cached_property
    def compiled(self) -> Any:
        """The derivatives by JAX."""
        from raphson.model.curve.compiled import compiled_curve

        return compiled_curve(self.curve, self.columns, self.parameters)

    def __getattr__(self, name: str) -> Any:
        # Derivatives at many parameters at once, and the code itself.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.compiled, name)

    @property
    def traced(self) -> Any:
        """The compiled code and its constants, for traced functions that call it."""
        return self.compiled.traced

    def in_numpy(self, rows: int) -> bool:
        """Whether NumPy serves so many rows, which then need no padding."""
        return self._program is not None and rows <= NUMPY_ROWS

    def _by_graph(self, x: Any) -> Program | None:
        return self._program if x.shape[1] <= NUMPY_ROWS else None

    def value(self, theta: np.ndarray, x: Any) -> np.ndarray:
        program = self._by_graph(x)
        if program is None:
            return self.compiled.value(theta, x)
        return np.broadcast_to(program.value([*theta, *x]), x.shape[1:]) * 1.0

    def tangents(self, theta: np.ndarray, x: Any) -> np.ndarray:
        program = self._by_graph(x)
        if program is None:
            return self.compiled.tangents(theta, x)
        table = program.tangents([*theta, *x], x.shape[1])
        return self._limits("tangents", theta, x) if _lacks_limits(table) else table

    def solved(
        self, theta: np.ndarray, x: Any, y: np.ndarray, root: np.ndarray | None, which: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """θ with one parameter that f is linear in at its least squares value, and :meth:`tangents` there.

        The value is θ_j + φᵀr/φᵀφ with φ = √w ∂f/∂θ_j and r = √w (y − f); `root` has the √w, None where all are 1.
        """
        program = self._by_graph(x)
        if program is None:
            return self.compiled.solved(theta, x, y, np.ones(len(y)) if root is None else root, which)
        with np.errstate(all="ignore"):
            along = program.along([*theta, *x], which, x.shape[1])
            two = along.table
            value, slope = self._limits("tangents", theta, x)[[0, 1 + which]] if _lacks_limits(two) else two
            column, left = slope, y - value
            if root is not None:
                counts = root > 0
                column, left = np.where(counts, root * column, 0.0), np.where(counts, root * left, 0.0)
            length = math.sqrt(column.dot(column))
            delta = float((column / length).dot(left)) / length if length else math.nan
            there = theta.copy()
            if math.isfinite(delta):
                there[which] += delta
            table = along.tangents(there[which])
            return there, self._limits("tangents", there, x) if _lacks_limits(table) else table

    def second_order(self, theta: np.ndarray, x: Any, u: np.ndarray) -> np.ndarray:
        program = self._by_graph(x)
        if program is not None:
            M = program.second_order([*theta, *x], u)
            if all_finite(M):
                return M
            size = block_rows(len(u))
            return self.compiled.second_order(theta, padded_columns(x), np.append(u, np.zeros(size - len(u))))
        return self.compiled.second_order(theta, x, u)

    def second(self, theta: np.ndarray, x: Any) -> np.ndarray:
        program = self._by_graph(x)
        if program is not None:
            table = program.second([*theta, *x], x.shape[1])
            return table if np.isfinite(table).all() else self._limits("second", theta, x)
        return self.compiled.second(theta, x)

    def _limits(self, name: str, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """What compiled code gives for x (d, size), with limits where NumPy gives NaN.

        It is compiled for the sizes of blocks only, so that data of another length compile nothing.
        """
        return getattr(self.compiled, name)(theta, padded_columns(x))[..., : x.shape[1]]

    def kink_gaps(self, theta: np.ndarray, x: Any) -> np.ndarray:
        """The gaps of f's max, min, abs and comparisons and, below them, their derivatives, (1 + p, K)."""
        program = self._by_graph(x)
        return self.compiled.kink_gaps(theta, x) if program is None else program.gaps([*theta, *x], x.shape[1])

    def many(self, points: np.ndarray, x: Any) -> np.ndarray:
        program = self._by_graph(x)
        return self.compiled.many(points, x) if program is None else self._batches(program.values_at, points, x)

    def rounding(self, points: np.ndarray, x: Any) -> np.ndarray:
        program = self._by_graph(x)
        if program is None:
            return self.compiled.rounding(points, x)
        return self._batches(program.rounding, points, x)

    def _batches(self, function: Callable[..., np.ndarray], points: np.ndarray, x: Any) -> np.ndarray:
        size = max(1, TOGETHER // max(x.shape[1], 1))
        parts = [points[i : i + size] for i in range(0, len(points), size)]
        shapes = [(len(part), x.shape[1]) for part in parts]
        return np.concatenate(
            [function([*part.T[:, :, None], *x], shape=shape) for part, shape in zip(parts, shapes, strict=True)]
        )


def padded_columns(x: np.ndarray) -> np.ndarray:
    """x (d, n), filled up to the rows of a block with copies of its last column."""
    n = x.shape[1]
    return x if (size := block_rows(n)) <= n else np.concatenate([x, np.repeat(x[:, -1:], size - n, axis=1)], axis=1)


def _lacks_limits(table: np.ndarray) -> bool:
    """Whether some row has a finite f (the first line) and a derivative that is not finite."""
    if all_finite(table):
        return False
    finite = np.isfinite(table)
    return bool((finite[0] & ~finite.all(axis=0)).any())


def curve_derivatives(curve: Curve, columns: tuple[str, ...], parameters: tuple[str, ...]) -> WrittenDerivatives:
    """The derivatives of a curve; x is (d, size), one row for each of the columns."""
    return WrittenDerivatives(curve, columns, parameters)
