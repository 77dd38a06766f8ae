"""Values for each row besides response and covariates: weights, offset, trials, groups, and a density's columns."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.evaluate import Evaluator, States
from raphson.data.expressions import Expression, column_expression, parse_expression
from raphson.data.masks import unmasked
from raphson.data.messages import listing
from raphson.data.numbers_in_text import check_text
from raphson.data.rows import MissingRows
from raphson.data.values import Levels, Table, as_series, read_series
from raphson.errors import DataError


def parse_argument(value: Any, names: Collection[str], what: str) -> Expression | None:
    """Parse an argument that is text: a column's name, or an expression over columns."""
    if not isinstance(value, str):
        return None
    if value in names:
        return column_expression(value)
    return parse_expression(value, names, what)


def per_row(
    value: Any, expression: Expression | None, table: Table, states: States, rows: MissingRows, what: str
) -> np.ndarray | None:
    """Evaluate an argument to one number per row, and note the unusable rows."""
    if value is None:
        return None
    if expression is None:
        return array_argument(value, table.n_rows, rows, what)
    evaluator = Evaluator(table, states, what)
    numbers = evaluator.numbers(expression)
    rows.note_expression(expression, numbers, evaluator)
    return numbers.values


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a density or a likelihood reads besides its predictors.

    Attributes
    ----------
    values : (n,) or (n, d) numbers; codes 0 .. L-1 of text.
    labels : the L labels of a column of text or categories, otherwise None.
    """

    values: np.ndarray
    labels: tuple[str, ...] | None = None

    def kept(self, rows: np.ndarray | slice | None) -> Column:
        """The column in some of the rows."""
        return self if rows is None else Column(self.values[rows], self.labels)


def column_of(
    name: str, expression: Expression | None, evaluator: Evaluator, rows: MissingRows, new: bool = False
) -> Column:
    """The column that a density's keyword gets; unless they are `new` data, numbers with stray text are refused."""
    if expression is None:
        raise DataError(f"columns: expected the name of a column, an expression or a number, for {name!r}")
    if not expression.columns:
        constant = evaluator.value(expression.tree)
        if isinstance(constant, str) or not np.isfinite(constant):
            raise DataError(f"columns: expected the name of a column, an expression or a number, for {name!r}")
        return Column(np.full(evaluator.table.n_rows, float(constant)))
    variable = evaluator.variable(expression)
    rows.note_expression(expression, variable, evaluator, infinite=True)
    if isinstance(variable, Levels):
        if variable.origin == "boolean":
            return Column(np.where(variable.codes < 0, np.nan, variable.codes).astype(float))
        if variable.origin == "text" and not new:
            check_text(variable.labels, variable.codes, expression.text, rows.n_rows, "")
        return Column(variable.codes.astype(float), variable.labels)
    return Column(variable.values)


def array_argument(value: Any, n_rows: int, rows: MissingRows | None, what: str) -> np.ndarray:
    """Check an array with one number per row, shape (n,); a single number applies to every row."""
    value = unmasked(value)
    if np.ndim(value) == 0:
        value = np.full(n_rows, value)
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        array = _numeric(value, array, what)
    array = array.astype(np.float64, copy=False)
    if array.ndim == 2 and 1 in array.shape and array.size == n_rows:
        array = array.ravel()
    if array.shape != (n_rows,):
        raise DataError(f"{what}: expected {n_rows} numbers, one for each row of the data; got shape {array.shape}")
    if rows is not None:
        rows.note_numbers(array, what)
    return array


def _numeric(value: Any, array: np.ndarray, what: str) -> np.ndarray:
    if array.dtype.kind == "O":
        # Numbers and None, or a pandas column of a nullable type.
        try:
            return np.array([np.nan if v is None or v != v else float(v) for v in array.ravel()]).reshape(array.shape)
        except (TypeError, ValueError):
            pass
    kind = "complex numbers" if array.dtype.kind == "c" else "text or objects"
    raise DataError(f"{what}: expected numbers; got {kind} ({type(value).__name__} of {array.dtype})")


def group_codes(
    value: Any, expression: Expression | None, table: Table | None, rows: MissingRows, what: str = "groups"
) -> np.ndarray | None:
    """The number of each row's group, 0, 1, ...; -1 where the group is missing. `what` is the argument's name."""
    if value is None:
        return None
    if expression is not None and table is not None:
        evaluator = Evaluator(table, {}, what)
        variable = evaluator.variable(expression)
        rows.note_expression(expression, variable, evaluator)
        return variable.codes if isinstance(variable, Levels) else _number(variable.values)
    array = label_array(value)
    if array.shape != (rows.n_rows,):
        raise DataError(f"{what}: expected {rows.n_rows} labels, one for each row of the data; got shape {array.shape}")
    codes = label_codes(array, what)
    rows.note(codes < 0 if (codes < 0).any() else None, "missing values", what)
    return codes


def group_labels(value: Any, table: Table | None, codes: np.ndarray, kept: np.ndarray | None) -> tuple[Any, ...]:
    """The label of each group, as it is in the column or array, by the groups' numbers (n,) in the kept rows."""
    begins = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])  # of the runs of one group
    first = np.empty(int(codes.max(initial=-1)) + 1, dtype=np.intp)
    first[codes[begins][::-1]] = begins[::-1]  # of a group's runs the first is written last
    places = first if kept is None else kept[first]
    if isinstance(value, str) and table is not None:
        return tuple(table.frame[value].iloc[places].tolist())
    return tuple(label_array(value)[places].tolist())


