"""The x of a user's function of ``(params, x)``: arrays of any shape, also in tuples and dicts."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.data.masks import unmasked
from raphson.data.rows import MissingRows
from raphson.errors import DataError


def as_arrays(x: Any, whole: bool = False) -> Any:
    """The user's x with its leaves as arrays of doubles; with `whole`, integer arrays stay integers."""
    if hasattr(x, "to_dict") and hasattr(x, "columns"):
        return {str(name): as_arrays(x[name], whole) for name in x.columns}
    if isinstance(x, dict):
        return {name: as_arrays(value, whole) for name, value in x.items()}
    if isinstance(x, tuple) and not all(isinstance(one, int | float) for one in x):
        return tuple(as_arrays(one, whole) for one in x)
    array = np.asarray(unmasked(x))
    if array.dtype.kind not in "fiub":
        kind = "complex numbers" if array.dtype.kind == "c" else f"values of type {array.dtype}"
        raise DataError(f"x: expected real numbers; got {kind}")
    return array.astype(np.int64 if whole and array.dtype.kind in "iu" else float)


def leaves(x: Any) -> list[np.ndarray]:
    """The arrays inside x."""
    if isinstance(x, dict):
        return [leaf for value in x.values() for leaf in leaves(value)]
    if isinstance(x, tuple):
        return [leaf for value in x for leaf in leaves(value)]
    return [x]


def has_nan(x: Any) -> bool:
    """Whether a value is missing."""
    return any(np.isnan(leaf).any() for leaf in leaves(x))


def absent_rows(x: Any) -> np.ndarray | None:
    """Mask of the rows with missing values, if the first axis of every array is the rows; None if there are none."""
    arrays = leaves(x)
    if not has_nan(x) or len({array.shape[:1] for array in arrays}) != 1 or not arrays[0].ndim:
        return None
    return np.any([np.isnan(array.reshape(len(array), -1)).any(axis=1) for array in arrays], axis=0)


def require_finite(x: Any, what: str) -> None:
    """Raise a DataError for missing or infinite values."""
    for leaf in leaves(x):
        if not np.isfinite(leaf).all():
            raise DataError(
                f"{what}: expected finite numbers; {np.sum(~np.isfinite(leaf))} are missing or infinite. Drop them"
            )


def note_missing(rows: MissingRows, x: Any, y: np.ndarray) -> None:
    """Note the rows in which x or y is missing, if it is clear which axis of x is the rows.

    Raises
    ------
    DataError
        If it is not clear.
    """
    n = len(y)
    for name, leaf in [("y", y), *(("x", leaf) for leaf in leaves(x))]:
        if np.isnan(leaf).any():
            if leaf.ndim == 0 or len(leaf) != n:
                raise DataError(
                    f"x: expected {n} rows as in y, to drop those with missing values; got shape {leaf.shape}"
                )
            rows.note(np.asarray(np.isnan(leaf).reshape(n, -1).any(axis=1)), "missing values", name)


def taken(x: Any, kept: np.ndarray, n: int) -> Any:
    """The kept rows of each array in x whose first axis is the n rows."""
    if isinstance(x, dict):
        return {name: taken(value, kept, n) for name, value in x.items()}
    if isinstance(x, tuple):
        return tuple(taken(value, kept, n) for value in x)
    return x[kept] if x.ndim and len(x) == n else x


def per_response(values: Any, y: np.ndarray, kept: np.ndarray | None) -> Any:
    """One value for each response, given for each response or for each row of responses."""
    if values is None:
        return None
    array = np.asarray(unmasked(values))
    if kept is not None and array.ndim and len(array) > len(y):
        array = array[kept]
    if array.shape == y.shape:
        return array.ravel()
    if y.ndim == 2 and array.shape == (len(y),):
        return np.repeat(array, y.shape[1])
    return array
