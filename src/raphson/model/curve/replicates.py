"""The likelihood of many replicates of one curve at once: the same x, other weights or other responses.

As :mod:`raphson.model.replicates`, but J depends on θ, and the observed information has a second-order term:

    M = Σ J_iᵀ W_i J_i − Σ u_i ∂²f_i/∂θ²
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.blocks import Block
from raphson.model.curve.nonlinear import NonlinearPredictor
from raphson.model.replicates import ReplicateRows, Replicates

TOGETHER = (8, 64)
"""Numbers of replicates for which the curve is evaluated at once; any other number would compile anew."""


@dataclass(frozen=True)
class CurveReplicates(Replicates):
    """A family and a nonlinear predictor over rows that all replicates share.

    Attributes
    ----------
    predictor : the curve, with exact derivatives.
    blocks : its rows.
    """

    predictor: NonlinearPredictor = None  # type: ignore[assignment]
    blocks: Sequence[Block] = ()

    @property
    def n_rows(self) -> int:
        return sum(block.rows for block in self.blocks)

    @property
    def n_params(self) -> int:  # type: ignore[override]
        return self.predictor.n_params

    @property
    def one_information(self) -> bool:
        return False

    def common(self, *unused: Any, **unused_too: Any) -> None:
        """None: the rows' second-order terms would be too much to keep."""

    def rows(self, theta: np.ndarray, y: np.ndarray, weight: np.ndarray, values: bool = True) -> ReplicateRows:
        """As for linear predictors, with the slope ∂f/∂θ."""
        with np.errstate(all="ignore"):
            table = self._over_blocks(theta, None)
            rows = self.rows_at(np.ascontiguousarray(table[None, :, 0]), y, weight, values)
        slope = np.moveaxis(table[:, 1:], 1, 2)
        return ReplicateRows(rows.value, rows.score, rows.observed, rows.expected, rows.mean, slope, theta)

    def score_of(self, rows: ReplicateRows) -> np.ndarray:
        assert rows.slope is not None
        return np.einsum("rn,rnp->rp", rows.score[:, 0], rows.slope)

    def information_of(self, rows: ReplicateRows, kind: str) -> np.ndarray:
        J, W = rows.slope, rows.observed if kind == "observed" else rows.expected
        assert J is not None and rows.theta is not None
        M = np.swapaxes(J, 1, 2) @ (W[:, 0, 0, :, None] * J)
        return M if kind == "expected" else M + self._over_blocks(rows.theta, rows.score[:, 0])

    def _over_blocks(self, theta: np.ndarray, u: np.ndarray | None) -> np.ndarray:
        """f and, below it, its derivatives, (R, 1 + p, n); with u (R, n) the term −Σ u_i ∂²f_i/∂θ², (R, p, p)."""
        derivatives: Any = self.predictor.derivatives
        size = next((size for size in TOGETHER if len(theta) <= size), TOGETHER[-1])
        found = []
        for start in range(0, len(theta), size):
            some = theta[start : start + size]
            filled = np.concatenate([some, np.repeat(some[:1], size - len(some), axis=0)])
            parts = []
            for block in self.blocks:
                if u is None:
                    part = derivatives.tangents_of_many(filled, block.designs[0])[:, :, : block.rows]
                else:
                    length = len(block.y) if self.predictor.by_row else block.rows
                    own = np.zeros((size, length))
                    own[: len(some), : block.rows] = u[start : start + size, block.start : block.start + block.rows]
                    part = derivatives.second_order_of_many(filled, block.designs[0], own)
                parts.append(part[: len(some)])
            found.append(np.concatenate(parts, axis=2) if u is None else np.sum(parts, axis=0))
        return np.concatenate(found)
