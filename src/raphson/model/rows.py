"""The step of every model from a block's η to its rows' log densities, scores and information.

It reads η and y, never X. The ready families have their rows in NumPy (:mod:`raphson.model.families.rows_by_hand`). One
compiled function serves all others: JAX compiles it once for each family structure and number of rows. A family's
parameters (θ, the power) are arguments of the compiled code, so that a new value compiles nothing.
"""

from __future__ import annotations

import math
from functools import cache, cached_property
from typing import Any

import numpy as np

from raphson.compat import jnp
from raphson.compiled import compiled
from raphson.data.blocks import Block, make_blocks
from raphson.model.families.links_by_hand import BY_HAND
from raphson.model.families.rows_by_hand import HandRows, hand_rows, has_hand_rows
from raphson.numeric import anchor, x64

FEW_ROWS = 256
"""Up to this many rows a pass in pieces has nothing to gain: the design is in the cache anyway."""


EDGE = 1e-9
"""Share of the predictors' size within which a row lies at the edge of the domain."""


class BlockRows:
    """What the compiled step returns of one block, as NumPy arrays over its real rows.

    The compiled code returns two arrays only, since each costs microseconds to hand over; the rest are views.

    Parameters
    ----------
    summary : [Σ w_i log f(y_i | η_i), the largest log f(y_i | η_i) of a row that counts and
        whose response is 0 or 1].
    table : (R, size) the row quantities, stacked.
    n_predictors, rows : K and the number of real rows.
    canonical : whether observed and expected information are the same, and stored once.
    """

    __slots__ = ("_C", "_K", "_after", "_table", "highest", "total")

    def __init__(self, summary: Any, table: Any, n_predictors: int, rows: int, canonical: bool) -> None:
        self.total, self.highest = np.asarray(summary).tolist()
        self._table = np.asarray(table)[:, :rows]
        self._arrange(n_predictors, canonical)

    def _arrange(self, K: int, canonical: bool) -> None:
        self._K = K
        self._after = 1 + K + K * K * (1 if canonical else 2)
        """Where the matrices end and the means begin."""
        self._C = (len(self._table) - self._after) // (1 + K)

    @property
    def value(self) -> np.ndarray:
        """(m,) log f(y_i | η_i) at unit dispersion, up to terms without η; unweighted."""
        return self._table[0]

    @property
    def score(self) -> np.ndarray:
        """(K, m) w_i u_i, zero where w_i = 0."""
        return self._table[1 : 1 + self._K]

    @property
    def observed(self) -> np.ndarray:
        """(K, K, m) w_i W_i, zero where w_i = 0."""
        return self._part(1 + self._K, self._K, self._K)

    @property
    def expected(self) -> np.ndarray:
        """(K, K, m) w_i E[W_i], zero where w_i = 0."""
        return self._part(self._after - self._K**2, self._K, self._K)

    @property
    def mean(self) -> np.ndarray:
        """(C, m) means."""
        return self._table[self._after : self._after + self._C]

    @property
    def slope(self) -> np.ndarray:
        """(C, K, m) their derivatives with respect to η."""
        return self._part(self._after + self._C, self._C, self._K)

    def use_observed_at_edge(self, places: np.ndarray) -> None:
        """Replace the expected information of rows at the edge of the domain, which is infinite, by the observed one.

        These rows stay at the edge, so that their information does not matter; but infinity would swamp all others.
        """
        table, K = np.array(self._table), self._K
        table[self._after - K * K, places] = table[1 + K, places]
        self._table = table

    def _part(self, start: int, a: int, b: int) -> np.ndarray:
        return self._table[start : start + a * b].reshape(a, b, -1)


