"""The designs of the linear predictors that are found in a likelihood: their derivatives by the parameters, by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.blocks import block_rows, padded
from raphson.data.design import SPARSE_COLUMNS, SPARSE_DENSITY
from raphson.numeric import anchor, x64

J_ROWS = 1_024
"""Rows whose derivatives of the predictors are computed together: of 64 parameters 512 KiB for each predictor."""

MOST_NUMBERS = 2**23
"""Most derivatives of the predictors of a piece that are computed in one call: 64 MiB."""

Derivative = Callable[..., Any]
"""Compiled (columns, anchor) to η at θ = 0, (m, K), and ∂η/∂θ, (m, K, p)."""


@dataclass(frozen=True)
class DesignShape:
    """What the rows so far say of the shape of the designs.

    Attributes
    ----------
    touched : (K, p) which parameters move each predictor in some row.
    alike : (K, K) which predictors have the same design in all rows, each in its own parameters.
    shifted : whether some predictor is not 0 at θ = 0.
    """

    touched: np.ndarray
    alike: np.ndarray
    shifted: bool

    def __add__(self, other: DesignShape) -> DesignShape:
        return DesignShape(self.touched | other.touched, self.alike & other.alike, self.shifted or other.shifted)

    @property
    def supports(self) -> list[slice]:
        """For each predictor the range of parameters that its design is of."""
        return supports(self.touched)

    @property
    def first(self) -> list[int]:
        """For each predictor the first one with the same design."""
        return [int(np.flatnonzero(line)[0]) for line in self.alike]


@dataclass(frozen=True)
class FoundDesigns:
    """The designs of some rows.

    Attributes
    ----------
    shift : (K, n) the predictors at θ = 0.
    parts : of each predictor, (n, p_k); where two have the same design, it is the same object.
    shape : what was found of them.
    """

    shift: np.ndarray
    parts: list[Any]
    shape: DesignShape

    @property
    def supports(self) -> list[slice]:
        return self.shape.supports

    @property
    def offset(self) -> np.ndarray | None:
        """(K, n); None where all rows have none."""
        return self.shift if self.shape.shifted else None

    @property
    def distinct(self) -> tuple[tuple[Any, ...], tuple[int, ...]]:
        """The distinct designs, and which of them each predictor has."""
        matrices: list[Any] = []
        design: list[int] = []
        for X in self.parts:
            place = next((d for d, Z in enumerate(matrices) if X is Z), len(matrices))
            if place == len(matrices):
                matrices.append(X)
            design.append(place)
        return tuple(matrices), tuple(design)


def found_designs(
    derivative: Derivative, arrays: tuple[np.ndarray, ...], K: int, p: int, shape: DesignShape | None = None
) -> FoundDesigns:
    """The designs of rows; their `shape` is found in these rows unless it is given.

    Of a given shape the rows are some of many, so they are computed in steps of few lengths, whatever their number.
    """
    n = len(arrays[0])
    shift = np.empty((K, n))
    pieces: list[list[Any]] = [[] for _ in range(K)]
    touched = np.zeros((K, p), dtype=bool)
    whole = [np.empty((n, p)) for _ in range(K)] if p <= SPARSE_COLUMNS else []
    if p > SPARSE_COLUMNS:
        from scipy import sparse
    for begin, stop, eta, J in _steps(derivative, arrays, n, even=shape is not None):
        shift[:, begin:stop] = eta.T
        for k in range(K):
            if shape is None:
                touched[k] |= (J[:, k] != 0).any(axis=0)
            if p > SPARSE_COLUMNS:
                pieces[k].append(sparse.csr_matrix(J[:, k]))
            else:
                whole[k][begin:stop] = J[:, k]
    where = supports(touched) if shape is None else shape.supports
    if p > SPARSE_COLUMNS:
        parts = [_sparse(sparse.vstack(pieces[k]).tocsc()[:, part]) for k, part in enumerate(where)]
    else:
        parts = [np.ascontiguousarray(whole[k][:, part]) for k, part in enumerate(where)]
    alike = _alike(parts) if shape is None else shape.alike
    found = DesignShape(touched, alike, bool(shift.any())) if shape is None else shape
    return FoundDesigns(shift, [parts[j] for j in found.first], found)


def shape_of(found: FoundDesigns, given: DesignShape) -> DesignShape:
    """The shape of some of many rows, whose predictors' derivatives by all parameters are found.

    Designs are compared in the parameters that `given` says.
    """
    touched, alike, where = found.shape.touched.copy(), given.alike.copy(), given.supports
    for k, J in enumerate(found.parts):
        touched[k] = (J != 0).any(axis=0)
    for k, j in zip(*np.nonzero(np.triu(alike, 1)), strict=True):
        if not np.array_equal(found.parts[k][:, where[k]], found.parts[j][:, where[j]]):
            alike[k, j] = alike[j, k] = False
    return DesignShape(touched, alike, bool(found.shift.any()))


def every_parameter(K: int, p: int) -> DesignShape:
    """The shape of designs by all parameters, each of its own."""
    return DesignShape(np.ones((K, p), dtype=bool), np.eye(K, dtype=bool), True)


def settled(found: DesignShape, compared: DesignShape) -> DesignShape:
    """The shape of all rows, whose designs were compared in the parameters of the shape `compared`."""
    if found.supports == compared.supports:
        return found
    return DesignShape(found.touched, np.eye(len(found.alike), dtype=bool), found.shifted)


def piece_designs(
    columns: Callable[..., Any], arrays: tuple[np.ndarray, ...], size: int, shape: DesignShape
) -> FoundDesigns:
    """The designs of a piece in one call of the compiled `columns` for `size` rows, stored column after column."""
    n = len(arrays[0])
    full = arrays if n == size else tuple(padded(one, size, n - 1) for one in arrays)
    with x64():
        eta, parts = columns(full, anchor())
    made = dict(zip(dict.fromkeys(shape.first), (np.asarray(part)[:, :n].T for part in parts), strict=True))
    return FoundDesigns(np.asarray(eta)[:, :n], [made[j] for j in shape.first], shape)


def affordable(size: int, shape: DesignShape) -> bool:
    """Whether the designs of a piece of so many rows are computed in one call."""
    return size * shape.touched.size <= MOST_NUMBERS and shape.touched.shape[1] <= SPARSE_COLUMNS


def _steps(
    derivative: Derivative, arrays: tuple[np.ndarray, ...], n: int, even: bool
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Begin and end of some rows, their predictors at θ = 0 (m, K), and the derivatives (m, K, p)."""
    step = min(J_ROWS, block_rows(n) if even else max(n, 1))
    with x64():
        for begin in range(0, n, step):
            stop = min(begin + step, n)
            # The function is compiled for a number of rows: the last ones are filled up with copies.
            rows = slice(begin, stop) if stop - begin == step else np.minimum(np.arange(begin, begin + step), n - 1)
            eta, J = derivative(tuple(one[rows] for one in arrays), anchor())
            yield begin, stop, np.asarray(eta)[: stop - begin], np.asarray(J)[: stop - begin]


