"""Linear predictors: η_k = X_k θ_k + offset_k, one for each parameter of the family that has a formula.

The derivative of η_k with respect to θ_k is X_k itself, so nothing here is differentiated: with the
family's row scores u (K, n) and row information W (K, K, n),

    score        Σ_i J_iᵀ u_i      has the parts   X_kᵀ u_k
    information  Σ_i J_iᵀ W_i J_i  has the blocks  X_kᵀ diag(W_kl) X_l
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from raphson.data.blocks import Block
from raphson.data.matrix import cross_sandwich, dense, matvec, transpose_matvec, weighted_squares


@dataclass(frozen=True)
class LinearPredictor:
    """K linear predictors over the distinct design matrices of a block.

    Attributes
    ----------
    widths : number of coefficients of each predictor.
    design : which of a block's design matrices each predictor uses.
    """

    widths: tuple[int, ...]
    design: tuple[int, ...]

    @cached_property
    def n_params(self) -> int:
        return sum(self.widths)

    @property
    def n_predictors(self) -> int:
        return len(self.widths)

    @cached_property
    def slices(self) -> list[slice]:
        """Where each predictor's coefficients lie in θ."""
        return [slice(b - width, b) for b, width in zip(accumulate(self.widths), self.widths, strict=True)]

    def eta(self, block: Block, theta: np.ndarray, shifted: bool = True) -> np.ndarray:
        """(K, size) linear predictors, offset included if `shifted`; the padding repeats the filling row."""
        out = np.empty((self.n_predictors, len(block.y)))
        rows = block.rows
        for k, part in enumerate(self.slices):
            out[k, :rows] = matvec(block.designs[self.design[k]], theta[part])
        if shifted and block.offset is not None:
            out[:, :rows] += block.offset
        if rows < out.shape[1]:
            out[:, rows:] = out[:, block.fill, None]
        return out

    def transpose_product(self, block: Block, u: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ u_i, (p,), for u (K, rows)."""
        if self.n_predictors == 1:
            return transpose_matvec(block.designs[0], u[0])
        parts = [transpose_matvec(block.designs[d], u[k]) for k, d in enumerate(self.design)]
        return np.concatenate(parts)

    def information(self, block: Block, W: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ W_i J_i, (p, p), for W (K, K, rows)."""
        if self.n_predictors == 1:
            return cross_sandwich(block.designs[0], W[0, 0], block.designs[0])
        M = np.empty((self.n_params, self.n_params))
        slices = self.slices
        for k, a in enumerate(self.design):
            for j in range(k + 1):
                part = cross_sandwich(block.designs[a], W[k, j], block.designs[self.design[j]])
                M[slices[k], slices[j]] = part
                M[slices[j], slices[k]] = part.T
        return M

    def scaled_rows(self, block: Block, root: np.ndarray) -> np.ndarray:
        """Rows a_iᵀ J_i of a tall matrix A, for root (r, K, rows): AᵀA = Σ_i J_iᵀ (Σ_r a_ir a_irᵀ) J_i."""
        n_roots = root.shape[0]
        A = np.empty((n_roots, block.rows, self.n_params))
        for k, part in enumerate(self.slices):
            A[:, :, part] = root[:, k, :, None] * dense(block.designs[self.design[k]])
        return A.reshape(n_roots * block.rows, self.n_params)

    def information_product(self, block: Block, W: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(Σ_i J_iᵀ W_i J_i) v without the matrix: J v first, then W, then Jᵀ."""
        Jv = np.stack([matvec(block.designs[d], v[part]) for d, part in zip(self.design, self.slices, strict=True)])
        return self.transpose_product(block, np.einsum("klm,lm->km", W, Jv))

    def information_diagonal(self, block: Block, W: np.ndarray) -> np.ndarray:
        """Diagonal of Σ_i J_iᵀ W_i J_i, (p,)."""
        return np.concatenate([weighted_squares(block.designs[d], W[k, k]) for k, d in enumerate(self.design)])
