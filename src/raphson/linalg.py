"""Linear systems: the tolerances of rank, and the Cholesky decomposition of a matrix with scaled columns.

Columns are scaled to length 1 first, so that units of measurement do not count as ill-conditioning. Rank is judged by
the length of a column's residual on the earlier columns (pivots of a QR decomposition, singular values), or by its
square (pivots and eigenvalues of a Gram matrix).

**Lower limit: rounding.** For a column that is an exact combination of others, computed in weighted blocks, rounding
leaves a pivot of 7e-16 (100 to 1,000 rows) to 8e-15 (200,000 rows, 40 columns) of its length, and an eigenvalue of up
to 2e-15 in the Gram matrix. (Measured on normal designs whose last column is a combination of all others with weights
from 1e-3 to 3e3, rows weighted by exp(2 N(0, 1)).)

**Upper limit: accuracy.** The relative error of a solution is ε over the smallest pivot. At 1e-12 it has three to four
correct digits; below that, practically none. So one number serves for the length and for the square. For the square it
means a length of 1e-6, below which the tall matrix itself has to be decomposed.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from raphson import unrolled
from raphson.cached import cached_property
from raphson.lapack import dpotrf, dtrcon, dtrtri, dtrtrs

ALIASED = 1e-12
"""A column (scaled to length 1) is aliased if its residual on the earlier columns is shorter than this."""

ROUNDED = 32 * 2.0**-52
"""It is aliased too if that residual is shorter than this times the multiples of earlier columns that add up to the
rest, whose numbers are rounded to half an ε, and of which a triangle loses some more."""

STEEP = 1e-7
"""Residuals of columns, scaled to length 1, from which on such multiples are not looked at: all are longer than their
rounding then."""

SINGULAR = 1e-12
"""A direction is undetermined if a matrix with a unit diagonal has an eigenvalue or squared pivot below this."""

COMPUTED = 1e-11
"""As :data:`ALIASED`, for columns computed by a user's function or its derivatives: a chain of some ten operations,
each with its own rounding error, has ten times the error of data."""

DEPENDENT = 1e-10
"""As :data:`ALIASED`, for equations whose coefficients are sums or differences of computed numbers, by which they have
lost two digits: a user's restrictions, moments of rows, dimensions."""


