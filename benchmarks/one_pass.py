"""One evaluation with information over a large dense design, beside what bounds it.

An evaluation has to read the design once, and to multiply XᵀWX. Both are measured alone: the sum of squares of all
elements, and one dgemm of the same size, each on the same cores.
"""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

N, P = 10_000_000, 50

DATA = f"""
import numpy as np
rng = np.random.default_rng(0)
n, p = {N}, {P}
X = np.empty((n, p))
for start in range(0, n, 100_000):
    X[start : start + 100_000] = rng.standard_normal((100_000, p))
y = rng.integers(0, 2, n).astype(float)
theta = np.linspace(-0.1, 0.1, p)
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
from raphson.data import from_arrays
from raphson.execute import threads
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.objective import Need
def prepare():
    data = from_arrays(y, X)
    return GeneralisedLinearModel.of(data, "binomial", "precision", None, threads()).objective
def work(objective): return objective.evaluate(theta, Need(kinds=("expected",)))
"""
)

BOUND = (
    DATA
    + """
from concurrent.futures import ThreadPoolExecutor
from scipy.linalg.blas import dgemm
def prepare(): return ThreadPoolExecutor(2)
def read(part): return float(part @ part)
def work(pool):
    flat = X.reshape(-1)
    total = sum(pool.map(read, [flat[: flat.size // 2], flat[flat.size // 2 :]]))
    return total, dgemm(1.0, X.T, X.T, trans_b=True)
"""
)


def run() -> None:
    """Print the table; the ratio is that of the bound to ours, at least 2/3."""
    contest(
        f"one evaluation with information, n = {N:,}, p = {P}",
        [Contestant("raphson", RAPHSON), Contestant("reading once, and one dgemm", BOUND)],
        turns=3,
    )
