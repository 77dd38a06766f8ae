"""A negative binomial regression of 200,000 rows and 10 columns, its dispersion estimated, with standard errors."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest
from benchmarks.sources import with_errors

DATA = """
import numpy as np
rng = np.random.default_rng(0)
n, p, theta = 200_000, 10, 2.0
X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
mu = np.exp(1.0 + X @ (0.3 * rng.normal(size=p)))
y = rng.negative_binomial(theta, theta / (theta + mu)).astype(float)
def prepare(): return None
"""

RAPHSON = with_errors(
    DATA, "import raphson as rp", 'rp.glm(y, X, family="negative_binomial")', "[*fit.params, *fit.bse]"
)


def _statsmodels(how: str) -> str:
    return with_errors(
        DATA,
        "import statsmodels.api as sm",
        f"sm.NegativeBinomial(y, X).fit({how}, disp=0)",
        "[*fit.params[:p], *fit.bse[:p]]",
    )


NEWTON = _statsmodels('method="newton"')

BFGS = _statsmodels('method="bfgs", maxiter=200')


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
