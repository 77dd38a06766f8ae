"""A negative binomial regression of 200,000 rows and 10 columns, its dispersion estimated, with standard errors."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n, p, theta = 200_000, 10, 2.0
X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
mu = np.exp(1.0 + X @ (0.3 * rng.normal(size=p)))
y = rng.negative_binomial(theta, theta / (theta + mu)).astype(float)
def prepare(): return None
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
def work(_):
    fit = rp.glm(y, X, family="negative_binomial")
    fit.bse
    return fit
def answer(fit): return [*fit.params, *fit.bse]
"""
)

NEWTON = (
    DATA
    + """
import statsmodels.api as sm
def work(_):
    fit = sm.NegativeBinomial(y, X).fit(method="newton", disp=0)
    fit.bse
    return fit
def answer(fit): return [*fit.params[:p], *fit.bse[:p]]
"""
)

BFGS = (
    DATA
    + """
import statsmodels.api as sm
def work(_):
    fit = sm.NegativeBinomial(y, X).fit(method="bfgs", maxiter=200, disp=0)
    fit.bse
    return fit
def answer(fit): return [*fit.params[:p], *fit.bse[:p]]
"""
)


def run() -> None:
    """Print the table."""
    contest(
        "negative binomial with standard errors, n = 200,000, p = 10",
        [
            Contestant("raphson", RAPHSON),
            Contestant("statsmodels NegativeBinomial newton", NEWTON),
            Contestant("statsmodels NegativeBinomial bfgs", BFGS),
        ],
        turns=3,
    )