class WeightedRows:
    """Rows in NumPy with the names of :class:`BlockRows`; what is not asked for is not computed.

    Parameters
    ----------
    family : Family
    block : Block
    eta : (K, rows) without padding.
    rows : at unit weight.
    """

    def __init__(self, family: Any, block: Block, eta: np.ndarray, rows: HandRows) -> None:
        self._family, self._block, self._eta, self._rows = family, block, eta, rows
        self._weight = block.weight[: block.rows]
        self._ignored = None if self._weight.min(initial=1.0) > 0 else np.flatnonzero(~(self._weight > 0))
        self.value = rows.value
        self.total = float(np.sum(self._weighted(rows.value)))

    def _weighted(self, part: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            out = self._weight * part
        if self._ignored is not None:
            out[..., self._ignored] = 0.0  # a row that does not count may have an infinite density
        return out

    @cached_property
    def highest(self) -> float:
        """As of :class:`BlockRows`: no response is certain under a normal density, nor below CERTAIN_FROM."""
        highest = float(self.value.max(initial=-math.inf))
        if self._family.quadratic:
            return -math.inf
        if highest < CERTAIN_FROM:
            return highest
        y = self._block.y[: self._block.rows]
        counts = (self._weight > 0) & ((y == 0) | (y == 1))
        return float(np.max(self.value, where=counts, initial=-math.inf))

    @cached_property
    def score(self) -> np.ndarray:
        return self._weighted(self._rows.score)

    @cached_property
    def observed(self) -> np.ndarray:
        return self._weighted(self._rows.observed)

    @cached_property
    def expected(self) -> np.ndarray:
        """That of rows at the edge of the domain, which is infinite, is the observed one; see :class:`BlockRows`."""
        if self._family.canonical:
            return self.observed
        found = self._weighted(self._rows.expected)
        if (places := at_edge(self._family, self._block.y[: self._block.rows], self._eta[0])).size:
            found[0, 0, places] = self.observed[0, 0, places]
        return found

    @property
    def mean(self) -> np.ndarray:
        return self._rows.mean

    @property
    def slope(self) -> np.ndarray:
        return self._rows.slope


CERTAIN_FROM = -1e-3
"""A log density below this is of no row that is fitted with certainty, as CERTAIN of :mod:`raphson.model.glm.glm` is
ten thousand times nearer to 0: only in a block with a higher one are the rows looked at."""


@cache
def shared_step() -> Any:
    """The compiled step of all families: (family, y, η, weight, anchor) to the summary and table of a block."""

    def weighted_rows(family: Any, y: Any, eta: Any, weight: Any, anchor: Any) -> tuple[Any, Any]:
        del anchor
        rows = family.rows(y, eta)
        counts = weight > 0
        size = y.shape[0]

        def weigh(quantity: Any) -> Any:
            # `where`, not a product: a row that does not count may have an infinite density.
            return jnp.where(counts, weight * quantity, 0.0).reshape(-1, size)

        total = jnp.sum(weigh(rows.value))
        # Only a response of 0 or 1 can be certain. The values of others omit terms in y and may be 0 anywhere.
        highest = jnp.max(jnp.where(counts & ((y == 0) | (y == 1)), rows.value, -jnp.inf))
        # Writing to memory costs more than computing: where the two matrices are the same, one is returned.
        matrices = [rows.observed] if family.canonical else [rows.observed, rows.expected]
        parts = [rows.value[None], weigh(rows.score), *map(weigh, matrices), rows.mean, rows.slope.reshape(-1, size)]
        return jnp.stack([total, highest]), jnp.concatenate(parts)

    return compiled(weighted_rows)


def block_rows(family: Any, block: Block, eta: np.ndarray, curved: bool = True) -> Any:
    """Evaluate a family on one block at linear predictors eta (K, size).

    With `curved` false the information is not needed; rows that are computed when asked for leave it out anyway.
    """
    if family.own_rows is not None:
        return family.own_rows(block, eta, curved)
    if (rows := hand_rows(family, block.y[: block.rows], eta[:, : block.rows])) is not None:
        return WeightedRows(family, block, eta[:, : block.rows], rows)
    with x64():
        summary, table = shared_step()(family, block.y, eta, block.weight, anchor())
        rows = BlockRows(summary, table, len(eta), block.rows, family.canonical)
    if (
        curved
        and not family.canonical
        and (places := at_edge(family, block.y[: block.rows], eta[0, : block.rows])).size
    ):
        rows.use_observed_at_edge(places)
    return rows


def means(family: Any, eta: np.ndarray) -> np.ndarray:
    """The means (C, m) of a family at η (K, m)."""
    if has_hand_rows(family) and family.predictor_labels is None:
        with np.errstate(all="ignore"):
            return BY_HAND[type(family.link)].mean(eta[0])[0][None]
    with x64():
        return np.asarray(family.mean(eta))


def at_edge(family: Any, y: np.ndarray, here: np.ndarray) -> np.ndarray:
    """The rows that lie at the edge of the domain, of responses y (m,) and predictors `here` (m,)."""
    ends = [end for end in family.domain if math.isfinite(end)]
    near = np.zeros(0, dtype=int)
    for end in ends:
        distance = np.abs(here - end)
        if distance.min(initial=math.inf) > EDGE * max(1.0, float(np.abs(here).max(initial=0.0))):
            continue
        close = np.flatnonzero(distance <= EDGE * max(abs(end), float(np.median(np.abs(here)))))
        near = np.append(near, close[family.attains(y[close], end)])
    return near


def compile_ahead(family: Any) -> None:
    """Compile a family's rows for the smallest block, so that another thread can do it while the data are read."""
    if has_hand_rows(family):
        return
    block = make_blocks([np.ones((1, 1))], np.ones(1))[0]
    block_rows(family, block, np.zeros((family.n_predictors, len(block.y))))
