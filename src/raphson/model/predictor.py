"""Predictors: from θ to η_i, and the derivative J_i = ∂η_i/∂θ with which the family's quantities are assembled.

With the family's row scores u (K, n) and row information W (K, K, n),

    score                 Σ_i J_iᵀ u_i
    expected information  Σ_i J_iᵀ E[W_i] J_i
    observed information  Σ_i J_iᵀ W_i J_i − Σ_i Σ_k u_ik ∂²η_ik/∂θ²

The last sum, the *second-order term* of the predictor, vanishes where η is linear in θ: there J is the design X, and
nothing is differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from raphson.cached import cached_property
from raphson.data.blocks import Block, make_blocks
from raphson.data.products import cross_sandwich, dense, matvec, transpose_matvec, weighted_squares
from raphson.frozen import frozen

if TYPE_CHECKING:
    from raphson.model.device_designs import DevicePredictor


@dataclass
class Jacobian:
    """The derivative of some rows' η: a change d of θ moves η_k by parts[k] · d[slices[k]].

    Attributes
    ----------
    parts : K matrices of one row each per observation, dense or tabmat.
    slices : the parameters that each acts on; they may overlap.
    n_params : p.
    """

    parts: Sequence[Any]
    slices: Sequence[slice]
    n_params: int

    def product(self, v: np.ndarray) -> np.ndarray:
        """J v, (K, rows), for v (p,)."""
        return np.stack([matvec(X, v[part]) for X, part in zip(self.parts, self.slices, strict=True)])

    def transpose_product(self, u: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ u_i, (p,), for u (K, rows)."""
        if len(self.parts) == 1:
            return transpose_matvec(self.parts[0], u[0])
        out = np.zeros(self.n_params)
        for k, (X, part) in enumerate(zip(self.parts, self.slices, strict=True)):
            out[part] += transpose_matvec(X, u[k])
        return out

    def information(self, W: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ W_i J_i, (p, p), for W (K, K, rows)."""
        if len(self.parts) == 1:
            return cross_sandwich(self.parts[0], W[0, 0], self.parts[0])
        M = np.zeros((self.n_params, self.n_params))
        for k, X in enumerate(self.parts):
            for j in range(k + 1):
                part = cross_sandwich(X, W[k, j], self.parts[j])
                M[self.slices[k], self.slices[j]] += part
                if j < k:
                    M[self.slices[j], self.slices[k]] += part.T
        return M

    def scaled_rows(self, root: np.ndarray) -> np.ndarray:
        """Rows a_iᵀ J_i of a tall matrix A, for root (r, K, rows): AᵀA = Σ_i J_iᵀ (Σ_r a_ir a_irᵀ) J_i."""
        n_roots, _, rows = root.shape
        if n_roots == len(self.parts) == 1 and self.parts[0].shape[1] == self.n_params:
            return root[0, 0, :, None] * dense(self.parts[0])
        A = np.zeros((n_roots, rows, self.n_params))
        for k, (X, part) in enumerate(zip(self.parts, self.slices, strict=True)):
            A[:, :, part] += root[:, k, :, None] * dense(X)
        return A.reshape(n_roots * rows, self.n_params)

    def information_product(self, W: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(Σ_i J_iᵀ W_i J_i) v without forming the matrix: J v first, then W, then Jᵀ."""
        return self.transpose_product(np.einsum("klm,lm->km", W, self.product(v)))

    def information_diagonal(self, W: np.ndarray) -> np.ndarray:
        """Diagonal of Σ_i J_iᵀ W_i J_i, (p,), where no parameter enters two predictors or all of them do."""
        out = np.zeros(self.n_params)
        for k, (X, part) in enumerate(zip(self.parts, self.slices, strict=True)):
            for j, (Z, other) in enumerate(zip(self.parts, self.slices, strict=True)):
                if j == k:
                    out[part] += weighted_squares(X, W[k, k])
                elif part == other and X is not Z:
                    out[part] += W[k, j] @ (dense(X) * dense(Z))
        return out

    def second_order(self, u: np.ndarray) -> np.ndarray | None:
        """−Σ_i Σ_k u_ik ∂²η_ik/∂θ², (p, p); None where η is linear in θ."""
        return None

    def second(self) -> np.ndarray | None:
        """∂²η_k/∂θ² of each row, (K, p, p, rows); None where it is zero or not available."""
        return None

    def second_order_product(self, u: np.ndarray, v: np.ndarray) -> np.ndarray | None:
        """The second-order term times v, without forming the matrix."""
        second_order = self.second_order(u)
        return None if second_order is None else second_order @ v


class Predictor(Protocol):
    """What a model's predictor offers.

    Attributes
    ----------
    linear : whether η is linear in θ, so that J does not depend on it.
    """

    linear: ClassVar[bool]

    @property
    def n_params(self) -> int:
        """p, the length of θ."""
        ...

    @property
    def n_predictors(self) -> int:
        """K, the length of η_i."""
        ...

    def blocks(
        self, designs: Sequence[Any], y: np.ndarray, weight: np.ndarray | None, offset: np.ndarray | None
    ) -> list[Block]:
        """The rows as blocks that this predictor reads.

        Parameters
        ----------
        designs : the covariates of n rows, in the form that this predictor reads.
        y, weight : (n,) response; weights, or None.
        offset : (K, n) or None.
        """
        ...

    def count(self, X: Any, theta: np.ndarray) -> int:
        """How many rows X stands for."""
        ...

    def designs(self, X: Any, blocks: Sequence[Block], theta: np.ndarray) -> list[Any]:
        """The derivative of each predictor by θ over all rows of X, which `blocks` hold: K matrices."""
        ...

    def eta(self, block: Block, theta: np.ndarray) -> np.ndarray:
        """(K, size) predictors, offset included; the padding repeats the filling row."""
        ...

    def at(self, block: Block, theta: np.ndarray) -> tuple[np.ndarray, Jacobian]:
        """η (K, size) and its derivative over the real rows."""
        ...

    def on_device(self, block: Block) -> DevicePredictor | None:
        """How a device evaluates it on blocks like this one; None where it cannot be traced."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Itself as plain JSON values, for a saved fit."""
        ...


def filled(eta: np.ndarray, block: Block) -> np.ndarray:
    """η with the offset added and its padding made copies of the filling row; changes `eta` (K, size) itself."""
    rows = block.rows
    if block.offset is not None:
        eta[:, :rows] += block.offset
    if rows < eta.shape[1]:
        eta[:, rows:] = eta[:, block.fill, None]
    return eta


@frozen
class LinearPredictor:
    """K linear predictors over the distinct design matrices of a block: η_k = X_k θ_k + offset_k.

    Attributes
    ----------
    widths : number of coefficients of each predictor.
    design : which of a block's design matrices each predictor uses.
    """

    widths: tuple[int, ...]
    design: tuple[int, ...]

    linear: ClassVar[bool] = True

    @property
    def n_params(self) -> int:
        return sum(self.widths)

    @property
    def n_predictors(self) -> int:
        return len(self.widths)

    @cached_property
    def slices(self) -> list[slice]:
        """Where each predictor's coefficients lie in θ."""
        return [slice(b - width, b) for b, width in zip(accumulate(self.widths), self.widths, strict=True)]

    @cached_property
    def groups(self) -> dict[int, tuple[slice, np.ndarray]]:
        """For each design the predictors that use it, if they follow one another, and where their coefficients lie."""
        groups: dict[int, tuple[slice, np.ndarray]] = {}
        for design in dict.fromkeys(self.design):
            ks = [k for k, one in enumerate(self.design) if one == design]
            parts = np.array([np.arange(self.slices[k].start, self.slices[k].stop) for k in ks])
            groups[design] = slice(ks[0], ks[-1] + 1), parts
        return groups

    def on_device(self, block: Block) -> DevicePredictor:
        """Products with the designs."""
        from raphson.model.device_designs import LinearOnDevice

        where = tuple((part.start, part.stop) for part in self.slices)
        return LinearOnDevice.of(block.designs, self.design, where)

    def to_dict(self) -> dict[str, Any]:
        """Itself as numbers, for a saved fit."""
        return {"widths": list(self.widths), "design": list(self.design)}

    def blocks(
        self, designs: Sequence[Any], y: np.ndarray, weight: np.ndarray | None, offset: np.ndarray | None
    ) -> list[Block]:
        """Cut the rows into blocks."""
        return make_blocks(designs, y, weight, offset)

    def count(self, X: Any, theta: np.ndarray) -> int:
        """Rows of X."""
        return int(X.shape[0])

    def designs(self, X: Any, blocks: Sequence[Block], theta: np.ndarray) -> list[Any]:
        """X itself for each predictor."""
        return [X] * self.n_predictors

    def eta(self, block: Block, theta: np.ndarray) -> np.ndarray:
        """(K, size) linear predictors."""
        out = np.empty((self.n_predictors, len(block.y)))
        if len(block.designs) == 1 and self.n_predictors > 1 and isinstance(block.designs[0], np.ndarray):
            # One product for all predictors reads the design once.
            out[:, : block.rows] = (block.designs[0] @ np.ascontiguousarray(theta.reshape(len(out), -1).T)).T
            return filled(out, block)
        for k, part in enumerate(self.slices):
            out[k, : block.rows] = matvec(block.designs[self.design[k]], theta[part])
        return filled(out, block)

    def jacobian(self, block: Block) -> Jacobian:
        """J: the designs themselves, at every θ."""
        return Jacobian([block.designs[d] for d in self.design], self.slices, self.n_params)

    def at(self, block: Block, theta: np.ndarray) -> tuple[np.ndarray, Jacobian]:
        """η and J."""
        return self.eta(block, theta), self.jacobian(block)
