"""Coefficients β at which every mean is possible while nothing varies: where iterations may begin."""

from __future__ import annotations

import numpy as np

from raphson.model.varying.densities import Density

HALVINGS = 10
"""Of the way from a constant mean to a least squares fit whose means are not possible."""


def weights(density: Density, eta: np.ndarray, tau: float) -> np.ndarray:
    """The rows' W, 0 where it is no weight."""
    weight = density.at(eta[None], tau, 2).weight[0, 0]
    return np.where(np.isfinite(weight) & (weight > 0), weight, 0.0)


def weighted_fit(X: np.ndarray, z: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted least squares, by cross-products, whose digits are enough for a start."""
    weighted = X.T * weight
    return np.linalg.lstsq(weighted @ X, weighted @ z, rcond=None)[0]


def interior(density: Density, X: np.ndarray, offset: np.ndarray, tau: float) -> np.ndarray:
    """(p,) least squares from the family's proposal for each row, drawn towards a constant mean until all are possible.

    As :func:`raphson.model.start.start_from`. Where no constant mean is possible either, the least squares fit.
    """
    y, w = density.y, density.weight
    with np.errstate(all="ignore"):
        eta = np.asarray(density.family.start_eta(y, w))[0]
        weight = weights(density, eta, tau)
    beta = weighted_fit(X, eta - offset, weight)

    def possible(at: np.ndarray) -> bool:
        return bool(np.isfinite(density.at((offset + X @ at)[None], tau, 2).total))

    if possible(beta):
        return beta
    among = eta[density.present]
    for level in (float(weight @ eta / max(weight.sum(), 1e-300)), *np.quantile(among, (0.5, 0.9, 1.0))):
        flat = weighted_fit(X, level - offset, weight)
        if possible(flat):
            nearer = (flat + 0.5**halving * (beta - flat) for halving in range(1, HALVINGS))
            return next((one for one in nearer if possible(one)), flat)
    return beta
