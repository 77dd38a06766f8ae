"""Comparing fits: which are nested, and their analysis of variance or deviance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.data.products import dense
from raphson.errors import DataError, ModelError
from raphson.fit.state import State
from raphson.inference import hypotheses

if TYPE_CHECKING:
    import pandas as pd


def anova(*fits: Any) -> pd.DataFrame:
    """Compare nested fits, each with the one before it, by likelihood-ratio tests.

    Parameters
    ----------
    fits : two or more fits on the same rows, in any order.

    Returns
    -------
    DataFrame
        From the smallest to the largest: df_resid, deviance, llf, df, statistic, p_value. Where the dispersion is
        estimated the statistics are F with that of the largest fit, as in R.

    Raises
    ------
    ModelError, DataError
        As :meth:`raphson.fit.fit.Fit.lr_test`.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> small, large = (rp.glm(f"low ~ {x}", births, family="binomial") for x in ("lwt", "lwt + smoke + age"))
    >>> rp.anova(small, large)[["df", "statistic", "p_value"]].round(4)
                              df  statistic  p_value
    low ~ lwt                NaN        NaN      NaN
    low ~ lwt + smoke + age  2.0     5.8113   0.0547
    """
    import pandas as pd

    if len(fits) < 2 or not all(isinstance(fit, State) for fit in fits):
        raise ModelError(f"anova: expected two or more fits; got {len(fits)} argument(s)")
    ordered = sorted(fits, key=lambda fit: fit._effective)
    largest = ordered[-1]
    lines = []
    for number, fit in enumerate(ordered):
        line = {"df_resid": fit.df_resid, "deviance": fit.deviance, "llf": fit.llf}
        if number:
            before = ordered[number - 1]
            test = fit.lr_test(before)
            statistic, p_value = test.statistic, test.p_value
            if fit.use_t:
                statistic *= fit.dispersion / largest.dispersion
                p_value = hypotheses.tail(statistic, test.df, largest._reference_df)
            line |= {"df": float(test.df), "statistic": statistic, "p_value": p_value}
        else:
            line |= {"df": math.nan, "statistic": math.nan, "p_value": math.nan}
        lines.append(line)
    return pd.DataFrame(lines, index=[str(fit.formula or f"fit {i + 1}") for i, fit in enumerate(ordered)])


def check_nested(larger: Any, smaller: Any, nested: bool = False) -> int:
    """Degrees of freedom between two fits of nested models; `nested` is the user's word for it.

    Raises
    ------
    DataError, ModelError
    """
    mine, other = larger._model, smaller._model
    if len(mine.y) != len(other.y) or not np.array_equal(_rows_of(mine), _rows_of(other)):
        raise DataError(
            f"smaller: it was fitted to {len(other.y)} rows and this fit to {len(mine.y)}, not the same ones; drop the "
            "missing values of all covariates first, and fit both to what remains"
        )
    if not np.array_equal(mine.y, other.y) or not np.array_equal(mine.row_weight, other.row_weight):
        raise DataError(
            "smaller: it has another response or other weights than this fit; models of the same are nested"
        )
    reason = "" if nested else mine.why_not_nested(other, larger._theta, smaller._theta)
    family = [_described(fit) for fit in (larger, smaller)]
    if reason is None and (
        family[0] != family[1] or larger._auxiliary != smaller._auxiliary or type(mine) is not type(other)
    ):
        raise ModelError(
            f"smaller: expected a model of the same family and link, {family[0]}; got {family[1]}: between "
            "families the ratio has no χ² distribution, nested at an edge or not; compare aic or bic"
        )
    q = round(larger._effective - smaller._effective)
    if q <= 0:
        raise ModelError(
            f"smaller: expected a model with fewer parameters than this fit's {larger._effective:g}; got "
            f"{smaller._effective:g}. Call lr_test on the larger fit; models of as many parameters are not nested"
        )
    if reason:
        raise ModelError(f"smaller: {reason}")
    if reason is None and larger._predictor.linear and smaller._predictor.linear and not _spans(larger, smaller):
        raise ModelError(
            "smaller: its terms are not combinations of this fit's, so the models are not nested and the ratio has no "
            "χ² distribution; compare aic or bic"
        )
    return q


def _spans(larger: Any, smaller: Any) -> bool:
    """Whether the smaller model's predictors are among the larger one's, offsets included."""
    mine, other = larger._model, smaller._model
    outer, inner = mine.designs(larger._theta), list(other.designs(smaller._theta))
    if len(outer) != len(inner):
        return True  # predictors of another kind, which cannot be compared one by one
    for k, difference in enumerate(_offsets(mine) - _offsets(other)):
        if difference.any():
            inner[k] = np.column_stack([dense(inner[k]), difference])
    return hypotheses.nested(outer, inner, mine.row_weight)


def _offsets(model: Any) -> np.ndarray:
    """(K, n) what the predictors are at θ = 0."""
    zero = np.zeros(model.predictor.n_params)
    return np.concatenate([model.predictor.eta(block, zero)[:, : block.rows] for block in model.blocks], axis=1)


def _rows_of(model: Any) -> np.ndarray:
    index = getattr(model.data, "index", None)
    return np.arange(len(model.y)) if index is None else np.asarray(index)


def _described(fit: Any) -> str:
    """A fit's family, and its link where it has one."""
    link = getattr(fit.family, "link", None)
    return fit.family.name + (f" with {link.name}" if link is not None else "")
