"""Linear predictors for first-order methods: traced, and scaled so that every column and every η has size 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.compat import jnp


@dataclass(frozen=True)
class LinearRows:
    """η_k = s_k Σ_j (x_j/r_j) t_kj: the coefficient is θ_kj = s_k t_kj/r_j.

    r_j is the root mean square of a column and s_k the scale of η_k. The scaling is undone exactly and does not change
    the maximum. For sgd it acts like a diagonal M: steps do not depend on the units of a column.

    Attributes
    ----------
    design : which design matrix each predictor uses.
    """

    design: tuple[int, ...]

    def eta(
        self, params: Any, state: Any, rows: tuple[Any, ...], training: bool = False, key: Any = None
    ) -> tuple[Any, Any]:
        """η (K, m) of the rows, and the state unchanged."""
        out = [rows[d] @ params[k]["coefficients"] for k, d in enumerate(self.design)]
        return state["spread"][:, None] * jnp.stack(out), state

    def pack(self, params: Any, sizes: list[np.ndarray], spread: np.ndarray) -> np.ndarray:
        """θ (p,) of t; `sizes` holds r of each design's columns."""
        parts = [
            spread[k] * np.asarray(params[k]["coefficients"], dtype=float) / sizes[d] for k, d in enumerate(self.design)
        ]
        return np.concatenate(parts)

    def unpack(self, theta: np.ndarray, sizes: list[np.ndarray], spread: np.ndarray) -> list[dict[str, np.ndarray]]:
        """t of θ."""
        params, at = [], 0
        for k, d in enumerate(self.design):
            width = len(sizes[d])
            params.append({"coefficients": theta[at : at + width] * sizes[d] / spread[k]})
            at += width
        return params
