"""The rows of a family inside of a traced function: what :func:`raphson.model.rows.block_rows` gives outside of one.

They are the same compiled functions, so a family is still defined by its log density alone. What only the host decides,
as it looks at single rows, a traced function just reports: then the host evaluates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from raphson.compat import jnp
from raphson.model.rows import EDGE, BlockRows, shared_step

Array = Any
"""A traced array."""


class FamilyRows(BlockRows):
    """The rows of a family, as traced arrays.

    Parameters
    ----------
    family : with traced parameters.
    eta : (K, size).
    y, weight : (size,).
    """

    __slots__ = ("_family", "eta", "weight", "y")

    def __init__(self, family: Any, eta: Array, y: Array, weight: Array) -> None:
        summary, table = shared_step()(family, y, eta, weight, 0.0)
        self.total, self.highest = summary
        self._table = table
        self._arrange(len(eta), family.canonical)
        self._family, self.eta, self.y, self.weight = family, eta, y, weight
        if family.quadratic:
            self.highest = -jnp.inf * jnp.ones(())

    @property
    def observed(self) -> Array | None:
        """None where it is the expected information."""
        return None if self._family.canonical else super().observed

    @property
    def doubtful(self) -> Array:
        """Whether rows lie at the edge of the domain, where their information is chosen row by row."""
        if self._family.canonical:
            return jnp.zeros((), bool)
        here = jnp.where(self.weight > 0, self.eta[0], jnp.nan)
        reach = EDGE * jnp.maximum(1.0, jnp.nanmax(jnp.abs(here)))
        ends = [end for end in self._family.domain if math.isfinite(end)]
        return jnp.any(jnp.array([jnp.any(jnp.abs(here - end) <= reach) for end in ends], dtype=bool))

    @property
    def pearson(self) -> Array:
        """Σ w (y − μ)²/V(μ); a response that is certain and right adds nothing."""
        mean = self.mean[0]
        residual, variance = self.y - mean, self._family.variance(mean)
        certain = (self.weight <= 0) | ((residual == 0) & (variance == 0))
        return jnp.sum(jnp.where(certain, 0.0, self.weight * residual * residual / jnp.where(certain, 1.0, variance)))


class LikelihoodTable:
    """The rows of a likelihood, as traced arrays."""

    def __init__(self, total: Array, table: Array, n_predictors: int) -> None:
        K, self.total = n_predictors, total
        self.highest, self.doubtful, self.pearson, self.expected = -math.inf, False, 0.0, None
        self.score = table[1 : 1 + K]
        self.observed = table[1 + K :].reshape(K, K, -1) if len(table) > 1 + K else None


@dataclass(frozen=True)
class OfFamily:
    """The traced rows of all families, whose parameters are those of the family."""

    knows_expected = True

    def __call__(self, family: Any, eta: Array, y: Array, weight: Array, extra: Any, curved: bool) -> FamilyRows:
        return FamilyRows(family, eta, y, weight)


@dataclass(frozen=True)
class OfLikelihood:
    """The traced rows of a likelihood; E[W] is computed on the host.

    Attributes
    ----------
    step : (η, weight, row arrays, curved) to Σ w ℓ and a table.
    with_response : whether the row's first element is the response.
    """

    step: Any
    with_response: bool

    knows_expected = False

    def __call__(self, parameters: Any, eta: Array, y: Array, weight: Array, extra: Any, curved: bool) -> Any:
        row = (y, *extra) if self.with_response else tuple(extra)
        total, table = self.step(eta, weight, row, curved)
        return LikelihoodTable(total, table, len(eta))


def traced_family(family: Any) -> tuple[Any, Any] | None:
    """The traced rows of a family and their parameters; None where its rows take NumPy."""
    if family.own_rows is None:
        return OfFamily(), family
    step = family.traced_step
    return None if step is None else (OfLikelihood(step, family.with_response), ())
