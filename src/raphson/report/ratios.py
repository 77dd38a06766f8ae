"""Coefficients as ratios: what exp of one is called, and what becomes of its error and interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd

_OF_PROPORTIONS = {"logit": "odds ratio", "log": "risk ratio", "cloglog": "hazard ratio"}
"""By the link. With cloglog it is the ratio of the hazards of the times that are cut into intervals."""


def ratio_name(fit: Any) -> str:
    """What exp of a coefficient is: "odds ratio", "rate ratio", …

    Raises
    ------
    ModelError
        If it is no ratio.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> ratio_name(rp.glm("low ~ lwt", births, family="binomial"))
    'odds ratio'
    """
    family = fit.family
    link, support = family.link_name, getattr(family, "support", None)
    if fit.identified and fit.linear:
        if family.levels is not None and link == "logit":
            return "odds ratio"  # against the first level
        if support == "proportion" and link in _OF_PROPORTIONS:
            return _OF_PROPORTIONS[link]
        if link == "log":
            return "rate ratio" if support == "count" else "ratio of means"
        labels = getattr(family, "predictor_labels", None)
        if labels and all(one.startswith(("log_", "logit_")) for one in labels):
            return "ratio"  # of the parameters, or of their odds
    what = f"the {link} link" if link else f"the family {family.name}"
    raise ModelError(
        "exponentiate: expected a generalised linear model with a log, logit or cloglog link, or a likelihood whose "
        "predictors are all logarithms or logits, where exp of a coefficient is a ratio; got "
        f"{what}. For exp of one parameter use fit.delta('exp(name)'), or --delta"
    )


def as_ratios(table: pd.DataFrame, errors: str | None = None, skip: tuple[str, ...] = ()) -> pd.DataFrame:
    """A table of coefficients and ends of intervals as ratios.

    Parameters
    ----------
    errors : the column of standard errors; by the delta method that of exp(b) is exp(b) times that of b.
    skip : columns that stay.
    """
    found = table.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for name in found.columns:
            if name == errors:
                found[name] = np.exp(table["estimate"]) * table[name]
            elif name not in skip:
                found[name] = np.exp(table[name])
    return found


def ratio_digits(estimate: float, digits: float) -> float:
    """Correct digits of exp(b), whose relative error is the absolute error of b, |b| 10⁻ᵈ.

    Examples
    --------
    >>> ratio_digits(0.01, 10.0), ratio_digits(10.0, 10.0)
    (12.0, 9.0)
    """
    if not math.isfinite(estimate) or estimate == 0.0:
        return digits
    return max(min(digits - math.log10(abs(estimate)), 15.95), 0.0)
