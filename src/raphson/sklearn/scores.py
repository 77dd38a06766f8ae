"""D², the share of the deviance that predictions explain: R² of the families that are not normal."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from raphson.errors import DataError, ModelError, Needs
from raphson.model import families
from raphson.numeric import x64

with Needs("sklearn", "raphson.sklearn"):
    from sklearn.exceptions import UndefinedMetricWarning


def d2_score(
    y_true: Any,
    y_pred: Any,
    *,
    family: str | families.Family = "gaussian",
    sample_weight: Any = None,
    null: Any = None,
) -> float:
    """Share of a family's deviance that predicted means explain, D² = 1 − D(y, ŷ)/D(y, ȳ).

    It is what scikit-learn's ``d2_tweedie_score`` gives for the normal (there it is R²), Poisson, gamma and inverse
    Gaussian families, and ``d2_log_loss_score`` for shares of 0 and 1 as a binomial response; here it is of any family.

    Parameters
    ----------
    y_true : (n,) responses.
    y_pred : (n,) predicted means.
    family : a name, or an object; a negative binomial one with its θ.
    sample_weight : (n,) weights.
    null : the means (n,) to compare with; by default the weighted mean of the responses.

    Returns
    -------
    float
        1 at best, 0 for predictions as good as their mean, negative for worse ones. Where the null deviance is 0 it is
        1 if the deviance is, else 0, as in scikit-learn's ``r2_score``.

    Examples
    --------
    >>> from sklearn.metrics import d2_tweedie_score
    >>> y, mean = [1, 0, 3, 7], [1.2, 0.5, 2.0, 6.0]
    >>> round(d2_score(y, mean, family="poisson"), 6), round(d2_tweedie_score(y, mean, power=1), 6)
    (0.859554, 0.859554)
    """
    resolved = families.resolve(family)
    if resolved.name == "multinomial":
        raise ModelError("family: expected a response with one mean; for classes see sklearn.metrics.d2_log_loss_score")
    if resolved.auxiliary:
        needed = ", ".join(name.removeprefix("log_") for name in resolved.auxiliary)
        raise ModelError(f"family: the {resolved.name} family needs its {needed}; pass the family of a fit, fit.family")
    y, mean = (np.asarray(values, dtype=np.float64) for values in (y_true, y_pred))
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if not y.ndim == 1 or not y.shape == mean.shape == weight.shape:
        raise DataError(
            f"d2_score: expected responses, means and weights of one length; got the shapes {y.shape}, {mean.shape} "
            f"and {weight.shape}"
        )
    if len(y) < 2:
        warnings.warn("D^2 score is not well-defined with less than two samples.", UndefinedMetricWarning, stacklevel=2)
        return float("nan")
    there = weight > 0
    y, mean, weight = y[there], mean[there], weight[there]
    middle = np.full(len(y), np.average(y, weights=weight)) if null is None else np.asarray(null)[there]
    explained, total = (float(weight @ _unit_deviance(resolved, y, one)) for one in (mean, middle))
    if not total > 0:
        return 1.0 if not explained > 0 else 0.0
    return 1.0 - explained / total


def _unit_deviance(family: Any, y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        eta = family.link.link(mean)
        with x64():
            value = np.asarray(family.log_density(y, eta[None]), dtype=np.float64)
        return np.asarray(family.unit_deviance(y, mean, value))
