"""Leave-one-out and the infinitesimal jackknife: against fits without the row, and against derivatives by weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import raphson as rp


def test_leave_one_out_is_near_the_fits_without_each_row(sample):
    fit = rp.glm(sample.count, sample.X, family="poisson")
    found = fit.loo()
    keep = ~np.eye(sample.n, dtype=bool)
    others = [rp.glm(sample.count[rows], sample.X[rows], family="poisson") for rows in keep]
    mean = [np.exp(sample.X[i] @ other.params) for i, other in enumerate(others)]
    exact = stats.poisson.logpmf(sample.count, mean)
    assert found.elpd == pytest.approx(exact.sum(), abs=0.02 * abs(exact.sum() - fit.llf))
    estimates = np.array([other.params for other in others])
    gap = np.abs(found.estimates - estimates) / fit.bse.to_numpy()
    assert gap.max().max() < 0.1 * (np.abs(estimates - fit.params.to_numpy()) / fit.bse.to_numpy()).max()
    assert found.p_loo == pytest.approx(fit.llf - found.elpd) and 1 < found.p_loo < 10
    assert found.se > 0 and "elpd" in repr(found)


def test_it_is_exact_for_a_linear_model(sample):
    fit = rp.glm(sample.normal, sample.X, dispersion=1.0)
    found = fit.loo()
    rows = np.arange(sample.n) != 4
    other = rp.glm(sample.normal[rows], sample.X[rows])
    np.testing.assert_allclose(found.estimates.iloc[4], other.params, rtol=1e-9)
    expected = stats.norm.logpdf(sample.normal[4], sample.X[4] @ other.params)
    assert found.pointwise.iloc[4] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("family", ["binomial", "negative_binomial", "multinomial", "gaussian"])
def test_every_kind_of_fit_has_it(sample, family):
    y = {"binomial": sample.binary, "negative_binomial": sample.spread, "multinomial": sample.category}
    fit = rp.glm(y.get(family, sample.normal), sample.X, family=family)
    found = fit.loo()
    assert np.isfinite(found.pointwise).all() and found.elpd < fit.llf
    assert found.estimates.shape == (sample.n, len(fit.params))


def test_a_row_that_stands_for_several_loses_one(sample):
    repeated = np.repeat(np.arange(sample.n), sample.weights.astype(int))
    long = rp.glm(sample.count[repeated], sample.X[repeated], family="poisson").loo()
    short = rp.glm(sample.count, sample.X, family="poisson", weights=sample.weights, weights_kind="frequency").loo()
    assert short.elpd == pytest.approx(long.elpd, rel=1e-9)


def test_rows_keep_their_labels(sample):
    frame = pd.DataFrame({"y": sample.count, "x": sample.x}, index=[f"r{i}" for i in range(sample.n)])
    assert rp.glm("y ~ x", frame, family="poisson").loo().pointwise.index[3] == "r3"


def test_quasi_families_have_no_density(sample):
    with pytest.raises(rp.ModelError, match="has no density"):
        rp.glm(sample.count, sample.X, family="quasipoisson").loo()


@pytest.mark.parametrize("family", ["poisson", rp.families.Gamma(link="log")])
def test_the_infinitesimal_jackknife_is_made_of_derivatives(sample, family):
    y = sample.count if family == "poisson" else sample.positive
    fit = rp.glm(y, sample.X, family=family)
    step = 1e-5

    def moved(i, sign):
        weights = np.ones(sample.n)
        weights[i] += sign * step
        return rp.glm(y, sample.X, family=family, weights=weights).params.to_numpy()

    slopes = np.array([(moved(i, 1) - moved(i, -1)) / (2 * step) for i in range(sample.n)])
    np.testing.assert_allclose(fit.robust("jackknife").cov_params(), slopes.T @ slopes, rtol=1e-6)
    clusters = np.array([slopes[sample.group == g].sum(axis=0) for g in range(7)])
    scale = 7 / 6 * (sample.n - 1) / (sample.n - 3)
    grouped = fit.robust("jackknife", groups=sample.group).cov_params()
    np.testing.assert_allclose(grouped, scale * clusters.T @ clusters, rtol=1e-6)
