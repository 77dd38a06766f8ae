"""Data as strangers have them: extreme shapes, far starts, odd types; each number is found otherwise too."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import raphson as rp

RNG = np.random.default_rng(1)
X = RNG.normal(size=60)
POSITIVE = RNG.gamma(2.0, np.exp(0.2 * X))
BINARY = (RNG.random(60) < 0.5) * 1.0


@pytest.mark.parametrize("method", ["fisher-scoring", "newton", "irls"])
@pytest.mark.parametrize(
    ("family", "y", "start"),
    [
        (rp.families.Gamma(link="log"), POSITIVE, -50.0),
        (rp.families.Tweedie(1.5), POSITIVE, -50.0),
        (rp.families.InverseGaussian(link="log"), POSITIVE, -30.0),
        ("quasibinomial", BINARY, 50.0),
        ("quasibinomial", BINARY, -50.0),
    ],
    ids=["gamma", "tweedie", "inverse_gaussian", "quasibinomial", "quasibinomial below"],
)
@pytest.mark.filterwarnings("error", "ignore::UserWarning")
def test_a_start_where_the_dispersion_is_huge_is_not_called_the_maximum(family, y, start, method):
    data = {"x": X, "y": y}
    maximum = rp.glm("y ~ x", data, family=family).params
    found = rp.glm("y ~ x", data, family=family, start=[start, 0.0], method=method)
    assert not found.converged or np.allclose(found.params, maximum, atol=1e-6)


@pytest.mark.parametrize("shape", [0.05, 0.01])
@pytest.mark.filterwarnings("error")
def test_gamma_responses_of_a_hundred_orders_of_magnitude_have_a_maximum(shape):
    y = np.random.default_rng(3).gamma(shape, 1.0, size=60) + 1e-300
    fit = rp.glm("y ~ x", {"x": X, "y": y}, family=rp.families.Gamma(link="log"))
    assert fit.converged
    # At the maximum the relative residuals are orthogonal to the columns.
    relative = y / fit.fittedvalues.to_numpy() - 1.0
    assert np.abs([relative.sum(), relative @ X]).max() < 1e-6 * np.abs(relative).sum()
    with mp.workdps(40):
        ratio = [mp.mpf(a) / mp.mpf(b) for a, b in zip(y.tolist(), fit.fittedvalues.tolist(), strict=True)]
        deviance = sum(2 * (t - 1 - mp.log(t)) for t in ratio)
        k = mp.findroot(
            lambda k: 120 * (mp.log(k) - mp.digamma(k)) - deviance, (mp.mpf("1e-3"), mp.mpf(1)), solver="anderson"
        )
        llf = sum(
            k * mp.log(k * t) - mp.log(v) - k * t - mp.loggamma(k) for t, v in zip(ratio, y.tolist(), strict=True)
        )
    np.testing.assert_allclose([fit.deviance, fit.llf], [float(deviance), float(llf)], rtol=1e-12)


def test_quasibinomial_responses_of_0_and_1_are_not_said_to_be_without_error():
    assert "without error" not in rp.glm("y ~ x", {"x": X, "y": BINARY}, family="quasibinomial").message
    twice = {"x": np.tile(X, 2), "y": np.tile(BINARY, 2), "g": np.repeat(["a", "b"], 60)}
    fits = rp.glm("y ~ x", twice, family="quasibinomial", by="g")
    assert not fits.message.str.contains("without error").any()
