"""10,000 exponential decays of three parameters and 50 points: one batch beside a loop over scipy's curve_fit."""

from __future__ import annotations

import statistics

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
rng = np.random.default_rng(0)
curves = 10_000
x = np.linspace(0, 5, 50)
top, rate, floor = rng.uniform(1, 5, curves), rng.uniform(0.3, 2, curves), rng.uniform(0, 1, curves)
y = top[:, None] * np.exp(-rate[:, None] * x) + floor[:, None] + 0.05 * rng.normal(size=(curves, 50))
start = np.ones(3)
def prepare(): return None
"""

RAPHSON = (
    DATA
    + """
import jax.numpy as jnp
from raphson.newton.many import problems
def decay(theta, data, shared): return theta[0] * jnp.exp(-theta[1] * shared["x"]) + theta[2]
def work(_):
    found = problems.solve(problems.least_squares(decay), start, {"y": y}, {"x": x})
    found.covariance()
    return found
def answer(found): return found.theta[:100].ravel()
"""
)

# As above, but with a new function each time: it is compiled anew, as in the first call of a session.
COMPILING = RAPHSON.replace(
    "def work(_):\n",
    "def work(_):\n    def decay(theta, data, shared): return theta[0] * jnp.exp(-theta[1] * shared['x']) + theta[2]\n",
)

# A tenth of the curves: its time is multiplied by ten below.
SCIPY = (
    DATA
    + """
import time
from scipy.optimize import curve_fit
def decay(x, top, rate, floor): return top * np.exp(-rate * x) + floor
def work(_): return [curve_fit(decay, x, row, p0=start) for row in y[:1000]]
def answer(found): return np.ravel([params for params, _ in found[:100]])
"""
)


def run() -> None:
    """Print the table."""
    ours = Contestant("raphson", RAPHSON)
    compiling = Contestant("raphson, compile included", COMPILING)
    scipy = Contestant("scipy curve_fit, 1,000 curves", SCIPY)
    medians = contest(
        "10,000 exponential decays with covariances (scipy: 1,000 of them)", [ours, compiling, scipy], turns=5
    )
    theirs, busy = 10 * medians[scipy.name], 10 * statistics.median(scipy.busy)
    for who, what in ((ours, "compiled"), (compiling, "compile included")):
        faster, less = theirs / medians[who.name], busy / statistics.median(who.busy)
        print(f"  for 10,000 curves, {what}: {faster:.1f} × as fast, processor time {less:.1f} × less")
