"""Differences of gamma functions, and the negative binomial's derivatives by log theta, against mpmath."""

from __future__ import annotations

import jax
import mpmath as mp
import numpy as np
import pytest

from raphson.numeric import x64
from raphson.special import gamma

ARGUMENTS = np.array([1e-6, 0.1, 0.9, 1.5, 9.99, 10.0, 10.01, 57.2, 1e4, 1e8, 1e15])


def relative(got, truth):
    return abs(mp.mpf(float(got)) - truth) / abs(truth)


@pytest.mark.parametrize("xp", [np, jax.numpy])
def test_remainders(xp):
    with x64(), mp.workdps(60):
        remainder = np.asarray(gamma.stirling_remainder(ARGUMENTS, xp))
        difference = np.asarray(gamma.log_minus_digamma(ARGUMENTS, xp))
        for i, a in enumerate(map(mp.mpf, ARGUMENTS.tolist())):
            exact = mp.loggamma(a) - ((a - 0.5) * mp.log(a) - a + mp.log(2 * mp.pi) / 2)
            # it is added to terms of size 1 and above
            assert abs(mp.mpf(float(remainder[i])) - exact) < 1e-15 * max(1, abs(exact))
            assert relative(difference[i], mp.log(a) - mp.digamma(a)) < 2e-14


def test_trigamma_keeps_its_digits_beside_the_reciprocal():
    got = gamma.trigamma_excess(ARGUMENTS)
    with mp.workdps(60):
        for value, x in zip(got, map(mp.mpf, ARGUMENTS.tolist()), strict=True):
            assert relative(value, mp.psi(1, x) - 1 / x) < 2e-14


@pytest.mark.parametrize("y", [0.3, 1.0, 7.0, 1e4, 1e6])
def test_lgamma_difference(y):
    # subtracting scipy's gammaln leaves an error of 4e-7 at 1e8
    got = gamma.lgamma_difference(np.full(ARGUMENTS.shape, y), ARGUMENTS)
    with mp.workdps(60):
        for value, x in zip(got, map(mp.mpf, ARGUMENTS.tolist()), strict=True):
            exact = mp.loggamma(x + y) - mp.loggamma(x) - y * mp.log(x)
            size = max(abs(exact), abs(y * mp.log1p(y / x)))
            assert abs(mp.mpf(float(value)) - exact) < 1e-15 + 1e-14 * size


def gammas(x):
    """lgamma, digamma and trigamma; past 1e40 by two terms of Stirling's series, exact to 80 digits more."""
    if x < 1e40:
        return mp.loggamma(x), mp.digamma(x), mp.psi(1, x)
    lgamma = (x - 0.5) * mp.log(x) - x + mp.log(2 * mp.pi) / 2 + 1 / (12 * x)
    return lgamma, mp.log(x) - 1 / (2 * x) - 1 / (12 * x * x), 1 / x + 1 / (2 * x * x) + 1 / (6 * x**3)


def exact_rows(y, m, a):
    """Value, scores and observed information by log mu and log theta, each with the size of its terms."""
    with mp.workdps(140 + int(max(2 * a, -a / 2))):
        y, m, a = mp.mpf(y), mp.mpf(m), mp.mpf(a)
        theta, mu = mp.exp(a), mp.exp(m)
        s, r = mu / (mu + theta), theta / (mu + theta)
        q, t = theta / (theta + y), (y - mu) / (theta + mu)
        lgamma, digamma, trigamma = (a - b for a, b in zip(gammas(y + theta), gammas(theta), strict=True))
        s1 = theta * (digamma - mp.log1p(y / theta))
        s2 = theta * ((mp.log1p(t) if t > -0.5 else mp.log((y + theta) / (mu + theta))) - t)
        s1_slope = s1 + theta**2 * trigamma + y * q
        s2_slope = s2 + theta * t * t * q
        gamma = lgamma - y * a
        terms = [
            (gamma, y * m, -y * mp.log1p(mu / theta), -theta * mp.log1p(mu / theta), y, -y),
            (y * r, -mu * r),
            (s1, s2),
            (y * s * r, mu * r**2),
            (-y * s * r, mu * s * r),
            (-s1_slope, -s2_slope),
        ]
        return [(sum(part), sum(map(abs, part))) for part in terms]


def rows(y, m, a):
    def first(function, at, *rest):
        return jax.jvp(lambda v: function(*rest, v), (at,), (jax.numpy.ones_like(at),))

    def traced(y, m, a):
        by_mean, cross = first(gamma.negative_binomial_mean_score, a, y, m)
        by_theta, by_theta2 = first(gamma.negative_binomial_theta_score, a, y, m)
        by_mean2 = jax.jvp(lambda v: gamma.negative_binomial_mean_score(y, v, a), (m,), (jax.numpy.ones_like(m),))[1]
        return gamma.negative_binomial_log_density(y, m, a), by_mean, by_theta, -by_mean2, -cross, -by_theta2

    with x64():
        return [np.asarray(v) for v in jax.jit(traced)(y, m, a)]


def assert_rows(y, m, a):
    y, m, a = (v.ravel() for v in np.meshgrid(y, m, a))
    got = rows(y, m, a)
    names = ["value", "score m", "score a", "observed mm", "observed ma", "observed aa"]
    for i in range(y.size):
        for k, (exact, size) in enumerate(exact_rows(y[i], m[i], a[i])):
            where = f"{names[k]} at y={y[i]}, log mu={m[i]}, log theta={a[i]}: {got[k][i]!r}"
            if abs(exact) > mp.mpf("1.797e308"):
                assert np.isinf(got[k][i]) and (got[k][i] > 0) == (exact > 0), where
            else:
                error = abs(mp.mpf(float(got[k][i])) - exact)
                assert error <= 1e-12 * size + mp.mpf("1e-303"), where


def test_theta_score_keeps_its_digits():
    # The terms psi(y + theta), psi(theta) and the logarithms cancel to y/(2 theta): at theta = 1e8 to 16
    # digits. 9.99 and 10.01 lie on both sides of the change of formula, y = 7.4 near a mean of e^2.
    thetas = [1e-3, 0.7, 1.27, 9.99, 10.01, 30.0, 1e3, 1e8, 1e12]
    assert_rows([0.0, 0.3, 1.0, 7.4, 1e4, 1e6], [-5.0, 0.0, 2.0, 9.2], np.log(thetas))


def test_both_predictors_in_the_tails():
    assert_rows([0.0, 1e4], [-800.0, 3, 709], [-800.0, 709])
    assert_rows([0.0, 0.3, 1e4], [-40.0, 0.0, 40], [-40.0, 2.31, 18.4, 40])


def test_large_theta_is_poisson():
    y, m = np.array([0.0, 1.0, 5.0]), np.array([0.1, -2.0, 1.5])
    value, score, *_ = rows(y, m, np.full(3, 60.0))
    np.testing.assert_allclose(value, y * m - np.exp(m), rtol=1e-14)
    np.testing.assert_allclose(score, y - np.exp(m), rtol=1e-14)
