"""1,000 bootstrap fits of a logistic regression with n = 1,000 and p = 5, beside a loop over statsmodels' Logit."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n = 1_000
X = np.column_stack([np.ones(n), rng.normal(size=(n, 4))])
y = (rng.random(n) < 1 / (1 + np.exp(-X @ [0.3, 1.0, -0.5, 0.2, 0.0]))).astype(float)
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
def prepare(): return rp.glm(y, X, family="binomial")
def work(fit): return fit.bootstrap(1000, seed=1)
def answer(boot): return boot.se
"""
)

STATSMODELS = (
    DATA
    + """
import statsmodels.api as sm
def prepare(): return sm.Logit(y, X).fit(disp=0).params
def work(start):
    rows = (rng.integers(0, n, n) for _ in range(1000))
    return np.array([sm.Logit(y[i], X[i]).fit(start, disp=0).params for i in rows])
def answer(found): return found.std(axis=0, ddof=1)
"""
)


def run() -> None:
    """Print the table."""
    contest(
        "1,000 bootstrap fits of a logistic regression, n = 1,000, p = 5",
        [Contestant("raphson", RAPHSON), Contestant("statsmodels Logit, one by one", STATSMODELS)],
        turns=5,
    )
