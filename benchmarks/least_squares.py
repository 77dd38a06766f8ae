"""Least squares of 1,000,000 rows and 20 columns; ours and statsmodels work out standard errors, the others none."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n, p = 1_000_000, 20
X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
y = X @ rng.normal(size=p) + rng.normal(size=n)
def prepare(): return None
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
def work(_):
    fit = rp.glm(y, X, family="gaussian")
    fit.bse
    return fit
def answer(fit): return fit.params
"""
)

GLUM = (
    DATA
    + """
from glum import GeneralizedLinearRegressor
def work(_):
    model = GeneralizedLinearRegressor(family="gaussian", alpha=0, fit_intercept=False)
    return model.fit(X, y).coef_
def answer(beta): return beta
"""
)

SKLEARN = (
    DATA
    + """
from sklearn.linear_model import LinearRegression
def work(_):
    return LinearRegression(fit_intercept=False).fit(X, y).coef_
def answer(beta): return beta
"""
)

RIDGE = (
    DATA
    + """
from sklearn.linear_model import Ridge
def work(_):
    return Ridge(alpha=0.0, fit_intercept=False, solver="cholesky").fit(X, y).coef_
def answer(beta): return beta
"""
)

STATSMODELS = (
    DATA
    + """
import statsmodels.api as sm
def work(_):
    fit = sm.OLS(y, X).fit()
    fit.bse
    return fit.params
def answer(beta): return beta
"""
)


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
