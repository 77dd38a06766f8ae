"""Matrices that are 0 between sets of coefficients that no row connects, as between sites within which effects cross.

Levels that others nest in are taken apart by :mod:`.nested`.

Their Cholesky factors, inverses and products are those of each set, which takes the sum of the sets' cubes instead of
the cube of the sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from raphson import lapack

LARGEST = 0.5
"""Share of the coefficients in the largest set up to which it is worth to part them."""


class Components:
    """Sets of coefficients.

    Parameters
    ----------
    sets : the numbers of the coefficients of each.
    R : number of coefficients.
    """

    def __init__(self, sets: Sequence[np.ndarray], R: int) -> None:
        self.R = R
        self.single = np.array([int(one[0]) for one in sets if len(one) == 1], dtype=int)
        self.several = [np.ix_(one, one) for one in sets if len(one) > 1]

    @staticmethod
    def of(edges: Iterator[tuple[np.ndarray, np.ndarray]], nodes: int, R: int) -> Components | None:
        """The sets among the last R of the nodes of a graph; None where one has most of them."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        pairs = [(a.ravel(), b.ravel()) for a, b in edges]
        rows, columns = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
        graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(nodes, nodes))
        _, label = connected_components(graph.tocsr(), directed=False)
        label = label[nodes - R :]
        order = np.argsort(label, kind="stable")
        sets = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
        return Components(sets, R) if max(map(len, sets)) <= LARGEST * R else None

    def cholesky(self, S: np.ndarray) -> np.ndarray | None:
        """The lower triangle L with S = LLᵀ; None where S is not positive definite."""
        diagonal = S.diagonal()[self.single]
        if not (diagonal > 0).all():
            return None
        out = np.zeros((self.R, self.R), order="F")
        out[self.single, self.single] = np.sqrt(diagonal)
        for at in self.several:
            triangle, failed = lapack.dpotrf(S[at], lower=1)
            if failed:
                return None
            out[at] = np.tril(triangle)
        return out

    def inverse(self, triangle: np.ndarray) -> np.ndarray:
        """(LLᵀ)⁻¹."""
        out = np.zeros((self.R, self.R))
        out[self.single, self.single] = 1.0 / triangle.diagonal()[self.single] ** 2
        for at in self.several:
            lower = np.tril(lapack.dpotri(np.asfortranarray(triangle[at]), lower=1)[0])
            out[at] = lower + np.tril(lower, -1).T
        return out

    def product(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        """A B of two such matrices."""
        out = np.zeros((self.R, self.R))
        out[self.single, self.single] = A.diagonal()[self.single] * B.diagonal()[self.single]
        for at in self.several:
            out[at] = A[at] @ B[at]
        return out
