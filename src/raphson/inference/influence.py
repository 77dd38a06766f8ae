r"""Influence of single rows: leverage, one-step deletion, Cook's distance, standardised residuals.

Deleting row i changes the information M to M - J_iᵀ W_i J_i and leaves the score -J_iᵀ u_i at θ̂. One Newton
step from there is, by the Woodbury identity and with A_i = J_i M⁻¹ J_iᵀ (K x K),

    θ̂ - θ̂₍ᵢ₎ ≈ (M - J_iᵀ W_i J_i)⁻¹ J_iᵀ u_i = M⁻¹ J_iᵀ (I - W_i A_i)⁻¹ u_i

which is exact for a linear gaussian model. For one predictor W_i A_i is the leverage h_i, and this is
M⁻¹ x_i u_i/(1 - h_i): Pregibon (1981), Annals of Statistics 9, equation 4.1.

With frequency weights a row stands for several copies, and deletion means deleting *one* copy. ``information`` and
``scores`` therefore come without the frequency; the factor includes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raphson.inference.whitening import InformationFactor, Matrix, slices, split_columns, whitened, whitener

FULL_LEVERAGE = 1e-10
"""A row with 1 - h below this alone determines a parameter; the rest of 1 - h is rounding. As h has an error of a few
ε, some 1e-15, a larger 1 - h has at least five digits."""


def leverage(factor: InformationFactor, designs: Sequence[Matrix], information: np.ndarray) -> np.ndarray:
    """Leverage of each row, h_i = tr(W_i J_i M⁻¹ J_iᵀ).

    Parameters
    ----------
    factor : Factor
        Of M = Σ J_iᵀ W_i J_i (plus a penalty), at the dispersion of ``information``.
    designs : sequence of K matrices (n, p_k)
    information : ndarray, (K, K, n)
        W_i, weights multiplied in.

    Returns
    -------
    ndarray, (n,)
        For one predictor the diagonal of the hat matrix, between 0 and 1. The sum is the number of kept
        parameters, or the effective degrees of freedom of a penalised fit.

    Examples
    --------
    >>> import numpy as np
    >>> class Two:
    ...     kept = np.array([True])
    ...     def half_solve(self, v): return v / np.sqrt(5.0)
    >>> leverage(Two(), [np.array([[1.0], [2.0]])], np.ones((1, 1, 2)))
    array([0.2, 0.8])
    """
    parts = split_columns(whitener(factor), designs)
    n = information.shape[-1]
    h = np.empty(n)
    for rows in slices(n):
        Z = whitened(designs, parts, rows)
        h[rows] = np.einsum("klm,kmr,lmr->m", information[..., rows], Z, Z, optimize=True)
    return h


def correct_for_leverage(
    factor: InformationFactor,
    designs: Sequence[Matrix],
    scores: np.ndarray,
    information: np.ndarray,
    power: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores divided by one minus the leverage, (I - W_i A_i)^-power u_i.

    Parameters
    ----------
    factor, designs, information
        As for :func:`leverage`.
    scores : ndarray, (K, n)
    power : float
        1 for the deletion of the row (and HC3), ½ for HC2.

    Returns
    -------
    scores : ndarray, (K, n)
        NaN for the rows below.
    full : ndarray of bool, (n,)
        Rows with leverage 1, without which the information would be singular.
    """
    parts = split_columns(whitener(factor), designs)
    K, n = scores.shape
    corrected = np.empty((K, n))
    full = np.zeros(n, dtype=bool)
    for rows in slices(n):
        Z = whitened(designs, parts, rows)
        W = information[..., rows]
        if K == 1:
            rest = 1.0 - W[0, 0] * np.einsum("mr,mr->m", Z[0], Z[0])
            full[rows] = rest < FULL_LEVERAGE
            with np.errstate(divide="ignore", invalid="ignore"):
                corrected[0, rows] = np.where(full[rows], np.nan, scores[0, rows] / rest**power)
            continue
        # A = L Lᵀ and C = Lᵀ W L give I - WA = L⁻ᵀ (I - C) Lᵀ with C symmetric, so the power is
        # L⁻ᵀ (I - C)^-power Lᵀ. L comes from the eigenvectors of A, as A is singular where a row of the design is
        # zero. In such directions J_iᵀ v = 0, so L⁻¹ can be replaced by zero.
        A = np.einsum("kmr,lmr->mkl", Z, Z, optimize=True)
        size, Q = np.linalg.eigh(A)
        size = np.where(size > 1e-14 * size[:, -1:], size, 0.0)
        root = np.sqrt(size)
        with np.errstate(divide="ignore"):
            inverse_root = np.where(root > 0, 1.0 / root, 0.0)
        L = Q * root[:, None, :]
        C = np.einsum("mka,klm,mlb->mab", L, W, L, optimize=True)
        value, V = np.linalg.eigh((C + C.transpose(0, 2, 1)) / 2)
        rest = 1.0 - value
        full[rows] = rest.min(axis=1) < FULL_LEVERAGE
        u = np.einsum("mka,km->ma", L, scores[:, rows])
        with np.errstate(divide="ignore", invalid="ignore"):
            u = np.einsum("mba,mb->ma", V, u) / rest**power
        u = np.einsum("mab,mb->ma", V, u) * inverse_root
        corrected[:, rows] = np.where(full[rows], np.nan, np.einsum("mka,ma->km", Q, u))
    return corrected, full


