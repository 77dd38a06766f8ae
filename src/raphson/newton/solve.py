"""Solving M d = ∇ℓ without inverting M: by Cholesky of the scaled matrix, QR of the rows, or conjugate gradients.

Columns are first scaled to M_jj = 1, so that units of measurement do not count as ill-conditioning. In the scaled
matrix the square of the j-th pivot is 1 − R²_j, the fraction of column j that no earlier column explains.
"""

# pyright: strict, reportConstantRedefinition=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np

from raphson.lapack import dpotrf, dtrtri, dtrtrs
from raphson.linalg import Factor, all_independent, cholesky, column_squares, first_pivots, least_pivots
from raphson.model.few_rows import MOST_COLUMNS
from raphson.model.objective import Gram, Root, projected, triangularised
from raphson.numeric import EPSILON

ILL_CONDITIONED = 1e-5
"""Squared pivot below which Cholesky may lose the tenth digit (its error is about ε/pivot²), so QR replaces it."""


@dataclass
class OnPlane(Factor):
    """The factor of ZᵀMZ for steps d = Zγ: M⁻¹ becomes Z(ZᵀMZ)⁻¹Zᵀ.

    Attributes
    ----------
    basis : (p, r) Z.
    whole_matrix : (p, p) M.
    """

    basis: np.ndarray
    whole_matrix: np.ndarray

    def solve_in_halves(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Z(ZᵀMZ)⁻¹Zᵀ v and R⁻ᵀ D⁻¹ Zᵀv (r,), for v (p,)."""
        half = self.half_solve(v)
        return self.expand(self.back_solve(half)), half

    def half_solve(self, v: np.ndarray) -> np.ndarray:
        """R⁻ᵀ D⁻¹ Zᵀv, (r,) or (r, k)."""
        inner = self.basis.T @ v
        inner = inner / (self.scale if inner.ndim == 1 else self.scale[:, None])
        return dtrtrs(self.root, inner, trans=1)[0] if len(inner) else inner

    def expand(self, v: np.ndarray) -> np.ndarray:
        """Zγ."""
        return self.basis @ v

    def inverse(self) -> np.ndarray:
        """Z(ZᵀMZ)⁻¹Zᵀ (p, p)."""
        if not len(self.scale):
            return np.zeros_like(self.whole_matrix)
        half = self.basis @ (dtrtri(self.root)[0] / self.scale[:, None])
        return half @ half.T

    @property
    def matrix(self) -> np.ndarray:
        """M (p, p)."""
        return self.whole_matrix


def on_plane(part: Gram | Root, basis: np.ndarray, free: np.ndarray) -> OnPlane | None:
    """The factor of M for steps Zγ with Z (p, r) = basis; None if ZᵀMZ is not positive definite."""
    inner = factorise(projected(part, basis))
    if inner is None or not inner.whole:
        return None
    return OnPlane(inner.root, inner.scale, free, basis, part.matrix)


def factorise(part: Gram | Root, free: np.ndarray | None = None) -> Factor | None:
    """Factorise M restricted to its free columns; None if that is not positive definite.

    Parameters
    ----------
    part : M in gram form (for Cholesky) or in root form (for QR, which drops aliased columns).
    free : (p,) mask of the columns; all by default.
    """
    if isinstance(part, Gram):
        p = len(part.matrix)
        free = np.ones(p, dtype=bool) if free is None else free
        return _gram_factor(part, free)
    p = part.triangle.shape[1] - 1
    free = np.ones(p, dtype=bool) if free is None else free
    return _root_factor(part, free)[0]


def _gram_factor(part: Gram, free: np.ndarray) -> Factor | None:
    """The factor of a matrix restricted to its free columns, cached."""
    key = free.tobytes()
    if key not in part.factors:
        part.factors[key] = cholesky(part.matrix, free)
    return part.factors[key]


def _root_factor(part: Root, free: np.ndarray) -> tuple[Factor | None, np.ndarray]:
    """The factor of a triangle restricted to its free columns, and its right-hand side, cached."""
    key = free.tobytes()
    if key not in part.factors:
        part.factors[key] = _triangle(part.triangle, free, part.second_order)
    return part.factors[key]


def _independent(triangle: np.ndarray, kept: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The triangle of the columns that are linearly independent of earlier ones, and their mask."""
    kept = kept.copy()
    while True:
        indices = np.flatnonzero(kept)
        T = triangle
        if not kept.all() or triangle.shape[0] < triangle.shape[1] - 1:
            T = triangularised(triangle[:, np.append(indices, triangle.shape[1] - 1)])
        pivots, own = first_pivots(T)[: len(indices)], lengths[indices]
        small = np.flatnonzero(pivots < least_pivots(T, own))
        if not len(small):
            return T, kept
        kept[indices[small[0]]] = False


def _triangle(
    triangle: np.ndarray, free: np.ndarray, second_order: np.ndarray | None = None
) -> tuple[Factor | None, np.ndarray]:
    """The factor from a triangle [R, Qᵀz], and Qᵀz for the columns that are kept.

    With a second-order term B the matrix is RᵀR + B = Rᵀ (I + R⁻ᵀBR⁻¹) R. The bracket is near I if the predictor is
    nearly linear. With its Cholesky decomposition CᵀC the factor is CR, without squaring a condition number.

    A column with a tiny pivot is dropped before later columns are judged: its row of R points in a direction that is
    rounding, and would reduce their pivots.
    """
    lengths = np.sqrt(column_squares(triangle)[:-1])
    T, kept, scale = triangle, free, lengths
    whole = all(free.tolist()) and all(lengths.tolist()) and all_independent(triangle, lengths)
    if not whole:
        if not np.isfinite(lengths[free]).all():
            return None, np.zeros(0)
        T, kept = _independent(triangle, free & (lengths > 0), lengths)
        scale = lengths[kept]
    r = len(scale)
    R, z = np.asfortranarray(T[:r, :r] / scale), T[:r, -1]
    if second_order is None or not r:
        return Factor(R, scale, kept), z
    B = (second_order if whole else second_order[np.ix_(kept, kept)]) / scale / scale[:, None]
    bracket = np.eye(r) + _half_solved(R, _half_solved(R, B).T)
    C, failed = dpotrf(bracket, clean=1)
    if failed:
        return None, np.zeros(0)
    return Factor(np.asfortranarray(C @ R), scale, kept), dtrtrs(C, z, trans=1)[0]


def _half_solved(R: np.ndarray, B: np.ndarray) -> np.ndarray:
    """R⁻ᵀ B, (r, r)."""
    if len(R) > MOST_COLUMNS:
        return dtrtrs(R, B, trans=1)[0]
    out = np.empty_like(B)  # BLAS splits even two columns over threads, and waiting for them costs more
    for j in range(B.shape[1]):
        out[:, j] = dtrtrs(R, B[:, j], trans=1)[0]
    return out


class Direction(NamedTuple):
    """A step and its length.

    Attributes
    ----------
    step : (p,) M⁻¹∇ℓ.
    decrement : Newton's decrement √(∇ℓᵀ M⁻¹ ∇ℓ): with M the information, the distance in standard errors to the
        maximum of the local quadratic model (Boyd and Vandenberghe 2004, equation 9.29).
    factor : of M; None if M was never formed.
    """

    step: np.ndarray
    decrement: float
    factor: Factor | None

    @property
    def ill_conditioned(self) -> bool:
        """Whether a Cholesky factor has lost too many digits."""
        return self.factor is not None and self.factor.smallest_pivot**2 < ILL_CONDITIONED


def measured(step: np.ndarray, part: Root, free: np.ndarray) -> Direction | None:
    """A step that was found otherwise, with the decrement and factor that :func:`direction` gives; None as there."""
    factor, half = _root_factor(part, free)
    return None if factor is None else Direction(step, sqrt(half.dot(half)), factor)


def direction(part: Gram | Root, score: np.ndarray, free: np.ndarray, damping: float = 0.0) -> Direction | None:
    """Solve (M + τ diag M) d = ∇ℓ for the free columns; None if the matrix is not positive definite.

    In root form d solves the least squares problem min |A d − z|, which does not square the condition number; damping
    adds the rows √τ·diag(M)^½ with right-hand side 0 (Marquardt 1963).
    """
    if isinstance(part, Gram):
        if damping:
            M = part.matrix
            factor = cholesky(M + damping * np.diag(np.abs(M.diagonal())), free)
        else:
            factor = _gram_factor(part, free)
        return None if factor is None else Direction(*factor.step(score), factor)
    if damping:
        triangle = part.triangle
        lengths = np.sqrt(column_squares(triangle)[:-1])
        rows = np.column_stack([np.diag(np.sqrt(damping) * lengths), np.zeros(len(lengths))])
        triangle = triangularised(np.concatenate([triangle, rows]))
        factor, half = _triangle(triangle, free, part.second_order)
    else:
        factor, half = _root_factor(part, free)
    if factor is None:
        return None
    return Direction(factor.expand(factor.back_solve(half)), sqrt(half.dot(half)), factor)


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    diagonal: np.ndarray,
    score: np.ndarray,
    free: np.ndarray,
    tolerance: float,
) -> Direction:
    """Solve M d = ∇ℓ from products M v alone, to a relative residual of `tolerance`.

    The absolute diagonal preconditions. A direction of negative curvature is added to the step and ends the solution
    (Nocedal and Wright 2006, algorithm 7.1, which does not add it; without it the step may be so short that a saddle
    looks like a maximum).
    """
    if not free.any():
        return Direction(np.zeros_like(score), 0.0, None)
    size = np.where(diagonal != 0, np.abs(diagonal), 1.0)
    inverse = np.where(free, 1.0 / size, 0.0)
    d = np.zeros_like(score)
    r = np.where(free, score, 0.0)
    y = inverse * r
    q = y.copy()
    ry = float(r @ y)
    stop = tolerance**2 * ry
    for _ in range(10 * int(free.sum()) + 10):
        if ry <= stop or ry == 0.0:
            break
        Mq = np.where(free, product(q), 0.0)
        curvature = float(q @ Mq)
        if curvature <= 1e-3 * EPSILON * float(q @ (size * q)):  # negative, or rounding
            d = d + q
            break
        step = ry / curvature
        d = d + step * q
        r = r - step * Mq
        y = inverse * r
        ry, last = float(r @ y), ry
        q = y + (ry / last) * q
    return Direction(d, float(np.sqrt(max(score @ d, 0.0))), None)
