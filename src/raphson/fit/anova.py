"""Comparison of fits: the analysis of variance or deviance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from raphson.errors import ModelError
from raphson.fit.reading import reading_of
from raphson.fit.testing import lr_test
from raphson.inference import hypotheses

if TYPE_CHECKING:
    import pandas as pd


def anova(*fits: Any) -> pd.DataFrame:
    """Compare nested fits by likelihood-ratio tests, each with the next smaller one.

    Parameters
    ----------
    fits : two or more fits on the same rows, in any order.

    Returns
    -------
    DataFrame
        One row per fit, smallest first: df_resid, deviance, llf, df, statistic, p_value. Where the dispersion is
        estimated, the statistics are F with the dispersion of the largest fit, as in R. Where coefficients vary they
        are likelihood ratios, whose p-values account for variances at their edge.

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

    readings = [reading_of(fit) for fit in fits]
    if len(fits) < 2 or None in readings:
        raise ModelError(f"anova: expected two or more fits; got {len(fits)} argument(s)")
    ordered = sorted((one for one in readings if one is not None), key=lambda one: one.size)
    largest = ordered[-1]
    lines: list[dict[str, float]] = []
    before = None
    for fit in ordered:
        line = {"df_resid": fit.df_resid, "deviance": fit.deviance, "llf": fit.llf}
        if before is None:
            line |= {"df": math.nan, "statistic": math.nan, "p_value": math.nan}
        else:
            test = lr_test(fit, before)
            statistic, p_value = test.statistic, test.p_value
            if fit.use_t and largest.use_t:
                statistic *= fit.dispersion / largest.dispersion
                p_value = hypotheses.tail(statistic, test.df, largest.reference_df)
            line |= {"df": float(test.df), "statistic": statistic, "p_value": p_value}
        lines.append(line)
        before = fit
    return pd.DataFrame(lines, index=[fit.state.formula or f"fit {i + 1}" for i, fit in enumerate(ordered)])
