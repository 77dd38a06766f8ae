"""From arrays to a response and a design: nothing is copied that need not be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from raphson.data.extras import array_argument, check_index, check_nonnegative, group_codes, renumber, take
from raphson.data.masks import unmasked
from raphson.data.messages import check_missing, check_unicode, listing
from raphson.data.model_data import Matrix, ModelData, Response, take_rows
from raphson.data.numbers_in_text import check_text
from raphson.data.rows import MissingRows
from raphson.data.schema import ArraySchema
from raphson.data.values import Levels, as_levels, as_series, drop_unused, read_series
from raphson.data.watching import Watch, squares
from raphson.errors import DataError, one_line

# A column is searched for a constant in a few rows first, and to the end only if these agree.
_PROBE = 64


def from_arrays(
    y: Any,
    X: Any,
    *,
    names: Sequence[str] | None = None,
    weights: Any = None,
    offset: Any = None,
    trials: Any = None,
    groups: Any = None,
    missing: str = "drop",
) -> ModelData:
    """Check arrays and put them together; no intercept is added.

    Parameters
    ----------
    y : array_like, shape (n,) or (n, 2)
        Numbers; labels (text, categorical, boolean); two columns are successes and failures.
    X : array_like, shape (n, p) or (n,), or data frame, scipy.sparse or tabmat matrix
        A frame's column names become the names; a sparse matrix stays sparse.
    names : sequence of str, optional
        p column names; ``x1`` to ``xp`` by default.
    weights, offset, trials : array_like, shape (n,), optional
    groups : array_like, shape (n,), optional
        Labels of any type.
    missing : {"drop", "raise"}
        What becomes of rows with missing or infinite values.

    Returns
    -------
    ModelData
        Its ``X`` is the user's own array if that is float64 in C order without missing values and larger than 1 MB;
        ``watch`` then notices if it is written to.

    Raises
    ------
    DataError
        If something is not a number, not one per row, or no row is left.

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
    for what, value in (("y", y), ("weights", weights), ("offset", offset), ("trials", trials), ("groups", groups)):
        check_index(X, value, what)
    matrix, column_names = read_design(X, names, "X")
    n_rows = matrix.shape[0]
    response, absent = _read_response(y, n_rows)
    rows = MissingRows(n_rows)
    if absent is None:
        rows.note_numbers(response.values, response.name)
    elif absent.any():
        rows.note(absent, "missing values", response.name)
    known = note_design(matrix, column_names, rows)
    weight = None if weights is None else array_argument(weights, n_rows, rows, "weights")
    shift = None if offset is None else array_argument(offset, n_rows, rows, "offset")
    trial = None if trials is None else array_argument(trials, n_rows, rows, "trials")
    codes = None if groups is None else group_codes(groups, None, None, rows)
    kept = rows.settle(missing)
    watch = Watch()
    if kept is not None:
        matrix = take_rows(matrix, kept)
        response = _keep(response, kept)
        weight, shift, trial = take(weight, kept), take(shift, kept), take(trial, kept)
    else:
        response = replace(response, values=watch.held("y", response.values))
        matrix = _held(watch, matrix, X, known)
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
        groups=None if codes is None else renumber(codes, kept),
        index=kept,
        n_dropped=0 if kept is None else n_rows - len(kept),
        labels=_labels(y, X),
        schema=ArraySchema(column_names, shift is not None),
        has_intercept=_has_constant(matrix),
        terms={name: (number,) for number, name in enumerate(column_names)},
        watch=watch,
    )


def _held(watch: Watch, matrix: Matrix, given: Any, known: float | None) -> Matrix:
    """The design for a model to keep: see :meth:`Watch.held`."""
    if isinstance(matrix, np.ndarray):
        # An array that was made on the way here is nobody else's.
        own = matrix is not given and matrix.flags.owndata
        return matrix if own else watch.held("X", matrix, known)
    for values, _ in _dense_parts(matrix):
        watch.watch("X", values)
    for part, _ in _sparse_parts(matrix):
        watch.watch("X", part.data)
    return matrix


