"""Log-likelihoods of large counts keep their digits: saturated density less half the deviance, against 60 digits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import raphson as rp
from raphson.model import families

COUNTS = (1.0, 7.0, 150.0, 1e6, 1e15)
RATIOS = (1.0, 1 + 1e-7, 0.9, 1.5)


def whole(family, y, mean, size=None, value=np.nan):
    """log f(y | mean) as a Fit sums it."""
    y, mean, value = np.array([y]), np.array([mean]), np.array([value])
    sizes = None if size is None else np.array([size])
    deviance = family.unit_deviance(y, mean, value) * (1.0 if size is None else size)
    return float((family.log_saturated(y, None, sizes, 1.0) - 0.5 * deviance)[0])


@pytest.mark.parametrize("y", COUNTS)
@pytest.mark.parametrize("ratio", RATIOS)
def test_poisson_and_negative_binomial(y, ratio):
    with mp.workdps(60):
        mean = float(y * ratio)
        Y, M = mp.mpf(y), mp.mpf(mean)
        exact = Y * mp.log(M) - M - mp.loggamma(Y + 1)
        assert whole(families.Poisson(), y, mean) == pytest.approx(float(exact), rel=1e-13)
        for theta in (1e-3, 0.5, 100.0, 1e8, 1e14):
            t = mp.mpf(theta)
            exact = mp.loggamma(Y + t) - mp.loggamma(t) - mp.loggamma(Y + 1)
            exact += Y * mp.log(M / (M + t)) + t * mp.log(t / (M + t))
            found = whole(families.NegativeBinomial(theta=theta), y, mean)
            assert found == pytest.approx(float(exact), rel=1e-10), theta


@pytest.mark.parametrize("m", [10.0, 1e4, 1e15])
def test_binomial(m):
    with mp.workdps(60):
        for k in (1.0, 3.0, m / 2, m - 2):
            for p in (k / m, k / m * (1 - 1e-6), min(k / m * 1.1, 0.999)):
                share, N, P = mp.mpf(k / m), mp.mpf(m), mp.mpf(p)
                value = share * mp.log(P) + (1 - share) * mp.log(1 - P)
                exact = mp.loggamma(N + 1) - mp.loggamma(share * N + 1) - mp.loggamma(N - share * N + 1) + N * value
                found = whole(families.Binomial(), k / m, p, m, float(value))
                assert found == pytest.approx(float(exact), rel=1e-9)


def test_no_count_at_all_and_certain_trials():
    assert whole(families.Poisson(), 0.0, 2.5) == -2.5
    assert whole(families.NegativeBinomial(theta=2.0), 0.0, 3.0) == pytest.approx(2 * np.log(2 / 5))
    assert whole(families.NegativeBinomial(theta=1e-3), 0.0, 1e15) == pytest.approx(1e-3 * np.log(1e-3 / 1e15))
    assert whole(families.Binomial(), 1.0, 0.25, 3.0, np.log(0.25)) == pytest.approx(3 * np.log(0.25))


@pytest.mark.parametrize("kind", ["precision", "frequency"])
def test_it_is_the_same_log_likelihood_as_from_value_and_normaliser(kind):
    rng = np.random.default_rng(0)
    y, mean, w = rng.poisson(4, 50).astype(float), rng.uniform(2, 6, 50), rng.integers(0, 4, 50).astype(float)
    for family in (families.Poisson(), families.Tweedie(power=1.0)):
        plain = families.Poisson()
        value = y * np.log(mean) - mean
        old = w * value + plain.log_normalizer(y, w, None, 1.0, kind)
        new = family.log_saturated(y, w, None, 1.0, kind) - 0.5 * w * plain.unit_deviance(y, mean, value)
        np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-12)
    p, m = mean / 10, np.full(50, 12.0)
    value = y / 12 * np.log(p) + (1 - y / 12) * np.log1p(-p)
    for size, weight in ((m, w), (None, np.where(w > 0, 12.0, 0.0))):
        trials = weight * (1 if size is None else size)
        family = families.Binomial()
        old = trials * value + family.log_normalizer(y / 12, weight, size, 1.0, kind)
        new = family.log_saturated(y / 12, weight, size, 1.0, kind)
        new = new - 0.5 * trials * family.unit_deviance(y / 12, p, value)
        np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-11)


def test_a_fit_of_counts_of_ten_to_the_fifteen():
    y = np.round(1e15 + 3e7 * np.random.default_rng(0).normal(size=50))
    with mp.workdps(50):
        m = sum(mp.mpf(int(v)) for v in y) / 50
        exact = float(sum(mp.mpf(int(v)) * mp.log(m) - m - mp.loggamma(mp.mpf(int(v)) + 1) for v in y))
    fit = rp.glm("y ~ 1", {"y": y}, family="poisson")
    assert fit.llf == pytest.approx(exact, rel=1e-9)
    assert fit.aic == pytest.approx(2 - 2 * exact, rel=1e-9)
    assert fit.loo().elpd == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("trials", [None, 3.0])
def test_responses_that_are_all_certain_have_the_terms_of_single_ones(trials):
    # Beside a proportion the terms are computed; of zeros and ones alone they are known.
    rng = np.random.default_rng(5)
    y, mean = (rng.random(50) < 0.5).astype(float), rng.uniform(1e-12, 1 - 1e-12, 50)
    value = np.where(y == 1, np.log(mean), np.log1p(-mean))
    family = families.Binomial()
    among = np.append(y, 0.5)
    size = None if trials is None else np.full(50, trials)
    more = None if trials is None else np.full(51, trials)
    deviance = family.unit_deviance(among, np.append(mean, 0.5), np.append(value, np.log(0.5)))[:50]
    np.testing.assert_array_equal(family.unit_deviance(y, mean, value), deviance)
    for terms in (family.log_normalizer, family.log_saturated):
        np.testing.assert_allclose(terms(y, None, size, 1.0), terms(among, None, more, 1.0)[:50], rtol=0, atol=1e-15)
    assert not family.spread(y, mean, np.ones(50)).any()
