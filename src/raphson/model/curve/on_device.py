"""A curve as a device evaluates it, by the same compiled code as the host's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from raphson.data.blocks import Block
from raphson.model.device_designs import Rows, fill_of, filled_rows


@dataclass(frozen=True)
class CurveOnDevice:
    """A curve as a device evaluates it.

    Attributes
    ----------
    code : its compiled pieces, which a traced function calls.
    numbers : the constants that they take besides x; None for none.
    n_params, by_row : as of a :class:`NonlinearPredictor`.
    """

    code: Any
    numbers: tuple[float, ...] | None = field(compare=False)
    n_params: int
    by_row: bool

    linear: ClassVar[bool] = False

    @property
    def slices(self) -> tuple[tuple[int, int], ...]:
        return ((0, self.n_params),)

    @property
    def whole(self) -> bool:
        return not self.by_row

    @property
    def constants(self) -> Any:
        return None if self.numbers is None else np.array(self.numbers)

    def columns(self, blocks: Sequence[Block], size: int) -> Any:
        if not self.by_row:
            return blocks[0].designs[0]  # all rows of a function that takes them whole are one block
        rows = [block.designs[0][:, : block.rows].T for block in blocks]
        return np.ascontiguousarray(filled_rows(rows, size, fill_of(blocks)).T)

    def eta(self, theta: Any, rows: Rows) -> Any:
        return self.code.value(theta, self._given(rows), 0.0)[None]

    def parts(self, theta: Any, rows: Rows) -> Sequence[Any]:
        return [self.code.tangents_either_way(theta, self._given(rows), 0.0)[1:].T]

    def second_order(self, theta: Any, rows: Rows, u: Any) -> Any:
        return self.code.second_order(theta, self._given(rows), u[0], 0.0)

    def _given(self, rows: Rows) -> Any:
        return rows.columns if rows.constants is None else tuple(rows)
