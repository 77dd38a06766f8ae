"""Tails beyond the smallest double, against mpmath, and quantile residuals that keep their order there."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

import raphson as rp
from raphson.model import families
from raphson.model.families.tails import log_beta_tails, log_gamma_tails


@pytest.mark.parametrize(
    ("a", "x"), [(3, 5), (101, 4.68), (300, 4), (2.5, 1500), (1000, 5000), (1000, 100), (0.3, 900)]
)
def test_gamma_tails(a, x):
    with mp.workdps(40):
        exact = mp.log(mp.gammainc(a, 0, x, regularized=True)), mp.log(mp.gammainc(a, x, mp.inf, regularized=True))
    found = [float(one[0]) for one in log_gamma_tails(np.array([float(a)]), np.array([float(x)]))]
    np.testing.assert_allclose(found, [float(one) for one in exact], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "x"), [(3, 5, 0.2), (200, 3, 1e-3), (2, 900, 0.9), (500, 500, 0.1), (1.5, 300, 0.99)]
)
def test_beta_tails(a, b, x):
    with mp.workdps(40):
        exact = (
            mp.log(mp.betainc(a, b, 0, mp.mpf(x), regularized=True)),
            mp.log(mp.betainc(b, a, 0, 1 - mp.mpf(x), regularized=True)),
        )
    found = [float(one[0]) for one in log_beta_tails(*(np.array([float(v)]) for v in (a, b, x)))]
    np.testing.assert_allclose(found, [float(one) for one in exact], rtol=1e-11, atol=1e-12)


Y, MEAN = np.array([0.0, 1, 3, 7, 12, 30]), np.array([1.0, 2, 3, 4, 15, 8])
POSITIVE = np.array([0.01, 0.5, 2, 7, 30, 200.0])


@pytest.mark.parametrize(
    ("found", "law", "at", "step"),
    [
        (families.Poisson().log_tails(Y, MEAN, 1.0), stats.poisson(MEAN), Y, 1),
        (families.NegativeBinomial(theta=1.5).log_tails(Y, MEAN, 1.0), stats.nbinom(1.5, 1.5 / (1.5 + MEAN)), Y, 1),
        (
            families.Binomial().log_tails(np.minimum(Y, 10) / 10, MEAN / 20, 1.0, np.full(6, 10.0)),
            stats.binom(10, MEAN / 20),
            np.minimum(Y, 10),
            1,
        ),
        (families.Gamma().log_tails(POSITIVE, MEAN, 0.7), stats.gamma(1 / 0.7, scale=MEAN * 0.7), POSITIVE, 0),
        (families.Tweedie(power=0.0).log_tails(POSITIVE, MEAN, 0.7), stats.norm(MEAN, 0.7**0.5), POSITIVE, 0),
        (families.InverseGaussian().log_tails(POSITIVE, MEAN, 0.4), stats.invgauss(MEAN * 0.4, scale=2.5), POSITIVE, 0),
    ],
)
def test_every_family_has_both_tails(found, law, at, step):
    exact = law.logcdf(at - step), law.logcdf(at), law.logsf(at - step), law.logsf(at)
    for one, other in zip(found, exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)


def test_far_counts_keep_their_order_and_their_digits():
    y = np.r_[np.random.default_rng(0).poisson(3, 200), 100, 200, 900]
    fit = rp.glm("y ~ 1", {"y": y}, family="poisson")
    found = fit.residuals("quantile").to_numpy()[-3:]
    mean = float(fit.fittedvalues.iloc[0])
    for r, k in zip(found, (100, 200, 900), strict=True):
        with mp.workdps(40):  # between the quantiles of P(Y >= k) and P(Y > k)
            ends = [mp.log(mp.gammainc(j, 0, mean, regularized=True)) for j in (k, k + 1)]
        tail = stats.norm.logsf(r)
        assert float(ends[1]) <= tail * (1 - 1e-12) and tail * (1 + 1e-12) <= float(ends[0])
    assert found[0] < found[1] < found[2]


def test_the_lower_tail_as_well():
    y = np.r_[np.full(50, 3000.0), 0.0, 1.0]
    r = rp.glm("y ~ 1", {"y": y}, family="poisson").residuals("quantile").to_numpy()
    assert r[-2] < r[-1] < -70 and np.isfinite(r).all()
    normal = rp.glm("y ~ 1", {"y": np.r_[-1.0, 1.0, 60.0]}, dispersion=1.0)
    np.testing.assert_allclose(normal.residuals("quantile"), normal.residuals("response"), rtol=1e-9)
