"""A likelihood that JAX cannot trace, differentiated by finite differences of its values, row by row.

Differences are central, taken with two steps and extrapolated (:func:`raphson.autodiff.finite.mixed`). Each parameter's
step is a share of its scale: how far it moves for some row's log-likelihood to change by about 1. The scale is found
once for all rows, not for each as in :mod:`raphson.autodiff.finite`. First derivatives are accurate to some 11 digits
and second derivatives to 8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from raphson.autodiff.finite import mixed
from raphson.data.blocks import Block
from raphson.data.columns import Columns, ColumnsByName, RowData, from_columns
from raphson.errors import ModelError, RaphsonError
from raphson.model.likelihood.family import LikelihoodFamily, LikelihoodRows
from raphson.model.parameters import Parameters

SLOPE_STEP, CURVATURE_STEP = 2e-3, 1e-2
"""Steps as shares of each parameter's scale: about 3 ε^(1/5) and 4 ε^(1/6). They are larger than those of plain central
differences because extrapolation leaves an error of h⁴ against rounding of ε/h and ε/h²."""

LEVELS = 2
"""Number of steps that are extrapolated from: two leave an error of h⁴."""


Values = Callable[[np.ndarray, Sequence[int]], np.ndarray]
"""From θ and row numbers to the log-likelihoods of these rows."""


class PlainRow:
    """One row's columns as plain numbers, arrays and texts."""

    __slots__ = ("_columns", "_number", "_used")

    def __init__(self, columns: ColumnsByName, number: int, used: dict[str, None]) -> None:
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


class RowValues:
    """From θ and row numbers to the log-likelihoods of these rows; records which columns are read."""

    def __init__(
        self, loglik: Callable[..., Any], name: str, layout: Parameters, columns: ColumnsByName, used: dict[str, None]
    ) -> None:
        self.loglik, self.name, self.layout, self.columns, self.used = loglik, name, layout, columns, used

    @cached_property
    def _rows(self) -> dict[int, PlainRow]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_rows"}

    def __call__(self, theta: np.ndarray, where: Sequence[int]) -> np.ndarray:
        params = self.layout.plain(theta)  # the same for all rows
        return np.array([self._value(params, number) for number in where])

    def _value(self, params: Any, number: int) -> float:
        row = self._rows.get(number)
        if row is None:
            row = self._rows[number] = PlainRow(self.columns, number, self.used)
        try:
            return float(self.loglik(dict(params), row))  # a copy: the function may change what it is given
        except RaphsonError:
            raise
        except (ZeroDivisionError, OverflowError, FloatingPointError, ValueError) as error:
            if isinstance(error, ValueError) and "math domain" not in str(error):
                raise ModelError(f"{self.name}: failed in {self.called(number)} with {error}") from error
            return float("nan")  # outside the domain: the search steps back
        except Exception as error:
            raise ModelError(
                f"{self.name}: failed in {self.called(number)} with {type(error).__name__}: {error}"
            ) from error

    def called(self, number: int) -> str:
        """What messages call a row."""
        return f"row {number}"

    def of(self, where: Sequence[int]) -> Callable[[np.ndarray], np.ndarray]:
        """From θ to the log-likelihoods (m,) of rows; each point is evaluated once."""
        known: dict[bytes, np.ndarray] = {}

        def at(theta: np.ndarray) -> np.ndarray:
            key = theta.tobytes()
            if key not in known:
                known[key] = self(theta, where)
            return known[key]

        return at


@dataclass(frozen=True)
class Differences:
    """The derivatives of a block's rows.

    Attributes
    ----------
    values : from a block to the function from θ to the log-likelihoods of its rows.
    scales : (p,) of the parameters, see :func:`scales_of`.
    """

    values: Callable[[Block], Callable[[np.ndarray], np.ndarray]]
    scales: np.ndarray

    def slopes(self, theta: np.ndarray, block: Block) -> np.ndarray:
        """The values and, below them, their derivatives, (1 + p, m)."""
        return _slope(self.values(block), theta, self.scales)

    def second_derivatives(self, theta: np.ndarray, block: Block) -> np.ndarray:
        """Minus their second derivatives, (p, p, m)."""
        return _hessians(self.values(block), theta, self.scales)


@dataclass(frozen=True)
class NumberedRows:
    """The rows of a block, by their numbers in data in memory.

    Attributes
    ----------
    values : of these data.
    numbers : (n,) the numbers of the used rows.
    """

    values: RowValues
    numbers: np.ndarray

    def __call__(self, block: Block) -> Callable[[np.ndarray], np.ndarray]:
        return self.values.of(self.numbers[block.start : block.start + block.rows].tolist())


