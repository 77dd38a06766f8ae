"""A network as a device evaluates it, by the same compiled derivatives as the host's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from raphson.data.blocks import Block
from raphson.model.device_designs import Rows, fill_of, filled_rows
from raphson.model.network.layers import Network


@dataclass(frozen=True)
class NetworkOnDevice:
    """A network as a device evaluates it.

    Attributes
    ----------
    network : the structure.
    derivatives : its compiled derivatives.
    curved : whether second derivatives are formed as a matrix.
    constants : the state of a :class:`raphson.model.network.predictor.NetworkPredictor`.
    """

    network: Network
    derivatives: Any = field(compare=False)
    curved: bool
    constants: Any = field(compare=False)

    linear: ClassVar[bool] = False

    @property
    def whole(self) -> bool:
        return False

    @property
    def slices(self) -> tuple[tuple[int, int], ...]:
        return ((0, self.network.n_params),) * self.network.n_predictors

    def columns(self, blocks: Sequence[Block], size: int) -> Any:
        return filled_rows([block.designs[0][: block.rows] for block in blocks], size, fill_of(blocks))

    def eta(self, theta: Any, rows: Rows) -> Any:
        return self.derivatives.eta(theta, rows.constants, rows.columns, 0.0)

    def parts(self, theta: Any, rows: Rows) -> Sequence[Any]:
        return list(self.derivatives.jacobian(theta, rows.constants, rows.columns, 0.0))

    def second_order(self, theta: Any, rows: Rows, u: Any) -> Any:
        if not self.curved:
            return None
        return self.derivatives.second_order(theta, rows.constants, rows.columns, u, 0.0)
