"""Maxima at an edge: a standard deviation of 0, a correlation of ±1, an infinite penalty, each found exactly."""

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.model.objective import Need
from raphson.model.varying.edge import without


def simulated(rho=0.0, sd=(0.6, 0.4), seed=0, n=400, groups=15):
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, groups, n), rng.normal(size=n)
    L = np.array([[sd[0], 0.0], [rho * sd[1], np.sqrt(1 - rho**2) * sd[1]]])
    b = rng.normal(size=(groups, 2)) @ L.T
    eta = 0.3 + 0.4 * x + b[g, 0] + b[g, 1] * x
    return pd.DataFrame({"y": rng.poisson(np.exp(eta)), "z": eta + rng.normal(size=n), "x": x, "g": g})


def scales(fit):
    return {(one.kind, one.first): one.estimate for one in fit._reading.maximum.reported}


def test_a_standard_deviation_of_zero_leaves_the_smaller_model():
    data = simulated(sd=(0.0, 0.0))
    fit = rp.glm("y ~ x + (1 | g)", data, family="poisson")
    smaller = rp.glm("y ~ x", data, family="poisson")
    assert fit.status == "boundary" and fit.converged and fit.distance < 1e-8
    assert scales(fit) == {("sd", 0): 0.0}
    assert "is 0" in fit.message and "(1 | g)" in fit.message
    np.testing.assert_allclose(fit.params, smaller.params, rtol=1e-12)
    np.testing.assert_allclose(fit.bse, smaller.bse, rtol=1e-10)
    assert abs(fit.llf - smaller.llf) < 1e-10
    assert fit._reading.maximum.modes(0).tolist() == [[0.0]] * 15


@pytest.mark.parametrize(
    ("rho", "seed", "family"), [(1.0, 2, "poisson"), (1.0, 4, "poisson"), (-1.0, 0, "poisson"), (-1.0, 0, "gaussian")]
)
def test_a_correlation_of_one(rho, seed, family):
    fit = rp.glm(f"{'y' if family == 'poisson' else 'z'} ~ x + (1 + x | g)", simulated(rho, seed=seed), family=family)
    found = scales(fit)
    assert fit.status == "boundary" and found["corr", 1] == rho and found["sd", 1] > 0.2
    maximum = fit._reading.maximum
    here = maximum.criterion.evaluate(maximum.theta, Need(kinds=("observed",)))
    errors = np.sqrt(np.diag(maximum.cov))
    assert np.abs(here.score * errors).max() < 1e-7  # of what moves
    assert np.isfinite(fit.bse).all()


def test_one_of_two_independent_ones():
    fit = rp.glm("y ~ x + (x || g)", simulated(sd=(0.6, 0.0), seed=2), family="poisson")
    found = scales(fit)
    assert fit.status == "boundary" and found["sd", 1] == 0.0 and found["sd", 0] > 0.4
    one = rp.glm("y ~ x + (1 | g)", simulated(sd=(0.6, 0.0), seed=2), family="poisson")
    assert abs(fit.llf - one.llf) < 1e-9
    np.testing.assert_allclose(fit.bse, one.bse, rtol=1e-8)


def test_an_infinite_penalty():
    data = simulated(sd=(0.0, 0.0))
    fit = rp.glm("z ~ s(x)", data)
    line = rp.glm("z ~ x", data)
    assert fit.status == "boundary" and "λ = ∞" in fit.message
    np.testing.assert_allclose(fit.fittedvalues, line.fittedvalues, rtol=1e-9, atol=1e-9)
    assert abs(fit._reading.effective - 2.0) < 1e-12


def test_nothing_is_left_to_move():
    data = simulated(sd=(0.0, 0.0), seed=4)
    fit = rp.glm("y ~ x + (1 | g)", data, family="poisson", criterion="reml")
    smaller = rp.glm("y ~ x", data, family="poisson")
    assert fit.status == "boundary"
    np.testing.assert_allclose(fit.bse, smaller.bse, rtol=1e-10)


def test_the_factor_without_what_is_zero_has_the_same_covariance():
    L = np.array([[0.0, 0.0, 0.0], [0.3, 0.4, 0.0], [0.1, -0.2, 0.5]])
    new = without(L, [0], [])
    np.testing.assert_allclose(new @ new.T, L @ L.T, atol=1e-12)
    assert not new[:, 0].any()
    L = np.array([[0.7, 0.0, 0.0], [0.3, 0.0, 0.0], [0.1, -0.2, 0.5]])
    new = without(L, [], [1])
    np.testing.assert_allclose(new @ new.T, L @ L.T, atol=1e-12)
    assert not new[:, 1].any()
