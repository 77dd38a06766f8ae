"""A reading of so few rows that what surrounds the arithmetic takes longer than the arithmetic.

With 200 rows and 3 columns the exponentials, products and sums of a reading take some 30 µs in NumPy. Here nothing is
done around them that need not be done at every reading: no block is padded, no shape of a family with one predictor is
given a dimension of length 1, and what does not depend on θ is laid out once. Tests hold the sums to those of blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from raphson.cached import cached_property
from raphson.data.blocks import Block
from raphson.model.families.rows_by_hand import hand_rows, has_hand_rows
from raphson.model.fused import PieceSums, highest, pearson
from raphson.model.rows import CERTAIN_FROM, at_edge

MOST_NUMBERS, MOST_COLUMNS = 4_096, 32
"""Largest number of entries of the design, and of its columns. A reading of so many takes three times as long as what
surrounds it, and BLAS computes products of so few, up to 131,072 multiplications, in the calling thread."""


class FewRows:
    """The rows of a block with one dense design, laid out for many readings.

    Parameters
    ----------
    family : with one predictor and rows by hand.
    block : the rows; those of weight 0 are left out, as they add nothing to any sum.
    dispersed : whether the dispersion is to be estimated.
    """

    def __init__(self, family: Any, block: Block, dispersed: bool) -> None:
        m = block.rows
        X, y, weight = block.designs[0], block.y[:m], block.weight[:m]
        offset = None if block.offset is None else block.offset[0]
        least = 1.0 if block.unit else np.minimum.reduce(weight, initial=1.0)
        self.counts = None if least > 0 else weight > 0
        """(m,) mask of the rows that are kept; None for all."""
        if (counts := self.counts) is not None:
            X, y, weight = X[counts], y[counts], weight[counts]
            offset = None if offset is None else offset[counts]
        self.family, self.dispersed, self.kernel, self.quadratic = family, dispersed, family.kernel, family.quadratic
        self.X, self.columns = X, np.ascontiguousarray(X.T)
        self.y, self.weight, self.offset = y, weight, offset
        self.unit = block.unit or bool(least == 1.0 and np.maximum.reduce(weight, initial=1.0) == 1.0)
        self.bounded = not (math.isinf(family.domain[0]) and math.isinf(family.domain[1]))

    @cached_property
    def products(self) -> np.ndarray | None:
        """(p², m) products of each two columns, for XᵀWX in one product; None where that is not the faster way."""
        p, m = self.columns.shape
        if p * p * m > MOST_NUMBERS:
            return None
        return (self.columns[:, None] * self.columns).reshape(p * p, m)

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle carries: not the products, which are computed again."""
        return {name: value for name, value in vars(self).items() if name != "products"}

    @staticmethod
    def of(family: Any, blocks: Any, dispersed: bool) -> FewRows | None:
        """The rows of a single linear predictor; None where they are not few, or the family has none by hand."""
        if len(blocks) != 1 or family.own_rows is not None or not has_hand_rows(family):
            return None
        (block,) = blocks
        X = block.designs[0]
        few = isinstance(X, np.ndarray) and X.size <= MOST_NUMBERS and 0 < X.shape[1] <= MOST_COLUMNS
        return FewRows(family, block, dispersed) if few else None

    def read(self, theta: np.ndarray, observed: Sequence[bool]) -> PieceSums | None:
        """The sums at θ (p,), as :func:`raphson.model.fused.read`; None where the family leaves the rows to others."""
        eta = self.X.dot(theta)
        if self.offset is not None:
            eta += self.offset
        found = self._rows(eta, observed)
        return None if found is None else self._sums(*found)

    def linearised(self, eta: np.ndarray, project: bool) -> PieceSums | None:
        """The sums of the weighted least squares problem around η (n,): see :meth:`LogLikelihood.linearised`."""
        if self.counts is not None:
            eta = eta[self.counts]
        found = self._rows(eta, (False,))
        if found is None:
            return None
        value, score, (W,), variation = found
        working = W * (eta if self.offset is None else eta - self.offset)
        if not project:
            working += score
        return self._sums(value, working, [W], variation)

    def _sums(self, value: np.ndarray, score: np.ndarray, information: list[np.ndarray], variation: float) -> PieceSums:
        """The sums of what :meth:`_rows` gives, or of other weighted slopes."""
        total = float(self.weight.dot(value))
        if not math.isfinite(total):
            return PieceSums(-math.inf, np.zeros(len(self.columns)), [], 0.0, 0.0)
        certain = -math.inf
        if not self.quadratic and value[value.argmax()] >= CERTAIN_FROM:
            certain = highest(value, self.y, self.weight)
        if self.products is None:
            matrices = [(self.columns * W).dot(self.X) for W in information]
        else:
            p = len(self.columns)
            matrices = [self.products.dot(W).reshape(p, p) for W in information]
        return PieceSums(total, self.columns.dot(score), matrices, variation, certain)

    def _rows(
        self, eta: np.ndarray, observed: Sequence[bool]
    ) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], float] | None:
        """Log densities (m,) of weight 1, weighted slopes and informations, and Σ w (y − μ)²/V where it is needed."""
        if self.kernel is not None:
            m = len(eta)
            work = (np.empty(m), np.empty(m), np.empty(m), np.empty(m), np.empty(m))  # faster than the rows of one
            value, score, expected, curved, square = self.kernel(self.y, eta, work)
            information = [curved if of_response else expected for of_response in observed]
            variation = 0.0
            if self.dispersed:
                known = square is not None
                variation = float(self.weight.dot(square)) if known else pearson(score, expected, self.weight)
        else:
            with np.errstate(all="ignore"):
                found = self._by_hand(eta, observed)
            if found is None:
                return None
            value, score, information, variation = found
        if not self.unit:
            score = score * self.weight
            information = [W * self.weight for W in information]
        return value, score, information, variation

    def _by_hand(
        self, eta: np.ndarray, observed: Sequence[bool]
    ) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], float] | None:
        rows = hand_rows(self.family, self.y, eta[None])
        if rows is None:
            return None
        information: list[np.ndarray] = []
        for of_response in observed:
            if of_response or self.family.canonical:
                W = rows.row(rows.of_observed())
            else:
                W = rows.row(rows.of_expected())
                if self.bounded and (places := at_edge(self.family, self.y, eta)).size:
                    W = W.copy()
                    W[places] = rows.row(rows.of_observed())[places]
            information.append(W)
        variation = 0.0
        if self.dispersed:
            mean = rows.row(rows.of_mean())
            variation = pearson(self.y - mean, self.family.variance(mean), self.weight)
        return rows.value, rows.row(rows.first), information, variation
