"""Deviances, full log-likelihoods and dispersions: against R's models in 50 digits, mpmath, and scipy.stats."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jax
import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from raphson.errors import ModelError
from raphson.model import families
from raphson.numeric import x64

REFERENCE = Path(__file__).parents[2] / "reference" / "glm"
CASES = sorted(path.stem for path in REFERENCE.glob("*.json"))


def load(name):
    case = json.loads((REFERENCE / f"{name}.json").read_text())
    with (REFERENCE / f"{name}_design.csv").open() as file:
        table = np.array(list(csv.reader(file))[1:], dtype=np.float64)
    eta = table[:, 2] + table[:, 3:] @ np.array(case["mp"]["coefficients"])
    return case, table[:, 0], table[:, 1], eta


compiled = jax.jit(lambda family, y, eta: family.rows(y, eta)[::4])


def values(family, y, eta):
    with x64():
        value, mean = compiled(family, y, np.atleast_2d(eta))
        return np.asarray(value), np.asarray(mean)[0]


@pytest.mark.parametrize("name", CASES)
def test_reference_deviance_and_log_likelihood(name):
    case, y, trials, eta = load(name)
    family = families.resolve(case["family"])
    family = type(family)(link=case["link"])
    exact = case["mp"]
    if family.name == "negative_binomial":
        family = family.at(exact["theta"])
    value, mean = values(family, y, eta)
    deviance = np.sum(trials * family.unit_deviance(y, mean, value))
    np.testing.assert_allclose(deviance, exact["deviance"], rtol=1e-12)
    size = trials if family.name == "binomial" else None
    dispersion = family.ml_dispersion(y, mean, None)
    total = np.sum(trials * value / dispersion + family.log_normalizer(y, None, size, dispersion))
    if family.quasi:
        assert np.isnan(total)
        return
    np.testing.assert_allclose(total, exact.get("logLik_ml_shape", exact["logLik"]), rtol=1e-12)
    if family.name == "gamma":
        np.testing.assert_allclose(1 / dispersion, exact["gamma_shape_ml"], rtol=1e-12)
    if family.name == "negative_binomial":
        estimated = families.NegativeBinomial()
        joint = np.stack([eta, np.full_like(eta, np.log(exact["theta"]))])
        value, _ = values(estimated, y, joint)
        np.testing.assert_allclose(
            np.sum(value + estimated.log_normalizer(y, None, None, 1.0)), exact["logLik"], rtol=1e-12
        )


def full(family, y, eta, weight=None, size=None, dispersion=1.0, kind="precision"):
    """The log density of each row."""
    value, mean = values(family, y, eta)
    w = np.ones_like(y) if weight is None else weight
    m = np.ones_like(y) if size is None else size
    return w * m * value / dispersion + family.log_normalizer(y, weight, size, dispersion, kind), mean


def test_log_densities_are_those_of_scipy():
    y, eta = np.array([0.2, 1.0, 4.0, 9.0]), np.array([0.1, 0.4, 1.0, 2.0])
    k, mu, phi = np.array([0.0, 1.0, 4.0, 9.0]), np.exp(eta), 0.37
    pairs = [
        (full(families.Gaussian(link="log"), y, eta, dispersion=phi), stats.norm.logpdf(y, mu, phi**0.5)),
        (full(families.Poisson(), k, eta), stats.poisson.logpmf(k, mu)),
        (full(families.Gamma(link="log"), y, eta, dispersion=phi), stats.gamma.logpdf(y, 1 / phi, scale=mu * phi)),
        (
            full(families.InverseGaussian(link="log"), y, eta, dispersion=phi),
            stats.invgauss.logpdf(y, mu * phi, scale=1 / phi),
        ),
        (full(families.NegativeBinomial(theta=1.7), k, eta), stats.nbinom.logpmf(k, 1.7, 1.7 / (1.7 + mu))),
        (
            full(families.Binomial(), k / 9, eta - 1, size=np.full(4, 9.0)),
            stats.binom.logpmf(k, 9, 1 / (1 + np.exp(1 - eta))),
        ),
    ]
    for (got, _), exact in pairs:
        np.testing.assert_allclose(got, exact, rtol=1e-11)


def test_tweedie_log_density_is_the_sum_over_its_poisson_number_of_gamma_terms():
    # with lambda = mu^(2-p)/(phi (2-p)) terms of shape (2-p)/(p-1) each
    y, eta = np.array([0.0, 0.05, 1.0, 30.0]), np.array([0.3, 0.1, 0.5, 2.0])
    for p, phi in ((1.1, 0.5), (1.5, 2.0), (1.9, 0.2)):
        got, mean = full(families.Tweedie(power=p), y, eta, dispersion=phi)
        for i in range(4):
            rate, shape = mean[i] ** (2 - p) / (phi * (2 - p)), (2 - p) / (p - 1)
            scale = phi * (p - 1) * mean[i] ** (p - 1)
            if y[i] == 0:
                exact = -rate
            else:
                j = np.arange(1, 2000)
                terms = stats.poisson.logpmf(j, rate) + stats.gamma.logpdf(y[i], j * shape, scale=scale)
                exact = np.logaddexp.reduce(terms)
            np.testing.assert_allclose(got[i], exact, rtol=1e-10)


@pytest.mark.parametrize(("power", "named"), [(0, "gaussian"), (1, "poisson"), (2, "gamma"), (3, "inverse_gaussian")])
def test_tweedie_of_a_whole_power_is_the_named_family(power, named):
    y, eta = np.array([1.0, 2.0, 5.0, 3.0]), np.array([0.3, 0.5, 1.4, 1.2])
    tweedie = families.Tweedie(power=power)
    other = type(families.resolve(named))(link="log")
    dispersion = tweedie.ml_dispersion(y, np.exp(eta), None)
    assert dispersion == pytest.approx(other.ml_dispersion(y, np.exp(eta), None), rel=1e-13)
    got, mean = full(tweedie, y, eta, dispersion=dispersion)
    exact, _ = full(other, y, eta, dispersion=dispersion)
    np.testing.assert_allclose(got, exact, rtol=1e-13)
    np.testing.assert_allclose(tweedie.variance(mean), other.variance(mean), rtol=1e-14)


def test_ml_dispersion_is_the_maximum():
    rng = np.random.default_rng(3)
    y, eta, weight = rng.gamma(2.0, 1.5, 40), rng.normal(1, 0.2, 40), rng.integers(0, 4, 40).astype(float)
    for family in (
        families.Gaussian(),
        families.Gamma(link="log"),
        families.InverseGaussian(link="log"),
        families.Tweedie(power=1.6),
    ):
        for kind in ("precision", "frequency"):
            _, mean = values(family, y, eta)
            best = family.ml_dispersion(y, mean, weight, kind)

            value, _ = values(family, y, eta)

            def total(phi, family=family, kind=kind, value=value):
                return np.sum(weight * value / phi + family.log_normalizer(y, weight, None, phi, kind))

            assert total(best) > max(total(best * 1.01), total(best / 1.01)), (family, kind)
            slope = (total(best * 1.0001) - total(best / 1.0001)) / 2e-4
            assert abs(slope) < 1e-5 * abs(total(best)), (family, kind)


@pytest.mark.parametrize("spread", [0.5, 1e-2, 1e-4])
def test_gamma_shape_keeps_its_digits(spread):
    # shapes to 1e8: log(a) - psi(a) from a subtraction would have eight digits
    rng = np.random.default_rng(4)
    mean = np.exp(rng.normal(size=30))
    y = mean * np.exp(spread * rng.normal(size=30))
    shape = 1 / families.Gamma().ml_dispersion(y, mean, None)
    with mp.workdps(40):
        half = (
            sum((mp.mpf(a) / mp.mpf(b) - 1 - mp.log(mp.mpf(a) / mp.mpf(b))) for a, b in zip(y, mean, strict=True)) / 30
        )
        exact = mp.findroot(lambda a: mp.log(a) - mp.digamma(a) - half, mp.mpf(float(shape)))
        assert abs(mp.mpf(float(shape)) / exact - 1) < 1e-11
        # and so does the log-likelihood, although shape times its terms is 1e8
        family = families.Gamma(link="identity")
        total = np.sum(full(family, y, mean, dispersion=1 / shape)[0])
        a = exact
        by_hand = sum(
            a * mp.log(a / mp.mpf(m)) - mp.loggamma(a) + (a - 1) * mp.log(mp.mpf(v)) - a * mp.mpf(v) / mp.mpf(m)
            for v, m in zip(y, mean, strict=True)
        )
        assert abs(mp.mpf(float(total)) / by_hand - 1) < 1e-10


def test_frequency_weights_are_copies_and_precision_weights_divide_the_dispersion():
    y, eta, w = np.array([1.0, 2.5]), np.array([0.2, 0.9]), np.array([3.0, 0.0])
    for family, phi in (
        (families.Gaussian(), 0.7),
        (families.Gamma(link="log"), 0.3),
        (families.Poisson(), 1.0),
        (families.InverseGaussian(link="log"), 0.4),
        (families.Tweedie(power=1.5), 0.8),
    ):
        one = full(family, y, eta, dispersion=phi)[0]
        copies = full(family, y, eta, w, None, phi, "frequency")[0]
        np.testing.assert_allclose(copies, [3 * one[0], 0], rtol=1e-13)
        if not family.dispersion_fixed:
            sharper = full(family, y, eta, dispersion=phi / 3)[0]
            np.testing.assert_allclose(full(family, y, eta, w, None, phi)[0], [sharper[0], 0], rtol=1e-13)
    # grouped binomial rows: a precision weight without trials is the number of trials
    p = full(families.Binomial(), np.array([0.25]), np.array([0.1]), np.array([8.0]))[0]
    trials = full(families.Binomial(), np.array([0.25]), np.array([0.1]), None, np.array([8.0]))[0]
    np.testing.assert_allclose(p, trials, rtol=1e-14)


def test_deviance_keeps_its_digits_near_a_perfect_fit():
    y = np.array([1e-3, 0.4, 3.0, 1e6])
    for near in (1e-4, 1e-8):
        mean = y * (1 + near)
        with mp.workdps(50):
            for family in (families.Poisson(), families.NegativeBinomial(theta=3.0), families.Binomial()):
                some = slice(None) if family.name != "binomial" else slice(2)
                value, _ = values(family, y[some], family.link.link(mean[some]))
                got = family.unit_deviance(y[some], mean[some], value)
                for d, a, b in zip(got, y[some], mean[some], strict=True):
                    a, b = mp.mpf(a), mp.mpf(b)
                    exact = a * mp.log(a / b)
                    if family.name == "poisson":
                        exact += b - a
                    elif family.name == "binomial":
                        exact += (1 - a) * mp.log((1 - a) / (1 - b))
                    else:
                        exact -= (a + 3) * mp.log((a + 3) / (b + 3))
                    assert abs(mp.mpf(float(d)) - 2 * exact) < 1e-7 * 2 * exact


def test_deviance_where_the_mean_is_rounded():
    # the mean is 0 or 1 to the last digit, and the value still knows by how much it misses
    y, eta = np.array([0.0, 1.0, 1.0]), np.array([40.0, 800.0, -800.0])
    value, mean = values(families.Binomial(), y, eta)
    np.testing.assert_allclose(families.Binomial().unit_deviance(y, mean, value), [80.0, 0.0, 1600.0], rtol=1e-12)
    value, mean = values(families.Poisson(), np.array([2.0, 0.0]), np.array([-800.0, -800.0]))
    got = families.Poisson().unit_deviance(np.array([2.0, 0.0]), mean, value)
    np.testing.assert_allclose(got, [2 * (2 * np.log(2) - 2 + 1600), 0.0], rtol=1e-12)


def test_distribution_functions_are_those_of_scipy():
    y, mean = np.array([0.0, 1.0, 3.0, 8.0]), np.array([0.5, 2.0, 2.5, 5.0])
    phi, positive = 0.4, np.array([0.1, 1.0, 3.0, 8.0])
    n = np.full(4, 10.0)
    discrete = [
        (families.Poisson().cdf(y, mean, 1.0), stats.poisson(mean), y),
        (families.NegativeBinomial(theta=1.5).cdf(y, mean, 1.0), stats.nbinom(1.5, 1.5 / (1.5 + mean)), y),
        (families.Binomial().cdf(y / 10, mean / 10, 1.0, n), stats.binom(10, mean / 10), y),
    ]
    for (lower, upper), law, at in discrete:
        np.testing.assert_allclose(lower, law.cdf(at - 1), rtol=1e-10, atol=1e-300)
        np.testing.assert_allclose(upper, law.cdf(at), rtol=1e-10)
    continuous = [
        (families.Gaussian(), stats.norm(mean, phi**0.5)),
        (families.Gamma(), stats.gamma(1 / phi, scale=mean * phi)),
        (families.InverseGaussian(), stats.invgauss(mean * phi, scale=1 / phi)),
    ]
    for family, law in continuous:
        lower, upper = family.cdf(positive, mean, phi)
        np.testing.assert_allclose(lower, law.cdf(positive), rtol=1e-9)
        np.testing.assert_array_equal(lower, upper)
    with pytest.raises(ModelError, match="tweedie family has no distribution function"):
        families.Tweedie(power=1.5).cdf(y, mean, 1.0)


def test_quasi_families_have_no_likelihood():
    for family in (families.QuasiPoisson(), families.QuasiBinomial()):
        assert np.isnan(family.log_normalizer(np.ones(3), None, None, 1.0)).all()
        assert np.isnan(family.ml_dispersion(np.ones(3), np.ones(3), None))
    assert np.isnan(families.Tweedie(power=2.5).log_normalizer(np.ones(3), None, None, 1.0)).all()
