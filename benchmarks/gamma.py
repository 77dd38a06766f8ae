"""A dense Gamma regression of 1,000,000 rows and 20 columns with the log link; only ours works out standard errors."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest
from benchmarks.sources import estimator, with_errors

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n, p = 1_000_000, 20
X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
y = rng.gamma(2.0, np.exp(X @ (0.1 * rng.normal(size=p))) / 2.0)
def prepare(): return None
"""

RAPHSON = with_errors(DATA, "import raphson as rp", 'rp.glm(y, X, family=rp.families.Gamma("log"))')

GLUM = estimator(
    DATA,
    "glum",
    'GeneralizedLinearRegressor(family="gamma", link="log", alpha=0, fit_intercept=False, solver="irls-ls")',
)

SKLEARN = estimator(
    DATA, "sklearn.linear_model", 'GammaRegressor(alpha=0, fit_intercept=False, solver="newton-cholesky")'
)

STATSMODELS = (
    DATA
    + """
import statsmodels.api as sm
def work(_):
    return sm.GLM(y, X, family=sm.families.Gamma(sm.families.links.Log())).fit().params
def answer(beta): return beta
"""
)


def run() -> None:
    """Print the table."""
    contest(
        "Gamma with the log link, n = 1,000,000, p = 20",
        [
            Contestant("raphson", RAPHSON),
            Contestant("glum irls", GLUM),
            Contestant("scikit-learn GammaRegressor", SKLEARN),
            Contestant("statsmodels GLM", STATSMODELS),
        ],
        turns=3,
    )
