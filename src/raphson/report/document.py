"""A fit as one JSON document: for ``raphson fit --json`` and anything else that reads JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from raphson.report import content

INPUTS = ("groups", "weights", "weights_kind", "sigma", "trials", "offset", "penalty")
"""The arguments besides the formula; null where not given."""


def document(fit: Any, level: float = 0.95, exponentiate: bool = False) -> dict[str, Any]:
    """The contents of a summary as plain Python values at full precision.

    Parameters
    ----------
    fit : Fit
    level : float
        Coverage of the intervals.
    exponentiate : whether the coefficients are given as ratios.
    """
    curve = {name: getattr(fit, name) for name in ("rss", "residual_sd") if name in fit.measures}
    return {
        "formula": fit.formula,
        "family": fit.family.name,
        "link": fit.family.link_name,
        "method": fit.method,
        "information": fit.information_kind,
        "cov": fit.cov_kind,
        "small_sample": getattr(fit, "small_sample", "full") if fit.cov_kind == "cluster" else None,
        **{name: getattr(fit, "inputs", {}).get(name) for name in INPUTS},
        "bias": getattr(fit, "bias", None),
        "status": str(getattr(fit.status, "value", fit.status)),
        "converged": bool(fit.converged),
        "message": fit.message,
        "n_iter": int(fit.n_iter),
        "distance": fit.distance,
        "nobs": fit.nobs,
        "n_dropped": int(fit.n_dropped),
        "df_model": fit.df_model,
        "df_resid": fit.df_resid,
        "llf": fit.llf,
        "aic": fit.aic,
        "bic": fit.bic,
        "deviance": fit.deviance,
        "null_deviance": fit.null_deviance,
        "dispersion": fit.dispersion,
        "deviance_explained": content.explained(fit),
        "reference_levels": getattr(fit, "reference_levels", {}),
        **curve,
        "condition_number": getattr(fit, "condition_number", math.nan),
        "remarks": list(getattr(fit, "remarks", [])),
        "theta": fit.theta,
        "theta_se": fit.theta_se,
        "level": level,
        "estimate": content.estimate_name(fit, exponentiate),
        "statistic": content.statistic_name(fit),
        "coefficients": [_coefficient(row) for row in content.coefficients(fit, level, exponentiate)],
        **_varying(fit),
        "path": fit.path.to_dict(orient="records"),
    }


def _varying(fit: Any) -> dict[str, Any]:
    """How much coefficients vary, and the smooth functions, a row each; nothing where none varies."""
    if not hasattr(fit, "variances"):
        return {}
    ends = {"lower": "conf_low", "upper": "conf_high"}
    return {
        "variances": fit.variances.rename(columns=ends).to_dict(orient="records"),
        "smooths": fit.smooths.to_dict(orient="records"),
    }


def _coefficient(row: content.Coefficient) -> dict[str, Any]:
    """A row of the coefficients, with the columns of ``tidy()``, its correct digits, and why it has no estimate."""
    return {
        "term": row.name,
        "estimate": row.estimate,
        "std_error": row.std_error,
        "statistic": row.statistic,
        "p_value": row.p_value,
        "conf_low": row.lower,
        "conf_high": row.upper,
        "digits": row.digits,
        "note": row.note or None,
    }


def to_json(value: Any) -> str:
    """Valid JSON: NaN becomes null, and infinity the text ``"inf"`` or ``"-inf"``.

    Examples
    --------
    >>> print(to_json({"estimate": float("inf"), "std_error": float("nan")}))
    {
      "estimate": "inf",
      "std_error": null
    }
    """
    return json.dumps(_plain(value), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
