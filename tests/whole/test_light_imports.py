"""What a fit of a ready family imports, and what it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("jax", "tabmat", "formulaic", "scipy.optimize", "scipy.stats")

FAMILIES = (
    ("binomial", "'binomial'"),
    ("binomial", "rp.families.Binomial(link='probit')"),
    ("poisson", "'poisson'"),
    ("gamma", "rp.families.Gamma(link='log')"),
    ("gaussian", "'gaussian'"),
    ("negative_binomial", "'negative_binomial'"),
    ("multinomial", "'multinomial'"),
)

FAMILY_SCRIPT = """
import sys
import numpy as np
import raphson as rp

rng = np.random.default_rng(0)
X = np.column_stack([np.ones(120), rng.normal(size=(120, 2))])
mean = np.exp(X @ [0.3, 0.2, -0.3])
responses = {{
    "binomial": lambda: (rng.random(120) < mean / (1.0 + mean)).astype(float),
    "poisson": lambda: rng.poisson(mean),
    "gamma": lambda: rng.gamma(2.0, mean / 2.0),
    "gaussian": lambda: mean + rng.normal(size=120),
    "negative_binomial": lambda: rng.negative_binomial(1.0, 1.0 / (1.0 + mean)),
    "multinomial": lambda: rng.integers(0, 3, 120),
}}
for name, family in {families}:
    fit = rp.glm(responses[name](), X, family=eval(family))
    assert np.isfinite(np.asarray(fit.bse)).all() and np.isfinite(np.asarray(fit.predict(X))).all()
    assert str(fit.summary())
    print("with", family, *(name for name in {heavy} if name in sys.modules))
"""


def said_by(code, *options):
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fits_of_ready_families_import_nothing_heavy():
    # In one process: what the first of them imports is there at the next.
    said = said_by(FAMILY_SCRIPT.format(families=FAMILIES, heavy=HEAVY))
    assert said.splitlines() == [f"with {family}" for _, family in FAMILIES]


PLAIN = ("x + group", "x*group - 1", "0 + (x + C(group) + log(w))^2", "I(x^2) + x:group + offset(w)")

FORMULA_SCRIPT = """
import sys
import numpy as np
{frame}
import raphson as rp

rng = np.random.default_rng(0)
group, x, w = rng.choice(list("abc"), 300), rng.normal(size=300), rng.random(300) + 0.5
eta = 0.5 * x + (group == "b")
columns = {{"y": rng.poisson(np.exp(eta)), "x": x, "group": group, "w": w}}
for right in {formulas}:
    fit = rp.glm("y ~ " + right, {made}, family="poisson")
    assert np.isfinite(np.asarray(fit.bse)).all() and str(fit.summary()) and len(fit.predict({made})) == 300