@dataclass
class Factor:
    """Triangular factor of a positive definite matrix: M = D RᵀR D on the kept columns.

    Attributes
    ----------
    root : (r, r) upper triangular R.
    scale : (r,) diagonal of D.
    kept : (p,) mask of the columns included; the others are aliased or held fixed.

    Examples
    --------
    >>> factor = cholesky(np.array([[4.0, 2.0], [2.0, 3.0]]))
    >>> factor.solve(np.array([1.0, 0.0])).round(3)
    array([ 0.375, -0.25 ])
    """

    root: np.ndarray
    scale: np.ndarray
    kept: np.ndarray

    @property
    def whole(self) -> bool:
        """Whether every column is included."""
        return len(self.scale) == len(self.kept)

    def scaled(self, by: float) -> Factor:
        """The factor of by² M."""
        return replace(self, scale=self.scale * by)

    def step(self, v: np.ndarray) -> tuple[np.ndarray, float]:
        """M⁻¹ v, 0 in the columns left out, and √(vᵀM⁻¹v), for v (p,)."""
        solution, half = self.solve_in_halves(v)
        return solution, math.sqrt(half.dot(half))

    def solve(self, v: np.ndarray) -> np.ndarray:
        """M⁻¹ v for v (p,) or (p, k); 0 in the columns left out."""
        if v.ndim == 1:
            return self.solve_in_halves(v)[0]
        return self.expand(self.back_solve(self.half_solve(v)))

    def solve_in_halves(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """M⁻¹ v, 0 in the columns left out, and R⁻ᵀ D⁻¹ v (r,), for v (p,)."""
        scale = self.scale
        if not 0 < len(scale) == len(self.kept):
            half = self.half_solve(v)
            return self.expand(self.back_solve(half)), half
        half = dtrtrs(self.root, v / scale, trans=1)[0]
        return dtrtrs(self.root, half)[0] / scale, half

    def half_solve(self, v: np.ndarray) -> np.ndarray:
        """R⁻ᵀ D⁻¹ v, (r,) or (r, k): its squared length is vᵀM⁻¹v."""
        inner = v if self.whole else v[self.kept]
        inner = inner / (self.scale if inner.ndim == 1 else self.scale[:, None])
        if not len(inner):
            return inner
        return dtrtrs(self.root, inner, trans=1)[0]

    def back_solve(self, h: np.ndarray) -> np.ndarray:
        """D⁻¹ R⁻¹ h; 0 in the columns left out."""
        if not len(h):
            return h
        out = dtrtrs(self.root, h)[0]
        return out / (self.scale if out.ndim == 1 else self.scale[:, None])

    def expand(self, v: np.ndarray) -> np.ndarray:
        """Values of the kept columns placed among all columns, with 0 elsewhere."""
        if self.whole:
            return v
        out = np.zeros((len(self.kept), *v.shape[1:]))
        out[self.kept] = v
        return out

    def inverse(self) -> np.ndarray:
        """M⁻¹ (p, p); 0 in the rows and columns left out."""
        if not len(self.scale):
            return self._expand_square(np.zeros((0, 0)))
        # Not by solving for the columns of I: BLAS splits even two columns over threads, and waiting costs more.
        half = dtrtri(self.root)[0] / self.scale[:, None]
        return self._expand_square(half @ half.T)

    @property
    def matrix(self) -> np.ndarray:
        """M (p, p); 0 in the rows and columns left out."""
        return self._expand_square(self.root.T @ self.root * self.scale * self.scale[:, None])

    def _expand_square(self, inner: np.ndarray) -> np.ndarray:
        if self.whole:
            return inner
        out = np.zeros((len(self.kept), len(self.kept)))
        out[np.ix_(self.kept, self.kept)] = inner
        return out

    @property
    def diagonal(self) -> np.ndarray:
        """The diagonal of M on the kept columns, (r,)."""
        return self.scale**2 * column_squares(self.root)

    @property
    def smallest_pivot(self) -> float:
        """Smallest absolute diagonal element of R, at most 1."""
        return min(map(abs, self.root.diagonal().tolist()), default=1.0)

    @property
    def condition(self) -> float:
        """Estimated condition number (1-norm) of R, about the square root of the condition number of the scaled M."""
        if not len(self.root):
            return 1.0
        reciprocal = dtrcon(self.root)[0]
        return float(1.0 / reciprocal) if reciprocal > 0 else float("inf")


class UnrolledFactor(Factor):
    """The factor of a matrix of few columns, all included, whose arrays are made when they are asked for.

    Parameters
    ----------
    triangle : L, of which R is LᵀD⁻¹.
    kept : (p,) all true.
    """

    whole = True  # type: ignore[assignment]

    def __init__(self, triangle: unrolled.Triangle, kept: np.ndarray) -> None:
        self.triangle, self.kept = triangle, kept

    @cached_property
    def root(self) -> np.ndarray:  # type: ignore[override]
        entries, lengths, p = self.triangle.entries, self.triangle.lengths, len(self.kept)
        rows = [[0.0] * p for _ in range(p)]
        place = 0
        for i, length in enumerate(lengths):
            for j in range(i + 1):
                rows[j][i] = entries[place] / length
                place += 1
        return np.array(rows)

    @cached_property
    def scale(self) -> np.ndarray:  # type: ignore[override]
        return np.array(self.triangle.lengths)

    def step(self, v: np.ndarray) -> tuple[np.ndarray, float]:
        solution, half = unrolled.solve(len(v))(self.triangle.entries, v.tolist())
        return np.array(solution), math.hypot(*half)

    def solve_in_halves(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        solution, half = unrolled.solve(len(v))(self.triangle.entries, v.tolist())
        return np.array(solution), np.array(half)

    def scaled(self, by: float) -> Factor:
        return Factor(self.root, self.scale * by, self.kept)

    @property
    def smallest_pivot(self) -> float:
        return self.triangle.smallest


def cholesky(M: np.ndarray, free: np.ndarray | None = None) -> Factor | None:
    """Cholesky factor of a symmetric matrix on its free columns; None if it is not positive definite there.

    Parameters
    ----------
    M : (p, p).
    free : (p,) mask of the columns to include; all by default.

    Examples
    --------
    >>> cholesky(np.array([[1.0, 2.0], [2.0, 1.0]])) is None
    True
    """
    if free is None:
        free = np.ones(len(M), dtype=bool)
    whole = all(free.tolist())
    if whole and 0 < len(M) <= unrolled.MOST:
        triangle = unrolled.decompose(len(M))(M.tolist())
        if triangle is not None:
            return UnrolledFactor(triangle, free)
        # What is not finite, or hardly definite, is LAPACK's to judge.
    if not whole:
        M = M[np.ix_(free, free)]
    diagonal = M.diagonal()
    if not all([element > 0 for element in diagonal.tolist()]):
        return None
    scale = np.sqrt(diagonal)
    R, info = dpotrf(M / scale / scale[:, None], clean=1)
    return None if info else Factor(R, scale, free)


def definite(A: np.ndarray) -> np.ndarray:
    """(B,) mask: which symmetric matrices (B, p, p) with unit diagonals are positive definite, allowing for rounding.

    Let λ be the smallest eigenvalue of a positive definite A. The others sum to less than p, so that their product is
    at most (p/(p − 1))^(p − 1) < e: λ > det A/e. The determinant, from the Cholesky factor, decides most cases.

    Examples
    --------
    >>> definite(np.array([[[1.0, 0.5], [0.5, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]])).tolist()
    [True, False, False]
    """
    sound = np.zeros(len(A), dtype=bool)
    with suppress(np.linalg.LinAlgError):
        sound = np.prod(np.einsum("bii->bi", np.linalg.cholesky(A)), axis=1) ** 2 > math.e * SINGULAR
    if not sound.all():
        sound[~sound] = np.linalg.eigvalsh(A[~sound]).min(axis=1, initial=1.0) > SINGULAR
    return sound


def all_finite(values: np.ndarray) -> bool:
    """Whether all numbers are finite, which the sum of the squares of a few nearly always tells.

    Examples
    --------
    >>> all_finite(np.array([[1.0, 1e200]])), all_finite(np.array([[1.0, np.inf]]))
    (True, False)
    """
    flat = values.ravel()
    return math.isfinite(flat.dot(flat)) or bool(np.isfinite(flat).all())


def column_squares(A: np.ndarray) -> np.ndarray:
    """Σ_i a_ij² of each column."""
    return np.einsum("ij,ij->j", A, A)


def independent(R: np.ndarray) -> np.ndarray:
    """Mask of the columns of an upper triangle (m, p), m ≥ p, that are not combinations of earlier ones.

    Examples
    --------
    >>> x, z = np.random.default_rng(0).normal(size=(2, 50))
    >>> independent(np.linalg.qr(np.column_stack([1e6 * x + z, x, z]), mode="r")).tolist()
    [True, True, False]
    """
    return first_pivots(R) > least_pivots(R, np.sqrt(column_squares(R)))


def first_pivots(R: np.ndarray) -> np.ndarray:
    """(p,) the residuals of the columns of an upper triangle (m, p) on earlier ones; 0 of those below its rows."""
    out = np.zeros(R.shape[1])
    diagonal = np.abs(R.diagonal())
    out[: len(diagonal)] = diagonal
    return out


def least_pivots(R: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(p,) the residuals, of the first p columns of an upper triangle, from which down a column is aliased.

    With Rc = r_j the column is Σ c_k x_k, and the numbers of the x_k are rounded. Up to the first column that is
    aliased by its length alone: those after it are judged without it.
    """
    least = ALIASED * lengths
    pivots = first_pivots(R)[: len(lengths)]
    if (pivots > STEEP * lengths).all():
        return least
    for j in range(1, min(len(lengths), len(R))):
        if not pivots[j - 1] > least[j - 1]:
            break
        c = dtrtrs(np.asfortranarray(R[:j, :j]), R[:j, j])[0]
        least[j] = max(least[j], ROUNDED * float(np.abs(c) @ lengths[:j]))
    return least


def all_independent(R: np.ndarray, lengths: np.ndarray) -> bool:
    """Whether :func:`independent` holds for all columns of an upper triangle (m, ≥ p), told faster for a few.

    Parameters
    ----------
    lengths : (p,) of its first columns, which are looked at.
    """
    if len(R) < len(lengths):
        return False
    pivots = zip(R.diagonal().tolist(), lengths.tolist(), strict=False)
    if all([abs(pivot) > STEEP * length for pivot, length in pivots]):
        return True
    return bool((first_pivots(R)[: len(lengths)] > least_pivots(R, lengths)).all())
