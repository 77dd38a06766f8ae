"""What inference must not depend on: how parameters are written, copies or counts, and the order of the rows."""

from __future__ import annotations

from functools import cache

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raphson as rp

few = settings(max_examples=2, deadline=None, derandomize=True)


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma


def table(seed, n=40):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.uniform(0.2, 2.0, n), "w": rng.integers(1, 4, n)})
    frame["count"] = rng.poisson(np.exp(0.5 + 0.4 * frame["x"]))
    frame["y"] = 2.0 * np.exp(-0.6 * frame["x"]) + 0.2 * rng.normal(size=n)
    return frame


FITS = {
    "glm": lambda frame, **weights: rp.glm("count ~ x", frame, family="poisson", **weights),
    "nls": lambda frame, **weights: rp.nls("y ~ a*exp(-b*x)", frame, start={"a": 1.0, "b": 1.0}, **weights),
    "mle": lambda frame, **weights: rp.mle(normal, {"mu": "y ~ x", "log_sigma": "~ 1"}, frame, **weights),
}


@cache
def functions(a, b):
    """The same functions for every fit, compiled once: two of a and b, and three that are 0 at b = 0.2."""
    zero = lambda p: jnp.exp(p[b]) - jnp.exp(0.2), lambda p: p[b] ** 3 - 0.2**3, lambda p: 5.0 * p[1] - 1.0
    return lambda p: p[a] * p[b] - 0.2, lambda p: jnp.exp(p[a]) / p[b], zero


def told(fit):
    """What a user reads of a fit's inference."""
    a, b = fit.names[:2]
    product, ratio, _ = functions(a, b)
    tests = [
        test.statistic
        for constraint in (f"{b} = 0.1", product)
        for test in (fit.wald_test(constraint), fit.lr_test(constraint))
    ]
    return np.concatenate(
        [
            tests,
            [fit.score_test(f"{b} = {0.9 * fit.params[b]}").statistic],
            fit.conf_int(kind="profile").to_numpy().ravel(),
            fit.robust("HC3").bse,
            [fit.delta(ratio).se],
        ]
    )


@pytest.mark.parametrize("kind", FITS)
@few
@given(seed=st.integers(0, 10_000))
def test_copies_are_counts_and_the_order_does_not_matter(kind, seed):
    frame = table(seed)
    counted = FITS[kind](frame, weights="w", weights_kind="frequency")
    copied = frame.loc[np.repeat(frame.index, frame["w"])].sample(frac=1.0, random_state=seed)
    np.testing.assert_allclose(told(counted), told(FITS[kind](copied)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", FITS)
@few
@given(seed=st.integers(0, 10_000))
def test_the_likelihood_ratio_does_not_depend_on_how_the_hypothesis_is_written(kind, seed):
    fit = FITS[kind](table(seed))
    a, b = fit.names[:2]
    words = fit.lr_test(f"{b} = 0.2").statistic
    for same in functions(a, b)[2]:
        assert fit.lr_test(same).statistic == pytest.approx(words, rel=1e-7, abs=1e-9)
    # and the profile interval moves with the parameter
    plain, exponential = fit.profile(b).interval(), fit.profile(lambda p: jnp.exp(p[b])).interval()
    np.testing.assert_allclose(np.exp(plain), exponential, rtol=1e-8)
