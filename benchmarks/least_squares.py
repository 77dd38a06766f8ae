"""Least squares of 1,000,000 rows and 20 columns; ours and statsmodels work out standard errors, the others none."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest
from benchmarks.sources import estimator, with_errors

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n, p = 1_000_000, 20
X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
y = X @ rng.normal(size=p) + rng.normal(size=n)
def prepare(): return None
"""

RAPHSON = with_errors(DATA, "import raphson as rp", 'rp.glm(y, X, family="gaussian")')

GLUM = estimator(DATA, "glum", 'GeneralizedLinearRegressor(family="gaussian", alpha=0, fit_intercept=False)')

SKLEARN = estimator(DATA, "sklearn.linear_model", "LinearRegression(fit_intercept=False)")

RIDGE = estimator(DATA, "sklearn.linear_model", 'Ridge(alpha=0.0, fit_intercept=False, solver="cholesky")')

STATSMODELS = with_errors(DATA, "import statsmodels.api as sm", "sm.OLS(y, X).fit()")


def run() -> None:
    """Print the table."""
    contest(
        "least squares, n = 1,000,000, p = 20",
        [
            Contestant("raphson", RAPHSON),
            Contestant("glum", GLUM),
            Contestant("scikit-learn LinearRegression", SKLEARN),
            Contestant("scikit-learn Ridge cholesky", RIDGE),
            Contestant("statsmodels OLS", STATSMODELS),
        ],
        turns=5,
    )
