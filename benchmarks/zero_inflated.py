"""A zero-inflated Poisson regression with 6 covariates in each part, beside a logistic one of the same size.

First Raphson's two against one another, then against statsmodels' model, with 1,000,000 rows; with 200,000 against its
generic likelihood, which takes minutes.
"""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
rng = np.random.default_rng({seed})
n = {n}
X = rng.normal(size=(n, 6))
one = np.column_stack([np.ones(n), X])
mean = np.exp(one @ [0.5, 0.1, -0.2, 0.15, 0.05, -0.1, 0.2])
zero = rng.random(n) < 1 / (1 + np.exp(-one @ [-0.5, 0.3, -0.2, 0.1, 0.2, -0.1, 0.1]))
y = np.where(zero, 0, rng.poisson(mean)).astype(float)
frame = dict({{f"x{{k + 1}}": X[:, k] for k in range(6)}}, y=y, z=zero.astype(float))
terms = "~ x1 + x2 + x3 + x4 + x5 + x6"
def prepare():
    import pandas as pd
    return pd.DataFrame(frame)
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
def work(data):
    fit = rp.mle("zero_inflated_poisson", {{"mean": "y " + terms, "zero": terms}}, data)
    fit.bse
    return fit
def answer(fit): return [*fit.params, *fit.bse]
"""
)

LOGISTIC = (
    DATA
    + """
import raphson as rp
def work(data):
    fit = rp.glm("z " + terms, data, family="binomial")
    fit.bse
    return fit
"""
)

STATSMODELS = (
    DATA
    + """
from statsmodels.discrete.count_model import ZeroInflatedPoisson
def work(data):
    return ZeroInflatedPoisson(y, one, exog_infl=one).fit(method="bfgs", maxiter=500, gtol=1e-4, disp=0)
def answer(fit): return [*fit.params[7:], *fit.params[:7], *fit.bse[7:], *fit.bse[:7]]
"""
)

GENERIC = (
    DATA
    + """
from scipy.special import gammaln
from statsmodels.base.model import GenericLikelihoodModel
class Model(GenericLikelihoodModel):
    def loglikeobs(self, params):
        log_mean, logit = one @ params[:7], one @ params[7:]
        zero = np.logaddexp(logit, -np.exp(log_mean))
        count = y * log_mean - np.exp(log_mean) - gammaln(y + 1)
        return np.where(y == 0, zero, count) - np.logaddexp(0, logit)
def work(data):
    return Model(y, one).fit(start_params=np.zeros(14), method="bfgs", maxiter=500, gtol=1e-4, disp=0)
def answer(fit): return [*fit.params, *fit.bse]
"""
)


def run() -> None:
    """Print the tables."""
    contest(
        "zero-inflated Poisson and logistic regression, n = 1,000,000, 6 covariates",
        [
            Contestant("zero-inflated", RAPHSON.format(n=1_000_000, seed=0)),
            Contestant("logistic", LOGISTIC.format(n=1_000_000, seed=0)),
        ],
        turns=5,
    )
    for n, name, peer, turns in (
        (1_000_000, "statsmodels ZeroInflatedPoisson", STATSMODELS, 3),
        (200_000, "statsmodels GenericLikelihoodModel", GENERIC, 2),
    ):
        contest(
            f"zero-inflated Poisson regression, n = {n:,}, 6 covariates",
            [Contestant("raphson", RAPHSON.format(n=n, seed=0)), Contestant(name, peer.format(n=n, seed=0))],
            turns=turns,
        )