def label_array(value: Any) -> np.ndarray:
    """The labels of groups as an array; NumPy would turn a missing label among texts into the text "nan"."""
    value = unmasked(value)
    array = np.asarray(value)
    return np.array(value, dtype=object) if array.dtype.kind in "US" and not isinstance(value, np.ndarray) else array


def label_codes(array: np.ndarray, what: str = "groups") -> np.ndarray:
    """Codes 0, 1, ... of the labels (n,) of groups; -1 where there is none."""
    if array.dtype.kind in "fiub":
        return _number(array)
    variable = read_series(as_series(array, what), what)
    return variable.codes if isinstance(variable, Levels) else _number(variable.values)


def _number(values: np.ndarray) -> np.ndarray:
    if len(values) and (values[1:] >= values[:-1]).all() and np.isfinite(values[[0, -1]]).all():
        ends = np.append(np.flatnonzero(values[1:] != values[:-1]) + 1, len(values))
        return np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))  # a sorted column is not sorted again
    values = values.astype(np.float64)
    codes = np.full(len(values), -1, dtype=np.int64)
    there = np.isfinite(values)
    codes[there] = np.unique(values[there], return_inverse=True)[1]
    return codes


def check_index(base: Any, value: Any, what: str) -> None:
    """Raise a DataError if two pandas objects have the same rows in another order, or other rows.

    Values are matched by position. An index that only counts the rows is ignored, unless the other one has the same
    labels in another order.
    """
    here: Any = getattr(base, "index", None)
    there: Any = getattr(value, "index", None)
    if not hasattr(here, "equals") or not hasattr(there, "equals") or len(here) != len(there) or here.equals(there):
        return
    counting = type(there).__name__ == "RangeIndex" and there.start == 0 and there.step == 1
    if not counting or here.sort_values().equals(there.sort_values()):
        raise DataError(
            f"{what}: its index differs from that of the data, and values are matched by position; put it in the same "
            "order with .reindex(data.index), or pass .to_numpy() if the positions are right"
        )


def take(array: np.ndarray | None, kept: np.ndarray | None) -> np.ndarray | None:
    """The kept rows of an array."""
    return array if array is None or kept is None else array[kept]


def counted(weights: np.ndarray | None, n_rows: int) -> tuple[int, float]:
    """The number of rows of positive weight, and the sum of the weights, which are 1 if none are given."""
    return (n_rows, float(n_rows)) if weights is None else (int(np.count_nonzero(weights)), float(weights.sum()))


def renumber(codes: np.ndarray | None, kept: np.ndarray | None) -> np.ndarray | None:
    """The groups of the kept rows, renumbered without gaps."""
    if codes is None:
        return None
    codes = codes if kept is None else codes[kept]
    present = np.zeros(int(codes.max(initial=-1)) + 1, dtype=bool)
    present[codes] = True
    return codes.astype(np.int64, copy=False) if present.all() else (np.cumsum(present) - 1)[codes]


def weights_of_sigma(sigma: np.ndarray | None, kept: np.ndarray | None) -> np.ndarray | None:
    """The weights 1/σ² of rows whose standard deviations σ (n,) are given.

    Raises
    ------
    DataError
        If some are not positive.
    """
    if sigma is None:
        return None
    if not (sigma > 0).all():
        where = np.flatnonzero(~(sigma > 0))
        places = where if kept is None else kept[where]
        raise DataError(
            f"sigma: expected positive standard deviations; {len(where)} {'is' if len(where) == 1 else 'are'} not, "
            f"in row{'s' if len(where) > 1 else ''} {listing(places, 5)} (counted from 0)"
        )
    return 1.0 / sigma**2


def check_sigma(sigma: Any, shape: tuple[int, ...]) -> None:
    """Refuse a covariance matrix of the errors in place of standard deviations.

    Raises
    ------
    DataError
    """
    if np.ndim(sigma) == 2 and np.shape(sigma) != shape and np.size(sigma) != int(np.prod(shape)):
        raise DataError(
            "sigma: expected one standard deviation for each row; got a matrix. Correlated errors are fitted by "
            "whitening: with L = np.linalg.cholesky(sigma), fit lambda params, x: jnp.linalg.solve(L, f(params, x)) to "
            "data=(x, np.linalg.solve(L, y))"
        )


def check_nonnegative(values: np.ndarray | None, what: str, kept: np.ndarray | None) -> None:
    """Refuse negative entries and, for weights, all zeros."""
    if values is None:
        return
    if values.min(initial=0.0) < 0:
        where = np.flatnonzero(values < 0)
        places = where if kept is None else kept[where]
        raise DataError(
            f"{what}: expected numbers of 0 or more; {len(where)} {'is' if len(where) == 1 else 'are'} negative, "
            f"in row{'s' if len(where) > 1 else ''} {listing(places, 5)} (counted from 0)"
        )
    if what == "weights" and not values.any():
        raise DataError("weights: all are 0, so no row counts; give some rows a positive weight")
