"""Tables of a fit as data frames, as in broom: coefficients (tidy), the fit (glance), the rows (augment)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from raphson.report.ratios import as_ratios, ratio_name

if TYPE_CHECKING:
    import pandas as pd


def tidy(fit: Any, level: float = 0.95, exponentiate: bool = False) -> pd.DataFrame:
    """One row for each coefficient: term, estimate, std_error, statistic, p_value, conf_low, conf_high."""
    import pandas as pd

    interval = fit.conf_int(level)
    table = pd.DataFrame(
        {
            "term": list(fit.params.index),
            "estimate": fit.params.to_numpy(),
            "std_error": fit.bse.to_numpy(),
            "statistic": fit.tvalues.to_numpy(),
            "p_value": fit.pvalues.to_numpy(),
            "conf_low": interval["lower"].to_numpy(),
            "conf_high": interval["upper"].to_numpy(),
        }
    )
    if not exponentiate:
        return table
    ratio_name(fit)  # or the reason why there is none
    return as_ratios(table, "std_error", ("term", "statistic", "p_value"))


GLANCE = (
    *("null_deviance", "df_null", "llf", "aic", "bic", "deviance", "df_resid", "df_model", "nobs"),
    *("dispersion", "status", "converged", "distance", "n_iter", "condition_number"),
)


def glance(fit: Any) -> pd.DataFrame:
    """One row for the whole fit, with the columns of `GLANCE`; what this kind of fit does not have is NaN."""
    import pandas as pd

    return pd.DataFrame({name: [_cell(getattr(fit, name, math.nan))] for name in GLANCE})


def _cell(value: Any) -> Any:
    return getattr(value, "value", value)  # a status by its name


def augment(fit: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the data that were used, with the columns of :func:`added`."""
    return frame.assign(**added(fit))


def added(fit: Any) -> pd.DataFrame:
    """For each row that was used ``.fitted``, ``.resid``, ``.std_resid``, ``.hat``, ``.cooksd``.

    A multinomial fit has a ``.fitted_LEVEL`` for each level instead. A network has only ``.fitted`` and ``.resid``, and
    a fit whose coefficients vary no ``.cooksd``, which it has of the levels of its groups.
    """
    import pandas as pd

    from raphson.inference import influence

    fitted = fit.fittedvalues
    if isinstance(fitted, pd.DataFrame):
        return fitted.add_prefix(".fitted_")
    residuals = fit.residuals("deviance")
    if not fit.identified or not hasattr(fit, "leverage"):
        return pd.DataFrame({".fitted": fitted, ".resid": residuals})
    hat = fit.leverage
    columns = {
        ".fitted": fitted,
        ".resid": residuals,
        ".std_resid": influence.standardised(residuals.to_numpy(), hat.to_numpy(), fit.dispersion),
        ".hat": hat,
    }
    if not hasattr(fit, "variances"):
        columns[".cooksd"] = fit.cooks_distance
    return pd.DataFrame(columns)