def read_design(X: Any, names: Sequence[str] | None, what: str) -> tuple[Matrix, tuple[str, ...]]:
    """Read a design matrix and its column names.

    Returns
    -------
    X : ndarray of float64, shape (n, p), C order, or a tabmat matrix
    names : tuple of str
    """
    found: Sequence[str] | None = None
    if type(X) is not np.ndarray:
        X, found = _unpack(X, what)
    if isinstance(X, np.ndarray):
        X = _numbers(X, what)
        if X.ndim == 1:
            X = X.reshape(-1, 1)
    if X.ndim != 2 or not X.shape[0] or not X.shape[1]:
        raise DataError(f"{what}: expected a matrix with rows and columns; got shape {X.shape}")
    p = X.shape[1]
    if names is None:
        names = found if found is not None else [f"x{number}" for number in range(1, p + 1)]
    elif isinstance(names, str) or not isinstance(names, Iterable):
        raise DataError(f"names: expected {p}, one for each column of {what}; got {one_line(names)}")
    elif len(names := list(names)) != p:
        raise DataError(f"names: expected {p}, one for each column of {what}; got {len(names)}")
    checked = tuple(map(str, names))
    check_unicode(checked, "names")
    if len(set(checked)) != p:
        twice = sorted({name for name in checked if checked.count(name) > 1})
        raise DataError(f"names: more than one column is called {listing(map(repr, twice))}; rename them")
    return X, checked


def note_design(X: Matrix, names: tuple[str, ...], rows: MissingRows) -> float | None:
    """Mark the rows of a design with missing or infinite entries; of an array, give the sum of squares.

    That sum reads the matrix once and makes no other. Where it overflows an entry that is not finite is looked for, and
    none is found.
    """
    known: float | None = None
    for values, columns in _dense_parts(X):
        total = squares(values)
        if isinstance(X, np.ndarray):
            known = total
        if math.isfinite(total):
            continue
        for place, column in enumerate(columns):
            rows.note_numbers(values[:, place], names[column])
    for part, columns in _sparse_parts(X):
        if not np.isfinite(part.data.sum()):
            entries = part.tocoo()
            for place, column in enumerate(columns):
                here = entries.col == place
                full = np.zeros(part.shape[0])
                full[entries.row[here]] = entries.data[here]
                rows.note_numbers(full, names[column])
    return known


def _dense_parts(X: Matrix) -> list[tuple[np.ndarray, Sequence[int]]]:
    if isinstance(X, np.ndarray):
        return [(X, range(X.shape[1]))]
    return [(part.unpack(), columns) for part, columns in _parts(X) if type(part).__name__ == "DenseMatrix"]


def _sparse_parts(X: Matrix) -> list[tuple[Any, Sequence[int]]]:
    if isinstance(X, np.ndarray):
        return []
    return [(part.array_csc, columns) for part, columns in _parts(X) if type(part).__name__ == "SparseMatrix"]


def _parts(X: Any) -> list[tuple[Any, Sequence[int]]]:
    if type(X).__name__ == "SplitMatrix":
        return list(zip(X.matrices, X.indices, strict=True))
    return [(X, range(X.shape[1]))]


