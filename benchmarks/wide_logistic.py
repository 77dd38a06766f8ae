"""A dense logistic regression of 300,000 rows and 200 columns: ours with standard errors, peers without."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest
from benchmarks.sources import estimator, with_errors

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n, p = 300_000, 200
X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
y = (rng.random(n) < 1 / (1 + np.exp(-X @ (0.05 * rng.normal(size=p))))).astype(float)
def prepare(): return None
"""

RAPHSON = with_errors(DATA, "import raphson as rp", 'rp.glm(y, X, family="binomial")')


def _logistic(solver: str) -> str:
    return estimator(
        DATA, "sklearn.linear_model", f"LogisticRegression(C=np.inf, fit_intercept=False, solver={solver})"
    )


NEWTON = _logistic('"newton-cholesky", tol=1e-4')

LBFGS = _logistic('"lbfgs", tol=1e-4')

# At its default tolerance it stops 0.0001 away from the maximum; here it goes nearly as far as the others.
CLOSER = _logistic('"lbfgs", tol=1e-8, max_iter=1000')

GLUM = estimator(
    DATA, "glum", 'GeneralizedLinearRegressor(family="binomial", alpha=0, fit_intercept=False, solver="irls-ls")'
)


def run() -> None:
    """Print the table."""
    contest(
        "logistic regression, n = 300,000, p = 200",
        [
            Contestant("raphson", RAPHSON),
            Contestant("scikit-learn newton-cholesky", NEWTON),
            Contestant("scikit-learn lbfgs", LBFGS),
            Contestant("scikit-learn lbfgs to the end", CLOSER),
            Contestant("glum irls", GLUM),
        ],
        turns=3,
    )
