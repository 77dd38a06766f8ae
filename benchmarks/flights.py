"""A logistic regression of late flights on carrier, origin, month, hour and distance, with standard errors.

The data are made up, of the size and the numbers of levels of nycflights13: 327,346 rows, 16 carriers, 3 origins,
12 months, 19 hours, 104 routes of 80 to 4,983 miles. The carriers are as unequal as they are there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cold_start import COLD
from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np, pandas as pd
rng = np.random.default_rng(0)
n = 327_346
shares = np.array([58, 54, 51, 48, 36, 26, 20, 18, 12, 5, 3.3, 3.2, .7, .6, .3, .1])
carrier = rng.choice(16, n, p=shares / shares.sum())
origin, month, hour = rng.integers(0, 3, n), rng.integers(0, 12, n), rng.integers(5, 24, n)
route = (carrier * 7 + origin * 31 + rng.integers(0, 30, n)) % 104
distance = np.sort(rng.integers(80, 4984, 104))[route].astype(float)
eta = (-1.5 + 0.3 * rng.normal(size=16)[carrier] + 0.1 * origin + 0.2 * np.sin(month) + 0.08 * (hour - 13)
       - 1e-4 * distance)
late = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
def factor(codes, labels): return pd.Categorical.from_codes(codes, labels)
covariates = pd.DataFrame({
    "carrier": factor(carrier, [f"c{c:02d}" for c in range(16)]),
    "origin": factor(origin, ["EWR", "JFK", "LGA"]),
    "month": factor(month, [str(m) for m in range(1, 13)]),
    "hour": factor(hour - 5, [str(h) for h in range(5, 24)]),
    "distance": distance,
})
frame = covariates.assign(late=late)
def prepare(): return None
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
def work(_):
    fit = rp.glm("late ~ carrier + origin + month + hour + distance", frame, family="binomial")
    fit.bse
    return fit
def answer(fit): return fit.params
"""
)

# Without standard errors. By rounding it does not always reach a gradient_tol of 1e-8. A distance in thousands of miles
# is what its convergence needs; the answer is scaled back.
GLUM = (
    DATA
    + """
from glum import GeneralizedLinearRegressor
covariates["distance"] /= 1000
def work(_):
    return GeneralizedLinearRegressor(
        family="binomial", alpha=0, drop_first=True, solver="irls-ls", gradient_tol=1e-6
    ).fit(covariates, late)
def answer(model): return [model.intercept_, *model.coef_[:-1], model.coef_[-1] / 1000]
"""
)

GLUM_TABMAT = (
    DATA
    + """
import tabmat
from glum import GeneralizedLinearRegressor
covariates["distance"] /= 1000
X = tabmat.from_pandas(covariates, drop_first=True)
def work(_):
    return GeneralizedLinearRegressor(family="binomial", alpha=0, solver="irls-ls", gradient_tol=1e-6).fit(X, late)
def answer(model): return [model.intercept_, *model.coef_[:-1], model.coef_[-1] / 1000]
"""
)

FACTORS_RAPHSON = RAPHSON.replace(" + distance", "")

FACTORS = (
    DATA
    + """
from glum import GeneralizedLinearRegressor
del covariates["distance"]
def work(_):
    return GeneralizedLinearRegressor(
        family="binomial", alpha=0, drop_first=True, solver="irls-ls", gradient_tol=1e-6
    ).fit(covariates, late)
def answer(model): return [model.intercept_, *model.coef_]
"""
)

FIRST = """
import pandas as pd
frame = pd.read_pickle({path!r})
"""

FIRST_RAPHSON = """
import raphson as rp
rp.glm("late ~ carrier + origin + month + hour + distance", frame, family="binomial").bse
"""

FIRST_GLUM = """
from glum import GeneralizedLinearRegressor
late = frame.pop("late").to_numpy()
frame["distance"] /= 1000
GeneralizedLinearRegressor(
    family="binomial", alpha=0, drop_first=True, solver="irls-ls", gradient_tol=1e-6
).fit(frame, late)
"""


def run() -> None:
    """Print the tables."""
    contest(
        "logistic regression of late flights, n = 327,346, 4 factors and a number, p = 48",
        [
            Contestant("raphson, with standard errors", RAPHSON),
            Contestant("glum irls, of a frame", GLUM),
            Contestant("glum irls, of tabmat.from_pandas", GLUM_TABMAT),
        ],
        turns=7,
    )
    contest(
        "the same without distance: rows of 9,379 cells",
        [
            Contestant("raphson, with standard errors", FACTORS_RAPHSON),
            Contestant("glum irls, of a frame", FACTORS),
        ],
        turns=7,
    )
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "flights.pkl")
        subprocess.run([sys.executable, "-c", f"{DATA}\nframe.to_pickle({path!r})"], check=True)
        first = FIRST.format(path=path)
        contest(
            "the same, the first fit of a process, imports and the reading of the frame included",
            [
                Contestant("raphson, with standard errors", _process(first + FIRST_RAPHSON)),
                Contestant("glum irls, of a frame", _process(first + FIRST_GLUM)),
            ],
            turns=7,
        )


def _process(source: str) -> str:
    return COLD.format(command=[sys.executable, "-W", "ignore", "-c", source])
