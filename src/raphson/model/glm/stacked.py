"""Groups of rows that are fitted separately, stacked so that NumPy evaluates many of them at once.

Each group has a θ of its own, and its sums are those of :class:`raphson.model.log_likelihood.LogLikelihood` over its
rows. Groups of different sizes are padded with rows of weight 0. Rows are evaluated by hand: by
:attr:`Distribution.host_mean` where the link is canonical, else by :attr:`Distribution.kernel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

STACK_ROWS = 100_000
"""Rows of a stack at most, unless one group has more: 500 groups of 200 rows, so that each step of their solution is
worth NumPy's call. Measured on 5,000 such groups of four columns, processor time of the whole fit on a busy machine:
280 ms in stacks of 8,000 rows, 222 of 16,000, 188 of 32,000, 179 of 50,000, 178 of 100,000 and of 200,000."""

PIECE_ROWS = 8_192
"""Rows of a stack that are evaluated together: of four columns 0.25 MB, which η, the score and the information find in
the cache. Measured as above: 190 ms in pieces of 4,096 rows, 178 of 8,192 and of 16,384, 191 of whole stacks."""

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
    residual : u of each row, unweighted, in pieces (b, m) of some groups each.
    """

    score: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    pearson: np.ndarray | None
    residual: tuple[np.ndarray, ...]

    @staticmethod
    def joined(parts: Sequence[GroupSums]) -> GroupSums:
        """The sums over some groups, followed by those over others."""
        if len(parts) == 1:
            return parts[0]
        same = parts[0].expected is parts[0].observed
        score, observed = (np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "observed"))
        residual = tuple(piece for part in parts for piece in part.residual)
        expected = observed if same else np.concatenate([part.expected for part in parts])
        pearson = [part.pearson for part in parts if part.pearson is not None]
        return GroupSums(score, observed, expected, np.concatenate(pearson) if pearson else None, residual)


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

    def taken(self, which: np.ndarray | slice) -> Stack:
        """Some of the groups, by a mask (B,) or a range."""

        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[which]

        return Stack(self.family, self.X[which], self.y[which], cut(self.weight), cut(self.offset))

    def linearised(self) -> GroupSums:
        """The weighted least squares problems at the family's starting means, whose solutions start the iteration.

        As :meth:`raphson.model.log_likelihood.LogLikelihood.linearised` has it.
        """
        space = self._space
        return GroupSums.joined([piece._linearised(space) for _, piece in self._pieces])

    def _linearised(self, space: np.ndarray) -> GroupSums:
        ends = self._two_values()
        if ends is not None:
            # A start for each of two responses rather than for every row: what is z₀ at y₀ and z₁ at y₁ is linear in y.
            eta = self.family.start_eta(ends, np.ones(2))[0]
            score, observed, _, _ = self._rows(ends, eta)
            working, weights = (self._linear(ends, z) for z in (score + observed * eta, observed))
            return self._sums(working, weights, None, None, space)
        weight = np.broadcast_to(1.0, self.y.shape) if self.weight is None else self.weight
        eta = self.family.start_eta(self.y.ravel(), weight.ravel())[0].reshape(self.y.shape)
        score, _, expected, _ = self._rows(self.y, eta)
        target = eta if self.offset is None else eta - self.offset
        return self._sums(score + expected * target, expected, None, None, space)

    def _two_values(self) -> np.ndarray | None:
        """The two values that all responses have; None where it is not so simple."""
        if self.weight is not None or self.offset is not None or self.family.host_mean is None:
            return None
        ends = np.array([self.y.min(), self.y.max()])
        two = ends[0] < ends[1] and ((self.y == ends[0]) | (self.y == ends[1])).all()
        return ends if two else None

    def _linear(self, ends: np.ndarray, z: np.ndarray) -> np.ndarray:
        """(B, m) z[0] where y is ends[0] and z[1] where it is ends[1], up to rounding: z is of starting values."""
        if abs(z[1] - z[0]) <= 1e-12 * abs(z[0]):
            return np.broadcast_to(z[0], self.y.shape)
        slope = (z[1] - z[0]) / (ends[1] - ends[0])
        return self.y * slope + (z[0] - slope * ends[0])

    def at(self, theta: np.ndarray) -> GroupSums:
        """The sums at Θ (B, p)."""
        space = self._space
        return GroupSums.joined([piece._at(theta[cut], space) for cut, piece in self._pieces])

    @property
    def _space(self) -> np.ndarray:
        """Scratch space for the pieces of a reading, one after another."""
        return np.empty_like(self._pieces[0][1].X)

    def _at(self, theta: np.ndarray, space: np.ndarray) -> GroupSums:
        eta = np.matmul(theta[:, None, :], self.X)[:, 0]
        if self.offset is not None:
            eta += self.offset
        score, observed, expected, square = self._rows(self.y, eta)
        return self._sums(score, observed, None if expected is observed else expected, square, space)

    @cached_property
    def _pieces(self) -> list[tuple[slice, Stack]]:
        """Groups whose rows are evaluated while the cache holds them."""
        B, _, m = self.X.shape
        size = max(1, PIECE_ROWS // m)
        cuts = [slice(start, start + size) for start in range(0, B, size)]
        return [(cut, self.taken(cut)) for cut in cuts]

    def has_certain(self, sums: GroupSums, which: np.ndarray, certain: float) -> np.ndarray:
        """Of some groups, by a mask (B,): whether a row that counts is fitted almost with certainty.

        The log density of a response of 0 or 1 is then about −|u|, and above −`certain`.
        """
        found, start = np.zeros(len(which), dtype=bool), 0
        for piece in sums.residual:
            cut = slice(start, start + len(piece))
            start = cut.stop
            if which[cut].any():
                size = np.abs(piece)
                if self.weight is not None:
                    size[self.weight[cut] <= 0] = np.inf
                found[cut] = size.min(axis=1) < certain
        return found[which]

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
        self,
        score: np.ndarray,
        observed: np.ndarray,
        expected: np.ndarray | None,
        square: np.ndarray | None,
        space: np.ndarray,
    ) -> GroupSums:
        residual = score
        if self.weight is not None:
            # A row that does not count may be infinite: 0 is put in its place, not multiplied.
            counts = self.weight > 0
            score, observed = (np.where(counts, self.weight * one, 0.0) for one in (score, observed))
            expected, square = (
                None if one is None else np.where(counts, self.weight * one, 0.0) for one in (expected, square)
            )
        M = self._information(observed, space)
        return GroupSums(
            np.matmul(self.X, score[:, :, None])[:, :, 0],
            M,
            M if expected is None else self._information(expected, space),
            None if square is None else square.sum(axis=1),
            (residual,),
        )

    def _information(self, W: np.ndarray, space: np.ndarray) -> np.ndarray:
        # Not √W X times itself, which NumPy leaves to syrk: with few columns it takes five times as long as gemm.
        scaled = np.multiply(self.X, W[:, None, :], out=space[: len(self.X)])
        return np.matmul(scaled, np.swapaxes(self.X, 1, 2))
