"""The model of varying terms: what its limits are."""

import numpy as np
import pandas as pd
import pytest

import raphson as rp


def counts(spread, seed=3, n=160, groups=12):
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, groups, n), rng.normal(size=n)
    eta = -0.5 + 0.4 * x + spread * rng.normal(size=groups)[g]
    return pd.DataFrame({"y": rng.binomial(9, 1 / (1 + np.exp(-eta))), "x": x, "g": g})


@pytest.mark.parametrize("more", [{}, {"criterion": "reml"}, {"quadrature": 9}])
def test_counts_that_vary_no_more_than_poisson_ones_give_the_poisson_fit(more):
    data = counts(0.6)
    fit = rp.glm("y ~ x + (1 | g)", data, family="negative_binomial", **more)
    limit = rp.glm("y ~ x + (1 | g)", data, family="poisson", **more)
    assert fit.status == "boundary" and fit.distance < 1e-8 and "theta runs to infinity" in fit.message
    assert abs(fit.llf - limit.llf) < 1e-10 and fit.aic == pytest.approx(limit.aic, rel=1e-13)
    np.testing.assert_allclose(fit.params, limit.params, rtol=1e-10)
    np.testing.assert_allclose(fit.bse, limit.bse, rtol=1e-10)


def test_the_way_to_an_infinite_theta_is_short():
    """Newton's steps in log θ add 1 to it each for ever: some 40 of them before one is known to be at infinity."""
    fit = rp.glm("y ~ x + (1 | g)", counts(0.6), family="negative_binomial")
    assert fit.n_iter <= 15


def test_both_theta_and_a_standard_deviation_are_at_their_edges():
    fit = rp.glm("y ~ x + (1 | g)", counts(0.0), family="negative_binomial")
    smaller = rp.glm("y ~ x", counts(0.0), family="poisson")
    assert "theta runs to infinity" in fit.message and "standard deviation is 0" in fit.message
    np.testing.assert_allclose(fit.params, smaller.params, rtol=1e-12)
    np.testing.assert_allclose(fit.bse, smaller.bse, rtol=1e-10)


def test_counts_that_vary_more_keep_their_theta():
    data = counts(0.6)
    data["y"] = np.random.default_rng(1).poisson(data.y * np.random.default_rng(2).gamma(2.0, 0.5, len(data)))
    fit = rp.glm("y ~ x + (1 | g)", data, family="negative_binomial")
    assert fit.status == "converged" and 0.5 < fit.theta < 20


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_a_model_without_other_coefficients(family):
    data = counts(0.6)
    fits = [rp.glm("y ~ 0 + (1 | g)", data, family=family, criterion=one) for one in ("ml", "reml")]
    maximum = fits[0]._reading.maximum
    sd, tau = maximum.theta[0], maximum.theta[-1]
    if family == "gaussian":  # the density of a multivariate normal with the groups' blocks
        V = np.exp(tau) * np.eye(len(data)) + sd**2 * np.equal.outer(data.g.to_numpy(), data.g.to_numpy())
        llf = -0.5 * (len(data) * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + data.y @ np.linalg.solve(V, data.y))
        assert abs(fits[0].llf - llf) < 1e-9
    for fit in fits:
        assert fit.status == "converged" and not len(fit.params) and fit.edf > 0
        assert abs(fit.llf - fits[0].llf) < 1e-10
        assert fit.variances.estimate[0] == pytest.approx(sd, rel=1e-9) and np.isfinite(fit.variances.std_error).all()
        new = fit.predict(data[:3], se=True)
        assert np.isfinite(new.to_numpy()).all() and "what varies" in str(fit.summary())
    with pytest.raises(rp.FormulaError, match="no columns"):
        rp.glm("y ~ 0", data)
