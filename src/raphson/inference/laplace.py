"""Uncertainty of parameters that the data do not all identify: the linearised Laplace approximation.

With the generalised Gauss-Newton matrix F = Σ JᵀE[W]J at unit dispersion and independent normal priors of precision
P, the covariance is (F/φ + P)⁻¹. In directions that the data identify, F/φ dominates P and the covariance is the delta
method's φ F⁻¹; in other directions the prior keeps it finite (Immer, Korzepa and Bauer 2021, AISTATS, equation 11). The
data determine γ = tr(F/φ (F/φ + P)⁻¹) parameters (MacKay 1992, Neural Computation 4, equation 21).
"""

from __future__ import annotations

import numpy as np


class Laplace:
    """The covariance of q parameters.

    Parameters
    ----------
    information : (q, q) F, positive semidefinite, at unit dispersion.
    prior : (q,) precisions P, positive.

    Examples
    --------
    >>> one = Laplace(np.array([[3.0, 0.0], [0.0, 0.0]]), np.ones(2))
    >>> one.covariance(1.0).diagonal().tolist(), one.determined(1.0)
    ([0.25, 1.0], 0.75)
    """

    def __init__(self, information: np.ndarray, prior: np.ndarray) -> None:
        # In the coordinates √P θ the prior precision is the identity, and F has eigenvalues λ.
        self._root = 1.0 / np.sqrt(prior)
        scaled = information * self._root * self._root[:, None]
        values, self._vectors = np.linalg.eigh(0.5 * (scaled + scaled.T))
        self._values = np.maximum(values, 0.0)

    def root(self, dispersion: float) -> np.ndarray:
        """Q (q, q), with QᵀQ the covariance at φ."""
        scale = 1.0 / np.sqrt(self._values / dispersion + 1.0)
        return scale[:, None] * self._vectors.T * self._root

    def covariance(self, dispersion: float) -> np.ndarray:
        """(q, q)."""
        Q = self.root(dispersion)
        return Q.T @ Q

    def determined(self, dispersion: float) -> float:
        """γ, the effective number of parameters that the data determine."""
        return float(np.sum(self._values / (self._values + dispersion)))

    def dispersion(self, pearson: float, nobs: float) -> float:
        """φ with φ (n − γ(φ)) = Pearson's statistic, by MacKay's fixed-point iteration."""
        phi = pearson / nobs
        for _ in range(50):
            if not phi > 0:
                return phi
            before, phi = phi, pearson / max(nobs - self.determined(phi), 1.0)
            if abs(phi - before) <= 1e-10 * phi:
                break
        return phi
