"""A multinomial regression of 200,000 rows, 20 columns and 5 classes: ours with standard errors, peers without."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest
from benchmarks.sources import estimator, with_errors

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n, p, classes = 200_000, 20, 5
X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
B = np.column_stack([np.zeros(p), 0.3 * rng.normal(size=(p, classes - 1))])
y = (X @ B + rng.gumbel(size=(n, classes))).argmax(axis=1)
def prepare(): return None
"""

RAPHSON = with_errors(DATA, "import raphson as rp", 'rp.glm(y, X, family="multinomial")')


def _logistic(solver: str) -> str:
    # All classes have coefficients there; only their differences count.
    return estimator(
        DATA,
        "sklearn.linear_model",
        f"LogisticRegression(C=np.inf, fit_intercept=False, solver={solver})",
        "(coef[1:] - coef[0]).ravel()",
    )


LBFGS = _logistic('"lbfgs", tol=1e-4')

# At its default tolerance it stops 0.001 away from the maximum; here it goes nearly as far as the others.
CLOSER = _logistic('"lbfgs", tol=1e-8, max_iter=1000')

NEWTON = _logistic('"newton-cholesky", tol=1e-4')

STATSMODELS = with_errors(
    DATA,
    "import statsmodels.api as sm",
    'sm.MNLogit(y, X).fit(method="newton", disp=0)',
    "np.asarray(fit.params).T.ravel()",
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
