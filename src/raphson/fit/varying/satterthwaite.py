r"""Satterthwaite's degrees of freedom of combinations of coefficients, where β is integrated out (REML).

The variance v = cᵀ(H⁻¹)c of a combination depends on the scales θ. As a multiple of χ²_ν with the variance gᵀCg of v̂,
by the delta method with g = ∂v/∂θ and C the inverse of minus the criterion's Hessian, it has

    ν = 2v²/(gᵀCg).

With x = H⁻¹c, where c stands at β, and A = [X Z]Λ, H = AᵀWA + I_u has ∂H = A_jᵀWA + AᵀWA_j by an entry of Λ, and
−AᵀWA by τ = log σ², so that with K = [X Z]ᵀW[X Z]

    g_j = −xᵀ(∂_jH)x = −2 (Λ_j x)ᵀK(Λx),    g_τ = (Λx)ᵀK(Λx).
"""

from __future__ import annotations

import numpy as np

from raphson.model.varying.results import AtMaximum


def has_degrees_of_freedom(at: AtMaximum) -> bool:
    """Whether the fit is of normal responses by REML."""
    return at.criterion.restricted and bool(at.criterion.density.quadratic)


def degrees_of_freedom(at: AtMaximum, combinations: np.ndarray) -> np.ndarray:
    """(q,) ν of the combinations (q, p) of the coefficients β."""
    criterion, mode = at.criterion, at.spot.mode
    layout, factors = criterion.layout, criterion.factors(at.theta)
    own = layout.place_of_fixed
    out = np.full(len(combinations), np.nan)
    for row, c in enumerate(combinations):
        unit = np.zeros(layout.size)
        unit[own] = c
        x = mode.factor.solve(unit)
        v = float(unit @ x)
        moved = criterion.moved_by(x, factors)
        spread = layout.multiplied(mode.K, moved)
        g = np.zeros(criterion.n_params)
        for piece, place in zip(layout.pieces, layout.slices, strict=True):
            if piece.term is None:
                continue
            scale = criterion.scales[piece.term]
            here, there = (one[place].reshape(piece.levels, piece.width) for one in (x, spread))
            for m, E in enumerate(scale.moves(at.theta[criterion.own_entries])):
                g[scale.start + m] = -2.0 * float(np.sum((here @ E.T) * there))
        g[-1] = float(moved @ spread)
        spread_of_v = float(g @ at.cov @ g)
        if spread_of_v > 0:
            out[row] = 2.0 * v * v / spread_of_v
    return out


def joint_degrees_of_freedom(at: AtMaximum, combinations: np.ndarray) -> float:
    """The denominator's degrees of freedom of the F of several combinations (q, p) at once (Fai and Cornelius 1996).

    F is the mean of the t² of q combinations that are uncorrelated, with ν_m each, whose sum has the expectation
    E = Σ ν_m/(ν_m − 2); that of qF(q, ν) is the same at ν = 2E/(E − q).
    """
    V = combinations @ at.beta_cov @ combinations.T
    _, vectors = np.linalg.eigh(0.5 * (V + V.T))
    each = degrees_of_freedom(at, vectors.T @ combinations)
    q = len(each)
    if np.ptp(each) <= 1e-8 * each[0]:
        return float(np.mean(each))
    E = float(np.sum(each[each > 2.0] / (each[each > 2.0] - 2.0)))
    return 2.0 * E / (E - q) if q < E else 2.0
