"""A multinomial regression of 200,000 rows, 20 columns and 5 classes: ours with standard errors, peers without."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n, p, classes = 200_000, 20, 5
X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
B = np.column_stack([np.zeros(p), 0.3 * rng.normal(size=(p, classes - 1))])
y = (X @ B + rng.gumbel(size=(n, classes))).argmax(axis=1)
def prepare(): return None
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
def work(_):
    fit = rp.glm(y, X, family="multinomial")
    fit.bse
    return fit
def answer(fit): return fit.params
"""
)

LBFGS = (
    DATA
    + """
from sklearn.linear_model import LogisticRegression
def work(_):
    model = LogisticRegression(C=np.inf, solver="lbfgs", fit_intercept=False, tol=1e-4)
    return model.fit(X, y).coef_
# All classes have coefficients there; only their differences count.
def answer(beta): return (beta[1:] - beta[0]).ravel()
"""
)

# At its default tolerance it stops 0.001 away from the maximum; here it goes nearly as far as the others.
CLOSER = (
    DATA
    + """
from sklearn.linear_model import LogisticRegression
def work(_):
    model = LogisticRegression(C=np.inf, solver="lbfgs", fit_intercept=False, tol=1e-8, max_iter=1000)
    return model.fit(X, y).coef_
# All classes have coefficients there; only their differences count.
def answer(beta): return (beta[1:] - beta[0]).ravel()
"""
)

NEWTON = (
    DATA
    + """
from sklearn.linear_model import LogisticRegression
def work(_):
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", fit_intercept=False, tol=1e-4)
    return model.fit(X, y).coef_
def answer(beta): return (beta[1:] - beta[0]).ravel()
"""
)

STATSMODELS = (
    DATA
    + """
import statsmodels.api as sm
def work(_):
    fit = sm.MNLogit(y, X).fit(method="newton", disp=0)
    fit.bse
    return fit
def answer(fit): return np.asarray(fit.params).T.ravel()
"""
)


def run() -> None:
    """Print the table."""
    contest(
        "multinomial, n = 200,000, p = 20, 5 classes",
        [
            Contestant("raphson", RAPHSON),
            Contestant("scikit-learn lbfgs", LBFGS),
            Contestant("scikit-learn lbfgs to the end", CLOSER),
            Contestant("scikit-learn newton-cholesky", NEWTON),
            Contestant("statsmodels MNLogit", STATSMODELS),
        ],
        turns=3,
    )