def _unpack(X: Any, what: str) -> tuple[Any, Sequence[str] | None]:
    """Get at the numbers of what is not a plain array: a matrix, and its names if it has some."""
    if hasattr(X, "tocsc") and hasattr(X, "nnz"):
        if X.dtype.kind not in "fiub":
            raise DataError(f"{what}: expected real numbers; got a sparse matrix of {X.dtype}")
        import scipy.sparse
        import tabmat

        return tabmat.SparseMatrix(scipy.sparse.csc_matrix(X, dtype=np.float64)), None
    if hasattr(X, "sandwich") and hasattr(X, "matvec"):
        # A tabmat matrix. One of dense columns is an array after all.
        if type(X).__name__ == "DenseMatrix":
            return np.asarray(X.unpack()), None
        if type(X).__name__ == "CategoricalMatrix":
            # Alone it lacks some of what a matrix of several parts can do.
            import tabmat

            return tabmat.SplitMatrix([X]), None
        return X, None
    if hasattr(X, "columns") or hasattr(X, "column_names"):
        return _unpack_frame(X, what)
    if hasattr(X, "to_numpy"):
        name = getattr(X, "name", None)
        variable = read_series(X, str(name or what)) if hasattr(X, "iloc") else X.to_numpy()
        if isinstance(variable, Levels):
            raise _not_numbers([str(name or "X")], what)
        values = variable if isinstance(variable, np.ndarray) else variable.values
        return values, None if name is None else [str(name)]
    try:
        return np.asarray(unmasked(X)), None
    except ValueError as error:
        raise DataError(f"{what}: its rows differ in length: {' '.join(str(error).split())}") from error


def _unpack_frame(X: Any, what: str) -> tuple[np.ndarray, Sequence[str]]:
    from raphson.data.readers import read_table

    frame = read_table(X)
    names = list(frame.columns)
    if all(isinstance(kind, np.dtype) and kind.kind in "fiu" for kind in frame.dtypes):
        return frame.to_numpy(dtype=np.float64), names
    variables = [read_series(cast(Any, frame[name]), name) for name in names]
    for number, variable in enumerate(variables):
        if isinstance(variable, Levels) and variable.origin == "boolean":
            truth = np.array([label == "True" for label in variable.labels], dtype=np.float64)
            variables[number] = np.where(variable.codes >= 0, truth[variable.codes], np.nan)  # type: ignore[call-overload]
    text = [name for name, variable in zip(names, variables, strict=True) if isinstance(variable, Levels)]
    if text:
        raise _not_numbers(text, what)
    arrays = [one if isinstance(one, np.ndarray) else one.values for one in variables]  # type: ignore[union-attr]
    return np.column_stack(arrays), names


def _not_numbers(names: Sequence[str], what: str) -> DataError:
    which = f"column {names[0]!r} holds" if len(names) == 1 else f"columns {listing(map(repr, names))} hold"
    return DataError(
        f"{what}: the {which} text or categories where numbers are due; use a formula, which makes factors of them"
    )


def _numbers(X: np.ndarray, what: str) -> np.ndarray:
    if X.dtype == np.float64:
        return X if X.flags.c_contiguous else np.ascontiguousarray(X)
    if X.dtype.kind in "fiub":
        return np.ascontiguousarray(X, dtype=np.float64)
    kind = "complex numbers" if X.dtype.kind == "c" else "text or objects"
    raise DataError(
        f"{what}: expected real numbers; got {kind} ({X.dtype}); convert them, or use a formula for factors"
    )


def _read_response(y: Any, n_rows: int) -> tuple[Response, np.ndarray | None]:
    """Read y; a second part masks the rows without a label, and is None for numbers."""
    name = "y"
    if type(y) is not np.ndarray:
        label = getattr(y, "name", None)
        name = str(label) if isinstance(label, str) and label else "y"
        if hasattr(y, "dtype") and type(y).__module__.partition(".")[0] == "pandas":
            return _read_labels(y, name, n_rows)
        frame = hasattr(y, "columns") or hasattr(y, "column_names")
        y = _unpack_frame(y, "y")[0] if frame else np.asarray(unmasked(y))
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


def _has_constant(X: Matrix) -> bool:
    """Tell whether some column is constant and not zero."""
    if not isinstance(X, np.ndarray):
        return any(_has_constant(part) for part, _ in _dense_parts(X))
    first = X[0]
    candidates = ((X[:_PROBE] == first).all(axis=0) & (first != 0)).nonzero()[0]
    return any(bool((X[:, column] == first[column]).all()) for column in candidates)
