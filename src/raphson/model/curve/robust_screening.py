"""The fit of one curve at thousands of points, by a criterion that is robust to outliers.

The residuals are taken as Cauchy distributed, with a scale of their own at each point: the criterion

    min over β, s of  Σ log(1 + r_i²/s²) + n log s,   r = √w (y − f₀ − Φβ)

needs no given scale, uses every row, and works as long as fewer than half of the rows are outliers (Lange, Little and
Taylor 1989, J. Amer. Statist. Assoc. 84, 881, for t with one degree of freedom; their algorithm alternates the weights
2/(1 + r²/s²) with weighted least squares). For s the median of |r| is used, which is the scale of a Cauchy
distribution: a few rounds find it, where their own step for s takes dozens.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.linalg import SINGULAR
from raphson.model.curve.nonlinear import MANY
from raphson.model.curve.screening import Screen
from raphson.numeric import TINY

ROUNDS = 6
"""Number of rounds in which weights and conditionally linear parameters are computed in turn. With 2 to 12 a decay with
an outlier in every fifth row is found alike."""

SUBSETS = 32
"""Number of fits to a few rows that give starting values for the linear parameters of a chosen point. Where 30% of the
rows are outliers, a third of the subsets of three rows has none: that all 32 have one has probability 1e-6."""

SMALLEST = 1e-8
"""Scale of the residuals, relative to that of the responses, below which a curve counts as passing through most rows.
About √ε: half of the digits of the responses."""


class RobustScreen(Screen):
    """As :class:`Screen`, with Cauchy's criterion in place of the sum of squares.

    Parameters
    ----------
    seed : of the draws of rows from which linear parameters start.
    others : as for :class:`Screen`.
    """

    def __init__(self, *others: Any, seed: Any) -> None:
        super().__init__(*others)
        self.random = np.random.default_rng(seed)
        self._smallest = SMALLEST * float(np.sqrt(np.mean((self.root * self.y) ** 2))) + TINY

    def _some(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        good, r, A, length = self._parts(points)
        out, beta, size = (
            np.full(len(points), np.inf),
            np.zeros((len(points), A.shape[2])),
            np.full(len(points), np.inf),
        )
        if good.any():
            begun = self._begun(r, A, np.arange(len(r)) % 2 == 1)
            out[good], scaled, scale = self._alternated(r, A, begun)
            beta[good], size[good] = scaled / length, scale * np.sqrt((self.root > 0).sum())
        return out, beta, size

    def solved(self, points: np.ndarray) -> np.ndarray:
        """The points (m, p) with their linear parameters at the best values reached from many draws of a few rows."""
        if not len(self.linear) or not len(points):
            return points
        out = points.copy()
        with np.errstate(all="ignore"):
            for i in range(0, len(points), MANY // SUBSETS):
                some = points[i : i + MANY // SUBSETS]
                good, r, A, length = self._parts(some)
                few = np.repeat(np.arange(len(r)), SUBSETS)
                drawn = np.arange(len(few)) % SUBSETS > 0
                value, beta, _ = self._alternated(r[few], A[few], self._begun(r[few], A[few], drawn))
                best = np.argmin(value.reshape(len(r), SUBSETS), axis=1) + SUBSETS * np.arange(len(r))
                out[i + np.flatnonzero(good)[:, None], self.linear] = beta[best] / length
        return out

    def _begun(self, r: np.ndarray, A: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Initial weights (m, n): all rows or, where `drawn`, one row more than there are parameters."""
        weight = np.broadcast_to(self.root > 0, r.shape).astype(float)
        q = A.shape[2]
        if not q or not drawn.any():
            return weight
        order = self.random.random((int(drawn.sum()), r.shape[1]))
        order[:, self.root == 0] = np.inf
        rank = np.sort(order, axis=1)[:, min(q, r.shape[1] - 1)]
        weight[drawn] = order <= rank[:, None]
        return weight

    def _alternated(
        self, r: np.ndarray, A: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The criterion (m,), β (m, q) and s (m,), after some rounds of Lange, Little and Taylor's algorithm."""
        used = self.root > 0
        counted = slice(None) if used.all() else used
        beta, left = np.zeros((len(r), A.shape[2])), r
        size = np.ones(len(r))
        for _ in range(ROUNDS):
            if A.shape[2]:
                # Columns have length 1; the addition to the diagonal keeps systems with too few rows solvable.
                B = (A * weight[..., None]).transpose(0, 2, 1)
                beta = np.linalg.solve(B @ A + SINGULAR * np.eye(A.shape[2]), B @ r[..., None])[..., 0]
                left = r - (A @ beta[..., None])[..., 0]
            size = np.maximum(np.median(np.abs(left[:, counted]), axis=1, overwrite_input=True), self._smallest)
            square = left**2
            square /= size[:, None] ** 2
            weight = 2.0 / (1.0 + square) * used
        value = np.sum(np.log1p(square[:, counted]), axis=1) + used.sum() * np.log(size)
        return np.where(np.isfinite(value), value, np.inf), beta, size
