"""The density of each row at responses of its own, and which responses there are: a coordinate over the whole line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from raphson.model.likelihood.family import LikelihoodFamily

NODES = 16
"""Responses of a row that are evaluated together."""

PANELS = 512
"""Rows of so many responses that are evaluated together: one shape, so that a density compiles once."""


@dataclass(frozen=True)
class Support:
    """Which responses there are: the open interval between two limits, or counts, and single points besides.

    Attributes
    ----------
    lower, upper : limits of the continuous response.
    counts : whether it is 0, 1, 2, ... instead.
    atoms : points that have a probability of their own.
    """

    lower: float = -np.inf
    upper: float = np.inf
    counts: bool = False
    atoms: tuple[float, ...] = ()

    @property
    def unbounded(self) -> bool:
        return bool(np.isinf(self.lower) and np.isinf(self.upper))

    def to(self, z: np.ndarray) -> np.ndarray:
        """The response at z, a coordinate that runs over the whole line."""
        if self.counts or self.unbounded:
            return z
        if np.isinf(self.upper):
            return self.lower + np.exp(z)
        if np.isinf(self.lower):
            return self.upper - np.exp(z)
        return self.lower + (self.upper - self.lower) / (1.0 + np.exp(-z))

    def back(self, y: np.ndarray) -> np.ndarray:
        """z at a response; not finite at an atom."""
        if self.counts or self.unbounded:
            return y
        if np.isinf(self.upper):
            return np.log(y - self.lower)
        if np.isinf(self.lower):
            return np.log(self.upper - y)
        return np.log(y - self.lower) - np.log(self.upper - y)

    def log_slope(self, z: np.ndarray) -> np.ndarray:
        """log |dy/dz|."""
        if self.counts or self.unbounded:
            return np.zeros_like(z)
        if np.isinf(self.lower) or np.isinf(self.upper):
            return z
        return np.log(self.upper - self.lower) - np.logaddexp(0.0, z) - np.logaddexp(0.0, -z)


LINE, POSITIVE, UNIT, COUNTS = Support(), Support(lower=0.0), Support(0.0, 1.0), Support(counts=True)


@dataclass(frozen=True)
class RowDensities:
    """The density of m rows, each at a response of its own.

    Attributes
    ----------
    family : of the density.
    eta : (K, m).
    extra : what else it reads, (m, ...) each.
    """

    family: LikelihoodFamily
    eta: np.ndarray
    extra: tuple[np.ndarray, ...]

    @property
    def rows(self) -> int:
        return self.eta.shape[1]

    def at(self, rows: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density (P, nodes) and score (P, nodes, K) of rows (P,) at responses (P, nodes)."""
        run = compiled_terms(self.family)
        values, scores = np.empty(y.shape), np.empty((*y.shape, len(self.eta)))
        for start in range(0, len(rows), PANELS):
            part = slice(start, start + PANELS)
            count = len(rows[part])
            which, where = rows[part], y[part]
            if count < PANELS:  # the first one repeated: one shape is one compilation
                which = np.concatenate([which, np.repeat(which[:1], PANELS - count)])
                where = np.concatenate([where, np.repeat(where[:1], PANELS - count, axis=0)])
            f, u = run(np.ascontiguousarray(self.eta[:, which]), where, tuple(one[which] for one in self.extra))
            values[part], scores[part] = np.asarray(f)[:count], np.asarray(u)[:count]
        return values, scores

    def log_density(self, support: Support, rows: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Log density of z, (P, c) for rows (P,) and places (P, c), c being a multiple of the nodes; −∞ for none."""
        with np.errstate(all="ignore"):
            y = support.to(z)
            f = self.at(np.repeat(rows, z.shape[1] // NODES), y.reshape(-1, NODES))[0].reshape(z.shape)
            f = f + support.log_slope(z)
        return np.where(np.isfinite(f) & np.isfinite(z), f, -np.inf)


def compiled_terms(family: LikelihoodFamily) -> Any:
    """(η (K, m), responses (m, r)) -> log density (m, r) and score (m, r, K)."""
    import jax
    import jax.numpy as jnp

    from raphson.model.likelihood.build import remembered

    function = family.function

    def make() -> Any:
        def one(eta: Any, y: Any, extra: tuple[Any, ...]) -> tuple[Any, Any]:
            value, pull = jax.vjp(lambda e: function(e, (y, *extra)), eta)
            return value, pull(jnp.ones_like(value))[0]

        over_responses = jax.vmap(one, in_axes=(None, 0, None))
        return jax.jit(jax.vmap(over_responses, in_axes=(1, 0, 0)))

    return remembered(function, "expected", make)
