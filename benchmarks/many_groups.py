"""A logistic regression for each of 5,000 groups of 200 rows: three covariates and an intercept, groups sorted."""

from __future__ import annotations

import statistics

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
rng = np.random.default_rng(0)
groups, rows, p = 5_000, 200, 4
X = np.column_stack([np.ones(groups * rows), rng.normal(size=(groups * rows, p - 1))])
by = np.repeat(np.arange(groups), rows)
eta = np.einsum("ij,ij->i", X, 0.5 * rng.normal(size=(groups, p))[by])
y = (rng.random(groups * rows) < 1 / (1 + np.exp(-eta))).astype(float)
def parts(count): return ((y[s : s + rows], X[s : s + rows]) for s in range(0, count * rows, rows))
def prepare(): return None
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
def work(_):
    fits = rp.glm(y, X, family="binomial", by=by)
    return fits.params.to_numpy(), fits.bse.to_numpy()
def answer(found): return np.concatenate([one[:100].ravel() for one in found])
"""
)

LOGIT = (
    DATA
    + """
import statsmodels.api as sm
def work(_):
    fits = [sm.Logit(own, design).fit(disp=0) for own, design in parts(groups)]
    return np.array([fit.params for fit in fits]), np.array([fit.bse for fit in fits])
def answer(found): return np.concatenate([one[:100].ravel() for one in found])
"""
)

# A tenth of the groups: its time is multiplied by ten below.
GLM = (
    DATA
    + """
import statsmodels.api as sm
def work(_):
    fits = [sm.GLM(own, design, family=sm.families.Binomial()).fit() for own, design in parts(500)]
    return np.array([fit.params for fit in fits]), np.array([fit.bse for fit in fits])
def answer(found): return np.concatenate([one[:100].ravel() for one in found])
"""
)


def run() -> None:
    """Print the table."""
    ours, logit = Contestant("raphson by=", RAPHSON), Contestant("loop over statsmodels Logit", LOGIT)
    glm = Contestant("loop over statsmodels GLM, 500 groups", GLM)
    medians = contest(
        "5,000 logistic regressions of 200 rows, p = 4, with standard errors (GLM: 500 of them)",
        [ours, logit, glm],
        turns=5,
    )
    for who, factor in ((logit, 1), (glm, 10)):
        faster = factor * medians[who.name] / medians[ours.name]
        less = factor * statistics.median(who.busy) / statistics.median(ours.busy)
        print(f"  for 5,000 groups, beside the {who.name}: {faster:.0f} × as fast, processor time {less:.0f} × less")
