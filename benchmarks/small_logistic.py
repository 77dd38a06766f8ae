"""A warm logistic regression of 200 rows and 3 columns, called with arrays."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
rng = np.random.default_rng(0)
X = np.column_stack([np.ones(200), rng.normal(size=(200, 2))])
y = (rng.random(200) < 1 / (1 + np.exp(-X @ [0.3, 1.0, -0.5]))).astype(float)
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
def prepare(): return None
def work(_): return rp.glm(y, X, family="binomial")
def answer(fit): return fit.params
"""
)

STATSMODELS = (
    DATA
    + """
import statsmodels.api as sm
def prepare(): return sm.GLM(y, X, family=sm.families.Binomial())
def work(model): return model.fit()
def answer(fit): return fit.params
"""
)


def run() -> None:
    """Print the table."""
    contest(
        "logistic regression, n = 200, p = 3, warm",
        [Contestant("raphson", RAPHSON), Contestant("statsmodels GLM.fit", STATSMODELS)],
        turns=31,
        repeats=20,
    )
