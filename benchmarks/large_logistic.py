"""A dense logistic regression of 1,000,000 rows and 20 columns, with standard errors."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n, p = 1_000_000, 20
X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
y = (rng.random(n) < 1 / (1 + np.exp(-X @ (0.3 * rng.normal(size=p))))).astype(float)
def prepare(): return None
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
def work(_):
    fit = rp.glm(y, X, family="binomial")
    fit.bse
    return fit
def answer(fit): return [*fit.params, *fit.bse]
"""
)

# scikit-learn and glum give no standard errors by themselves: theirs are worked out as their users do.
ERRORS = """
def errors(beta):
    mu = 1 / (1 + np.exp(-X @ beta))
    w = np.sqrt(mu * (1 - mu))
    A = X * w[:, None]
    return np.sqrt(np.diag(np.linalg.inv(A.T @ A)))
"""

SKLEARN = (
    DATA
    + ERRORS
    + """
from sklearn.linear_model import LogisticRegression
def work(_):
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", fit_intercept=False, tol=1e-8)
    beta = model.fit(X, y).coef_[0]
    return [*beta, *errors(beta)]
def answer(result): return result
"""
)

GLUM = (
    DATA
    + ERRORS
    + """
from glum import GeneralizedLinearRegressor
def work(_):
    model = GeneralizedLinearRegressor(family="binomial", alpha=0, fit_intercept=False, solver="irls-ls",
                                       gradient_tol=1e-8)
    beta = model.fit(X, y).coef_
    return [*beta, *errors(beta)]
def answer(result): return result
"""
)

STATSMODELS = (
    DATA
    + """
import statsmodels.api as sm
def work(_):
    fit = sm.GLM(y, X, family=sm.families.Binomial()).fit()
    return [*fit.params, *fit.bse]
def answer(result): return result
"""
)


def run() -> None:
    """Print the table."""
    contest(
        "logistic regression with standard errors, n = 1,000,000, p = 20",
        [
            Contestant("raphson", RAPHSON),
            Contestant("scikit-learn newton-cholesky", SKLEARN),
            Contestant("glum irls", GLUM),
            Contestant("statsmodels GLM", STATSMODELS),
        ],
        turns=5,
    )
