"""A reading of dense designs of several predictors in pieces that stay in the processor's cache.

As :mod:`raphson.model.fused`, for K predictors. Their η is one product of a piece with the coefficients, and so is the
score of all that share a design. The information has K (K + 1)/2 different blocks XᵀW_kj X: each takes one product of
the piece, which is in the cache, with a copy of it that W_kj scales.
"""

from __future__ import annotations

import math

import numpy as np

from raphson.data.blocks import Block
from raphson.model.families.joint_kernels import JointKernel
from raphson.model.fused import PieceSums, highest
from raphson.model.predictor import LinearPredictor

NUMBERS, SMALLEST, LARGEST = 131_072, 512, 4_096
"""Numbers in a piece, rows and η together (1 MiB, which the second cache holds), and bounds of its rows. Of K = 4 and
20 columns the score of 200,000 rows takes 36 ms in pieces of 1,024 rows and 22 in pieces of 4,096: each operation of
NumPy costs a microsecond, whatever the rows."""

SCALED = 1_024
"""Rows of a part of a piece whose scaled copy is multiplied with it. Ten blocks of 20 × 20 over 200,000 rows took 111
ms in parts of 256, 88 of 512, 83 of 1,024 and 96 of 2,048; one product with all the copies side by side took 108 to
163."""


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
    groups = _groups(predictor)
    coefficients = {design: np.ascontiguousarray(theta[parts].T) for design, (_, parts) in groups.items()}
    weighted = bool((block.weight[: block.rows] != 1.0).any())
    size = piece_rows(predictor)
    # An array of its own for each product would be taken from the system and given back each time.
    scaled = np.empty((SCALED if observed else 0, max(predictor.widths)))
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
        if weighted:
            for W in {id(W): W for W in here.matrices}.values():
                W *= weight
        for M, W in zip(sums.matrices, here.matrices, strict=True):
            for first in range(0, m, SCALED):
                part = slice(first, min(first + SCALED, m))
                of_part = [pieces[d][part] for d in predictor.design]
                _add_information(M, W[:, part], of_part, predictor.slices, scaled)
    for M in sums.matrices:
        _mirror(M, predictor.slices)
    return sums


def _groups(predictor: LinearPredictor) -> dict[int, tuple[slice, np.ndarray]]:
    """For each design the predictors that use it, which follow one another, and where their coefficients lie."""
    groups: dict[int, tuple[slice, np.ndarray]] = {}
    for design in dict.fromkeys(predictor.design):
        ks = [k for k, one in enumerate(predictor.design) if one == design]
        parts = np.array([np.arange(predictor.slices[k].start, predictor.slices[k].stop) for k in ks])
        groups[design] = slice(ks[0], ks[-1] + 1), parts
    return groups


def _add_information(
    M: np.ndarray, W: np.ndarray, pieces: list[np.ndarray], slices: list[slice], scaled: np.ndarray
) -> None:
    """Add some rows' share of the blocks (k, j) with j ≤ k."""
    pair = 0
    for k, X in enumerate(pieces):
        for j, Z in enumerate(pieces[: k + 1]):
            if X.shape[1] == 1:
                M[slices[k], slices[j]] += np.multiply(W[pair], X[:, 0]) @ Z
            else:
                A = scaled[: len(X), : X.shape[1]]
                # NumPy multiplies row by row where one factor is a column: it is spread over the copy first.
                np.copyto(A, W[pair][:, None])
                np.multiply(A, X, out=A)
                M[slices[k], slices[j]] += A.T @ Z
            pair += 1


def _mirror(M: np.ndarray, slices: list[slice]) -> None:
    for k, rows in enumerate(slices):
        M[rows, rows] += M[rows, rows].T.copy()
        M[rows, rows] *= 0.5
        for columns in slices[:k]:
            M[columns, rows] = M[rows, columns].T
