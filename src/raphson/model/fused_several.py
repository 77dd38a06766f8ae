"""A reading of dense designs of several predictors in pieces that stay in the processor's cache.

As :mod:`raphson.model.fused`, for K predictors. Their η is one product of a piece with the coefficients, and so is the
score of all that share a design. The information has K (K + 1)/2 different blocks XᵀW_kj X: each takes one product of
the piece, which is in the cache, with a copy of it that W_kj scales. Of levels that share a design, where W is
diag(p) − p pᵀ, only K copies P_k X are made:

    XᵀW_kj X = [k = j] (P_k X)ᵀX − (P_k X)ᵀ(P_j X).
"""

from __future__ import annotations

import math

import numpy as np

from raphson.data.blocks import Block
from raphson.model.families.joint_kernels import JointKernel, LevelCovariance
from raphson.model.fused import PieceSums, highest
from raphson.model.predictor import LinearPredictor

NUMBERS, SMALLEST, LARGEST = 147_456, 512, 4_096
"""Numbers in a piece, rows and η together (1 MiB, which the second cache holds), and bounds of its rows. Of K = 4 and
20 columns the score of 200,000 rows takes 36 ms in pieces of 1,024 rows and 22 in pieces of 4,096: each operation of
NumPy costs a microsecond, whatever the rows."""

SCALED = 1_024
"""Rows of a part of a piece whose scaled copy is multiplied with it. Ten blocks of 20 × 20 over 200,000 rows took 111
ms in parts of 256, 88 of 512, 83 of 1,024 and 96 of 2,048; one product with all the copies side by side took 108 to
163."""


STACKED = 512
"""Rows of the copies P_k X. Of K = 4 and 20 columns over 200,000 rows both products took 107 ms with 128 rows, 81 with
256, 76 with 512, 85 with 1,024 and 86 with 2,048 where another thread shared the cache, and of K = 19 and 40 columns 88
with 107 rows and 57 with 431."""

COLUMNS_OF_LEVELS = 5
"""Columns for each predictor up to which the products of the copies are the faster way: of K = 2, 4, 9 and 19 and 5
columns they took 0.4, 0.35, 0.2 and 0.2 times as long as the blocks one by one, of K = 4 and 20 columns 0.95, of K = 2
and 20 columns or K = 4 and 60 as long or longer."""

FEW_CERTAIN = 8
"""Where more than one in so many rows of a part has a level that is all but certain, whose p (1 − p) is known by itself
and not as a difference, the blocks are added up one by one; elsewhere these rows alone are."""


