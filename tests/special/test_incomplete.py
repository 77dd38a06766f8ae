"""The beta function and incomplete functions, their values and derivatives, against mpmath."""

from __future__ import annotations

import jax
import mpmath as mp
import numpy as np
import pytest

from raphson.numeric import x64
from raphson.special import incomplete

rng = np.random.default_rng(3)
SHAPES = 10.0 ** rng.uniform(-1.5, 3.5, 16)
RATIOS = 10.0 ** rng.uniform(-0.8, 0.7, 16)


def log_upper(a, x):
    return mp.log(mp.gammainc(a, x, regularized=True))


def log_lower(a, x):
    return mp.log(mp.gammainc(a, 0, x, regularized=True))


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def log_share(a, b, x):
    return mp.log(mp.betainc(a, b, 0, x, regularized=True))


def worst(function, truth, arguments):
    """Largest error relative to the truth, or to 1e-12 of the largest where the truth is next to nothing."""
    with x64():
        values = np.asarray(jax.jit(jax.vmap(function))(*arguments))
    errors = []
    with mp.workdps(60):
        for value, *row in zip(values, *arguments, strict=True):
            exact = truth(*(mp.mpf(float(one)) for one in row))
            if abs(exact) > mp.mpf(10) ** -12:
                errors.append(float(abs(mp.mpf(float(value)) - exact) / abs(exact)))
    assert len(errors) > 5
    return max(errors)


def slope(truth, orders):
    return lambda *at: mp.diff(truth, at, orders)


@pytest.mark.parametrize(
    ("function", "truth", "arguments", "bound"),
    [
        (incomplete.betaln, log_beta, (SHAPES, SHAPES * RATIOS), 1e-12),
        (jax.grad(incomplete.betaln), lambda a, b: mp.digamma(a) - mp.digamma(a + b), (SHAPES, RATIOS), 1e-11),
        (
            jax.grad(jax.grad(incomplete.betaln)),
            lambda a, b: mp.psi(1, a) - mp.psi(1, a + b),
            (SHAPES, SHAPES * RATIOS),
            1e-11,
        ),
        (incomplete.log_gammaincc, log_upper, (SHAPES, SHAPES * RATIOS), 1e-11),
        (incomplete.log_gammainc, log_lower, (SHAPES, SHAPES * RATIOS), 1e-11),
        (jax.grad(incomplete.log_gammaincc), slope(log_upper, (1, 0)), (SHAPES, SHAPES * RATIOS), 1e-9),
        (jax.grad(incomplete.log_gammaincc, 1), slope(log_upper, (0, 1)), (SHAPES, SHAPES * RATIOS), 1e-9),
        (jax.grad(jax.grad(incomplete.log_gammaincc)), slope(log_upper, (2, 0)), (SHAPES, SHAPES * RATIOS), 1e-7),
        (jax.grad(incomplete.log_gammainc), slope(log_lower, (1, 0)), (SHAPES, SHAPES * RATIOS), 1e-9),
    ],
)
def test_against_mpmath(function, truth, arguments, bound):
    assert worst(function, truth, arguments) < bound


@pytest.mark.parametrize(("number", "orders"), [(None, None), (0, (1, 0, 0)), (1, (0, 1, 0)), (2, (0, 0, 1))])
def test_the_incomplete_beta_function(number, orders):
    a, b = 10.0 ** rng.uniform(-0.7, 2.3, (2, 10))
    x = np.clip(rng.beta(a + 0.2, b + 0.2), 1e-3, 1 - 1e-3)
    function = incomplete.log_betainc if number is None else jax.grad(incomplete.log_betainc, number)
    truth = log_share if number is None else slope(log_share, orders)
    assert worst(function, truth, (a, b, x)) < 1e-9


def test_edges():
    with x64():
        assert float(incomplete.log_gammaincc(2.0, 0.0)) == 0.0
        assert float(incomplete.log_gammainc(2.0, 0.0)) == -np.inf
        assert float(incomplete.log_betainc(2.0, 3.0, 0.0)) == -np.inf
        assert float(incomplete.log_betainc(2.0, 3.0, 1.0)) == 0.0
        assert np.isfinite(float(jax.grad(incomplete.log_gammaincc)(3.0, 5000.0)))
