"""Sums over the rows that sandwich covariances are made of, in coordinates in which the information is the identity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raphson.data.products import dense_rows
from raphson.inference.whitening import (
    InformationFactor,
    Matrix,
    is_dense_by_rows,
    slices,
    split_columns,
    whitened,
    whitener,
)


def outer_product(designs: Sequence[Matrix], scores: np.ndarray, frequency: np.ndarray | None = None) -> np.ndarray:
    """Outer product of the row scores Σ f_i J_iᵀ u_i u_iᵀ J_i, summed over blocks of rows.

    Parameters
    ----------
    designs : sequence of K matrices (n, p_k)
    scores : ndarray, (K, n)
        ∂ℓ_i/∂η_k.
    frequency : ndarray, (n,), optional

    Returns
    -------
    ndarray, (p, p)
        With p = Σ p_k. For one predictor it is Xᵀ diag(f u²) X; the n x p matrix of row scores is never formed.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.0], [1.0, 2.0]])
    >>> outer_product([X], np.array([[1.0, -3.0]]))
    array([[10., 18.],
           [18., 36.]])
    """
    n = scores.shape[1]
    count = np.ones(n) if frequency is None else frequency
    widths = [X.shape[1] for X in designs]
    ends = np.cumsum([0, *widths])
    total = np.zeros((ends[-1], ends[-1]))
    if all(map(is_dense_by_rows, designs)):
        for rows in slices(n):
            G = _row_scores(designs, scores, rows) * np.sqrt(count[rows])[:, None]
            total += G.T @ G
        return total
    for k, X in enumerate(designs):
        here = slice(ends[k], ends[k + 1])
        total[here, here] = _gram(X, count * scores[k] ** 2)
        for j in range(k):
            there = slice(ends[j], ends[j + 1])
            cross = _cross(X, designs[j], count * scores[k] * scores[j])
            total[here, there] = cross
            total[there, here] = cross.T
    return total


def whitened_middle(
    factor: InformationFactor, designs: Sequence[Matrix], scores: np.ndarray, frequency: np.ndarray | None = None
) -> np.ndarray:
    """Middle of the sandwich in whitened coordinates, S = R⁻ᵀ (Σ f_i J_iᵀ u_i u_iᵀ J_i) R⁻¹.

    Dense rows are whitened before they are summed, so that the loss of digits grows with the condition number of R,
    not with its square. A tabmat design keeps its structure and is whitened after summing.

    Returns
    -------
    ndarray, (r, r)
    """
    T = whitener(factor)
    if not all(map(is_dense_by_rows, designs)):
        return congruence(T, outer_product(designs, scores, frequency))
    total = np.zeros((len(T), len(T)))
    parts = split_columns(T, designs)
    for rows in slices(scores.shape[1]):
        Z = whitened_scores(designs, parts, scores, rows)
        if frequency is not None:
            Z = Z * np.sqrt(frequency[rows])[:, None]
        total += Z.T @ Z
    return total


def group_scores(
    factor: InformationFactor,
    designs: Sequence[Matrix],
    scores: np.ndarray,
    groups: np.ndarray,
    n_groups: int,
    frequency: np.ndarray | None = None,
) -> np.ndarray:
    """Whitened scores summed within groups, one row per group.

    Parameters
    ----------
    groups : ndarray of int, (n,)
        Codes 0 .. n_groups - 1.

    Returns
    -------
    ndarray, (n_groups, r)
        Σ over the group of f_i R⁻ᵀ J_iᵀ u_i.
    """
    T = whitener(factor)
    parts = split_columns(T, designs)
    total = np.zeros((n_groups, len(T)))
    for rows in slices(scores.shape[1]):
        Z = whitened_scores(designs, parts, scores, rows)
        if frequency is not None:
            Z = Z * frequency[rows][:, None]
        # Sort the block by group, so that one reduceat adds whole runs; np.add.at is many times slower.
        order = np.argsort(groups[rows], kind="stable")
        codes = groups[rows][order]
        starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
        total[codes[starts]] += np.add.reduceat(Z[order], starts, axis=0)
    return total


def sandwich(factor: InformationFactor, middle: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Covariance R⁻¹ S R⁻ᵀ from the whitened middle S, times ``scale``: (p, p), NaN where not kept."""
    T = whitener(factor)
    return with_gaps(scale * (T.T @ middle @ T), np.asarray(factor.kept, dtype=bool))


def with_gaps(covariance: np.ndarray, kept: np.ndarray) -> np.ndarray:
    covariance = (covariance + covariance.T) / 2
    if not kept.all():
        covariance[~kept] = np.nan
        covariance[:, ~kept] = np.nan
    return covariance


def congruence(T: np.ndarray, A: np.ndarray) -> np.ndarray:
    # T A Tᵀ. T has zero columns where a parameter was left out, and A may have NaN there.
    used = T.any(axis=0)
    return T[:, used] @ A[np.ix_(used, used)] @ T[:, used].T


def _row_scores(designs: Sequence[Matrix], scores: np.ndarray, rows: slice) -> np.ndarray:
    # J_iᵀ u_i for a few rows: the predictors' columns side by side, each times its score.
    return np.hstack([dense_rows(X, rows) * u[rows, None] for X, u in zip(designs, scores, strict=True)])


def whitened_scores(
    designs: Sequence[Matrix], parts: Sequence[np.ndarray], scores: np.ndarray, rows: slice
) -> np.ndarray:
    # R⁻ᵀ J_iᵀ u_i = Σ_k u_ik R⁻ᵀ x_ik: (m, r).
    return np.einsum("kmr,km->mr", whitened(designs, parts, rows), scores[:, rows])


def _gram(X: Matrix, weight: np.ndarray) -> np.ndarray:
    if not isinstance(X, np.ndarray):
        return np.asarray(X.sandwich(weight))
    return _cross(X, X, weight)


def _cross(X: Matrix, Y: Matrix, weight: np.ndarray) -> np.ndarray:
    # Xᵀ diag(weight) Y, with weights of either sign. X keeps its structure; Y is made dense.
    if X is Y and not isinstance(X, np.ndarray):
        return np.asarray(X.sandwich(weight))
    if isinstance(X, np.ndarray) and not isinstance(Y, np.ndarray):
        return _cross(Y, X, weight).T
    if not isinstance(X, np.ndarray):
        columns = Y if isinstance(Y, np.ndarray) else Y.toarray()
        return np.column_stack([X.transpose_matvec(weight * column) for column in columns.T])
    total = np.zeros((X.shape[1], Y.shape[1]))
    for rows in slices(len(weight)):
        total += (X[rows] * weight[rows, None]).T @ Y[rows]
    return total
