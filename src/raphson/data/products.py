"""Products of a design matrix: dense (NumPy, BLAS), pieced, of factors (`FactorDesign`), or sparse (tabmat)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_CACHE_ROWS = 131_072
"""Number of doubles in a scaled slice of rows: 1 MiB, which fits in a core's second-level cache."""


_SMALL = 4_096
"""Number of doubles up to which the plain product is faster than a choice between the others."""


def is_dense(X: Any) -> bool:
    """Whether the matrix is a NumPy array."""
    return isinstance(X, np.ndarray)


def dense(X: Any) -> np.ndarray:
    """The matrix as a NumPy array."""
    return X if is_dense(X) else X.toarray()


def dense_rows(X: Any, rows: slice | np.ndarray) -> np.ndarray:
    """Rows of a dense or tabmat design, or of one that is read in pieces, as a dense array."""
    return X[rows] if isinstance(X, np.ndarray) else np.asarray(dense(X[rows]), dtype=float)


def matvec(X: Any, v: np.ndarray) -> np.ndarray:
    """X v."""
    return X @ v if is_dense(X) else X.matvec(v)


def transpose_matvec(X: Any, u: np.ndarray) -> np.ndarray:
    """Xᵀ u."""
    return u @ X if is_dense(X) else X.transpose_matvec(_writable(u))


def _writable(w: np.ndarray) -> np.ndarray:
    """A writable copy of a read-only array such as JAX's, which tabmat's compiled code refuses."""
    return w if w.flags.writeable else w.copy()


def sandwich(X: Any, w: np.ndarray) -> np.ndarray:
    """Xᵀ diag(w) X, (p, p) symmetric.

    With w ≥ 0 it is AᵀA for A = √w X, which BLAS's syrk computes with half the multiplications. The rows are scaled
    in slices that stay in the cache, so that X is read from memory once.
    """
    if not is_dense(X):
        product = X.sandwich(_writable(w))  # sparse (diagonal) for a single categorical column
        return product if is_dense(product) else product.toarray()
    n, p = X.shape
    if n * p <= _SMALL:
        return X.T @ (X * w[:, None])
    rows = max(256, _CACHE_ROWS // max(p, 1))
    positive = w.min() >= 0
    if n <= rows:
        return _sandwich(X, w, positive)
    total = np.zeros((p, p))
    for start in range(0, n, rows):
        total += _sandwich(X[start : start + rows], w[start : start + rows], positive)
    return total


def _sandwich(X: np.ndarray, w: np.ndarray, positive: bool) -> np.ndarray:
    if positive:
        A = X * np.sqrt(w)[:, None]
        return A.T @ A
    product = X.T @ (X * w[:, None])
    return 0.5 * (product + product.T)


def cross_sandwich(X: Any, w: np.ndarray, Z: Any) -> np.ndarray:
    """Xᵀ diag(w) Z, (p, q)."""
    if X is Z:
        return sandwich(X, w)
    if is_dense(X) and is_dense(Z):
        return X.T @ (Z * w[:, None])
    if is_dense(X):
        return cross_sandwich(Z, w, X).T
    if hasattr(X, "cross_sandwich") and (is_dense(Z) or hasattr(Z, "piece")):
        return X.cross_sandwich(w, Z)
    return np.column_stack([X.transpose_matvec(w * column) for column in dense(Z).T])


def weighted_squares(X: Any, w: np.ndarray) -> np.ndarray:
    """Σ_i w_i x_ij², (p,): the diagonal of Xᵀ diag(w) X."""
    if is_dense(X):
        return np.einsum("i,ij,ij->j", w, X, X, optimize=False)
    if hasattr(X, "weighted_squares"):
        return X.weighted_squares(w)
    return np.asarray(X.tocsr().multiply(X.tocsr()).T @ w) if hasattr(X, "tocsr") else np.diag(X.sandwich(w)).copy()


_NUMBERS, _ROWS = 1 << 18, 4_096
"""Numbers of a design that are looked at for the shares of rows that its columns rest on, and fewest rows of them. So
many numbers take less than a millisecond, and of a level of one in a hundred there are some 40 rows."""


def row_shares(parts: Sequence[Any]) -> np.ndarray:
    """Share of the rows that Σ x² of each column rests on, (Σx²)²/(n Σx⁴), of a design (n, p) in parts.

    That of an indicator is the share of its ones, of a normal column a third. Of a large design some rows say it.

    Examples
    --------
    >>> row_shares([np.array([[1.0, 1.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])]).tolist()
    [1.0, 0.25]
    """
    n, p = sum(part.shape[0] for part in parts), parts[0].shape[1]
    every = max(1, min(n * p // _NUMBERS, n // _ROWS))
    squares = np.concatenate([np.square(dense(part[np.arange(0, part.shape[0], every)])) for part in parts])
    fourth = np.einsum("ij,ij->j", squares, squares)
    shares = squares.sum(axis=0) ** 2 / (len(squares) * np.where(fourth > 0, fourth, 1.0))
    return np.maximum(shares, 1.0 / len(squares))
