"""Design matrices of any library: reading them, their names, and their missing values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np

from raphson.data.blocks import BLOCK_ROWS
from raphson.data.crossed import Crossed, Crossing, piece_rows
from raphson.data.masks import unmasked
from raphson.data.messages import check_unicode, listing
from raphson.data.model_data import Matrix
from raphson.data.pieced_design import FEWEST, MadeDesign, SingleDesign
from raphson.data.readers import read_table
from raphson.data.rounding import rounded
from raphson.data.rows import MissingRows
from raphson.data.values import Levels, read_series
from raphson.data.watching import squares
from raphson.errors import DataError, one_line
from raphson.execute import threads


def read_design(X: Any, names: Sequence[str] | None, what: str, single: bool = False) -> tuple[Matrix, tuple[str, ...]]:
    """Read a design matrix and its column names.

    Parameters
    ----------
    single : whether a large array is left as it is, of any type of real numbers and in any order.

    Returns
    -------
    X : ndarray of float64, shape (n, p), C order, or a tabmat matrix
    names : tuple of str
    """
    found: Sequence[str] | None = None
    if type(X) is not np.ndarray:
        X, found = _unpack(X, what, single)
    if isinstance(X, np.ndarray):
        X = _numbers(X, what, single and X.size > FEWEST)
        if X.ndim == 1:
            X = X.reshape(-1, 1)
    if X.ndim != 2 or not X.shape[0] or not X.shape[1]:
        raise DataError(f"{what}: expected a matrix of shape (n, p); got shape {X.shape}")
    p = X.shape[1]
    if names is None:
        if found is None:
            return X, _numbered(p)
        names = found
    elif isinstance(names, str) or not isinstance(names, Iterable):
        raise DataError(f"names: expected {p} names, one for each column of {what}; got {one_line(names)}")
    elif len(names := list(names)) != p:
        raise DataError(f"names: expected {p} names, one for each column of {what}; got {len(names)}")
    checked = tuple(map(str, names))
    check_unicode(checked, "names")
    if len(set(checked)) != p:
        twice = sorted({name for name in checked if checked.count(name) > 1})
        raise DataError(f"names: more than one column is called {listing(map(repr, twice))}; rename them")
    return X, checked


@lru_cache(maxsize=64)
def _numbered(p: int) -> tuple[str, ...]:
    """The names of p columns without names."""
    return tuple([f"x{number}" for number in range(1, p + 1)])


PROBED = 64
"""First rows in which a column must be constant to be looked at in all."""

PIECE, RUN = 1 << 16, 1 << 20
"""Numbers of a design that are read at once: a piece, of 512 KiB, stays in the cache for its constant columns to be
looked at, which would otherwise read nearly all of the memory again; a run of pieces is one thread's."""


FEW = 4_096
"""Numbers of a design in which three rows say which columns may be constant: 64 rows would take longer than that and
the columns that are left. Of 200 rows and 3 columns a scan takes 7 µs, all compared at once 13."""


class Scan(NamedTuple):
    """What one reading of a matrix says.

    Attributes
    ----------
    squares : its sum of squares, not finite if an element is not.
    constant : whether some column is constant and not 0.
    crossed : XᵀX and its products with a response; None where they were not asked for.
    """

    squares: float
    constant: bool
    crossed: Crossed | None = None


