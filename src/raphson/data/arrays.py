"""From arrays to a response and a design matrix, with as few copies as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from raphson.data.crossed import MANY_ROWS, Crossed
from raphson.data.extras import (
    array_argument,
    check_index,
    check_nonnegative,
    group_codes,
    group_labels,
    renumber,
    take,
)
from raphson.data.masks import unmasked
from raphson.data.matrices import (
    Scan,
    dense_parts,
    has_constant,
    in_single,
    note_design,
    read_design,
    sparse_parts,
    unpack_frame,
)
from raphson.data.messages import check_missing
from raphson.data.model_data import Matrix, ModelData, Response, take_rows
from raphson.data.numbers_in_text import check_text
from raphson.data.pieced_design import FEWEST
from raphson.data.rows import MissingRows
from raphson.data.schema import ArraySchema
from raphson.data.values import Levels, as_levels, as_series, drop_unused, read_series
from raphson.data.watching import Watch
from raphson.errors import DataError


def from_arrays(
    y: Any,
    X: Any,
    *,
    names: Sequence[str] | None = None,
    weights: Any = None,
    offset: Any = None,
    trials: Any = None,
    groups: Any = None,
    by: Any = None,
    missing: str = "drop",
    storage: str = "float64",
    crossed: bool = False,
) -> ModelData:
    """Check arrays and make them a model's data; no intercept is added.

    Parameters
    ----------
    y : array_like, shape (n,) or (n, 2)
        Numbers; labels (text, categorical, boolean); or two columns, successes and failures.
    X : array_like, shape (n, p) or (n,), or data frame, scipy.sparse or tabmat matrix
        A frame's column names become the names; a sparse matrix stays sparse.
    names : sequence of str, optional
        p column names; ``x1`` to ``xp`` by default.
    weights, offset, trials : array_like, shape (n,), optional
    groups, by : array_like, shape (n,), optional
        Labels of any type. A model is fitted to each group of `by`.
    missing : {"drop", "raise"}
        What is done with rows that have missing or infinite values.
    storage : {"float64", "float32"}
        How the numbers of a large dense design are held; an array of float32 is then not copied.
    crossed : bool
        Whether the products of a large dense design with itself and the response are summed up, too.

    Returns
    -------
    ModelData
        Its ``X`` is the user's own array if that is float64 in C order without missing values and larger than 1 MB;
        ``watch`` then detects whether it was changed.

    Raises
    ------
    DataError
        If an array has something else than numbers or the wrong length, or no row is left.

    Warns
    -----
    MissingDataWarning
        If rows are dropped.

    Examples
    --------
    >>> import numpy as np
    >>> from raphson.data import from_arrays
    >>> model = from_arrays([0.0, 1.0, 1.0], np.array([[1, 0.5], [1, 2], [1, 3]]), names=["one", "dose"])
    >>> model.names, model.has_intercept
    (('one', 'dose'), True)
    """
    check_missing(missing)
    if y is None or isinstance(y, bytes):
        raise DataError(f"formula: expected text such as 'y ~ x', or the response as an array; got {y!r}")
    if isinstance(by, str):
        raise DataError(f"by: expected the group of each row, as y and X are arrays without columns; got {by!r}")
    given = {"y": y, "weights": weights, "offset": offset, "trials": trials, "groups": groups, "by": by}
    if hasattr(X, "index"):
        for what, value in given.items():
            check_index(X, value, what)
    single = storage == "float32"
    matrix, column_names = read_design(X, names, "X", single)
    n_rows = matrix.shape[0]
    response, absent = _read_response(y, n_rows)
    rows = MissingRows(n_rows)
    if absent is None:
        rows.note_numbers(response.values, response.name)
    elif absent.any():
        rows.note(absent, "missing values", response.name)
    known = note_design(matrix, column_names, rows, _crossable(response, n_rows) if crossed and not single else None)
    weight = None if weights is None else array_argument(weights, n_rows, rows, "weights")
    shift = None if offset is None else array_argument(offset, n_rows, rows, "offset")
    trial = None if trials is None else array_argument(trials, n_rows, rows, "trials")
    codes, parts = group_codes(groups, None, None, rows), group_codes(by, None, None, rows, "by")
    kept = rows.usable(missing)
    parts = renumber(parts, kept)
    watch = Watch()
    seen = None if known is None else known.squares
    if single and isinstance(matrix, np.ndarray) and matrix.size > FEWEST:
        matrix = _single(watch, matrix, X, kept, seen, column_names)
    else:
        matrix = _held(watch, matrix, X, seen) if kept is None else take_rows(matrix, kept)
    if kept is not None:
        response = _keep(response, kept)
        weight, shift, trial = take(weight, kept), take(shift, kept), take(trial, kept)
    else:
        response = Response(response.name, watch.held("y", response.values), response.levels)
        weight, shift, trial = watch.held("weights", weight), watch.held("offset", shift), watch.held("trials", trial)
    if weight is not None:
        check_nonnegative(weight, "weights", kept)
    if trial is not None:
        check_nonnegative(trial, "trials", kept)
    return ModelData(
        X=matrix,
        names=column_names,
        response=response,
        weights=weight,
        offset=shift,
        trials=trial,
        groups=renumber(codes, kept),
        index=kept,
        n_dropped=0 if kept is None else n_rows - len(kept),
        labels=_labels(y, X),
        schema=ArraySchema(column_names, shift is not None),
        has_intercept=has_constant(matrix) if known is None or kept is not None else known.constant,
        terms={name: (number,) for number, name in enumerate(column_names)},
        watch=watch,
        by=parts,
        by_labels=() if parts is None else group_labels(by, None, parts, kept),
        crossed=_of_held(known, matrix, response.values) if kept is None else None,
    )


def _crossable(response: Response, n_rows: int) -> np.ndarray | None:
    """The response whose products with the design are worth summing up; None for few rows, labels and two columns."""
    return response.values if n_rows > MANY_ROWS and response.levels is None and response.values.ndim == 1 else None


def _of_held(known: Scan | None, X: Matrix, y: np.ndarray) -> Crossed | None:
    """The sums as those of the arrays that the model keeps, which may be copies."""
    crossed = None if known is None else known.crossed
    return None if crossed is None or not isinstance(X, np.ndarray) else replace(crossed, X=X, y=y)


def _held(watch: Watch, matrix: Matrix, given: Any, known: float | None) -> Matrix:
    """The design matrix that the model keeps: see :meth:`Watch.held`."""
    if isinstance(matrix, np.ndarray):
        # An array that was made here cannot be changed by the user, so it needs no watching.
        own = matrix is not given and matrix.flags.owndata
        return matrix if own else watch.held("X", matrix, known)
    for values, _ in dense_parts(matrix):
        watch.watch("X", values)
    for part, _ in sparse_parts(matrix):
        watch.watch("X", part.data)
    return matrix


def _single(
    watch: Watch, values: np.ndarray, given: Any, kept: np.ndarray | None, known: float | None, names: Sequence[str]
) -> Matrix:
    """The design matrix in 32 bits; it is watched where it is the user's own array."""
    design = in_single(values, kept, names)
    if design.numbers is given or not design.numbers.flags.owndata:
        watch.watch("X", design.numbers, known)
    return design


