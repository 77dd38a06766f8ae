"""A reading of a curve's rows where it is fitted by least squares, straight into the triangle of its Jacobian.

With r = y − f the log-likelihood is −½ Σ w r², its score Jᵀ(w r), and both informations begin with AᵀA of A = √w J, for
which √w r is the right-hand side. A curve has few rows, so that what surrounds the arithmetic takes longer than the
arithmetic: what does not depend on θ is laid out once. Tests hold the sums to those of blocks.
"""
# pyright: strict, reportConstantRedefinition=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from raphson.data.blocks import Block
from raphson.model.few_rows import MOST_COLUMNS, MOST_NUMBERS
from raphson.model.objective import triangularised


class LeastSquaresRows:
    """The rows of a block, laid out for many readings.

    Parameters
    ----------
    block : the rows; those of weight 0 are left out, as they add nothing to any sum.
    """

    def __init__(self, block: Block) -> None:
        self.rows = block.rows
        y, weight = block.y[: block.rows], block.weight[: block.rows]
        self.counts = None if block.unit or weight.min(initial=1.0) > 0 else weight > 0
        """(m,) mask of the rows that are kept; None for all."""
        if self.counts is not None:
            y, weight = y[self.counts], weight[self.counts]
        unit = block.unit or bool((weight == 1.0).all())
        self.y, self.weight = y, None if unit else weight
        self.root = None if unit else np.sqrt(weight)

    @staticmethod
    def of(family: Any, blocks: Sequence[Block]) -> LeastSquaresRows | None:
        """The rows of a normal response that is the curve itself; None where they are not in one block."""
        normal = family.quadratic and family.own_rows is None
        return LeastSquaresRows(blocks[0]) if normal and len(blocks) == 1 else None

    def few(self, n_params: int, light: Callable[[int], bool]) -> bool:
        """Whether a reading takes no longer than what surrounds it, where `light` says of how many rows the curve's own
        evaluation does."""
        few = n_params < MOST_COLUMNS and self.rows * (n_params + 1) <= MOST_NUMBERS
        return few and light(self.rows)

    def read(
        self, eta: np.ndarray, J: np.ndarray, curved: bool
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray | None]:
        """ℓ, its score (p,), the rows' scores (1, m), and, if `curved`, the triangle of [√w J, √w r].

        Outside the domain ℓ is minus infinity, and nothing else is defined.

        Parameters
        ----------
        eta : (m,) the curve.
        J : (m, p) its derivative.
        """
        if self.counts is not None:
            eta, J = eta[self.counts], J[self.counts]
        r = self.y - eta
        u = r if self.weight is None else r * self.weight
        value = -0.5 * float(u.dot(r))
        if not math.isfinite(value):
            nothing = np.zeros(J.shape[1])
            return -math.inf, nothing, np.zeros((1, self.rows)), None
        triangle = None
        if curved:
            A = np.empty((J.shape[1] + 1, len(r)))
            A[:-1], A[-1] = J.T, r
            if self.root is not None:
                A *= self.root
            triangle = triangularised(A.T)
        whole = u
        if self.counts is not None:
            whole = np.zeros(self.rows)
            whole[self.counts] = u
        return value, u.dot(J), whole[None], triangle
