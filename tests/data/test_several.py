"""Several formulas over one table, and what a density reads besides: infinity is a value there, and a row stays."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats

import raphson as rp


def interval_normal(low, mu, log_sigma, *, high):
    """Interval-censored: -inf and inf where one end was never seen."""
    from jax.scipy.special import ndtr

    def below(end, if_infinite):
        there = jnp.isfinite(end)
        return jnp.where(there, ndtr((jnp.where(there, end, 0.0) - mu) / jnp.exp(log_sigma)), if_infinite)

    return jnp.log(below(high, 1.0) - below(low, 0.0))


@pytest.fixture(scope="module")
def intervals():
    rng = np.random.default_rng(1)
    x = rng.normal(size=200)
    low = np.floor(1 + 0.5 * x + rng.normal(size=200))
    return {"low": np.where(x < -1, -np.inf, low), "high": np.where(x > 1, np.inf, low + 1), "x": x}


def by_scipy(low, high, x):
    def minus_log(theta):
        mean, sd = theta[0] + theta[1] * x, np.exp(theta[2])
        return -np.log(stats.norm.cdf((high - mean) / sd) - stats.norm.cdf((low - mean) / sd)).sum()

    return optimize.minimize(minus_log, [1.0, 0.5, 0.0], tol=1e-12).x


def test_infinite_ends_of_intervals_are_handed_to_the_density(intervals):
    want = by_scipy(**intervals)
    by_formula = rp.mle(interval_normal, {"mu": "low ~ x", "log_sigma": "~ 1"}, intervals)

    def by_row(params, row):
        return interval_normal(row.low, params["b"][0] + params["b"][1] * row.x, params["s"], high=row.high)

    for fit in (by_formula, rp.mle(by_row, intervals, start={"b": np.zeros(2), "s": 0.0})):
        assert fit.nobs == 200 and fit.converged
        np.testing.assert_allclose(fit.params, want, atol=1e-5)


def test_only_what_is_missing_is_dropped(intervals):
    data = {**intervals, "high": np.where(np.arange(200) == 7, np.nan, intervals["high"])}
    with pytest.warns(rp.MissingDataWarning, match=r"1 of 200 rows dropped for missing values in high$"):
        assert rp.mle(interval_normal, {"mu": "low ~ x", "log_sigma": "~ 1"}, data).nobs == 199
    # A design holds no infinity.
    data = {**intervals, "x": np.where(np.arange(200) == 7, np.inf, intervals["x"])}
    with pytest.warns(rp.MissingDataWarning, match=r"1 of 200 rows dropped for infinite values in x$"):
        assert rp.mle(interval_normal, {"mu": "low ~ x", "log_sigma": "~ 1"}, data).nobs == 199


def test_a_ready_density_says_that_it_takes_no_infinity():
    times = {"t": [1.0, 2, np.inf, 3], "x": [0, 1, 2, 3], "event": [1, 1, 0, 1]}
    with pytest.raises(
        rp.DataError, match=r"'t': the weibull density expects finite.*inf in row 2 \(1 of 4.*event = 0"
    ):
        rp.mle("weibull", "t ~ x", times)
    with pytest.raises(
        rp.DataError, match=r"trials: the beta_binomial density expects finite numbers; got inf in row 1"
    ):
        rp.mle("beta_binomial", "s ~ 1", {"s": [1, 2, 3], "trials": [4, np.inf, 5]})
