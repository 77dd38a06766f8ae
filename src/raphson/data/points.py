"""The arrays that a user's function of ``(params, x)`` takes: of any shape, in tuples and dicts."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.data.masks import unmasked
from raphson.errors import DataError


def as_arrays(x: Any) -> Any:
    """The user's x with arrays of doubles for its leaves."""
    if hasattr(x, "to_dict") and hasattr(x, "columns"):
        return {str(name): as_arrays(x[name]) for name in x.columns}
    if isinstance(x, dict):
        return {name: as_arrays(value) for name, value in x.items()}
    if isinstance(x, tuple) and not all(isinstance(one, int | float) for one in x):
        return tuple(as_arrays(one) for one in x)
    array = np.asarray(unmasked(x))
    if array.dtype.kind not in "fiub":
        kind = "complex numbers" if array.dtype.kind == "c" else f"values of type {array.dtype}"
        raise DataError(f"x: expected real numbers; got {kind}")
    return array.astype(float)


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
    """Mask the rows with something missing, if the first axis of every array is the rows; None if nothing is."""
    arrays = leaves(x)
    if not has_nan(x) or len({array.shape[:1] for array in arrays}) != 1 or not arrays[0].ndim:
        return None
    return np.any([np.isnan(array.reshape(len(array), -1)).any(axis=1) for array in arrays], axis=0)


def require_finite(x: Any, what: str) -> None:
    """Refuse what is missing or infinite."""
    for leaf in leaves(x):
        if not np.isfinite(leaf).all():
            raise DataError(
                f"{what}: expected finite numbers; {np.sum(~np.isfinite(leaf))} are missing or infinite. Drop them"
            )


def without_missing(x: Any, y: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
    """Drop the rows where x or y is missing, if it is clear which axis of x is the rows."""
    n = len(y)
    good = ~np.isnan(y).reshape(n, -1).any(axis=1)
    for leaf in leaves(x):
        if np.isnan(leaf).any():
            if leaf.ndim == 0 or len(leaf) != n:
                raise DataError(
                    f"x: expected {n} rows like y, to drop those with missing values; got shape {leaf.shape}"
                )
            good &= ~np.isnan(leaf).reshape(n, -1).any(axis=1)
    if not good.any():
        raise DataError("data: no row without missing values is left")
    kept = np.flatnonzero(good)

    def cut(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: cut(value) for name, value in part.items()}
        if isinstance(part, tuple):
            return tuple(cut(value) for value in part)
        return part[kept] if part.ndim and len(part) == n else part

    return cut(x), y[kept], kept


def per_response(values: Any, y: np.ndarray, kept: np.ndarray | None) -> Any:
    """One value per response: given for each, or for each row of them."""
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
