"""A Poisson regression on 8 factors of 5 to 100 levels, 1,000,000 rows, with a ridge penalty and standard errors."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np, pandas as pd
rng = np.random.default_rng(0)
n, sizes = 1_000_000, (5, 8, 10, 12, 20, 30, 50, 100)
eta, columns = np.full(n, -0.5), {}
for number, levels in enumerate(sizes):
    codes = rng.integers(0, levels, n)
    eta += (0.2 * rng.normal(size=levels))[codes]
    columns[f"f{number}"] = pd.Categorical.from_codes(codes, [f"l{level:03d}" for level in range(levels)])
y = rng.poisson(np.exp(eta)).astype(float)
factors = pd.DataFrame(columns)
frame = factors.assign(y=y)
def prepare(): return None
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
formula = "y ~ " + " + ".join(factors.columns)
def work(_):
    fit = rp.glm(formula, frame, family="poisson", penalty=1.0)
    fit.bse
    return fit
def answer(fit): return fit.params
"""
)

# glum's alpha multiplies the mean deviance, so ours is n times it. drop_first makes its columns those of the formula. A
# gradient_tol of 1e-8 it never reaches here, by rounding; with 1e-6 it takes the same 4 steps as with its own 1e-4.
GLUM = (
    DATA
    + """
from glum import GeneralizedLinearRegressor
def work(_):
    return GeneralizedLinearRegressor(
        family="poisson", alpha=1.0 / n, l1_ratio=0, drop_first=True, solver="irls-ls", gradient_tol=1e-6
    ).fit(factors, y)
def answer(model): return [model.intercept_, *model.coef_]
"""
)

# The design made by hand beforehand: what remains of glum is the fit itself.
GLUM_TABMAT = (
    DATA
    + """
import tabmat
from glum import GeneralizedLinearRegressor
X = tabmat.from_pandas(factors, drop_first=True)
def work(_):
    return GeneralizedLinearRegressor(
        family="poisson", alpha=1.0 / n, l1_ratio=0, solver="irls-ls", gradient_tol=1e-6
    ).fit(X, y)
def answer(model): return [model.intercept_, *model.coef_]
"""
)


def run() -> None:
    """Print the table."""
    contest(
        "Poisson regression on 8 factors with a ridge penalty, n = 1,000,000, p = 228",
        [
            Contestant("raphson, with standard errors", RAPHSON),
            Contestant("glum irls, of a frame", GLUM),
            Contestant("glum irls, of tabmat.from_pandas", GLUM_TABMAT),
        ],
        turns=5,
    )
