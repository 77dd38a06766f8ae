"""A dense Gamma regression of 1,000,000 rows and 20 columns with the log link; only ours works out standard errors."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n, p = 1_000_000, 20
X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
y = rng.gamma(2.0, np.exp(X @ (0.1 * rng.normal(size=p))) / 2.0)
def prepare(): return None
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
from raphson.model import families
def work(_):
    fit = rp.glm(y, X, family=families.Gamma("log"))
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
    model = GeneralizedLinearRegressor(family="gamma", link="log", alpha=0, fit_intercept=False, solver="irls-ls")
    return model.fit(X, y).coef_
def answer(beta): return beta
"""
)

SKLEARN = (
    DATA
    + """
from sklearn.linear_model import GammaRegressor
def work(_):
    return GammaRegressor(alpha=0, fit_intercept=False, solver="newton-cholesky").fit(X, y).coef_
def answer(beta): return beta
"""
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
