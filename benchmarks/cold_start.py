"""First fits of a process: a cold `raphson fit` on a small CSV file, and a likelihood of the user's own."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

COLD = """
import subprocess, sys, os
def prepare(): return None
def work(_): subprocess.run({command!r}, check=True, stdout=subprocess.DEVNULL)
"""


ROWS = """
import numpy as np
rng = np.random.default_rng(0)
X = np.column_stack([np.ones(1000), rng.normal(size=(1000, 2))])
y = rng.poisson(np.exp(X @ [0.3, 0.5, -0.2])).astype(float)
"""

LIKELIHOOD = (
    ROWS
    + """
import jax.numpy as jnp, raphson as rp
from jax.scipy.special import gammaln
def loglik(params, data):
    eta = data["X"] @ params["b"]
    return data["y"] * eta - jnp.exp(eta) - gammaln(data["y"] + 1)
fit = rp.mle(loglik, {"X": X, "y": y}, start={"b": np.zeros(3)})
print(fit.params.to_numpy(), fit.bse.to_numpy())
"""
)

GENERIC = (
    ROWS
    + """
from scipy.special import gammaln
from statsmodels.base.model import GenericLikelihoodModel
class Model(GenericLikelihoodModel):
    def loglikeobs(self, b):
        eta = self.exog @ b
        return self.endog * eta - np.exp(eta) - gammaln(self.endog + 1)
fit = Model(y, X).fit(start_params=np.zeros(3), method="bfgs", disp=0)
print(fit.params, fit.bse)
"""
)


def run() -> None:
    """Print the tables."""
    import sys
    from pathlib import Path

    from raphson import datasets

    program = str(Path(sys.executable).parent / "raphson")
    formula = "low ~ age + lwt + race + smoke"
    fit = [program, "fit", formula, str(datasets.path("births")), "--family", "binomial"]
    peer = [sys.executable, "-c", "import statsmodels.api"]
    contest(
        "a cold start",
        [
            Contestant("raphson fit births.csv", COLD.format(command=fit)),
            Contestant("python -c 'import statsmodels.api'", COLD.format(command=peer)),
        ],
        turns=7,
    )
    medians = contest(
        "the first likelihood of a process, imports included",
        [
            Contestant("rp.mle", COLD.format(command=[sys.executable, "-c", LIKELIHOOD])),
            Contestant("GenericLikelihoodModel", COLD.format(command=[sys.executable, "-c", GENERIC])),
        ],
        turns=9,
    )
    print(f"  {medians['rp.mle'] / medians['GenericLikelihoodModel']:.2f} × GenericLikelihoodModel's time")
