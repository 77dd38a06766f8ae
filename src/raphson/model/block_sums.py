"""What the rows of blocks add up to, and the information as a sum that is not formed."""
# pyright: strict

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raphson.execute import Executor, sum_blocks
from raphson.model.objective import Gram, Root
from raphson.model.predictor import Jacobian


@dataclass(frozen=True)
class BlockInformation:
    """One block's share of M, unassembled.

    Attributes
    ----------
    jacobian : J of the block's rows.
    W : (K, K, rows) row information.
    u : (K, rows) row scores of the second-order term; None where M is without B.
    """

    jacobian: Jacobian
    W: np.ndarray
    u: np.ndarray | None

    def product(self, v: np.ndarray) -> np.ndarray:
        """This share of M times v (p,)."""
        out = self.jacobian.information_product(self.W, v)
        second = None if self.u is None else self.jacobian.second_order_product(self.u, v)
        return out if second is None else out + second

    def diagonal(self) -> np.ndarray:
        """Diagonal of Σ JᵀWJ, (p,)."""
        return self.jacobian.information_diagonal(self.W)


@dataclass(frozen=True)
class BlockOperator:
    """M as a sum over blocks, each of which multiplies a vector with its share.

    Attributes
    ----------
    parts : of the blocks.
    penalty : P (p, p) or None.
    executor : where sums over blocks run.
    """

    parts: Sequence[BlockInformation]
    penalty: np.ndarray | None
    executor: Executor

    def product(self, v: np.ndarray) -> np.ndarray:
        """M v, with one pass over the blocks and no p × p matrix."""
        product = sum_blocks(self.executor, lambda part: part.product(v), self.parts)
        return product if self.penalty is None else product + self.penalty @ v

    def diagonal(self) -> np.ndarray:
        """Diagonal of Σ JᵀWJ + P."""
        diagonal = sum_blocks(self.executor, lambda part: part.diagonal(), self.parts)
        return diagonal if self.penalty is None else diagonal + np.diag(self.penalty)


@dataclass
class Sums:
    """Sums over blocks."""

    value: float
    score: np.ndarray
    pearson: float
    highest: float
    information: dict[str, Gram | Root]
    operators: list[BlockInformation] = field(default_factory=list[BlockInformation])

    def __add__(self, other: Sums) -> Sums:
        information: dict[str, Any] = {}
        # Blocks with rows outside the domain have no information, and so the sum has none.
        for kind, mine in self.information.items() if other.information else ():
            yours = other.information[kind]
            if isinstance(mine, Root) and isinstance(yours, Root):
                information[kind] = mine + yours
            else:
                information[kind] = Gram(mine.matrix + yours.matrix)
        return Sums(
            self.value + other.value,
            self.score + other.score,
            self.pearson + other.pearson,
            max(self.highest, other.highest),
            information,
            self.operators + other.operators,
        )