def _read_response(y: Any, n_rows: int) -> tuple[Response, np.ndarray | None]:
    """Read y; also return a mask of the rows without a label, or None for numbers."""
    name = "y"
    if type(y) is not np.ndarray:
        label = getattr(y, "name", None)
        name = str(label) if isinstance(label, str) and label else "y"
        if hasattr(y, "dtype") and type(y).__module__.partition(".")[0] == "pandas":
            return _read_labels(y, name, n_rows)
        frame = hasattr(y, "columns") or hasattr(y, "column_names")
        y = unpack_frame(y, "y")[0] if frame else np.asarray(unmasked(y))
    if y.ndim == 2 and y.shape[1] == 1:
        y = y.ravel()
    if y.shape[0:1] != (n_rows,) or y.ndim > 2 or (y.ndim == 2 and y.shape[1] != 2):
        raise DataError(
            f"y: expected {n_rows} values, one for each row of X, or two columns (successes, failures); "
            f"got shape {y.shape}"
        )
    if y.dtype.kind in "fiu":
        return Response(name, np.ascontiguousarray(y, dtype=np.float64)), None
    if y.dtype.kind == "c" or y.ndim == 2:
        raise DataError(f"y: expected real numbers or labels; got {y.dtype} of shape {y.shape}")
    return _read_labels(as_series(y, name), name, n_rows)


def _read_labels(y: Any, name: str, n_rows: int) -> tuple[Response, np.ndarray | None]:
    import pandas as pd

    variable = read_series(pd.Series(y), name)
    if isinstance(variable, Levels):
        if variable.origin == "text":
            check_text(variable.labels, variable.codes, name, n_rows, "give a pandas.Categorical")
        if variable.origin != "boolean":
            variable = drop_unused(as_levels(variable))
        values, levels = variable.codes.astype(np.float64), variable.labels
        mask: np.ndarray | None = variable.codes < 0
    else:
        values, levels, mask = variable.values, None, None
    if len(values) != n_rows:
        raise DataError(f"y: expected {n_rows} values, one for each row of X; got {len(values)}")
    return Response(name, values, levels), mask


def _keep(response: Response, kept: np.ndarray) -> Response:
    values = response.values[kept]
    if response.levels is None or response.levels == ("False", "True"):
        return Response(response.name, values, response.levels)
    left = drop_unused(Levels(values.astype(np.intp), response.levels, "text"))
    return Response(response.name, left.codes.astype(np.float64), left.labels)


def _labels(y: Any, X: Any) -> Any:
    for one in (X, y):
        if type(one) is not np.ndarray and type(one).__module__.partition(".")[0] == "pandas":
            return getattr(one, "index", None)
    return None
