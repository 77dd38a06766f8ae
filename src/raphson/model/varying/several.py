"""The rows of a density with several predictors, with their derivatives by autodiff."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.data.blocks import make_blocks
from raphson.model.memory import cached_for
from raphson.model.predictor import filled
from raphson.model.varying.densities import Rows
from raphson.model.varying.tensors import Symmetric
from raphson.numeric import anchor, x64

if TYPE_CHECKING:
    from raphson.model.likelihood.family import LikelihoodFamily, RowFunction

ROWS = 4096
"""Most rows that are evaluated together: their fourth derivatives stay in the processor's cache."""


class SeveralDensity:
    """The log densities of the responses, by all K predictors of a likelihood.

    It has the names of :class:`raphson.model.varying.densities.Density`.

    Parameters
    ----------
    family : the likelihood.
    y, weight, extra : responses, the user's weights or None, and what else the density reads, as of a
        :class:`raphson.model.likelihood.model.LikelihoodModel`.
    """

    scaled = joint = quadratic = has_tau = walled = False

    def __init__(
        self, family: LikelihoodFamily, y: np.ndarray, weight: np.ndarray | None, extra: tuple[np.ndarray, ...]
    ) -> None:
        self.family, self.y, self.n_predictors = family, y, family.n_predictors
        self.given, self.extra = weight, extra
        self.weight = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
        self.present = self.weight > 0
        self.all_present = bool(self.present.all())
        self.blocks = make_blocks((), y, weight, None, extra, ROWS)

    def with_responses(self, y: np.ndarray) -> SeveralDensity:
        """The same with other responses (n,)."""
        return SeveralDensity(self.family, y, self.given, self.extra)

    def at(self, eta: np.ndarray, tau: float, order: int, inside: Sequence[int]) -> Rows:
        """The rows at predictors (K, n), with derivatives up to an order of 2 or 4; see :class:`Rows`.

        Parameters
        ----------
        inside : the predictors that one index of the third and two of the fourth derivatives are among.
        """
        del tau
        K, total, parts, tables = self.n_predictors, 0.0, [], []
        for block in self.blocks:
            here = np.empty((K, len(block.y)))
            here[:, : block.rows] = eta[:, block.start : block.start + block.rows]
            filled(here, block)
            with np.errstate(all="ignore"):
                rows = self.family.own_rows(block, here)
                total += rows.total
                parts.append((rows.value, rows.score, rows.observed))
                if order > 2:
                    tables.append(self._higher(block, here, tuple(inside)))
        value, score, observed = (np.concatenate(one, axis=-1) for one in zip(*parts, strict=True))
        weight = Symmetric({(a, b): observed[a, b] for a in range(K) for b in range(a, K)})
        out = Rows(total, list(score), weight, each=np.where(self.present, self.weight * value, 0.0))
        if order > 2:
            table = np.concatenate(tables, axis=-1)
            indices = [*_triples(K, inside), *_quadruples(K, inside)]
            for index, entry in zip(indices, table, strict=True):
                (out.third if len(index) == 3 else out.fourth)[index] = -entry
        return out

    def _higher(self, block: Any, eta: np.ndarray, inside: tuple[int, ...]) -> np.ndarray:
        """(entries, rows) the third and fourth derivatives, weighted."""
        run = higher_rows(self.family.function, self.n_predictors, inside)
        with x64():
            found = run(eta, block.weight, self.family.row_arrays(block), anchor())
        return np.asarray(found)[:, : block.rows]


def _triples(K: int, inside: Sequence[int]) -> list[tuple[int, ...]]:
    """The third derivatives of which one index is inside."""
    found = combinations_with_replacement(range(K), 3)
    return [index for index in found if any(a in inside for a in index)]


def _quadruples(K: int, inside: Sequence[int]) -> list[tuple[int, ...]]:
    """The fourth derivatives of which two indices are inside."""
    found = combinations_with_replacement(range(K), 4)
    return [index for index in found if sum(a in inside for a in index) > 1]


def higher_rows(function: RowFunction, K: int, inside: tuple[int, ...]) -> Any:
    """The third and fourth derivatives of a row function over the rows of a block, compiled.

    They are the second derivatives by all predictors of the first and second ones by those inside.
    """
    pairs = [(i, j) for i in range(len(inside)) for j in range(i, len(inside))]

    def lower(eta: Any, row: tuple[Any, ...]) -> Any:
        def moved(x: Any) -> Any:
            return function(eta.at[jnp.array(inside)].add(x), row)

        def slope(x: Any) -> tuple[Any, Any]:
            first = jax.jacfwd(moved)(x)
            return first, first

        second, first = jax.jacfwd(slope, has_aux=True)(jnp.zeros(len(inside)))
        return jnp.concatenate([first, jnp.stack([second[i, j] for i, j in pairs])])

    def of_row(eta: Any, row: tuple[Any, ...]) -> Any:
        bent = jax.jacfwd(jax.jacfwd(lambda at: lower(at, row)))(eta)
        place = {(inside[i],): i for i in range(len(inside))}
        place |= {tuple(sorted((inside[i], inside[j]))): len(inside) + n for n, (i, j) in enumerate(pairs)}
        entries = []
        for index in [*_triples(K, inside), *_quadruples(K, inside)]:
            left, (c, d) = _parted(index, inside)
            entries.append(bent[place[left], c, d])
        return jnp.stack(entries)

    def step(eta: Any, weight: Any, row: tuple[Any, ...], anchor: Any) -> Any:
        del anchor
        found = jax.vmap(of_row, in_axes=(1, 0), out_axes=1)(eta, row)
        return jnp.where(weight > 0, weight * found, 0.0)

    return cached_for(function, ("higher", K, inside), lambda: compiled(step, brief=True))


def _parted(index: tuple[int, ...], inside: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, int]]:
    """An index as one or two of those inside, and two others."""
    rest, left = list(index), []
    for a in index:
        if a in inside and len(left) < len(index) - 2:
            left.append(a)
            rest.remove(a)
    return tuple(left), (rest[0], rest[1])
