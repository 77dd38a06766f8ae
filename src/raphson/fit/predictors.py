"""Linear predictors of new rows, and the variance of sums of them: what mean responses over a covariate need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from raphson.data.products import dense


class Predictors(Protocol):
    """Linear predictors of rows."""

    @property
    def eta(self) -> np.ndarray:
        """(n,) with the offset."""
        ...

    def variance_of_sums(self, weights: np.ndarray) -> np.ndarray:
        """(m,) variances of Σ_j w_ij η_ij, the rows being m groups of k, for weights (m, k)."""
        ...


@dataclass(frozen=True, eq=False)
class FixedPredictors:
    """η = Xβ + offset.

    Attributes
    ----------
    eta : (n,)
    X : (n, p)
    cov : (p, p) of β̂.
    """

    eta: np.ndarray
    X: np.ndarray
    cov: np.ndarray

    @staticmethod
    def of(X: Any, theta: np.ndarray, offset: np.ndarray | None, cov: np.ndarray) -> FixedPredictors:
        """Those of the coefficients θ (p,), for columns X of any kind."""
        columns = np.asarray(dense(X))
        eta = columns @ theta
        return FixedPredictors(eta if offset is None else eta + offset, columns, cov)

    def variance_of_sums(self, weights: np.ndarray) -> np.ndarray:
        sums = np.einsum("ij,ijk->ik", weights, self.X.reshape(*weights.shape, -1))
        return np.einsum("ij,jk,ik->i", sums, np.nan_to_num(self.cov), sums)
