"""An earlier point's M, corrected by the steps taken since: what lets one matrix serve many steps.

The score changes along a step s by −g, and the M sought has M s = g. Of all matrices near the earlier one the BFGS
update has that property, stays positive definite, and is known by its inverse alone:

    H⁺ = (I − ρ s gᵀ) H (I − ρ g sᵀ) + ρ s sᵀ,     ρ = 1/(gᵀs)

(Nocedal and Wright 2006, equation 6.17), applied to a vector by their algorithm 7.4 without forming it. A matrix from a
part of the rows differs from that of all in every direction by about the same share; what the last steps went along is
what is left of the distance, and there the update puts it right.
"""
# pyright: strict

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from raphson.newton.solve import Direction, Factor


@dataclass(frozen=True)
class Secant:
    """A factored M with the steps that were taken since.

    Attributes
    ----------
    factor : of the earlier M.
    pairs : (s, g) for each step since: how θ moved and by how much the score fell, each (p,).
    """

    factor: Factor
    pairs: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    def after(self, step: np.ndarray, fall: np.ndarray) -> Secant:
        """With one more step; the same where ℓ did not curve downwards along it, which no M > 0 has."""
        return replace(self, pairs=(*self.pairs, (step, fall))) if float(step @ fall) > 0 else self

    def direction(self, score: np.ndarray) -> Direction:
        """H ∇ℓ, and its length √(∇ℓᵀ H ∇ℓ).

        Examples
        --------
        >>> from raphson.linalg import cholesky
        >>> guess = Secant(cholesky(np.eye(2)))
        >>> true = np.array([[4.0, 0.0], [0.0, 1.0]])
        >>> s = np.array([1.0, 0.0])
        >>> guess.after(s, true @ s).direction(np.array([4.0, 1.0])).step
        array([1., 1.])
        """
        q = np.where(self.factor.kept, score, 0.0)
        shares: list[float] = []
        for s, g in reversed(self.pairs):
            shares.append(float(s @ q) / float(s @ g))
            q = q - shares[-1] * g
        step = self.factor.solve(q)
        for (s, g), share in zip(self.pairs, reversed(shares), strict=True):
            step = step + (share - float(g @ step) / float(s @ g)) * s
        return Direction(step, math.sqrt(max(float(score @ step), 0.0)), self.factor)
