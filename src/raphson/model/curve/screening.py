"""The sums of squares of one curve at thousands of points, with conditionally linear parameters solved for."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.linalg import ALIASED
from raphson.model.curve.nonlinear import FEW, MANY, NonlinearPredictor

ROWS = (64, 256, 512)
"""Numbers of rows that a screening reads, each compiled once; larger data are sampled. A sum of 512 squared normal
residuals has a relative standard deviation of √(2/512) = 6%."""

LOOKS = 12
"""Most rounds in which the best points are checked for rounding. Twelve of 64 points check half of the 1,536 points
that a search draws first."""

ROUGH = 1e-4
"""Ratio of rounding errors to residuals, both as lengths, from which on a sum of squares is meaningless: since |‖r +
e‖² − ‖r‖²| ≤ 2 ‖r‖‖e‖ + ‖e‖², it is then wrong in the fourth digit."""

UNAVOIDABLE = 1e-12
"""Ratio of rounding errors to responses that is always accepted: some 5,000 roundings of a response."""


class Screen:
    """Evaluates the sums of squares of a curve at many points.

    Parameters
    ----------
    predictor : the curve.
    x, y, weight : its data; weight (n,).
    linear : (p,) mask of the parameters that f is jointly linear in, which are solved for.
    scattered : whether large data are sampled at random; equally spaced rows would hide frequencies.
    """

    def __init__(
        self,
        predictor: NonlinearPredictor,
        x: Any,
        y: np.ndarray,
        weight: np.ndarray,
        linear: np.ndarray,
        scattered: bool = False,
    ) -> None:
        self.derivatives, self.linear = predictor.derivatives, np.flatnonzero(linear)
        if predictor.by_row:
            rows = np.flatnonzero(weight > 0)
            if len(rows) > ROWS[-1] and scattered:
                rows = np.sort(np.random.default_rng(0).choice(rows, ROWS[-1], replace=False))
            elif len(rows) > ROWS[-1]:
                rows = rows[np.linspace(0, len(rows) - 1, ROWS[-1]).astype(int)]
            size = next(rows_of for rows_of in ROWS if len(rows) <= rows_of)
            self.x: Any = np.ascontiguousarray(x[np.append(rows, np.repeat(rows[:1], size - len(rows)))].T)
            y, weight = y[rows], weight[rows]
        else:
            self.x = x
        self.y, self.root = y, np.sqrt(weight)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Residual sums of squares (m,) at points (m, p); infinite where the curve is not finite or mostly rounding."""
        with np.errstate(all="ignore"):
            parts = [self._some(points[i : i + MANY]) for i in range(0, len(points), MANY)]
            value, beta, size = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
            whole = points.copy()
            whole[:, self.linear] = beta
            looked = np.zeros(len(points), dtype=bool)
            for _ in range(LOOKS):
                best = np.argsort(value, kind="stable")[:FEW]
                best = best[np.isfinite(value[best]) & ~looked[best]]
                if not len(best):
                    break
                looked[best] = True
                value[best[~self.reliable(whole[best], size[best])]] = np.inf
        return value

    def solved(self, points: np.ndarray) -> np.ndarray:
        """The points (m, p) with their linear parameters solved for, from 0 so that small ones keep their digits."""
        out = points.copy()
        with np.errstate(all="ignore"):
            for i in range(0, len(points), MANY):
                out[i : i + MANY, self.linear] = self._some(points[i : i + MANY])[1]
        return out

    def reliable(self, points: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Whether rounding at points (m, p) is small relative to residuals of lengths `size` (m,).

        Where the data lie on the curve itself, it suffices that rounding is as small as it can be relative to the
        responses.
        """
        off = self.root * self.derivatives.rounding(points, self.x)[:, : len(self.y)]
        level = np.maximum(ROUGH * size, UNAVOIDABLE * float(np.linalg.norm(self.root * self.y)))
        return np.sqrt(np.einsum("mi,mi->m", off, off)) <= level

    def _some(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The criterion (m,), the linear parameters solved for (m, q), and the residuals' length (m,)."""
        good, r, A, length = self._parts(points)
        out, beta = np.full(len(points), np.inf), np.zeros((len(points), A.shape[2]))
        if good.any():
            Q, R = np.linalg.qr(A)
            part = np.einsum("mij,mi->mj", Q, r)
            rest = r - np.einsum("mij,mj->mi", Q, part)
            out[good] = np.einsum("mi,mi->m", rest, rest)
            beta[good] = _solved(R, part) / length
        return out, beta, np.sqrt(out)

    def _parts(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The parts of f = f₀ + Φβ at points (m, p), where f₀ is the value at β = 0 and Φ_j what β_j = 1 adds.

        Returns the mask of the points at which everything is finite and, at these, the residuals √w (y − f₀) (k, n),
        the columns √w Φ scaled to length 1 (k, n, q), and their lengths (k, q).
        """
        points = points.copy()
        points[:, self.linear] = 0.0
        base = self._curves(points)
        r = self._rooted(self.y, base)
        good = np.asarray(np.isfinite(r).all(axis=1))
        if not len(self.linear):
            return good, _those(r, good), np.empty((int(good.sum()), len(self.y), 0)), np.empty((int(good.sum()), 0))
        columns = []
        for j in self.linear:
            points[:, j] = 1.0
            columns.append(self._rooted(self._curves(points), base))
            points[:, j] = 0.0
        A = columns[0][..., None] if len(columns) == 1 else np.stack(columns, axis=-1)
        length = np.sqrt(np.einsum("mij,mij->mj", A, A))
        good &= np.isfinite(length).all(axis=1)
        scale = _those(np.where(length > 0, length, 1.0), good)
        A = _those(A, good)
        A /= scale[:, None]
        return good, _those(r, good), A, scale

    def _rooted(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """√w (one − other), (m, n)."""
        out = one - other
        out *= self.root
        return out

    def _curves(self, points: np.ndarray) -> np.ndarray:
        return self.derivatives.many(points, self.x)[:, : len(self.y)]


def _those(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """The values at good points; all of them, if they are, without a copy."""
    return values if good.all() else values[good]


def _solved(R: np.ndarray, right: np.ndarray) -> np.ndarray:
    """R⁻¹ right (m, q) for triangles (m, q, q), with 0 for parameters that a pivot of 0 leaves undetermined."""
    beta = np.zeros_like(right)
    for j in reversed(range(right.shape[1])):
        pivot = R[:, j, j]
        left = right[:, j] - np.einsum("mk,mk->m", R[:, j, j + 1 :], beta[:, j + 1 :])
        beta[:, j] = np.where(np.abs(pivot) > ALIASED, left / np.where(pivot == 0, 1.0, pivot), 0.0)
    return beta
