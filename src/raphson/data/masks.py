"""Masked arrays as plain ones, in which masked entries are missing."""

from __future__ import annotations

from typing import Any

import numpy as np


def unmasked(value: Any) -> Any:
    """A masked array, or a list of them, as a plain array: masked entries are NaN, in text None.

    Anything else is returned as it is. ``np.asarray`` would keep the number under the mask, which is often a fill value
    such as 1e20.

    Examples
    --------
    >>> unmasked(np.ma.masked_array([1, 2, 3], mask=[False, True, False]))
    array([ 1., nan,  3.])
    >>> unmasked(np.ma.masked_array(["a", "b"], mask=[False, True]))
    array(['a', None], dtype=object)
    """
    # Only the first element is inspected to see whether it is a list of rows, as a list of numbers may be long.
    rows = isinstance(value, list | tuple) and bool(value) and hasattr(value[0], "__len__")
    if rows and any(isinstance(one, np.ma.MaskedArray) for one in value) and len({np.shape(one) for one in value}) == 1:
        value = np.ma.stack(value)
    if not isinstance(value, np.ma.MaskedArray):
        return value
    mask, plain = np.ma.getmaskarray(value), np.asarray(value.data)
    if not mask.any():
        return plain
    if plain.dtype.kind in "fiub":
        return np.where(mask, np.nan, plain.astype(np.float64))
    if plain.dtype.kind == "c":
        return np.where(mask, np.nan, plain)
    objects = plain.astype(object)
    objects[mask] = None
    return objects
