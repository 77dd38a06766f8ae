"""Steps by an observed information that need not be positive definite, where ℓ is convex or flat in some direction.

Let G be a positive definite metric: the expected information or the outer product of the scores. M has eigenvalues λ_k
and eigenvectors v_k in this metric, M v_k = λ_k G v_k with v_kᵀG v_k = 1. The step

    d = Σ_k v_k (v_kᵀ∇ℓ)/|λ_k|

is Newton's if all λ_k > 0. Otherwise ℓ still rises along it, as ∇ℓᵀd is a sum of squares, and it leads away from a
saddle (Gill, Murray and Wright 1981, Practical Optimization, section 4.4.2.1). As G changes with the units of the
parameters, the step does not depend on them.
"""

# pyright: strict, reportConstantRedefinition=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from math import sqrt

import numpy as np

from raphson.newton.solve import Direction

LEAST = 1e-3
"""Smallest |λ_k|; smaller ones are replaced by it, to bound their part of the step. From 1e-6 to 0.01 a skew normal
density and a mixture of two normal ones end at the same ℓ to 14 digits."""

RIDGE = 1e-10
"""Added to the diagonal of the scaled metric, which may be singular as well: far above its rounding and far below
LEAST. From 1e-14 to 1e-8 nothing changes for the same densities."""


def eigenpairs(M: np.ndarray, metric: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Eigenvalues (r,) of M in a metric, in ascending order, and the eigenvectors as columns (p, r).

    Eigenvectors have length 1 in the metric, and 0 for parameters that do not move. None if a matrix is not finite.

    Parameters
    ----------
    M, metric : (p, p), symmetric; the metric positive semidefinite.
    free : (p,) mask of the parameters that move.

    Examples
    --------
    >>> values, vectors = eigenpairs(np.diag([-8.0, 1.0]), np.diag([4.0, 1.0]), np.array([True, True]))
    >>> values.round(6).tolist(), abs(vectors).round(6).tolist()
    ([-2.0, 1.0], [[0.5, 0.0], [0.0, 1.0]])
    """
    from scipy.linalg import eigh

    inner = np.ix_(free, free)
    M, G = M[inner], metric[inner]
    if not len(M) or not (np.isfinite(M).all() and np.isfinite(G).all()):
        return None
    # A parameter that no row's score depends on is scaled by M, or not at all.
    size = np.where(G.diagonal() > 0, G.diagonal(), np.abs(M.diagonal()))
    scale = np.sqrt(np.where(size > 0, size, 1.0))
    G = G / scale / scale[:, None]
    G = 0.5 * (G + G.T)
    # Rounding may make the metric of nearly dependent columns indefinite: lift its eigenvalues above 0.
    lift = max(RIDGE, 2.0 * max(0.0, -float(np.linalg.eigvalsh(G)[0])))
    try:
        values, V = eigh(M / scale / scale[:, None], G + lift * np.eye(len(G)))
    except np.linalg.LinAlgError:
        return None
    vectors = np.zeros((len(free), len(values)))
    vectors[free] = V / scale[:, None]
    return values, vectors


def uphill(M: np.ndarray, metric: np.ndarray, score: np.ndarray, free: np.ndarray) -> Direction | None:
    """The step defined above; None if it is not finite or ℓ does not rise along it.

    Examples
    --------
    >>> uphill(np.diag([-1.0, 1.0]), np.eye(2), np.array([1.0, 1.0]), np.array([True, True])).step.round(6).tolist()
    [1.0, 1.0]
    """
    found = eigenpairs(M, metric, free)
    if found is None:
        return None
    values, vectors = found
    along = vectors.T @ score
    step = vectors @ (along / np.maximum(np.abs(values), LEAST))
    rise = float(score @ step)
    if not (np.isfinite(step).all() and np.isfinite(rise) and rise >= 0):
        return None
    return Direction(step, sqrt(rise), None)
