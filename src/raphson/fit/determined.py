"""What the data determine: conditioning, combinations of parameters that they leave open, curvature, remarks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.errors import ModelError
from raphson.fit.state import State
from raphson.inference import covariance
from raphson.inference.curvature import Curvature, curvature_of
from raphson.inference.intervals import check_level
from raphson.model.spread import deviates, remark

if TYPE_CHECKING:
    import pandas as pd


class Determining(State):
    """The part of a Fit that says what to make of its numbers."""

    @cached_property
    def condition_number(self) -> float:
        """Condition number of √W J at the estimate, J = ∂η/∂θ, its columns scaled to length 1 (Belsley 1991).

        Above some 1e5 the data hardly tell some parameters apart; infinite where they do not at all, NaN where no
        parameter was estimated.
        """
        self._need_data("condition_number")
        if self._uncertainty.empty:
            return float("nan")
        try:
            factor = self._uncertainty.main_factor
        except ModelError:  # not positive definite: the iteration did not end at a maximum
            return float("inf")
        if (self._free[: self._n] & ~factor.kept).any():
            return float("inf")
        singular = np.linalg.svd(factor.root, compute_uv=False)
        return float(singular[0] / singular[-1]) if singular[-1] > 0 else float("inf")

    @cached_property
    def remarks(self) -> list[str]:
        """What the user should know before using the numbers, a sentence each: what the data leave open, what standard
        errors and likelihood mean where a loss, a transformed response or bounds change it."""
        model, found = self._need_data("remarks"), self._estimate
        said = model.remarks(found.result, self.dispersion, self.cov_kind, found.met)
        return [*said, *(one for one in (self._spread_told, self._rank_told) if one)]

    @property
    def _spread_told(self) -> str:
        """Whether the responses vary more, or less, than the family says, where standard errors rely on that."""
        if self.cov_kind != "model" or not self.status.converged or not self._model.looser:
            return ""
        settled = self._settled
        found = settled.spread(self._rows)
        if found is None:
            return ""
        phi, p_value = deviates(found, settled.pearson(self._rows), self.df_resid, self.nobs)
        return remark(self.family.name, self._model.looser, phi, p_value, self._model.by_rows)

    @property
    def _rank_told(self) -> str:
        """Whether a sandwich is made of fewer rows or clusters than there are parameters."""
        if self.cov_kind == "model" or not self.status.converged:
            return ""
        return covariance.rank_remark(
            self.cov_kind, self._model.row_weight, self._groups, int(self._free[: self._n].sum())
        )

    @cached_property
    def _undetermined(self) -> np.ndarray:
        """(n,) mask of the parameters that some change of leaves the fit exactly as it is: they have no standard
        error."""
        if self._model is None or self._infinite.any():
            return np.zeros(self._n, dtype=bool)
        return self._model.undetermined(self._estimate.result)[: self._n]

    @property
    def covariates(self) -> pd.DataFrame | None:
        """The columns that an expression reads, in the rows that were used; None for any other fit."""
        import pandas as pd

        if self._model is None or self.formula is None or getattr(self._predictor, "by_row", None) is not True:
            return None
        data = self._model.data
        return pd.DataFrame(np.asarray(data.X), columns=list(data.names), index=self._row_labels)

    @property
    def has_undetermined(self) -> bool:
        """Whether some parameters can change and leave the fit exactly as it is."""
        return bool(self._undetermined.any())

    def curvature(self, level: float = 0.95) -> Curvature:
        """How far the curve is from linear over the joint confidence region: Bates and Watts's curvatures.

        Exact second derivatives give the root mean square and the greatest of the intrinsic curvature, which no
        parametrisation changes, and of that of the parameters; each times √F: up to ½, Wald intervals are adequate.

        Parameters
        ----------
        level : coverage of the joint confidence region.

        Returns
        -------
        Curvature
            ``intrinsic``, ``parameter_effects``, ``max_intrinsic``, ``max_parameter_effects``, ``verdict``; and by
            parameter ``bias`` (Box) and ``skewness`` (Hougaard).

        Raises
        ------
        ModelError
            Unless the fit is one by least squares: gaussian, with the identity link and positive residual degrees of
            freedom, and all parameters determined.

        Notes
        -----
        Bates and Watts (1980), J. R. Statist. Soc. B 42, 1; (1988), Nonlinear Regression Analysis, chapter 7. In a
        linear model all are 0. With a penalty its rows count as data.

        Examples
        --------
        >>> import raphson as rp
        >>> conc = [0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.10, 1.10]
        >>> rate = [76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200]
        >>> fit = rp.nls("rate ~ Vm*conc/(K + conc)", {"conc": conc, "rate": rate}, start={"K": 0.05})
        >>> fit.curvature()
        Curvature times √F (1 is as curved as the 95% region is wide):
          intrinsic          0.0920 (greatest 0.1502)
          parameter effects  0.2121 (greatest 0.3491)
        the curve is close to linear over the confidence region: Wald intervals are adequate
        """
        model = self._need_data("curvature")
        link = getattr(getattr(self.family, "link", None), "name", "identity")
        if self.family.name != "gaussian" or link != "identity":
            raise ModelError(
                "curvature: Bates and Watts's measures are those of least squares, a gaussian response with the "
                f"identity link; this fit is {self.family.name} with the {link} link. Compare profiles and Wald"
            )
        if self._undetermined.any():
            raise ModelError(
                f"curvature: the data do not determine {', '.join(self._named(self._undetermined))}; hold some with "
                "fixed="
            )
        if not self.df_resid > 0:
            raise ModelError("curvature: without residual degrees of freedom there is no confidence region")
        check_level(level)
        J, H = _derivatives(self._settled, self._theta[: self._settled.predictor.n_params])
        root = np.sqrt(model.row_weight)
        J, H = root[:, None] * J, root[:, None, None] * H
        if model.penalty is not None:
            values, vectors = np.linalg.eigh(model.penalty)
            J = np.concatenate([J, (vectors * np.sqrt(np.maximum(values, 0.0))).T])
            H = np.concatenate([H, np.zeros((len(values), *H.shape[1:]))])
        return curvature_of(J, H, self.dispersion, self.df_resid, level, list(self.names), self._free[: self._n])


def _derivatives(model: Any, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """∂η/∂θ (n, p) and ∂²η/∂θ² (n, p, p) of a model with one predictor."""
    from raphson.data.products import dense

    first, second = [], []
    for block in model.blocks:
        jacobian = model.predictor.at(block, theta)[1]
        J = dense(jacobian.parts[0])
        bent = np.zeros((len(theta), len(theta), len(J))) if model.predictor.linear else _second(jacobian)
        first.append(J)
        second.append(np.moveaxis(bent, -1, 0))
    return np.concatenate(first), np.concatenate(second)


def _second(jacobian: Any) -> np.ndarray:
    bent = jacobian.second()
    if bent is None:
        raise ModelError("curvature: this model offers no second derivatives of each row; use bootstrap or profiles")
    return bent[0]