def finite_family(
    loglik: Callable[..., Any],
    name: str,
    layout: Parameters,
    columns: Columns,
    theta: np.ndarray,
    extras: dict[str, Any],
) -> tuple[LikelihoodFamily, RowData]:
    """The family of a likelihood in plain Python, and the rows without missing values in the columns that it reads."""
    used: dict[str, None] = {}
    values = RowValues(loglik, name, layout, columns, used)
    check_first(values, theta)
    rows = from_columns(columns, tuple(used), **extras)
    numbers = np.arange(rows.n_rows) if rows.index is None else rows.index

    scales = scales_of(values, theta, numbers[:: max(1, len(numbers) // 10)].tolist())

    return family_of_differences(name, layout, Differences(NumberedRows(values, numbers), scales)), rows


def family_of_differences(name: str, layout: Parameters, differences: Differences) -> FiniteFamily:
    """The family whose rows are differentiated by these differences."""
    steps = (differences.slopes, differences.second_derivatives)
    return FiniteFamily(name, differences.values, layout.names, steps, False)  # type: ignore[arg-type]


def check_first(values: RowValues, theta: np.ndarray) -> None:
    """Evaluate the first row, and refuse a function that changes its mind, or that reads no column.

    Raises
    ------
    ModelError
    """
    first = values(theta, (0,))[0]
    if values(theta, (0,))[0] != first and first == first:
        raise ModelError(
            f"{values.name}: expected the same value for the same arguments; got different ones in a second call. Draw "
            "random numbers beforehand, as columns"
        )
    if not values.used:
        raise ModelError(
            f"{values.name}: it reads no column of the row, so that every row has the same likelihood; read the data "
            "from row"
        )


class FiniteRows(LikelihoodRows):
    """Rows whose second derivatives are computed only when asked for: they take about p² evaluations each."""

    __slots__ = ("_observed",)

    @property
    def observed(self) -> np.ndarray:
        if not hasattr(self, "_observed"):
            W = self._family.step[1](self._eta[:, 0], self._block)
            weight = self._block.weight[: self._block.rows]
            self._observed = np.where(weight > 0, weight * W, 0.0)
        return self._observed


class FiniteFamily(LikelihoodFamily):
    """A family whose rows are evaluated in plain Python, by row number."""

    many_rows: ClassVar[bool] = False
    traced_step: ClassVar[None] = None

    def own_rows(self, block: Block, eta: np.ndarray, curved: bool = True) -> Any:
        table = self.step[0](eta[:, 0], block)
        weight = block.weight[: block.rows]
        table[1:] = np.where(weight > 0, weight * table[1:], 0.0)
        return FiniteRows(self, block, eta, np.sum(np.where(weight > 0, weight * table[0], 0.0)), table)


def scales_of(values: Values, theta: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """How far each parameter has to move for some row's log-likelihood to change by about 1."""
    base = values(theta, rows)
    scales = 0.1 * (1.0 + np.abs(theta))
    for j in range(len(theta)):
        for _ in range(60):
            moved = theta.copy()
            moved[j] += scales[j]
            change = np.abs(values(moved, rows) - base)
            largest = np.max(change[np.isfinite(change)], initial=0.0) if np.isfinite(change).all() else np.inf
            if 0.1 <= largest <= 1.0 or (largest < 0.1 and scales[j] > 1e3 * (1.0 + abs(theta[j]))):
                break
            scales[j] *= 0.4 if largest > 1.0 else 2.0
    return scales


def _slope(value: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Values and scores of rows, (1 + p, m)."""
    steps = SLOPE_STEP * scales
    return np.stack([value(theta), *(mixed(value, theta, [(j, 1)], steps, LEVELS)[0] for j in range(len(theta)))])


def _hessians(value: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Negative Hessians of rows, (p, p, m)."""
    p = len(theta)
    H = np.empty((p, p, len(value(theta))))
    for j in range(p):
        for k in range(j):
            H[j, k] = H[k, j] = mixed(value, theta, [(j, 1), (k, 1)], CURVATURE_STEP * scales, LEVELS)[0]
        H[j, j] = mixed(value, theta, [(j, 2)], 0.5 * CURVATURE_STEP * scales, LEVELS)[0]
    return -H
