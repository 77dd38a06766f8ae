"""Groups of rows that are fitted separately, stacked so that NumPy evaluates many of them at once.

Each group has a θ of its own, and its sums are those of :class:`raphson.model.log_likelihood.LogLikelihood` over its
rows. Groups of different sizes are padded with rows of weight 0. Rows are evaluated by hand: by
:attr:`Distribution.host_mean` where the link is canonical, else by :attr:`Distribution.kernel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

STACK_ROWS = 50_000
"""Rows of a stack at most, unless one group has more: 250 groups of 200 rows. A step of NumPy then costs more than its
call, and four columns (1.6 MB) still lie in a second-level cache. Measured on 5,000 such groups, processor time of the
iteration: 176 ms in stacks of 8,000 rows, 132 of 16,000, 112 of 32,000, 103 of 64,000."""

PIECE_ROWS = 4_096
"""Rows whose scaled design is made at a time: of four columns 128 kB, which is multiplied while it is in the cache."""

MOST_PADDING = 1.25
"""Rows of the largest group of a stack, relative to the smallest: at most a fifth of a stack is padding."""


@dataclass(frozen=True)
class GroupSums:
    """Sums over the rows of B groups.

    Attributes
    ----------
    score : (B, p).
    observed, expected : (B, p, p); one array where they are the same.
    pearson : (B,) Σ w (y − μ)²/V(μ); None where the dispersion is known.
    residual : (B, m) u of each row, unweighted.
    """

    score: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    pearson: np.ndarray | None
    residual: np.ndarray


@dataclass(frozen=True)
class Stack:
    """B groups of m rows, of one linear predictor.

    Attributes
    ----------
    family : with a host_mean or a kernel.
    X : (B, p, m), so that NumPy scales and multiplies along the rows.
    y : (B, m).
    weight : (B, m), trials included and 0 in the padding; None if all are 1.
    offset : (B, m) or None.
    """

    family: Any
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    offset: np.ndarray | None

    def taken(self, which: np.ndarray) -> Stack:
        """Some of the groups, by a mask (B,)."""

        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[which]

        return Stack(self.family, self.X[which], self.y[which], cut(self.weight), cut(self.offset))

    def linearised(self) -> GroupSums:
        """The weighted least squares problems at the family's starting means, whose solutions start the iteration.

        As :meth:`raphson.model.log_likelihood.LogLikelihood.linearised` has it.
        """
        two = self._two_values()
        if two is not None:  # a start for each of two responses, rather than for every row
            y, higher = two
            eta = self.family.start_eta(y, np.ones(2))[0]
            score, observed, _, _ = self._rows(y, eta)
            score = np.where(higher, *(score + observed * eta)[::-1])
            return self._sums(score, np.where(higher, *observed[::-1]), None, None)
        weight = np.broadcast_to(1.0, self.y.shape) if self.weight is None else self.weight
        eta = self.family.start_eta(self.y.ravel(), weight.ravel())[0].reshape(self.y.shape)
        score, _, expected, _ = self._rows(self.y, eta)
        target = eta if self.offset is None else eta - self.offset
        return self._sums(score + expected * target, expected, None, None)

    def _two_values(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The two values that all responses have, and a mask (B, m) of the higher; None where it is not so simple."""
        if self.weight is not None or self.offset is not None or self.family.host_mean is None:
            return None
        ends = np.array([self.y.min(), self.y.max()])
        higher = self.y == ends[1]
        return (ends, higher) if (higher | (self.y == ends[0])).all() else None

    def at(self, theta: np.ndarray) -> GroupSums:
        """The sums at Θ (B, p)."""
        eta = np.matmul(theta[:, None, :], self.X)[:, 0]
        if self.offset is not None:
            eta += self.offset
        score, observed, expected, square = self._rows(self.y, eta)
        return self._sums(score, observed, None if expected is observed else expected, square)

    def has_certain(self, sums: GroupSums, which: np.ndarray, certain: float) -> np.ndarray:
        """Of some groups, by a mask (B,): whether a row that counts is fitted almost with certainty.

        The log density of a response of 0 or 1 is then about −|u|, and above −`certain`.
        """
        size = np.abs(sums.residual[which])
        if self.weight is not None:
            size[self.weight[which] <= 0] = np.inf
        return size.min(axis=1) < certain

    def _rows(self, y: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """u, its observed and expected information and (y − μ)²/V(μ) of rows, unweighted."""
        if self.family.host_mean is not None:
            mean = self.family.host_mean(eta)
            score = y - mean
            information = self.family.variance(mean)
            return score, information, information, None if self.family.dispersion_fixed else score**2 / information
        found = self.family.kernel(y.ravel(), eta.ravel(), np.empty((5, eta.size)))
        score, expected, observed, square = (np.reshape(one, eta.shape) for one in found[1:])
        return score, observed, expected, square

    def _sums(
        self, score: np.ndarray, observed: np.ndarray, expected: np.ndarray | None, square: np.ndarray | None
    ) -> GroupSums:
        residual = score
        if self.weight is not None:
            # A row that does not count may be infinite: 0 is put in its place, not multiplied.
            counts = self.weight > 0
            score, observed = (np.where(counts, self.weight * one, 0.0) for one in (score, observed))
            expected, square = (
                None if one is None else np.where(counts, self.weight * one, 0.0) for one in (expected, square)
            )
        M = self._information(observed)
        return GroupSums(
            np.matmul(self.X, score[:, :, None])[:, :, 0],
            M,
            M if expected is None else self._information(expected),
            None if square is None else square.sum(axis=1),
            residual,
        )

    def _information(self, W: np.ndarray) -> np.ndarray:
        B, p, m = self.X.shape
        M, size = np.empty((B, p, p)), max(1, PIECE_ROWS // m)
        scaled = np.empty((min(size, B), p, m))
        for start in range(0, B, size):
            X = self.X[start : start + size]
            A = np.multiply(X, W[start : start + size, None, :], out=scaled[: len(X)])
            # Not √W X times itself, which NumPy leaves to syrk: with few columns it takes five times as long as gemm.
            np.matmul(A, np.swapaxes(X, 1, 2), out=M[start : start + size])
        return M
