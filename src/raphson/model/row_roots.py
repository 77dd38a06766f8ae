"""Square roots of each row's information, for matrices in root form."""

from __future__ import annotations

import numpy as np

from raphson.numeric import EPSILON, TINY

NEARLY_NOTHING, HIDING = 1e-8, 1e6
"""Share of the largest root below which a row has next to no information, and how many times as large as that of all
other rows its right-hand side may be."""


def _hides(a: np.ndarray, z: np.ndarray) -> bool:
    """Whether right-hand sides of rows with next to no information hide those of the others.

    With the log link the observed information of a gamma response of 1e-280 times its mean is 1e-280 and its score −1,
    so that z = −1e140: rotated into the others' z, it leaves none of their digits.
    """
    little = a < NEARLY_NOTHING * a.max()
    if not little.any():
        return False
    sizes = np.abs(z)
    return bool(sizes[little].max() > HIDING * sizes[~little].max(initial=TINY))


def row_roots(W: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Per row, a square root of the information and the right-hand side that goes with it.

    Parameters
    ----------
    W : (K, K, m) row information.
    score : (K, m) row scores.

    Returns
    -------
    (roots (K, K, m), z (K, m)) with Σ_r a_r a_rᵀ = W and Σ_r a_r z_r = u for the rows a_r of roots, or None if
    some W is not positive semidefinite or u is outside its range. For K = 1, a = √W and z = u/√W: the working residual.
    """
    if len(W) == 1:
        w = W[0, 0]
        if w.size and w.min() < 0:
            return None
        a, nothing = np.sqrt(w), w == 0
        if score[0][nothing].any():
            return None  # as with Huber's loss: a row without information but with a score has no root form
        z = score[0] / np.where(nothing, 1.0, a)
        if w.size and not nothing.all() and _hides(a, z):
            return None
        return a[None, None], z[None]
    if not np.isfinite(W).all():
        return None  # some row's second derivatives are not finite: LAPACK would fail to find eigenvalues
    # Each predictor is scaled to units of its own, W = D (V Λ Vᵀ) D, so that an information much smaller than another's
    # is not mistaken for rounding. Scaling by powers of two is exact.
    largest = np.abs(np.einsum("kkm->km", W)).max(axis=1, initial=0.0)
    D = np.exp2(np.round(0.5 * np.log2(np.where(largest > 0, largest, 1.0))))
    W, score = W / D[:, None, None] / D[:, None], score / D[:, None]
    values, vectors = np.linalg.eigh(np.moveaxis(W, 2, 0))  # (m, K), (m, K, K)
    largest = np.maximum(values[:, -1:], 0.0)
    if (values < -1e-13 * largest).any():
        return None
    projected = np.einsum("mkr,km->mr", vectors, score)
    # Directions in which both are rounding (classes that are certain together) are dropped: the square root would turn
    # 1e-17 into 3e-9, which can no longer be distinguished from information.
    rounding = (values <= 8.0 * EPSILON * largest) & (
        np.abs(projected) <= 8.0 * EPSILON * np.abs(score.T).max(axis=1)[:, None]
    )
    kept = (values > TINY) & ~rounding
    a = np.where(kept, np.sqrt(np.maximum(values, 0.0)), 0.0)  # (m, r)
    z = np.divide(projected, a, out=np.zeros_like(a), where=kept)
    return np.transpose(vectors * a[:, None, :], (2, 1, 0)) * D[:, None], z.T
