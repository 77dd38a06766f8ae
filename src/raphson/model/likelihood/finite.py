"""A likelihood that JAX cannot trace, differentiated by finite differences of its own values, row by row.

Differences are central, taken with two steps and extrapolated (:func:`raphson.autodiff.finite.mixed`), each parameter's
step being a share of how far it has to move for the log-likelihood of a row to change by about 1: it is found once for
all rows, where :mod:`raphson.autodiff.finite` would look for each. So slopes are good to some 11 digits and second
derivatives to 8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from raphson.autodiff.finite import mixed
from raphson.data.blocks import Block
from raphson.data.columns import Columns, RowData, from_columns
from raphson.errors import ModelError, RaphsonError
from raphson.model.likelihood.family import LikelihoodFamily, LikelihoodRows
from raphson.model.likelihood.parameters import Parameters

SLOPE_STEP, CURVATURE_STEP = 2e-3, 1e-2
"""Steps as shares of each parameter's scale: ε^(1/5) and ε^(1/6), larger than those of plain central differences,
since extrapolation leaves an error of h⁴ beside the rounding of ε/h and ε/h²."""

LEVELS = 2
"""Steps that are extrapolated from."""


class PlainRow:
    """One row's columns as plain numbers and arrays; text is text."""

    __slots__ = ("_columns", "_number", "_used")

    def __init__(self, columns: Columns, number: int, used: dict[str, None]) -> None:
        self._columns, self._number, self._used = columns, number, used

    def __getitem__(self, name: str) -> Any:
        column = self._columns[name]
        self._used[name] = None
        value = column.values[self._number]
        if column.labels is not None:
            return column.labels[int(value)] if np.isfinite(value) and value >= 0 else None
        return value if np.ndim(value) else value.item()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]


def finite_family(
    loglik: Callable[..., Any],
    name: str,
    layout: Parameters,
    columns: Columns,
    theta: np.ndarray,
    extras: dict[str, Any],
) -> tuple[LikelihoodFamily, RowData]:
    """The family of a likelihood in plain Python, and the rows that lack nothing it reads."""
    used: dict[str, None] = {}

    def value_of(theta: np.ndarray, number: int) -> float:
        try:
            value = loglik(layout.nested(theta), PlainRow(columns, number, used))
            return float(value)
        except RaphsonError:
            raise
        except (ZeroDivisionError, OverflowError, FloatingPointError, ValueError) as error:
            if isinstance(error, ValueError) and "math domain" not in str(error):
                raise ModelError(f"{name}: it failed in row {number}: {error}") from error
            return float("nan")  # outside the domain: the search steps back
        except Exception as error:
            raise ModelError(f"{name}: it failed in row {number}: {type(error).__name__}: {error}") from error

    first = value_of(theta, 0)
    if value_of(theta, 0) != first and first == first:
        raise ModelError(f"{name}: two calls with the same arguments differ; a likelihood cannot be random")
    if not used:
        raise ModelError(f"{name}: it reads no column of the row; every row would have the same likelihood")
    rows = from_columns(columns, tuple(used), **extras)
    numbers = np.arange(rows.n_rows) if rows.index is None else rows.index

    scales = _scales(value_of, theta, [int(one) for one in numbers[:: max(1, len(numbers) // 10)]])

    def slopes(theta: np.ndarray, block: Block) -> np.ndarray:
        where = numbers[block.start : block.start + block.rows]
        return np.stack([_slope(value_of, theta, scales, int(number)) for number in where], axis=1)

    def bends(theta: np.ndarray, block: Block) -> np.ndarray:
        where = numbers[block.start : block.start + block.rows]
        return np.stack([_bend(value_of, theta, scales, int(number)) for number in where], axis=2)

    family = FiniteFamily(name, value_of, layout.names, (slopes, bends), False)  # type: ignore[arg-type]
    return family, rows


class FiniteRows(LikelihoodRows):
    """Rows whose second derivatives are made only when they are asked for: they take p² values each."""

    __slots__ = ("_observed",)

    @property
    def observed(self) -> np.ndarray:
        if not hasattr(self, "_observed"):
            W = self._family.step[1](self._eta[:, 0], self._block)
            weight = self._block.weight[: self._block.rows]
            self._observed = np.where(weight > 0, weight * W, 0.0)
        return self._observed


class FiniteFamily(LikelihoodFamily):
    """A family whose rows are made on the host, by their numbers."""

    many_rows: ClassVar[bool] = False

    def own_rows(self, block: Block, eta: np.ndarray, curved: bool = True) -> Any:
        table = self.step[0](eta[:, 0], block)
        weight = block.weight[: block.rows]
        table[1:] = np.where(weight > 0, weight * table[1:], 0.0)
        return FiniteRows(self, block, eta, np.sum(np.where(weight > 0, weight * table[0], 0.0)), table)


def _scales(value_of: Callable[[np.ndarray, int], float], theta: np.ndarray, rows: list[int]) -> np.ndarray:
    """How far each parameter has to move for some row's log-likelihood to change by about 1: what its steps are of."""
    base = np.array([value_of(theta, number) for number in rows])
    scales = 0.1 * (1.0 + np.abs(theta))
    for j in range(len(theta)):
        for _ in range(60):
            moved = theta.copy()
            moved[j] += scales[j]
            change = np.abs(np.array([value_of(moved, number) for number in rows]) - base)
            largest = np.max(change[np.isfinite(change)], initial=0.0) if np.isfinite(change).all() else np.inf
            if 0.1 <= largest <= 1.0 or (largest < 0.1 and scales[j] > 1e3 * (1.0 + abs(theta[j]))):
                break
            scales[j] *= 0.4 if largest > 1.0 else 2.0
    return scales


def _slope(value_of: Callable[[np.ndarray, int], float], theta: np.ndarray, scales: np.ndarray, row: int) -> np.ndarray:
    """[value, score (p)] of one row."""

    def value(theta: np.ndarray) -> float:
        return value_of(theta, row)

    steps = SLOPE_STEP * scales
    slopes = [mixed(value, theta, [(j, 1)], steps, LEVELS)[0] for j in range(len(theta))]
    return np.array([value(theta), *slopes])


def _bend(value_of: Callable[[np.ndarray, int], float], theta: np.ndarray, scales: np.ndarray, row: int) -> np.ndarray:
    """−Hessian (p, p) of one row."""

    def value(theta: np.ndarray) -> float:
        return value_of(theta, row)

    p = len(theta)
    H = np.empty((p, p))
    for j in range(p):
        for k in range(j):
            H[j, k] = H[k, j] = mixed(value, theta, [(j, 1), (k, 1)], CURVATURE_STEP * scales, LEVELS)[0]
        H[j, j] = mixed(value, theta, [(j, 2)], 0.5 * CURVATURE_STEP * scales, LEVELS)[0]
    return -H
