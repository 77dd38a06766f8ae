from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from raphson.errors import visible
from raphson.status import Status


@pytest.fixture
def make_fit() -> Callable[..., SimpleNamespace]:
    """A stand-in with the attributes of a Fit that the reports read; keywords replace some of them."""
    return _make_fit


def _make_fit(names: Sequence[str] = ("Intercept", "age", "race[T.other]"), **changes: Any) -> SimpleNamespace:
    values = {
        "params": pd.Series([0.461223, -0.0198767, 1.25], list(names)),
        "bse": pd.Series([1.1, 0.034, 0.42], list(names)),
        "tvalues": pd.Series([0.4193, -0.5846, 2.976], list(names)),
        "pvalues": pd.Series([0.675, 0.5588, 0.0029], list(names)),
        "digits": pd.Series([14.2, 13.9, 14.0], list(names)),
        "formula": "low ~ age + race",
        "family": SimpleNamespace(name="binomial", link_name="logit"),
        "method": "irls",
        "information_kind": "expected",
        "cov_kind": "model",
        "nobs": 189,
        "df_resid": 186,
        "df_model": 2,
        "llf": -109.43123,
        "aic": 224.86246,
        "bic": 234.5,
        "deviance": 218.86,
        "measures": ("deviance", "null_deviance"),
        "identified": True,
        "null_deviance": 234.67,
        "dispersion": 1.0,
        "status": Status.CONVERGED,
        "converged": True,
        "message": "converged",
        "n_iter": 3,
        "distance": 2.2e-16,
        "n_dropped": 0,
        "use_t": False,
        "theta": None,
        "theta_se": None,
        "path": pd.DataFrame(
            {
                "iteration": [0, 1, 2, 3],
                "llf": [-131.0, -110.2, -109.44, -109.43123],
                "score_norm": [50.0, 3.0, 0.02, 1e-13],
                "decrement": [3.0, 0.21, 1.1e-4, 2.2e-16],
                "distance": [np.nan, np.nan, 1e-4, 2.2e-16],
                "step": [np.nan, 1.0, 1.0, 1.0],
                "damping": [0.0, 0.0, 0.0, 0.0],
                "condition": [12.0, 13.0, 13.5, 13.5],
                "rows": [189, 189, 189, 189],
                "solver": ["qr", "qr", "qr", "qr"],
            }
        ),
        "fittedvalues": pd.Series(np.linspace(0.1, 0.7, 189)),
    }
    values.update(changes)
    fit = SimpleNamespace(**values)
    fit.title = visible(fit.formula, keep="\n") if fit.formula else "y and X as arrays"
    if "conf_int" not in changes:
        fit.conf_int = lambda level=0.95: pd.DataFrame(
            {"lower": fit.params - 1.96 * fit.bse, "upper": fit.params + 1.96 * fit.bse}
        )
    if "residuals" not in changes:
        fit.residuals = lambda kind="deviance": pd.Series(np.random.default_rng(1).normal(size=189))
    return fit
