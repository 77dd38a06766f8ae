"""Likelihoods are nested by what they give the rows, whatever their functions and parameters are called."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from scipy import stats

import raphson as rp


def line(p, row):
    return norm.logpdf(row.lwt, p["m"] + p["b"] * row.age, jnp.exp(p["s"]))


def constant(p, row):
    return norm.logpdf(row.lwt, p["mean"], jnp.exp(p["log_sd"]))


def of_logs(p, row):
    return norm.logpdf(jnp.log(row.lwt), p["m"], jnp.exp(p["s"]))


def of_ages(p, row):
    return norm.logpdf(row.age, p["m"], jnp.exp(p["s"]))


@pytest.fixture(scope="module")
def births():
    return rp.datasets.load("births")


@pytest.fixture(scope="module")
def larger(births):
    return rp.mle(line, births, start={"m": 100.0, "b": 0.0, "s": 3.0})


def test_other_names_do_not_matter(births, larger):
    smaller = rp.mle(constant, births, start={"mean": 100.0, "log_sd": 3.0})
    # n log of the ratio of the residual sums of squares.
    x, y = births["age"].to_numpy(float), births["lwt"].to_numpy(float)
    expected = -len(y) * np.log(1 - stats.pearsonr(x, y).statistic ** 2)
    test = larger.lr_test(smaller)
    assert test.statistic == pytest.approx(expected, rel=1e-8) and test.df == 1

    def by_density(y, location, scale):
        return norm.logpdf(y, location, jnp.exp(scale))

    as_density = rp.mle(by_density, {"location": "lwt ~ 1", "scale": "~ 1"}, births)
    wider = rp.mle(lambda y, mu, s: norm.logpdf(y, mu, jnp.exp(s)), {"mu": "lwt ~ age", "s": "~ 1"}, births)
    assert wider.lr_test(as_density).statistic == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("other", "start"), [(of_ages, 20.0), (of_logs, 5.0)])
def test_another_response_or_scale_is_refused(births, larger, other, start):
    # Two parameters of the same names, and columns that this model reads.
    smaller = rp.mle(other, births, start={"m": start, "s": 1.0})
    with pytest.raises(rp.ModelError, match=r"another response or another scale.*nested=True"):
        larger.lr_test(smaller)
    # A likelihood ratio below zero shows through the user's word.
    assert smaller.llf > larger.llf
    with pytest.raises(rp.ModelError, match="a log-likelihood no higher than this fit's"):
        larger.lr_test(smaller, nested=True)


def test_one_of_another_response_is_refused_though_the_ratio_is_positive(births):
    def ages(p, row):
        return norm.logpdf(row.age, p["mean"] + p["b"] * row.lwt, jnp.exp(p["log_sd"]))

    larger = rp.mle(ages, births, start={"mean": 20.0, "b": 0.0, "log_sd": 2.0})
    smaller = rp.mle(constant, births, start={"mean": 100.0, "log_sd": 3.0})
    assert larger.llf > smaller.llf
    with pytest.raises(rp.ModelError, match="another response"):
        larger.lr_test(smaller)


def series(p, row):
    e = row.y - p["mu"]
    return norm.logpdf(e[1:] - jnp.tanh(p["z"]) * e[:-1], 0, jnp.exp(p["s"])).sum()


def white_noise(p, row):
    return norm.logpdf(row.y[1:] - p["mu"], 0, jnp.exp(p["s"])).sum()


def noise_of_other_name(p, row):
    return norm.logpdf(row.y[1:] - p["level"], 0, jnp.exp(p["s"])).sum()


def test_a_series_that_is_one_row():
    y = np.random.default_rng(2).normal(size=(1, 50))
    fit = rp.mle(series, {"y": y}, start={"mu": 0.0, "z": 0.0, "s": 0.0})
    assert "one row" in fit.message and "bic" in fit.message and np.isfinite(fit.bse).all()
    for kind in ("HC0", "HC3"):
        with pytest.raises(rp.ModelError, match="expected at least two rows; got 1"):
            _ = fit.robust(kind).bse
    with pytest.raises(rp.ModelError, match="at least two rows to draw from; got 1"):
        fit.bootstrap(10)
    # Too few rows to compare row by row: the parameters' names and the columns tell.
    smaller = rp.mle(white_noise, {"y": y}, start={"mu": 0.0, "s": 0.0})
    assert fit.lr_test(smaller).statistic == pytest.approx(2 * (fit.llf - smaller.llf))
    renamed = rp.mle(noise_of_other_name, {"y": y}, start={"level": 0.0, "s": 0.0})
    with pytest.raises(rp.ModelError, match="too few rows to compare"):
        fit.lr_test(renamed)
    assert fit.lr_test(renamed, nested=True).df == 1


def test_clusters_of_one_are_not_drawn():
    data = {"y": np.arange(6.0), "g": np.zeros(6, int)}
    fit = rp.mle(lambda p, row: norm.logpdf(row.y, p["m"], 1.0), data, start={"m": 0.0}, groups="g", cov="model")
    with pytest.raises(rp.ModelError, match="at least two clusters to draw from; got 1"):
        fit.bootstrap(10, kind="cluster")
