"""What a fit of a ready family imports, and what it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("jax", "tabmat", "formulaic", "scipy.optimize", "scipy.stats")

SCRIPT = """
import sys
import numpy as np
import raphson as rp

rng = np.random.default_rng(0)
X = np.column_stack([np.ones(120), rng.normal(size=(120, 2))])
mean = np.exp(X @ [0.3, 0.2, -0.3])
y = {{
    "binomial": lambda: (rng.random(120) < mean / (1.0 + mean)).astype(float),
    "poisson": lambda: rng.poisson(mean),
    "gamma": lambda: rng.gamma(2.0, mean / 2.0),
    "gaussian": lambda: mean + rng.normal(size=120),
    "negative_binomial": lambda: rng.negative_binomial(1.0, 1.0 / (1.0 + mean)),
    "multinomial": lambda: rng.integers(0, 3, 120),
}}["{name}"]()
fit = rp.glm(y, X, family={family})
assert np.isfinite(np.asarray(fit.bse)).all() and np.isfinite(np.asarray(fit.predict(X))).all() and str(fit.summary())
print(*(name for name in {heavy} if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("binomial", "'binomial'"),
        ("binomial", "rp.families.Binomial(link='probit')"),
        ("poisson", "'poisson'"),
        ("gamma", "rp.families.Gamma(link='log')"),
        ("gaussian", "'gaussian'"),
        ("negative_binomial", "'negative_binomial'"),
        ("multinomial", "'multinomial'"),
    ],
)
def test_a_fit_of_a_ready_family_imports_nothing_heavy(name, family):
    code = SCRIPT.format(name=name, family=family, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
