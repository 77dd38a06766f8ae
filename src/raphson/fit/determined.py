"""How well the data determine the parameters: conditioning, curvature, and remarks on what they leave open."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.data.products import dense
from raphson.errors import ModelError
from raphson.fit.goodness import Goodness
from raphson.fit.state import AtEstimate
from raphson.inference import covariance
from raphson.inference.curvature import Curvature, curvature_of
from raphson.inference.intervals import check_level
from raphson.model.base import Model
from raphson.model.objective import penalty_rows
from raphson.model.spread import deviates, remark


def condition_number(at: AtEstimate, free: np.ndarray) -> float:
    """See :attr:`raphson.Fit.condition_number`."""
    if at.uncertainty.empty:
        return float("nan")
    try:
        factor = at.uncertainty.main_factor
    except ModelError:  # not positive definite: the iteration did not end at a maximum
        return float("inf")
    if (free & ~factor.kept).any():
        return float("inf")
    singular = np.linalg.svd(factor.root, compute_uv=False)
    return float(singular[0] / singular[-1]) if singular[-1] > 0 else float("inf")


def remarks(fit: Goodness) -> list[str]:
    """Cautions for the reader of the numbers, a sentence each."""
    at = fit.at("remarks")
    said = at.asked.remarks(at.estimate.result, fit.dispersion, fit.state.cov, at.estimate.met)
    return [*said, *(one for one in (_spread(fit, at), _rank(fit, at)) if one)]


def _spread(fit: Goodness, at: AtEstimate) -> str:
    """A remark if the responses vary more, or less, than the family says and the standard errors rely on it."""
    wider_families = at.asked.wider_families
    if fit.state.cov != "model" or not fit.state.status.converged or not wider_families:
        return ""
    found = at.fitted.spread(fit.rows)
    if found is None or not found.second > 0:
        return ""
    phi, p_value = deviates(found, at.pearson, fit.df_resid, fit.nobs)
    return remark(fit.family.name, wider_families, phi, p_value)


def _rank(fit: Goodness, at: AtEstimate) -> str:
    """A remark if a sandwich has fewer rows or clusters than there are parameters."""
    state = fit.state
    if state.cov == "model" or not state.status.converged or not at.asked.by_rows:
        return ""
    return covariance.rank_remark(state.cov, at.asked.row_weight, state.groups, int(state.free[: fit.n].sum()))


def light_weights(fit: Goodness) -> str:
    """A remark if the frequency weights add up to no more observations than there are coefficients."""
    at = fit.state.at
    if at is None or at.asked.weights_kind != "frequency" or fit.nobs > fit.n:
        return ""
    rows = int(np.count_nonzero(at.asked.row_weight > 0))
    if rows <= fit.n:
        return ""
    lost = ", and the dispersion cannot be estimated" if fit.use_t else ""
    return (
        f"the frequency weights of {rows} rows add up to {fit.nobs:.6g} observations, no more than there are "
        f"coefficients ({fit.n}){lost}; if the weights are not counts, use weights_kind='precision' or 'sampling'"
    )


def curvature(fit: Goodness, level: float = 0.95) -> Curvature:
    """Bates and Watts's curvatures: how far the model is from linear over the joint confidence region.

    The intrinsic curvature is the same in every parametrisation; the parameter effects depend on it. Of each, exact
    second derivatives give the root mean square and the maximum, times √F. Up to ½, Wald intervals are adequate.

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
        If this is not a least-squares fit (gaussian, identity link), has no residual degrees of freedom, or has
        parameters that the data do not determine.

    Notes
    -----
    Bates and Watts (1980), J. R. Statist. Soc. B 42, 1; (1988), Nonlinear Regression Analysis, chapter 7. In a
    linear model all are 0. The rows of a penalty count as data.

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
    at = fit.at("curvature")
    link = fit.family.link_name
    if fit.family.name != "gaussian" or link != "identity":
        raise ModelError(
            "curvature: expected a least-squares fit (gaussian with the identity link); got "
            f"{fit.family.name} with the {link} link. Compare profile() and the Wald intervals instead"
        )
    if fit.state.undetermined.any():
        open_ones = [name for name, one in zip(fit.names, fit.state.undetermined, strict=True) if one]
        raise ModelError(f"curvature: the data do not determine {', '.join(open_ones)}; fix some with fixed=")
    if not fit.df_resid > 0:
        raise ModelError(
            f"curvature: expected positive residual degrees of freedom; got {fit.df_resid:g}, which leave no "
            "confidence region"
        )
    check_level(level)
    J, H = _derivatives(at.fitted, at.theta)
    root = np.sqrt(at.asked.row_weight)
    J, H = root[:, None] * J, root[:, None, None] * H
    if at.asked.penalty is not None:
        B = penalty_rows(at.asked.penalty)
        J, H = np.concatenate([J, B]), np.concatenate([H, np.zeros((len(B), *H.shape[1:]))])
    return curvature_of(J, H, fit.dispersion, fit.df_resid, level, list(fit.names), fit.state.free[: fit.n])


def _derivatives(model: Model, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """∂η/∂θ (n, p) and ∂²η/∂θ² (n, p, p) of a model with one predictor."""
    first, second = [], []
    for block in model.blocks:
        jacobian = model.predictor.at(block, theta)[1]
        J = dense(jacobian.parts[0])
        hessian = np.zeros((len(theta), len(theta), len(J))) if model.predictor.linear else _second(jacobian)
        first.append(J)
        second.append(np.moveaxis(hessian, -1, 0))
    return np.concatenate(first), np.concatenate(second)


def _second(jacobian: Any) -> np.ndarray:
    second = jacobian.second()
    if second is None:
        raise ModelError("curvature: this model has no second derivatives by row; use bootstrap() or profile() instead")
    return second[0]
