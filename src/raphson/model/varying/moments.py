r"""The criterion of a normal response with the identity link, from cross-products alone.

Its log f is quadratic in the coefficients b of all columns D = [X Z], so that with K = DᵀwD, and the residuals r of
some b₀ near b, t = Dᵀwr and R = rᵀwr say all that rows can say:

    Dᵀw(y − Db) = t − K(b − b₀),    Σ w(y − Db)² = R − 2 (b − b₀)ᵀt + (b − b₀)ᵀK(b − b₀).

As differences from b₀ they keep their digits while the last term is small beside R; else the rows are read once more,
for another b₀.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from raphson.model.varying.algebra import Factorised
from raphson.model.varying.densities import Density, Rows
from raphson.model.varying.layout import Blocks, Layout
from raphson.model.varying.tensors import Symmetric

SMALL = 400
"""Coefficients up to which K is held as one matrix, whose product takes 0.1 ms at most; one by blocks takes 0.2 ms."""

FAR = 1.0
"""How large the quadratic term may be beside the sum of squares, whose digits it then leaves as they are."""

REFINEMENTS = 2
"""Solutions for the mode by the same factor: the second one removes the rounding of the first."""


class Moments:
    """Cross-products of all columns, with β's among them, and of the residuals.

    Parameters
    ----------
    density : of a normal response.
    layout : of all columns.
    offset : (n,).
    like : those of other responses, with the same weights, whose cross-products are shared.
    """

    def __init__(self, density: Density, layout: Layout, offset: np.ndarray, like: Moments | None = None) -> None:
        self.density, self.layout = density, layout
        self.weight = np.where(density.present, density.weight, 0.0) if like is None else like.weight
        self.target = density.y - offset
        self.K = layout.cross(Symmetric({(0, 0): self.weight})) if like is None else like.K
        self._whole = self._as_one() if like is None else like._whole
        self.at = np.zeros(layout.size)
        self._expand()

    def _expand(self) -> None:
        r = self.target - self.layout.product(self.at)[0]
        weighted = self.weight * r
        self.t, self.R = self.layout.transposed({0: weighted}), float(r @ weighted)

    def _as_one(self) -> np.ndarray | None:
        """K as one matrix, where no piece is eliminated or it is small."""
        large = self.layout.eliminated and self.layout.size > SMALL
        return None if large else self.layout.square(self.K)

    def times(self, b: np.ndarray) -> np.ndarray:
        """K b."""
        return self.layout.multiplied(self.K, b) if self._whole is None else self._whole @ b

    def times_each(self, B: np.ndarray) -> np.ndarray:
        """K b for each row b of B."""
        return np.stack([self.times(b) for b in B]) if self._whole is None else B @ self._whole

    def read(self, b: np.ndarray) -> tuple[np.ndarray, float]:
        """Dᵀw(y − Db) and Σ w(y − Db)²; reads the rows again where b is too far from the last expansion."""
        step = b - self.at
        bent = self.times(step)
        quadratic = float(step @ bent)
        squares = self.R - 2.0 * float(step @ self.t) + quadratic
        if not quadratic <= FAR * squares:
            self.at = b.copy()
            self._expand()
            return self.t, self.R
        return self.t - bent, squares


class QuadraticMode:
    """The mode at one θ, as :class:`raphson.model.varying.mode.Mode`; its rows are read when they are asked for.

    Attributes
    ----------
    b : the coefficients of all columns, with β's.
    t, squares : Dᵀw(y − Db) and Σ w(y − Db)², at unit dispersion.
    """

    def __init__(self, problem: Any, v: np.ndarray) -> None:
        criterion, self.tau = problem.criterion, problem.tau
        self.moments: Moments = criterion.moments
        self.density, phi = criterion.density, float(np.exp(problem.tau))
        self.K: Blocks = {at: block / phi for at, block in criterion.of_own(self.moments.K).items()}
        self.factor: Factorised = problem.factored(self.K)
        self._offset = criterion.offset
        self.value = -np.inf
        if self.factor.log_det is None:
            return
        for _ in range(REFINEMENTS):
            t, _ = self.moments.read(problem.all_coefficients(v))
            back = criterion.moved_back(criterion.own_part(t), problem.factors)
            v = v + self.factor.solve(back / phi - problem.random * v)
        self.v, self.b = v, problem.all_coefficients(v)
        self.t, self.squares = self.moments.read(self.b)
        base, self.base_tau, _ = self.density.constants(self.tau)
        self.value = base - 0.5 * self.squares / phi - problem.penalty(v)

    @property
    def sum_of_squares(self) -> float:
        """Σ s²/W, in units of φ."""
        return self.squares / float(np.exp(self.tau))

    @cached_property
    def eta(self) -> np.ndarray:
        return self._offset + self.moments.layout.product(self.b)[0]

    @cached_property
    def rows(self) -> Rows:
        return self.density.at(self.eta, self.tau, 4)
