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

NUMBERS, SMALLEST = 4_096, 512
"""Rows of a piece times K, and the fewest rows. Ten blocks of 20 × 20 over 200,000 rows, of K = 4, took 111 ms in
pieces of 256, 88 of 512, 83 of 1,024 and 96 of 2,048; one product with all the copies side by side took 108 to 163. The
score of 10 columns with K = 2 took 51 ms in pieces of 512, 37 of 1,024, 32 of 2,048 and 40 of 16,384."""


def piece_rows(n_predictors: int) -> int:
    """Rows of a piece."""
    return max(SMALLEST, NUMBERS // n_predictors)


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
    size = piece_rows(K)
    # An array of its own for each product would be taken from the system and given back each time.
    scaled = np.empty((size if observed else 0, max(predictor.widths)))
    for start in range(0, block.rows, size):
        stop = min(start + size, block.rows)
        rows = slice(start, stop)
        y, weight = block.y[rows], block.weight[rows]
        pieces = [design[rows] for design in block.designs]
        eta = np.empty((K, stop - start))
        for design, (ks, parts) in groups.items():
            np.matmul(theta[parts], pieces[design].T, out=eta[ks])
        if block.offset is not None:
            eta += block.offset[:, rows]
        if not np.isfinite(eta).all():
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
        score = np.multiply(here.score, weight, out=here.score)
        for design, (ks, parts) in groups.items():
            sums.score[parts] += score[ks] @ pieces[design]
        for W in {id(W): W for W in here.matrices}.values():
            W *= weight
        for M, W in zip(sums.matrices, here.matrices, strict=True):
            _add_information(M, W, [pieces[d] for d in predictor.design], predictor.slices, scaled)
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
    """Add a piece's share of the blocks (k, j) with j ≤ k."""
    pair = 0
    for k, X in enumerate(pieces):
        for j, Z in enumerate(pieces[: k + 1]):
            if X.shape[1] == 1:
                M[slices[k], slices[j]] += np.multiply(W[pair], X[:, 0]) @ Z
            else:
                A = np.multiply(X, W[pair][:, None], out=scaled[: len(X), : X.shape[1]])
                M[slices[k], slices[j]] += A.T @ Z
            pair += 1


def _mirror(M: np.ndarray, slices: list[slice]) -> None:
    for k, rows in enumerate(slices):
        M[rows, rows] += M[rows, rows].T.copy()
        M[rows, rows] *= 0.5
        for columns in slices[:k]:
            M[columns, rows] = M[rows, columns].T