def _sparse(stacked: Any) -> Any:
    """A design of many columns, sparse where few of its entries are not 0."""
    if stacked.shape[1] > SPARSE_COLUMNS and stacked.nnz < SPARSE_DENSITY * np.prod(stacked.shape):
        import tabmat

        return tabmat.SparseMatrix(stacked)
    return np.ascontiguousarray(stacked.toarray())


def _alike(parts: list[Any]) -> np.ndarray:
    """(K, K) which designs are the same; sparse ones are not compared."""
    K = len(parts)
    alike = np.eye(K, dtype=bool)
    for k in range(K):
        for j in range(k):
            X, Z = parts[k], parts[j]
            if isinstance(X, np.ndarray) and isinstance(Z, np.ndarray) and X.shape == Z.shape and (X == Z).all():
                alike[k, j] = alike[j, k] = True
    return alike


def supports(touched: np.ndarray) -> list[slice]:
    """For each predictor a contiguous range of parameters that it acts on; overlapping ranges are merged."""
    K, p = touched.shape
    if K == 1:
        return [slice(0, p)]
    ends = []
    for line in touched:
        where = np.flatnonzero(line)
        ends.append([int(where[0]), int(where[-1]) + 1] if len(where) else [0, 1])
    merged = True
    while merged:
        merged = False
        for a in range(len(ends)):
            for b in range(a):
                if ends[a] != ends[b] and ends[a][0] < ends[b][1] and ends[b][0] < ends[a][1]:
                    union = [min(ends[a][0], ends[b][0]), max(ends[a][1], ends[b][1])]
                    ends[a], ends[b] = list(union), list(union)
                    merged = True
    return [slice(low, high) for low, high in ends]