def piece_rows(predictor: LinearPredictor) -> int:
    """Rows of a piece."""
    width = sum(dict(zip(predictor.design, predictor.widths, strict=True)).values()) + 4 * predictor.n_predictors
    return min(max(SMALLEST, NUMBERS // width), LARGEST)


def read_jointly(
    kernel: JointKernel, block: Block, predictor: LinearPredictor, theta: np.ndarray, observed: tuple[bool, ...]
) -> PieceSums | None:
    """Sums over a block whose designs are dense, at θ (p,); None where the kernel leaves rows to autodiff.

    Parameters
    ----------
    kernel : the family's rows, :mod:`raphson.model.families.joint_kernels`.
    observed : for each matrix wanted, whether W is the observed information rather than the expected.
    """
    p, K = predictor.n_params, predictor.n_predictors
    sums = PieceSums(0.0, np.zeros(p), [np.zeros((p, p)) for _ in observed], 0.0, -math.inf)
    groups = predictor.groups
    coefficients = {design: np.ascontiguousarray(theta[parts].T) for design, (_, parts) in groups.items()}
    weighted = bool((block.weight[: block.rows] != 1.0).any())
    size = piece_rows(predictor)
    # An array of its own for each product would be taken from the system and given back each time.
    information = Information(predictor, sums.matrices)
    space = np.empty((K, min(size, block.rows)))
    for start in range(0, block.rows, size):
        rows = slice(start, min(start + size, block.rows))
        y, weight = block.y[rows], block.weight[rows]
        m = len(y)
        pieces = [design[rows] for design in block.designs]
        eta = space[:, :m] if m == space.shape[1] else np.empty((K, m))
        for design, (ks, _) in groups.items():
            if pieces[design].shape[1] == 1:
                np.multiply(pieces[design][:, 0], coefficients[design].T, out=eta[ks])
            else:
                # With its few coefficients on the right BLAS takes two thirds of the time.
                eta[ks] = (pieces[design] @ coefficients[design]).T
        if block.offset is not None:
            eta += block.offset[:, rows]
        flat = eta.reshape(-1)
        # A sum of squares is finite only where every one of them is.
        if not math.isfinite(flat @ flat) and not np.isfinite(eta).all():
            counts = weight > 0
            if not np.isfinite(eta[:, counts]).all():
                return PieceSums(-math.inf, sums.score, sums.matrices, 0.0, -math.inf)
            # Rows that do not count may lie anywhere, so they may as well lie where one that does.
            eta[:, ~counts] = eta[:, [counts.argmax()]] if counts.any() else 0.0
        here = kernel(y, eta, observed)
        if here is None:
            return None
        total = float(weight @ here.value)
        if not math.isfinite(total):
            return None
        sums.value += total
        sums.highest = max(sums.highest, highest(here.value, y, weight))
        score = np.multiply(here.score, weight, out=here.score) if weighted else here.score
        for design, (ks, parts) in groups.items():
            sums.score[parts] += (pieces[design].T @ score[ks].T).T
        information.add(here.matrices, pieces, weight if weighted else None)
    for M in sums.matrices:
        _mirror(M, predictor.slices)
    return sums


class Information:
    """What pieces add to the lower blocks of matrices M.

    Parameters
    ----------
    matrices : each (p, p).
    """

    def __init__(self, predictor: LinearPredictor, matrices: list[np.ndarray]) -> None:
        self.predictor, self.matrices = predictor, matrices
        self.scaled = np.empty((SCALED if matrices else 0, max(predictor.widths)))
        self.stack = np.empty(0)

    def add(
        self, information: list[np.ndarray | LevelCovariance], pieces: list[np.ndarray], weight: np.ndarray | None
    ) -> None:
        """Add a piece's share.

        Parameters
        ----------
        information : row information of weight 1, for each of the matrices.
        pieces : the designs' rows.
        weight : (m,) or None.
        """
        seen: dict[int, np.ndarray] = {}
        for M, W in zip(self.matrices, information, strict=True):
            if isinstance(W, LevelCovariance):
                K, m = W.p.shape
                narrow = len(pieces) == 1 and pieces[0].shape[1] <= COLUMNS_OF_LEVELS * K
                if narrow and FEW_CERTAIN * len(W.certain) <= m:
                    self._add_levels(M, W, pieces[0], weight)
                    continue
                W = W.triangles()
            if id(W) not in seen:
                seen[id(W)] = W if weight is None else np.multiply(W, weight, out=W)
            self._add_blocks(M, seen[id(W)], [pieces[d] for d in self.predictor.design])

    def _add_blocks(self, M: np.ndarray, W: np.ndarray, designs: list[np.ndarray]) -> None:
        """Add the blocks (k, j) with j ≤ k, one by one.

        Parameters
        ----------
        designs : of each predictor.
        """
        slices = self.predictor.slices
        for first in range(0, W.shape[1], SCALED):
            part, pair = slice(first, first + SCALED), 0
            for k, X in enumerate([design[part] for design in designs]):
                for j, Z in enumerate([design[part] for design in designs[: k + 1]]):
                    if X.shape[1] == 1:
                        M[slices[k], slices[j]] += np.multiply(W[pair, part], X[:, 0]) @ Z
                    else:
                        A = self.scaled[: len(X), : X.shape[1]]
                        # NumPy multiplies row by row where one factor is a column: it is spread over the copy first.
                        np.copyto(A, W[pair, part][:, None])
                        np.multiply(A, X, out=A)
                        M[slices[k], slices[j]] += A.T @ Z
                    pair += 1

    def _add_levels(self, M: np.ndarray, W: LevelCovariance, X: np.ndarray, weight: np.ndarray | None) -> None:
        """Add all blocks of levels that share the design X (m, q).

        With weights the copies are √w p_k X, and (√w p_k X)ᵀ(√w X) is the first product.
        """
        p, q = W.p, X.shape[1]
        K, m = p.shape
        if len(W.certain):
            few = W.of_certain()
            if weight is not None:
                few *= weight[W.certain]
            self._add_blocks(M, few, [X[W.certain]] * K)
            p = p.copy()
            p[:, W.certain] = 0.0
        root = None if weight is None else np.sqrt(weight)
        if not self.stack.size:
            self.stack = np.empty((K + 1) * q * STACKED)
        for first in range(0, m, STACKED):
            part = slice(first, min(first + STACKED, m))
            rows = part.stop - first
            stack = self.stack[: (K + 1) * q * rows].reshape(K + 1, q, rows)
            one, copies = stack[0], stack[1:]
            if root is None:
                np.copyto(one, X[part].T)
            else:
                np.multiply(X[part].T, root[part], out=one)
            np.multiply(p[:, None, part], one, out=copies)
            A = copies.reshape(K * q, rows)
            M -= A @ A.T
            # The rows as they lie in memory make the faster product.
            first_moments = A @ (X[part] if root is None else one.T)
            for k, place in enumerate(self.predictor.slices):
                M[place, place] += first_moments[k * q : (k + 1) * q]


def _mirror(M: np.ndarray, slices: list[slice]) -> None:
    for k, rows in enumerate(slices):
        M[rows, rows] += M[rows, rows].T.copy()
        M[rows, rows] *= 0.5
        for columns in slices[:k]:
            M[columns, rows] = M[rows, columns].T
