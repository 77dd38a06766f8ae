r"""The mean response averaged over the effects that groups may have: of somebody whose group is not known.

At a predictor η without the effects of groups, which add zᵀb with b ~ N(0, ΛΛᵀ) and so s² = Σ zᵀΛΛᵀz in all,

    μ̄ = ∫ μ(η + su) φ(u) du,    ∂μ̄/∂η = ∫ μ'(η + su) φ(u) du,    ∂μ̄/∂s = ∫ u μ'(η + su) φ(u) du,

by Gauss-Hermite quadrature. With the total derivatives of η by all parameters θ, those of smooth functions through
their modes among them, and s ∂_js = Σ zᵀΛ_jΛᵀz, the variance of μ̄ is that of the delta method: by the inverse of the
exact Hessian for maximum likelihood; for REML the coefficients' given the scales, and the scales' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.varying.term import VaryingTerm
from raphson.errors import ModelError
from raphson.fit.means import Prediction
from raphson.inference import delta
from raphson.inference.intervals import quantile
from raphson.model.base import rows_at

if TYPE_CHECKING:
    import pandas as pd

    from raphson.fit.varying.predicting import VaryingPredictor

NODES = 61
"""Of the quadrature: 61 give the mean of a logistic curve to 1e-10 at a standard deviation of 2, and to 2e-7 at 3."""


def marginal(
    predictor: VaryingPredictor,
    X: np.ndarray,
    terms: Sequence[VaryingTerm | None],
    offset: np.ndarray | None,
    labels: Any,
    asked: Prediction,
) -> pd.Series | pd.DataFrame:
    """Mean responses of rows, averaged over the effects of groups, as :meth:`VaryingPredictor.predict` gives others.

    Raises
    ------
    ModelError
        For predictors instead of means, or the quantiles of new responses.
    """
    import pandas as pd

    if asked.kind == "link":
        raise ModelError(
            "kind: expected 'response' with effects='marginal'; got 'link'. The average of linear predictors is that "
            "of effects='population'"
        )
    if asked.interval == "prediction":
        raise ModelError("interval: expected None or 'confidence' with effects='marginal'; got 'prediction'")
    smooth = [None if term is None or term.codes is not None else term for term in terms]
    eta = predictor.predictor(X, smooth, offset)
    spread, slopes = _spread(predictor, terms, len(X))
    mean, by_eta, by_spread = _averaged(predictor, eta, spread)
    if not asked.uncertain:
        return pd.Series(mean, index=labels, name="fit")
    errors = np.sqrt(np.maximum(_variance(predictor, X, smooth, by_eta, by_spread, spread, slopes), 0.0))
    columns = {"fit": mean}
    if asked.se:
        columns["se"] = errors
    if asked.interval is not None:
        columns["lower"], columns["upper"] = _interval(predictor, mean, errors, quantile(asked.level, None))
    return pd.DataFrame(columns, index=labels)


def _spread(predictor: VaryingPredictor, terms: Sequence[VaryingTerm | None], n: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,) s, and (n, J) s ∂s by the parameters."""
    at = predictor.at
    criterion = at.criterion
    square, slopes = np.zeros(n), np.zeros((n, criterion.n_params))
    for number, term in enumerate(terms):
        if term is None or term.codes is None:
            continue
        scale = criterion.scales[number]
        entries = at.theta[criterion.own_entries]
        L = scale.matrix(entries)
        turned = term.columns @ L
        square += np.einsum("ij,ij->i", turned, turned)
        for j, move in enumerate(scale.moves(entries)):
            slopes[:, criterion.p + scale.start + j] += np.einsum("ij,ij->i", term.columns @ move, turned)
    return np.sqrt(square), slopes


def _averaged(
    predictor: VaryingPredictor, eta: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """μ̄ and its derivatives by η and by s, (n,) each."""
    u, w = np.polynomial.hermite_e.hermegauss(NODES)
    w = w / w.sum()
    mean, by_eta, by_spread = (np.zeros(len(eta)) for _ in range(3))
    for node, weight in zip(u, w, strict=True):
        rows = rows_at(predictor.family, eta + spread * node)
        slope = rows.slope[0, 0]
        mean += weight * rows.mean[0]
        by_eta += weight * slope
        by_spread += weight * node * slope
    return mean, by_eta, by_spread


def _variance(
    predictor: VaryingPredictor,
    X: np.ndarray,
    smooth: Sequence[VaryingTerm | None],
    by_eta: np.ndarray,
    by_spread: np.ndarray,
    spread: np.ndarray,
    slopes: np.ndarray,
) -> np.ndarray:
    at = predictor.at
    # ∂μ̄/∂s ∂_js, where ∂μ̄/∂s is 0 with s
    turned = np.divide(by_spread, spread, out=np.zeros(len(X)), where=spread > 0)[:, None] * slopes
    moves = by_eta[:, None] * predictor.moves(X, smooth)
    if at.criterion.restricted:
        return predictor.form(moves) + np.einsum("ij,jk,ik->i", turned, at.cov, turned)
    moves[:, : at.criterion.n_params] += turned
    return predictor.form(moves)


def _interval(
    predictor: VaryingPredictor, mean: np.ndarray, errors: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ends on the scale of the link, on which the error is that of the mean over dμ/dη."""
    family: Any = predictor.family
    centre = family.link.link(mean)
    slope = np.abs(rows_at(family, centre).slope[0, 0])
    of_link = np.divide(errors, slope, out=np.zeros(len(mean)), where=slope > 0)
    return delta.mean_interval(centre, of_link, lambda eta: rows_at(family, eta).mean[0], reach)
