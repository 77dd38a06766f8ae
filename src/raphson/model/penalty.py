"""A ridge in the model: the objective is ℓ(θ) − ½ θᵀPθ, at unit dispersion."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.errors import ModelError


def penalty_matrix(penalty: Any, n_params: int, unpenalised: np.ndarray) -> np.ndarray | None:
    """The symmetric matrix P that a user's `penalty` stands for.

    Parameters
    ----------
    penalty : None; a number, put on every coefficient that is not `unpenalised`; a vector (p,), the
        diagonal of P; or P itself (p, p).
    n_params : p.
    unpenalised : (p,) mask of the coefficients that a single number spares (the intercepts).

    Raises
    ------
    ModelError
        If the shape is wrong, or P is not finite, symmetric and positive semidefinite.

    Examples
    --------
    >>> penalty_matrix(2.0, 2, np.array([True, False]))
    array([[0., 0.],
           [0., 2.]])
    """
    if penalty is None:
        return None
    try:
        P = np.asarray(penalty, dtype=float)
    except (TypeError, ValueError):
        raise ModelError(f"penalty: expected a number, a vector or a matrix; got {type(penalty).__name__}") from None
    if P.ndim == 0:
        P = np.diag(np.where(unpenalised, 0.0, P))
    elif P.shape == (n_params,):
        P = np.diag(P)
    elif P.shape != (n_params, n_params):
        raise ModelError(
            f"penalty: expected a number, a vector of {n_params} or a matrix {n_params} × {n_params} "
            f"(one entry per coefficient, the intercept included); got shape {P.shape}"
        )
    if not np.isfinite(P).all():
        raise ModelError("penalty: expected finite numbers; got NaN or infinity")
    if not np.allclose(P, P.T, rtol=1e-12, atol=0):
        raise ModelError("penalty: expected a symmetric matrix; pass (P + P.T) / 2")
    diagonal = np.diag(P)
    # The eigenvalues of a diagonal matrix are its entries; of 1,000 coefficients others take half a second.
    values = diagonal if np.count_nonzero(P) == np.count_nonzero(diagonal) else np.linalg.eigvalsh(P)
    smallest = float(values.min(initial=0.0))
    if smallest < -1e-12 * max(1.0, float(np.abs(P).max(initial=0.0))):
        raise ModelError(
            f"penalty: expected no negative eigenvalue, so that the objective stays bounded; got {smallest:.3g}"
        )
    return P