print(*(name for name in {heavy} if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("frame", "made", "heavy"),
    [
        ("import pandas", "pandas.DataFrame(columns)", (*HEAVY, "narwhals", "rich", "pyarrow.parquet")),
        ("", "columns", (*HEAVY, "narwhals", "rich")),
        ("import polars", "polars.DataFrame(columns)", (*HEAVY, "rich")),
    ],
)
def test_a_formula_of_plain_terms_imports_nothing_heavy(frame, made, heavy):
    code = FORMULA_SCRIPT.format(formulas=PLAIN, frame=frame, made=made, heavy=heavy)
    assert said_by(code, "-W", "ignore").split() == []


def test_estimates_and_their_standard_errors_import_no_part_of_scipy_that_is_slow_to_import():
    families = ("binomial", "poisson", "gaussian", "gamma")
    code = f"""
import sys
import raphson as rp

for family in {families}:
    data = {{"y": [0.0, 1, 0, 1, 1, 0, 1, 1], "x": [1.0, 2, 3, 4, 5, 6, 7, 8], "a": list("ppqqpqpq")}}
    data["y"] = [y + (0.0 if family == "binomial" else 0.5) for y in data["y"]]
    fit = rp.glm("y ~ x + a", data, family=family)
    assert fit.bse.notna().all()
    print("with", family, *(name for name in ("scipy.linalg", "scipy.special", "scipy.sparse") if name in sys.modules))
"""
    assert said_by(code, "-W", "ignore").splitlines() == [f"with {family}" for family in families]


def test_a_family_made_before_jax_is_imported_can_be_taken_apart_by_it():
    # Its registration waits for the first use of JAX.
    code = """
import sys
import raphson as rp
family = rp.families.Tweedie(power=1.5)
assert "jax" not in sys.modules
from raphson.numeric import x64
with x64():
    import jax
    assert jax.tree.leaves(family) == [1.5]
"""
    said_by(code)


def test_a_likelihood_imports_no_more_of_scipy_than_lapack():
    code = """
import sys
import numpy as np, jax.numpy as jnp, raphson as rp
x = np.linspace(-1.0, 1.0, 80)
def loglik(params, row):
    eta = row["X"] @ params["b"]
    return row["y"] * eta - jnp.exp(eta)
fit = rp.mle(loglik, {"X": np.column_stack([np.ones(80), x]), "y": np.round(3.0 + x)}, start={"b": np.zeros(2)})
assert np.isfinite(np.asarray(fit.bse)).all()
print(*(name for name in sys.modules if name.startswith("scipy.") and name.count(".") == 1 and "._" not in name))
"""
    assert said_by(code).split() in ([], ["scipy.version"])


ROOMS = (
    "raphson.cli",
    "raphson.data.parquet",
    "raphson.data.streams",
    "raphson.execute.journal",
    "raphson.fit.bootstrap",
    "raphson.fit.many",
    "raphson.fit.network",
    "raphson.fit.saving",
    "raphson.fit.testing",
    "raphson.inference.profile",
    "raphson.model.network",
    "raphson.newton.kink",
    "raphson.newton.many",
    "raphson.newton.stochastic",
    "raphson.report",
)
"""Rooms and modules of what is asked of few fits, or of none before it ends."""

NEVER = (*HEAVY, "pandas", "scipy.special", "scipy.linalg", "narwhals", "rich", "optax", "pyarrow")

FIRST_FITS = {
    "family": (
        "fit = rp.glm(y, np.column_stack([np.ones(80), x]), family='poisson')",
        (*NEVER, *ROOMS, "raphson.model.curve", "raphson.model.likelihood", "raphson.autodiff"),
        145,
    ),
    "formula": (
        "fit = rp.glm('y ~ x', {'y': y, 'x': x}, family='gamma')",
        (*NEVER, *ROOMS, "raphson.model.curve", "raphson.model.likelihood", "raphson.autodiff"),
        145,
    ),
    "curve": (
        "fit = rp.nls('y ~ a * exp(b * x)', {'y': y, 'x': x}, start={'a': 3.0, 'b': 0.3})",
        (*NEVER, *ROOMS, "raphson.model.likelihood"),
        175,
    ),
    "likelihood": (
        """
import jax.numpy as jnp
def loglik(params, row):
    eta = row["X"] @ params["b"]
    return row["y"] * eta - jnp.exp(eta)
fit = rp.mle(loglik, {"X": np.column_stack([np.ones(80), x]), "y": y}, start={"b": np.zeros(2)})
""",
        (*(name for name in NEVER if name != "jax"), *ROOMS, "jax.extend", "jax.experimental.pallas"),
        185,
    ),
}
"""First fits of a process of arrays or of a dict of them: what they do not import before a table of their results is
asked for, and how many modules of Raphson's they import at most."""


@pytest.mark.parametrize("fit", FIRST_FITS)
def test_a_first_fit_imports_few_rooms_and_no_pandas_before_a_table_is_asked_for(fit):
    script, spared, most = FIRST_FITS[fit]
    code = f"""
import sys
import numpy as np, raphson as rp
x = np.linspace(-1.0, 1.0, 80)
y = np.round(3.0 + x + np.cos(9.0 * x))
{script}
assert fit.converged
print(*(name for name in {spared} if name in sys.modules))
print(sum(name.partition(".")[0] == "raphson" for name in sys.modules))
assert np.isfinite(fit.bse.to_numpy()).all()
"""
    imported, modules = said_by(code, "-W", "ignore").splitlines()
    assert imported.split() == []
    assert int(modules) <= most