def cooks_distance(
    factor: InformationFactor,
    designs: Sequence[Matrix],
    scores: np.ndarray,
    information: np.ndarray,
    dispersion: float = 1.0,
    n_params: int | None = None,
) -> np.ndarray:
    """Cook's distance, (θ̂ - θ̂₍ᵢ₎)ᵀ M (θ̂ - θ̂₍ᵢ₎) / (φ p), by a one-step approximation.

    Parameters
    ----------
    factor, designs, scores, information
        As for :func:`correct_for_leverage`. With the *expected* information and one predictor, it is R's
        ``cooks.distance.glm``: (pearson/(1-h))² h/(φ p), because u²/W is then the squared Pearson residual.
    dispersion : float
        φ.
    n_params : int, optional
        p; by default the number of kept parameters.

    Returns
    -------
    ndarray, (n,)
        NaN for a row with leverage 1.
    """
    p = int(np.sum(factor.kept)) if n_params is None else n_params
    corrected, _ = correct_for_leverage(factor, designs, scores, information)
    parts = split_columns(whitener(factor), designs)
    distance = np.empty(scores.shape[1])
    for rows in slices(scores.shape[1]):
        z = np.einsum("kmr,km->mr", whitened(designs, parts, rows), corrected[:, rows])
        distance[rows] = np.einsum("mr,mr->m", z, z)
    return distance / (dispersion * p)


def dfbeta(
    factor: InformationFactor, designs: Sequence[Matrix], scores: np.ndarray, information: np.ndarray
) -> np.ndarray:
    """One-step change of the estimates when a row is deleted, θ̂ - θ̂₍ᵢ₎.

    Parameters
    ----------
    factor, designs, scores, information
        As for :func:`correct_for_leverage`.

    Returns
    -------
    ndarray, (n, p)
        NaN for parameters that are not kept, and for rows with leverage 1.

    Notes
    -----
    Exact for a linear gaussian model. R's ``dfbeta`` of a glm uses the deviance residual d_i instead of the Pearson
    residual, that is, the score √W_i · d_i instead of u_i; pass that as ``scores`` to get R's numbers.
    """
    T = whitener(factor)
    corrected, _ = correct_for_leverage(factor, designs, scores, information)
    parts = split_columns(T, designs)
    change = np.empty((scores.shape[1], T.shape[1]))
    for rows in slices(scores.shape[1]):
        z = np.einsum("kmr,km->mr", whitened(designs, parts, rows), corrected[:, rows])
        change[rows] = z @ T
    change[:, ~np.asarray(factor.kept, dtype=bool)] = np.nan
    return change


def deleted_shift(
    factor: InformationFactor, designs: Sequence[Matrix], scores: np.ndarray, information: np.ndarray
) -> np.ndarray:
    """One-step change of a row's own predictors when it is deleted, J_i(θ̂ − θ̂₍ᵢ₎) = A_i (I − W_i A_i)⁻¹ u_i.

    Subtracted from η_i it gives the approximate leave-one-out predictor (Rad and Maleki 2020, J. R. Statist. Soc. B 82,
    965), without a refit.

    Parameters
    ----------
    factor, designs, scores, information
        As for :func:`correct_for_leverage`, with the observed information.

    Returns
    -------
    ndarray, (K, n)
        NaN for a row with leverage 1.
    """
    corrected, _ = correct_for_leverage(factor, designs, scores, information)
    parts = split_columns(whitener(factor), designs)
    shift = np.empty_like(corrected)
    for rows in slices(scores.shape[1]):
        Z = whitened(designs, parts, rows)
        shift[:, rows] = np.einsum("kmr,lmr,lm->km", Z, Z, corrected[:, rows], optimize=True)
    return shift


def dfbetas(change: np.ndarray, factor: InformationFactor, sigma: float | np.ndarray) -> np.ndarray:
    """Changes of the estimates in standard errors, (θ̂ - θ̂₍ᵢ₎)_j / (σ (M⁻¹)_jj^½).

    Parameters
    ----------
    change : ndarray, (n, p)
        From :func:`dfbeta`.
    factor : Factor
    sigma : float or ndarray, (n,)
        The square root of the dispersion: one number (1 where it is fixed), or, as in R, estimated without each row
        by :func:`deletion_sigma`.

    Returns
    -------
    ndarray, (n, p)
    """
    T = whitener(factor)
    scale = np.sqrt(np.einsum("rp,rp->p", T, T))
    scale[~np.asarray(factor.kept, dtype=bool)] = np.nan
    return change / scale / np.broadcast_to(np.asarray(sigma, dtype=float), len(change))[:, None]


def deletion_sigma(residuals: np.ndarray, leverage: np.ndarray, df_resid: float) -> np.ndarray:
    """σ estimated without row i: σ₍ᵢ₎² = (Σe² - e_i²/(1-h_i)) / (df - 1), as in R's ``lm.influence``.

    Parameters
    ----------
    residuals : ndarray, (n,)
        Weighted residuals; in R the deviance residuals.
    leverage : ndarray, (n,)
    df_resid : float
        Residual degrees of freedom of the full fit.

    Returns
    -------
    ndarray, (n,)
        NaN for a row with leverage 1, and if no degrees of freedom are left.
    """
    squares = residuals**2
    rest = 1.0 - leverage
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (np.nansum(squares) - np.where(squares == 0.0, 0.0, squares / rest)) / (df_resid - 1.0)
        return np.sqrt(np.where((rest < FULL_LEVERAGE) | (variance < 0), np.nan, variance))


def standardised(residuals: np.ndarray, leverage: np.ndarray, dispersion: float = 1.0) -> np.ndarray:
    """Residuals divided by √(φ(1-h)), like R's ``rstandard``, for deviance or Pearson residuals.

    Returns
    -------
    ndarray, (n,)
        NaN for a row with leverage 1.
    """
    rest = 1.0 - leverage
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rest < FULL_LEVERAGE, np.nan, residuals / np.sqrt(dispersion * rest))
