r"""The conditional AIC: how well the fit predicts new responses of the same groups and curves.

    cAIC = −2 log f(y | b̂, β̂, φ̂) + 2 (Φ + m)

where Φ counts the coefficients by what they can adapt to, the estimation of their variances included. It follows from
the exact derivatives of the modes, with η_j the derivative of the predictors by θ_j along the mode, and C the inverse
of minus the Hessian of the criterion.

For normal responses with the identity link Φ = Σ ∂ŷ_i/∂y_i (Greven and Kneib, Biometrika 97, 2010, 773-789, theorem 3),
without a new fit: θ̂ moves with y_i by C ∂²V/∂θ∂y_i, and as H does not depend on y, ∂V/∂y_i = −w_i(y_i − ŷ_i)/σ², so

    Φ = tr(H⁻¹AᵀWA) + Σ_ijk η_ij C_jk [w_i η_ik/σ² + δ_kτ w_i(y_i − ŷ_i)/σ²].

For other responses Φ = Σ W_i Var(η̂_i), with the variances that count those of the estimated θ (Wood, Pya and Säfken,
J. Am. Statist. Assoc. 111, 2016, 1548-1563, section 4, with V_β + V′ of their section 3: the first-order correction),

    Φ = tr(H⁻¹AᵀWA) + Σ_ijk W_i η_ij C_jk η_ik.

m = 1 where the dispersion or the negative binomial's θ is estimated, else 0. What is held at an edge does not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.model.varying.results import AtMaximum
from raphson.model.varying.tensors import pairs
from raphson.numeric import in_one_thread


def moves_of_predictors(at: AtMaximum) -> np.ndarray:
    """(K, J, n) derivatives of the predictors by θ along the mode."""
    criterion, layout = at.criterion, at.criterion.layout
    out = np.zeros((criterion.density.n_predictors, criterion.n_params, criterion.n_rows))
    if criterion.p:
        for a, (X, own) in enumerate(zip(criterion.designs, criterion.columns_of, strict=True)):
            out[a, own] = X.T
    for j, moved in enumerate(at.moves_of_modes):
        for piece, place in zip(layout.pieces, layout.slices, strict=True):
            out[piece.predictor, j] += piece.product(moved[place])
    return out


@in_one_thread
def degrees_of_freedom(at: AtMaximum) -> float:
    """Φ + m."""
    criterion, rows = at.criterion, at.spot.mode.rows
    G, C = moves_of_predictors(at), np.nan_to_num(at.cov)
    layout, factor = criterion.layout, at.spot.mode.factor  # of ML, given β, which is among the θ
    total = sum(piece.size - (piece.term is not None) * factor.trace(k) for k, piece in enumerate(layout.pieces))
    CG = [C @ one for one in G]
    for a, b, times in pairs(range(len(G))):
        weight = rows.weight.at(a, b)
        if weight is not None:
            total += times * float(np.sum((G[a] * CG[b]) @ weight))
    if criterion.density.quadratic:
        total += float(CG[0][-1] @ rows.score[0])  # s = w(y − ŷ)/σ²
    return float(total) + float(criterion.density.has_tau)


def conditional_df(fit: Any) -> float:
    """Degrees of freedom of the conditional AIC: the coefficients' effective ones, estimated variances included.

    See :func:`conditional_aic`. They are more than `edf`, which takes the variances as known.
    """
    fit.at("conditional_df")
    return degrees_of_freedom(fit.maximum)


def conditional_llf(fit: Any) -> float:
    """Log-likelihood of the responses given the modes of the varying coefficients, log f(y | β̂, b̂, φ̂)."""
    return float(fit.at("conditional_llf").fitted.log_likelihood(fit.rows, fit.dispersion))


def conditional_aic(fit: Any) -> float:
    """−2 log f(y | β̂, b̂) + 2 `conditional_df`, for new rows of the same groups and curves; `aic` is for new groups.

    For normal responses it is Greven and Kneib's (Biometrika 97, 2010, 773-789, theorem 3), whose degrees of freedom
    are Σ ∂ŷ_i/∂y_i; for others that of Wood, Pya and Säfken (J. Am. Statist. Assoc. 111, 2016, 1548-1563, section 4)
    with the first-order correction for estimated variances. Both are by exact derivatives. Fits by REML with other
    coefficients β compare too, as the likelihood is that of the responses.
    """
    return -2.0 * conditional_llf(fit) + 2.0 * conditional_df(fit)