def scan(X: np.ndarray, y: np.ndarray | None = None) -> Scan:
    """Read a matrix (n, p) once.

    Parameters
    ----------
    y : (n,) the response whose products with a large matrix are wanted.

    Examples
    --------
    >>> scan(np.array([[1.0, 2.0], [1.0, 3.0]]))
    Scan(squares=15.0, constant=True, crossed=None)
    """
    first = X[0]
    if X.size <= FEW:
        rows = (first.tolist(), X[len(X) // 2].tolist(), X[-1].tolist())
        likely = [j for j, (one, two, three) in enumerate(zip(*rows, strict=True)) if one == two == three != 0]
        return Scan(squares(X), any([not np.count_nonzero(X[:, j] != first[j]) for j in likely]))
    columns = (np.logical_and.reduce(X[:PROBED] == first) & (first != 0)).nonzero()[0].tolist()
    if X.size <= PIECE:
        return Scan(squares(X), any(bool((X[:, j] == first[j]).all()) for j in columns))
    p = X.shape[1]
    rows = max(1, PIECE // p) if y is None else piece_rows(p)
    # Sums of a run stay in its worker; those of runs are kept and added by a tree, which rounds less.
    run = max(1, RUN // p) if y is None else BLOCK_ROWS[-1]

    def one(start: int) -> tuple[float, list[int], Crossing | None]:
        total, left, sums = 0.0, columns, None if y is None else Crossing(p)
        for here in range(start, min(start + run, len(X)), rows):
            piece = X[here : min(here + rows, start + run)]
            if y is None or sums is None:
                total += squares(piece)
            else:
                sums.add(piece, y[here : here + len(piece)])
            left = [j for j in left if np.count_nonzero(piece[:, j] == first[j]) == len(piece)]
        return total, left, sums

    with np.errstate(over="ignore", invalid="ignore"):
        found = threads().map(one, range(0, len(X), run))
    constant = bool(set(columns).intersection(*(left for _, left, _ in found)))
    if y is None:
        return Scan(sum(total for total, _, _ in found), constant)
    crossed = Crossed.total(X, y, [sums for _, _, sums in found if sums is not None])
    return Scan(float(np.trace(crossed.gram)), constant, crossed)


def has_constant(X: Matrix) -> bool:
    """Whether some dense column is constant and not 0."""
    if isinstance(X, SingleDesign):
        return bool((X.constant & (X.piece(0, 1)[0] != 0)).any())
    return any(scan(values).constant for values, _ in dense_parts(X))


def note_design(X: Matrix, names: tuple[str, ...], rows: MissingRows, y: np.ndarray | None = None) -> Scan | None:
    """Mark the rows of a design matrix with missing or infinite entries; return what was seen of an array.

    With y (n,), a large array's products with it are summed up, too.

    The sum of squares reads the matrix without a copy, and is finite if all entries are. If it overflows, the search
    for entries that are not finite finds none.
    """
    known: Scan | None = None
    for values, columns in dense_parts(X):
        if isinstance(X, np.ndarray):
            known = scan(values, y)
        total = squares(values) if known is None else known.squares
        if math.isfinite(total):
            continue
        for place, column in enumerate(columns):
            rows.note_numbers(values[:, place], names[column])
    for part, columns in sparse_parts(X):
        if not np.isfinite(part.data.sum()):
            entries = part.tocoo()
            for place, column in enumerate(columns):
                here = entries.col == place
                full = np.zeros(part.shape[0])
                full[entries.row[here]] = entries.data[here]
                rows.note_numbers(full, names[column])
    return known


def in_single(values: np.ndarray, kept: np.ndarray | None, names: Sequence[str]) -> SingleDesign:
    """An array (n, p) of real numbers held in 32 bits: itself if it is one of these in C order.

    Parameters
    ----------
    kept : the rows to take; None for all.
    """
    if values.dtype == np.float32:
        return SingleDesign(np.ascontiguousarray(values if kept is None else values[kept]))
    n = len(values) if kept is None else len(kept)

    def make(start: int, stop: int) -> np.ndarray:
        part = values[start:stop] if kept is None else values[kept[start:stop]]
        return np.ascontiguousarray(part, dtype=np.float64)

    return rounded(MadeDesign((n, values.shape[1]), make), names)


def dense_parts(X: Matrix) -> list[tuple[np.ndarray, Sequence[int]]]:
    if isinstance(X, np.ndarray):
        return [(X, range(X.shape[1]))]
    return [(part.unpack(), columns) for part, columns in _parts(X) if type(part).__name__ == "DenseMatrix"]


def sparse_parts(X: Matrix) -> list[tuple[Any, Sequence[int]]]:
    if isinstance(X, np.ndarray):
        return []
    return [(part.array_csc, columns) for part, columns in _parts(X) if type(part).__name__ == "SparseMatrix"]


def _parts(X: Any) -> list[tuple[Any, Sequence[int]]]:
    if type(X).__name__ == "SplitMatrix":
        return list(zip(X.matrices, X.indices, strict=True))
    return [(X, range(X.shape[1]))]


def _unpack(X: Any, what: str, single: bool = False) -> tuple[Any, Sequence[str] | None]:
    """The numbers of a data frame, sparse matrix or other object as a matrix, and its names if it has any."""
    if hasattr(X, "tocsc") and hasattr(X, "nnz"):
        if X.dtype.kind not in "fiub":
            raise DataError(f"{what}: expected real numbers; got a sparse matrix of {X.dtype}")
        return sparse_design(X), None
    if hasattr(X, "sandwich") and hasattr(X, "matvec"):
        # A tabmat matrix; a dense one is used as an array.
        if type(X).__name__ == "DenseMatrix":
            return np.asarray(X.unpack()), None
        if type(X).__name__ == "CategoricalMatrix":
            # Wrapped, as a single part lacks some methods of a SplitMatrix.
            import tabmat

            return tabmat.SplitMatrix([X]), None
        return X, None
    if hasattr(X, "columns") or hasattr(X, "column_names"):
        return unpack_frame(X, what, single)
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


def sparse_design(X: Any) -> Matrix:
    """A sparse matrix or array of SciPy as tabmat reads it: by columns, with indices of 32 bits.

    Raises
    ------
    DataError
        If it has more entries than such indices can count.
    """
    import scipy.sparse
    import tabmat

    by_columns: Any = scipy.sparse.csc_matrix(X, dtype=np.float64)
    if by_columns.indptr.dtype != np.int32 or by_columns.indices.dtype != np.int32:
        if max(by_columns.nnz, *by_columns.shape) > np.iinfo(np.int32).max:
            raise DataError(f"X: expected a sparse matrix of at most {2**31 - 1} entries; got {by_columns.nnz}")
        places = (by_columns.indices.astype(np.int32), by_columns.indptr.astype(np.int32))
        by_columns = scipy.sparse.csc_matrix((by_columns.data, *places), shape=by_columns.shape)
    return tabmat.SparseMatrix(by_columns)


def unpack_frame(X: Any, what: str, single: bool = False) -> tuple[np.ndarray, Sequence[str]]:
    frame = read_table(X)
    names = list(frame.columns)
    if single and all(kind == np.float32 for kind in frame.dtypes):
        return frame.to_numpy(dtype=np.float32), names
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
        f"{what}: the {which} text or categories; expected numbers. Use a formula, which turns them into factors"
    )


def _numbers(X: np.ndarray, what: str, as_it_is: bool = False) -> np.ndarray:
    if as_it_is and X.dtype.kind in "fiub":
        return X
    if X.dtype == np.float64:
        return X if X.flags.c_contiguous else np.ascontiguousarray(X)
    if X.dtype.kind in "fiub":
        return np.ascontiguousarray(X, dtype=np.float64)
    kind = "complex numbers" if X.dtype.kind == "c" else "text or objects"
    raise DataError(
        f"{what}: expected real numbers; got {kind} ({X.dtype}). Convert them, or use a formula for factors"
    )
