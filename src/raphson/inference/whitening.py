r"""The change of coordinates behind covariances, leverages and standard errors: z = R⁻ᵀ Jᵀ.

The information M = RᵀR is never inverted. In the coordinates z_i = R⁻ᵀ J_iᵀ u_i it is the identity, and

    leverage of row i       w_i |R⁻ᵀ x_i|²
    sandwich                R⁻¹ (Σ z_i z_iᵀ) R⁻ᵀ
    Cook's distance         |z_i|² / (φ p), after correction for the leverage
    variance of x'θ̂         φ |R⁻ᵀ x|²

are all sums of squares: rounding cannot make them negative, and their loss of digits grows with the condition number of
R, not with that of M, which is its square.

A *design* is a dense array or a tabmat matrix with one row per observation. K linear predictors have K designs, and the
parameters are the K coefficient vectors in order. Nonlinear predictors share the parameters; the design of each is its
derivative by all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from raphson.data.pieced_design import PiecedDesign
from raphson.data.products import dense_rows

Matrix = Any
"""A dense (n, p) array, or a ``tabmat.MatrixBase`` of that shape."""

BLOCK_ROWS = 8192
"""Rows handled at a time, so that a dense block of a few dozen columns stays in the cache. Of 16 columns it takes 1
MiB."""


class InformationFactor(Protocol):
    """A factor R of a positive definite matrix M = RᵀR, restricted to the ``kept`` columns.

    ``solve(v)`` is M⁻¹v, ``half_solve(v)`` is R⁻ᵀv (so that |half_solve(v)|² = vᵀM⁻¹v), both for v of shape
    (p,) or (p, k); ``inverse()`` is M⁻¹.
    """

    @property
    def kept(self) -> np.ndarray: ...

    def solve(self, v: np.ndarray, /) -> np.ndarray: ...

    def half_solve(self, v: np.ndarray, /) -> np.ndarray: ...

    def inverse(self) -> np.ndarray: ...


def whitener(factor: InformationFactor) -> np.ndarray:
    """T = R⁻ᵀ as a matrix, (r, p), with zero columns for the parameters that are not kept.

    Inverting a triangular matrix loses no more digits than solving with it (Higham, *Accuracy and Stability of
    Numerical Algorithms*, 2002, section 14.2); inverting M would.

    Parameters
    ----------
    factor : Factor
        Of the p x p information.

    Returns
    -------
    ndarray, (r, p)
        T with TᵀT = M⁻¹ on the kept parameters.
    """
    kept = np.asarray(factor.kept, dtype=bool)
    T = np.array(factor.half_solve(np.diag(kept.astype(float))))
    T[:, ~kept] = 0.0
    return T


def slices(n: int, rows: int = BLOCK_ROWS) -> Iterator[slice]:
    """Consecutive slices that cover ``range(n)``."""
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def is_dense_by_rows(X: Matrix) -> bool:
    """Whether a design has no zeros to make use of: an array, or one that is read in pieces."""
    return isinstance(X, np.ndarray | PiecedDesign)


def split_columns(T: np.ndarray, designs: Sequence[Matrix]) -> list[np.ndarray]:
    """Split the columns of T, or of any matrix with a column per parameter, by linear predictor."""
    if all(X.shape[1] == T.shape[-1] for X in designs):
        return [T] * len(designs)
    ends = np.cumsum([X.shape[1] for X in designs])
    if ends[-1] != T.shape[-1]:
        raise AssertionError(f"the designs have {ends[-1]} columns, the factor {T.shape[-1]} parameters")
    return np.split(T, ends[:-1], axis=-1)


def whitened(designs: Sequence[Matrix], parts: Sequence[np.ndarray], rows: slice) -> np.ndarray:
    """R⁻ᵀ x_ik for each row i of the slice and each predictor k: (K, m, r)."""
    return np.stack([dense_rows(X, rows) @ part.T for X, part in zip(designs, parts, strict=True)])
