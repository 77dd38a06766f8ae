"""Sums over the rows of many replicates on a device: what :mod:`raphson.model.replicates` sums on the host.

The design is sent with each call, as are the coefficients and what the replicates have of their own, responses or
weights; only the sums come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from raphson.compat import jax, jnp
from raphson.compiled import compiled
from raphson.model.traced_rows import FamilyRows
from raphson.numeric import anchor, x64

PROGRAMS = 32
"""How many of the last used kinds of sums keep their compiled code."""

MOST_PRODUCTS = 2**24
"""Numbers, 128 MiB, up to which the products of two designs' columns are formed, so that M is one product of
matrices."""

Slices = tuple[tuple[int, int], ...]
"""For each predictor the first of its coefficients in θ, and the one after the last."""


@lru_cache(maxsize=PROGRAMS)
def _program(slices: Slices, kinds: tuple[str, ...], values: bool, pearson: bool) -> Any:
    """The compiled sums of R replicates: score (R, p), matrices (R, p, p), values and Pearson's statistics (R,)."""

    def sums(family: Any, theta: Any, y: Any, weight: Any, designs: Any, offset: Any, anchor: Any) -> Any:
        R, n = len(theta), len(designs[0])
        eta = jnp.stack([theta[:, start:stop] @ X.T for X, (start, stop) in zip(designs, slices, strict=True)])
        eta = eta if offset is None else eta + offset[:, None]
        y, weight = (jnp.broadcast_to(one, (R, n)).reshape(-1) for one in (y, weight))
        rows = FamilyRows(family, eta.reshape(len(eta), R * n), y, weight)
        score = jnp.zeros(theta.shape)
        for X, (start, stop), u in zip(designs, slices, rows.score, strict=True):
            score = score.at[:, start:stop].add(u.reshape(R, n) @ X)
        observed = rows.expected if rows.observed is None else rows.observed
        matrices = [
            _information(designs, slices, (observed if kind == "observed" else rows.expected), R, theta.shape[1])
            for kind in kinds
        ]
        counts = weight > 0
        value = variation = None
        if values:
            value = jnp.sum(jnp.where(counts, weight * rows.value, 0.0).reshape(R, n), axis=1)
        if pearson:
            square = (y - rows.mean[0]) ** 2
            term = jnp.where(square > 0, weight * square / family.variance(rows.mean[0]), 0.0)
            variation = jnp.sum(jnp.where(counts, term, 0.0).reshape(R, n), axis=1)
        return score, matrices, value, variation

    return compiled(sums)


def _information(designs: Sequence[Any], slices: Slices, W: Any, R: int, p: int) -> Any:
    """Σ_i J_iᵀ W_i J_i (R, p, p), for W (K, K, R n)."""
    M = jnp.zeros((R, p, p))
    for k, (X, (start, stop)) in enumerate(zip(designs, slices, strict=True)):
        for j, (Y, (first, last)) in enumerate(zip(designs[: k + 1], slices, strict=False)):
            (n, a), b = X.shape, Y.shape[1]
            w = W[k, j].reshape(R, n)
            if n * a * b <= MOST_PRODUCTS:
                block = (w @ (X[:, :, None] * Y[:, None, :]).reshape(n, a * b)).reshape(R, a, b)
            else:
                block = jnp.einsum("rna,nb->rab", w[:, :, None] * X, Y)
            M = M.at[:, start:stop, first:last].add(block)
            if j < k:
                M = M.at[:, first:last, start:stop].add(jnp.swapaxes(block, 1, 2))
    return M


def device_sums(
    family: Any,
    designs: Sequence[np.ndarray],
    slices: Sequence[slice],
    offset: np.ndarray | None,
    theta: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    most: int,
    kinds: Sequence[str],
    values: bool,
    pearson: bool,
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray | None, np.ndarray | None]:
    """Score, matrices, values and Pearson's statistics of replicates at Θ (R, p).

    Parameters
    ----------
    family, designs, slices, offset : as of a :class:`raphson.model.replicates.Replicates`.
    theta, y, weight, kinds, values, pearson : as of its `sums`.
    most : how many replicates are usually worked on together; fewer are filled up to a quarter of that, and so on.
    """
    R = len(theta)
    size = padded_number(R, most)
    theta, y, weight = (_filled(one, size) if one.ndim == 2 else one for one in (theta, y, weight))
    where = tuple((part.start, part.stop) for part in slices)
    with x64():
        program = _program(where, tuple(kinds), values, pearson)
        found = program(family, theta, y, weight, tuple(designs), offset, anchor())
        score, matrices, value, variation = jax.device_get(found)
    cut = slice(R)
    return (
        score[cut],
        [M[cut] for M in matrices],
        None if value is None else value[cut],
        None if variation is None else variation[cut],
    )


def padded_number(count: int, most: int) -> int:
    """The number of replicates that code is compiled for: `most`, a quarter of it, a quarter of that, or a multiple.

    Examples
    --------
    >>> [padded_number(count, 262) for count in (262, 100, 17, 3, 300)]
    [262, 262, 17, 5, 524]
    """
    size = max(most, 1)
    if count > size:
        return -(-count // size) * size
    while size > 1 and -(-size // 4) >= count:
        size = -(-size // 4)
    return size


def _filled(table: np.ndarray, size: int) -> np.ndarray:
    if len(table) == size:
        return table
    return np.concatenate([table, np.repeat(table[:1], size - len(table), axis=0)])


@lru_cache(maxsize=1)
def _matrix_product() -> Any:
    return compiled(lambda one, other, anchor: one @ other)


def device_product(one: np.ndarray, other: np.ndarray, most: int) -> np.ndarray:
    """The product of matrices (R, n) and (n, c)."""
    with x64():
        filled = _filled(one, padded_number(len(one), most))
        return np.asarray(_matrix_product()(filled, other, anchor()))[: len(one)]
