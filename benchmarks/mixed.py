"""Mixed models and smooth terms: seven fits beside statsmodels' MixedLM where it can do them, on simulated data.

The data have the shapes of InstEval and VerbAgg of R's lme4, of counts with slopes that vary, of four smooth functions,
of random intercepts in few groups and in many, and of many groups nested in many.
"""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

START = """
import numpy as np, pandas as pd
rng = np.random.default_rng(0)
def prepare(): return None
"""

LOGISTIC = "y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)"

INSTEVAL = """
n = 73_421
s, d, service = rng.integers(0, 2_972, n), rng.integers(0, 1_128, n), rng.integers(0, 2, n)
effects = 0.33 * rng.normal(size=2_972)[s] + 0.51 * rng.normal(size=1_128)[d]
y = 3.2 - 0.07 * service + effects + 1.18 * rng.normal(size=n)
data = pd.DataFrame({"y": y, "s": s, "d": d, "service": service})
"""

VERBAGG = f"""
people, items = 316, 24
n = people * items
who, item, x = np.repeat(np.arange(people), items), np.tile(np.arange(items), people), rng.normal(size=n)
eta = 0.2 + 0.5 * x + 1.3 * rng.normal(size=people)[who] + 0.8 * rng.normal(size=items)[item]
{LOGISTIC}
data = pd.DataFrame({{"y": y, "x": x, "who": who, "item": item}})
"""

COUNTS = """
n, groups = 100_000, 2_000
g, x = rng.integers(0, groups, n), rng.normal(size=n)
y = rng.poisson(np.exp(0.5 + 0.3 * x + 0.5 * rng.normal(size=groups)[g] + 0.2 * rng.normal(size=groups)[g] * x))
data = pd.DataFrame({"y": y.astype(float), "x": x, "g": g})
"""

SMOOTHS = """
n = 100_000
a, b, c, d = rng.random((4, n))
bumps = 0.2 * c**11 * (10 * (1 - c)) ** 6 + 10 * (10 * c) ** 3 * (1 - c) ** 10
data = pd.DataFrame({"y": 2 * np.sin(np.pi * a) + np.exp(2 * b) + bumps + 2 * rng.normal(size=n),
                     "a": a, "b": b, "c": c, "d": d})
"""

INTERCEPTS = """
n, groups = 10_000, 500
g, x = rng.integers(0, groups, n), rng.normal(size=n)
data = pd.DataFrame({"y": 1 + 0.5 * x + 0.7 * rng.normal(size=groups)[g] + rng.normal(size=n), "x": x, "g": g})
"""

MANY = f"""
n, groups = 1_000_000, 50_000
g, x = rng.integers(0, groups, n), rng.normal(size=n)
eta = -0.3 + 0.5 * x + 0.8 * rng.normal(size=groups)[g]
{LOGISTIC}
data = pd.DataFrame({{"y": y, "x": x, "g": g}})
"""

NESTED = """
n, inner, outer = 200_000, 50_000, 5_000
b, x = rng.integers(0, inner, n), rng.normal(size=n)
a = b % outer
y = rng.poisson(np.exp(-0.2 + 0.3 * x + 0.5 * rng.normal(size=outer)[a] + 0.4 * rng.normal(size=inner)[b]))
data = pd.DataFrame({"y": y.astype(float), "x": x, "a": a, "b": b})
"""


def _ours(data: str, call: str) -> Contestant:
    source = f"""{START}{data}
import raphson as rp
def work(_): return rp.glm({call})
def answer(fit): return fit.params[:2]
"""
    return Contestant("raphson", source)


MIXED_LM = f"""{START}{INTERCEPTS}
import statsmodels.formula.api as smf
def work(_): return smf.mixedlm("y ~ x", data, groups=data["g"]).fit(reml=False)
def answer(fit): return fit.params[:2]
"""

CASES = [
    (
        "crossed effects as in InstEval, n = 73,421, 2,972 × 1,128, REML",
        INSTEVAL,
        '"y ~ service + (1 | s) + (1 | d)", data, criterion="reml"',
        3,
        None,
    ),
    (
        "crossed effects as in VerbAgg, binomial, n = 7,584, 316 × 24",
        VERBAGG,
        '"y ~ x + (1 | who) + (1 | item)", data, family="binomial"',
        3,
        None,
    ),
    (
        "Poisson with intercept and slope by group, n = 100,000, 2,000 groups",
        COUNTS,
        '"y ~ x + (1 + x | g)", data, family="poisson"',
        3,
        None,
    ),
    ("four smooth functions, n = 100,000, REML", SMOOTHS, '"y ~ s(a) + s(b) + s(c) + s(d)", data', 5, None),
    ("a random intercept, n = 10,000, 500 groups", INTERCEPTS, '"y ~ x + (1 | g)", data', 5, MIXED_LM),
    (
        "a random intercept, binomial, n = 1,000,000, 50,000 groups",
        MANY,
        '"y ~ x + (1 | g)", data, family="binomial"',
        1,
        None,
    ),
    (
        "nested random intercepts, Poisson, n = 200,000, 5,000 × 50,000",
        NESTED,
        '"y ~ x + (1 | a/b)", data, family="poisson"',
        3,
        None,
    ),
]


def run() -> None:
    """Print the tables."""
    for title, data, call, turns, other in CASES:
        beside = [] if other is None else [Contestant("statsmodels MixedLM", other)]
        contest(title, [_ours(data, call), *beside], turns=turns)
