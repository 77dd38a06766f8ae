"""Means averaged over the effects of groups: against brute-force integrals, closed forms and finite differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import raphson as rp
from raphson.errors import ModelError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(30), 10), np.tile(np.linspace(-1, 1, 10), 30)
    eta = 0.3 + x + rng.normal(0, 1.2, 30)[g] + rng.normal(0, 0.8, 30)[g] * x
    frame = pd.DataFrame({"g": [f"g{k}" for k in g], "x": x, "site": (g // 6).astype(int)})
    frame["b"] = rng.binomial(1, 1 / (1 + np.exp(-eta)))
    return frame.assign(n=rng.poisson(np.exp(0.5 * eta)), z=eta + rng.normal(0, 0.5, 300))


def by_hand(theta, x):
    """∫ of the logistic curve over a bivariate normal's value at x; θ is β and the triangle Λ by rows."""
    s = np.hypot(theta[2] + theta[3] * x, theta[4] * x)
    eta = theta[0] + theta[1] * x
    return quad(lambda u: norm.pdf(u) / (1 + np.exp(-eta - s * u)), -12, 12, epsabs=1e-13, epsrel=1e-13)[0]


def test_a_logistic_mean_is_the_integral_and_its_error_by_all_parameters(data):
    fit = rp.glm("b ~ x + (x | g)", data, family="binomial")
    at = fit._reading.maximum
    points = np.array([-1.0, 0.3, 2.0])
    found = fit.predict({"x": points}, effects="marginal", se=True, interval="confidence")
    for x, value, error in zip(points, found.fit, found.se, strict=True):
        assert value == pytest.approx(by_hand(at.theta, x), abs=1e-8)
        steps = 1e-5 * np.eye(5)
        g = [(by_hand(at.theta + h, x) - by_hand(at.theta - h, x)) / 2e-5 for h in steps]
        assert error == pytest.approx(np.sqrt(g @ at.cov @ g), rel=1e-5)
    logit = np.log(found.fit / (1 - found.fit))
    upper = logit + norm.ppf(0.975) * found.se / (found.fit * (1 - found.fit))
    assert found.upper.to_numpy() == pytest.approx((1 / (1 + np.exp(-upper))).to_numpy(), rel=1e-8)
    assert (found.lower < found.fit).all()


def test_counts_have_the_lognormal_mean(data):
    fit = rp.glm("n ~ s(x) + (1 | site/g)", data, family="poisson", criterion="ml")
    new = pd.DataFrame({"x": [-0.5, 0.8]})
    population = fit.predict(new, effects="population")
    variance = float((fit.variances.estimate[fit.variances.group != "s(x)"] ** 2).sum())
    found = fit.predict(new, effects="marginal")
    assert found.to_numpy() == pytest.approx((population * np.exp(variance / 2)).to_numpy(), rel=1e-9)
    own = fit.predict(effects="marginal")
    assert own.index.equals(fit.fittedvalues.index) and np.isfinite(own).all()


@pytest.mark.parametrize("criterion", ["ml", "reml"])
def test_of_a_normal_response_it_is_the_populations(criterion, data):
    fit = rp.glm("z ~ s(x) + (x | g)", data, criterion=criterion)
    new = pd.DataFrame({"x": [-0.5, 0.8], "g": ["g3", "nobody"]})
    one, other = (fit.predict(new[["x"]], se=True, effects=name) for name in ("marginal", "population"))
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)
    known = fit.predict(new, effects="marginal", new_levels="population")
    assert known.to_numpy() == pytest.approx(one.fit.to_numpy())


def test_without_a_variance_it_is_the_populations_and_a_file_has_it(data, tmp_path):
    flat = data.assign(b=np.tile([0, 1, 0, 1, 1, 0, 1, 0, 0, 1], 30))
    fit = rp.glm("b ~ x + (1 | g)", flat, family="binomial")
    assert fit.variances.estimate[0] == 0
    one, other = (fit.predict({"x": [0.0, 1.0]}, se=True, effects=name) for name in ("marginal", "population"))
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)
    fit = rp.glm("b ~ x + (x | g)", data, family="binomial")
    fit.save(tmp_path / "fit.json")
    again = rp.load(tmp_path / "fit.json")
    asked = {"new": {"x": [0.0, 1.0]}, "se": True, "effects": "marginal"}
    pd.testing.assert_frame_equal(again.predict(**asked), fit.predict(**asked), rtol=1e-8)


def test_what_has_no_average_is_refused(data):
    fit = rp.glm("b ~ x + (1 | g)", data, family="binomial")
    with pytest.raises(ModelError, match="kind: expected 'response' with effects='marginal'; got 'link'"):
        fit.predict(effects="marginal", kind="link")
    with pytest.raises(ModelError, match="interval: expected None or 'confidence' with effects='marginal'"):
        fit.predict(effects="marginal", interval="prediction")
