"""The density of each row at responses of its own, and the support of the response in a coordinate on the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.model.likelihood.densities.ready import DENSITIES
from raphson.model.memory import cached_for

if TYPE_CHECKING:
    from raphson.model.likelihood.family import LikelihoodFamily

NODES = 16
"""Number of responses of a row that are evaluated together. Gauss's rule is exact with them for polynomials up to
degree 31."""

PANELS = 512
"""Number of such panels that are evaluated together, 8,192 densities: a single shape, so that a density compiles
once."""


@dataclass(frozen=True)
class Support:
    """The possible responses: an open interval or the counts, and atoms.

    Attributes
    ----------
    lower, upper : limits of the continuous response.
    counts : whether the response is 0, 1, 2, ... instead.
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


def levels_of(family: Any) -> tuple[str, ...] | None:
    """The levels of an ordered response; None where it is a number."""
    if family.levels is not None or family.ready is None or not DENSITIES[family.ready].cut_points:
        return family.levels
    return tuple(map(str, range(family.n_predictors)))  # one location, and a cut point between any two


def ranges_of(family: Any, y: np.ndarray) -> list[Support]:
    """The ranges that such responses may come from, the narrowest first.

    The right one is that over which the density sums to 1. For an ordered response its levels come before all of these.
    """
    counts = levels_of(family) is None and bool((y == np.round(y)).all() and (y >= 0).all())
    found = [COUNTS] if counts else []
    if (y > 0).all():
        found += [UNIT, POSITIVE] if (y < 1).all() else [POSITIVE]
    return [*found, LINE]


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
        return self._run("terms", rows, y)  # type: ignore[return-value]

    def sums(self, rows: np.ndarray, y: np.ndarray, log_weight: np.ndarray) -> tuple[np.ndarray, ...]:
        """Σ w f (P,), Σ w f u (P, K) and Σ w f u uᵀ (P, K, K) over the nodes of each panel."""
        return self._run("sums", rows, y, log_weight)

    def log_density(self, support: Support, rows: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Log density of z (P, c) for rows (P,), where c is a multiple of the nodes; −∞ where there is none."""
        with np.errstate(all="ignore"):
            y = support.to(z).reshape(-1, NODES)
            f = self._run("values", np.repeat(rows, z.shape[1] // NODES), y)[0].reshape(z.shape)
            f = f + support.log_slope(z)
        return np.where(np.isfinite(f) & np.isfinite(z), f, -np.inf)

    def _run(self, what: str, rows: np.ndarray, *nodes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Results of the compiled density for rows (P,) and nodes (P, nodes), :data:`PANELS` at a time."""
        run, parts = _compiled(self.family, what), []
        for start in range(0, max(len(rows), 1), PANELS):
            which, *here = (one[start : start + PANELS] for one in (rows, *nodes))
            count = len(which)
            if count < PANELS:  # padded to the one shape that is compiled
                which = np.concatenate([which, np.zeros(PANELS - count, dtype=int)])
                here = [np.concatenate([one, np.ones((PANELS - count, NODES))]) for one in here]
            found = run(np.ascontiguousarray(self.eta[:, which]), tuple(here), tuple(one[which] for one in self.extra))
            parts.append([np.asarray(one)[:count] for one in found])
        return tuple(np.concatenate(one) for one in zip(*parts, strict=True))


def _compiled(family: LikelihoodFamily, what: str) -> Any:
    """A density compiled for panels: (η (K, P), nodes, extra) -> "values", "terms" or "sums"; see RowDensities."""
    function = family.function

    def value(eta: Any, y: Any, extra: tuple[Any, ...]) -> tuple[Any]:
        return (function(eta, (y, *extra)),)

    def both(eta: Any, y: Any, extra: tuple[Any, ...]) -> tuple[Any, Any]:
        found, pull = jax.vjp(lambda e: function(e, (y, *extra)), eta)
        return found, pull(jnp.ones_like(found))[0]

    def at_nodes(one: Any) -> Any:
        return lambda eta, nodes, extra: jax.vmap(one, in_axes=(None, 0, None))(eta, nodes[0], extra)

    def sums(eta: Any, nodes: Any, extra: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        f, u = at_nodes(both)(eta, nodes, extra)
        log_mass = f + nodes[1]
        mass = jnp.where(jnp.isfinite(log_mass), jnp.exp(log_mass), 0.0)
        u = jnp.where(mass[:, None] > 0, u, 0.0)
        return jnp.sum(mass), mass @ u, (mass[:, None] * u).T @ u

    def make() -> Any:
        one = {"values": at_nodes(value), "terms": at_nodes(both), "sums": sums}[what]
        return compiled(jax.vmap(one, in_axes=(1, 0, 0)))

    return cached_for(function, ("panels", what), make)
