"""The constraints on a direction at infinity, one per row of data, or one per row and class.

They are read in blocks or by number, from a dense or tabmat design, and never all held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from raphson.data.products import dense_rows

BLOCK_ENTRIES = 2**18
"""Numbers of a block of rows, 2 MiB."""

ABSENT, EQUATION, INEQUALITY = -1, 0, 1


class SeparatingRows(Protocol):
    """Constraints b_i on the scaled parameters, addressed by number."""

    scale: np.ndarray  # (p,): parameter j is multiplied by it in scaled coordinates
    kind: np.ndarray  # per constraint: ABSENT, EQUATION or INEQUALITY
    strata: np.ndarray  # per constraint: label of the group from which the first sample draws evenly

    def dense(self, which: np.ndarray) -> np.ndarray:
        """The constraints as rows (m, p), in scaled coordinates."""
        ...

    def products(self, space: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Blocks (constraints, b_iᵀN, Σ_j |b_ij N_j|), the last two (m, q); |N| as in ``_sizes``."""
        ...


class SignedRows:
    """b_i = d_i x_i; an equation x_i where d_i = 0."""

    def __init__(self, X: Any, direction: np.ndarray, counted: np.ndarray, scale: np.ndarray | None = None) -> None:
        self.X = X
        self.sign = np.where(direction == 0, 1.0, direction)
        self.kind = np.where(counted, np.abs(direction), ABSENT)
        self.strata = direction
        self.scale = _column_scale(X) if scale is None else scale

    def dense(self, which: np.ndarray) -> np.ndarray:
        return dense_rows(self.X, which) / self.scale * self.sign[which, None]

    def products(self, space: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        unscaled, size = space / self.scale[:, None], _sizes(space) / self.scale[:, None]
        for rows, block in _blocks(self.X):
            yield rows, (block @ unscaled) * self.sign[rows, None], np.abs(block) @ size


class ClassRows:
    """b_ik = (e_{y_i} - e_k) ⊗ x_i, numbered i L + k, with e_0 = 0: η of the observed class against class k."""

    def __init__(
        self, X: Any, y: np.ndarray, n_levels: int, counted: np.ndarray, scale: np.ndarray | None = None
    ) -> None:
        self.X, self.y, self.L = X, y, n_levels
        classes = np.arange(n_levels)
        other = y[:, None] != classes
        self.kind = np.where(other & counted[:, None], INEQUALITY, ABSENT).astype(np.int8).ravel()
        self.strata = (y[:, None] * n_levels + classes).ravel()
        self.scale = np.tile(_column_scale(X), n_levels - 1) if scale is None else scale

    def dense(self, which: np.ndarray) -> np.ndarray:
        row, against = np.divmod(which, self.L)
        p = self.X.shape[1]
        x = dense_rows(self.X, row) / self.scale[:p]
        out = np.zeros((len(which), self.L, p))
        here = np.arange(len(which))
        out[here, self.y[row]] = x
        out[here, against] -= x
        return out[:, 1:].reshape(len(which), (self.L - 1) * p)

    def products(self, space: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        p, q = self.X.shape[1], space.shape[1]
        unscaled, sizes = np.zeros((2, self.L, p, q))
        unscaled[1:] = (space / self.scale[:, None]).reshape(self.L - 1, p, q)
        sizes[1:] = (_sizes(space) / self.scale[:, None]).reshape(self.L - 1, p, q)
        for rows, block in _blocks(self.X, self.L):
            eta = np.einsum("mp,lpq->mlq", block, unscaled, optimize=True)
            size = np.einsum("mp,lpq->mlq", np.abs(block), sizes, optimize=True)
            mine = self.y[rows][:, None, None]
            value = np.take_along_axis(eta, mine, axis=1) - eta
            bound = np.take_along_axis(size, mine, axis=1) + size
            shape = (len(block) * self.L, q)
            yield slice(rows.start * self.L, rows.stop * self.L), value.reshape(shape), bound.reshape(shape)


class MoreRows:
    """Rows, and after them constraints (m, p) from elsewhere, in the scaled coordinates of these rows."""

    def __init__(self, rows: SeparatingRows, constraints: np.ndarray, kinds: np.ndarray) -> None:
        self.rows, self.constraints = rows, constraints
        self.scale = rows.scale
        self.kind = np.concatenate([rows.kind, kinds])
        self.strata = np.concatenate([rows.strata, np.full(len(kinds), rows.strata.max(initial=0) + 1)])

    def dense(self, which: np.ndarray) -> np.ndarray:
        n = len(self.rows.kind)
        mine = which >= n
        out = np.empty((len(which), len(self.scale)))
        out[~mine], out[mine] = self.rows.dense(which[~mine]), self.constraints[which[mine] - n]
        return out

    def products(self, space: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        yield from self.rows.products(space)
        n = len(self.rows.kind)
        yield (
            slice(n, n + len(self.constraints)),
            self.constraints @ space,
            np.abs(self.constraints) @ _sizes(space),
        )


def _sizes(space: np.ndarray) -> np.ndarray:
    # |δ_j|, but at least a hundredth of the largest. A component that should be 0 is rounding of the others, too small
    # a scale for a row that depends on no other component.
    size = np.abs(space)
    return np.maximum(size, 0.01 * size.max(axis=0, initial=0.0))


def _column_scale(X: Any) -> np.ndarray:
    # Only makes the columns comparable, so a few rows suffice for tabmat's designs.
    n = X.shape[0]
    sample = np.unique(np.linspace(0, n - 1, min(n, 1000)).astype(int)) if n else np.zeros(0, dtype=int)
    scale = np.abs(dense_rows(X, sample)).max(axis=0, initial=0.0)
    return np.where(scale > 0, scale, 1.0)


def _blocks(X: Any, copies: int = 1) -> Iterator[tuple[slice, np.ndarray]]:
    n, p = X.shape
    step = max(64, BLOCK_ENTRIES // max(p * copies, 1))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        yield rows, dense_rows(X, rows)
