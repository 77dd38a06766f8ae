"""The sums of squares of one curve at thousands of points, its conditionally linear parameters at their best."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.model.nonlinear import MANY, NonlinearPredictor

ROWS = (64, 256, 512)
"""Numbers of rows that a screening reads, by which it is compiled; of more rows it takes some, spread evenly."""


class Screen:
    """A curve beside its data.

    Parameters
    ----------
    predictor : the curve.
    x, y, weight : its data; weight (n,).
    linear : (p,) mask of the parameters that f is linear in together, which are solved for.
    """

    def __init__(
        self, predictor: NonlinearPredictor, x: Any, y: np.ndarray, weight: np.ndarray, linear: np.ndarray
    ) -> None:
        self.derivatives, self.linear = predictor.derivatives, np.flatnonzero(linear)
        if predictor.by_row:
            rows = np.flatnonzero(weight > 0)
            if len(rows) > ROWS[-1]:
                rows = rows[np.linspace(0, len(rows) - 1, ROWS[-1]).astype(int)]
            size = next(rows_of for rows_of in ROWS if len(rows) <= rows_of)
            self.x: Any = np.ascontiguousarray(x[np.append(rows, np.repeat(rows[:1], size - len(rows)))].T)
            y, weight = y[rows], weight[rows]
        else:
            self.x = x
        self.y, self.root = y, np.sqrt(weight)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Residual sums of squares (m,) at points (m, p); not finite where the curve is not."""
        with np.errstate(all="ignore"):
            parts = [self._some(points[i : i + MANY]) for i in range(0, len(points), MANY)]
        return np.concatenate(parts)

    def _some(self, points: np.ndarray) -> np.ndarray:
        good, r, A, _ = self._parts(points)
        out = np.full(len(points), np.inf)
        if good.any():
            Q = np.linalg.qr(A)[0]
            rest = r - np.einsum("mij,mj->mi", Q, np.einsum("mij,mi->mj", Q, r))
            out[good] = np.einsum("mi,mi->m", rest, rest)
        return out

    def _parts(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What the curve is made of at points (m, p): f = f₀ + Φβ, with f₀ its value at β = 0.

        Φ_j is what β_j = 1 adds to it. Gives the mask of the points at which all of it is finite and, at these, the
        residuals √w (y − f₀) (k, n), the columns √w Φ scaled to length 1 (k, n, q), and their lengths (k, q).
        """
        points = points.copy()
        points[:, self.linear] = 0.0
        base = self._curves(points)
        r = self.root * (self.y - base)
        good: np.ndarray = np.isfinite(r).all(axis=1)
        if not len(self.linear):
            return good, r[good], np.empty((*r[good].shape, 0)), np.empty((int(good.sum()), 0))
        columns = []
        for j in self.linear:
            points[:, j] = 1.0
            columns.append(self.root * (self._curves(points) - base))
            points[:, j] = 0.0
        A = np.stack(columns, axis=-1)
        length = np.sqrt(np.einsum("mij,mij->mj", A, A))
        good = good & np.isfinite(length).all(axis=1)
        scale = np.where(length > 0, length, 1.0)[good]
        return good, r[good], A[good] / scale[:, None], scale

    def _curves(self, points: np.ndarray) -> np.ndarray:
        return self.derivatives.many(points, self.x)[:, : len(self.y)]
