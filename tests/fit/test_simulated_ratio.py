"""Ratios that are simulated under the smaller model: their null distribution, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import raphson as rp
from raphson.errors import ConvergenceWarning, ModelError
from raphson.fit.refitting import draws_of, refits_of


@pytest.fixture(scope="module")
def intercept():
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(100), 4)
    x = np.tile(np.linspace(-1, 1, 4), 100)
    y = 1 + x + rng.normal(0, 1, 400) + 0.15 * rng.normal(0, 1, 100)[g]
    data = pd.DataFrame({"g": [f"g{k}" for k in g], "x": x, "y": y})
    return rp.glm("y ~ x + (1 | g)", data), rp.glm("y ~ x", data), data


def test_under_the_hypothesis_half_of_the_ratios_are_0_and_half_are_chi_squared(intercept):
    larger, smaller = (one._reading for one in intercept[:2])
    y = draws_of(smaller, None)(np.random.default_rng(0), 300)
    ones = np.ones(y.shape[1])
    top, below = (one.values(y, one.refit(y, ones, len(y))) for one in map(refits_of, (larger, smaller)))
    # Of plain fits the values are their log-likelihoods.
    again = rp.glm("y ~ x", intercept[2].assign(y=y[7]))
    assert below[7] == pytest.approx(again.llf, abs=1e-8)
    ratio = 2 * (top - below)
    assert ratio.min() > -1e-6
    positive = ratio[ratio > 1e-6]
    assert len(positive) / 300 == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 300))
    for level in (0.25, 0.5, 0.75, 0.9):
        share = np.mean(positive <= chi2.ppf(level, 1))
        assert share == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / len(positive)))


def test_the_p_value_is_a_rank_among_the_ratios(intercept):
    larger, smaller, _ = intercept
    test = larger.lr_test(smaller, bootstrap=99, seed=1)
    assert test.statistic == pytest.approx(2 * (larger.llf - smaller.llf)) and test.draws == 99
    assert round(test.p_value * 100, 9) == round(test.p_value * 100)
    assert test.p_value == larger.lr_test(smaller, bootstrap=99, seed=1).p_value
    mixture = larger.lr_test(smaller).p_value
    assert test.p_value == pytest.approx(mixture, abs=4 * np.sqrt(mixture / 99) + 0.02)
    assert "among 99 draws" in repr(test)


def test_several_new_variances_and_reml_fits(reference_free):
    data = reference_free
    larger, smaller = (rp.glm(f"y ~ x{more}", data) for more in (" + (x || g)", ""))
    with pytest.raises(ModelError, match=r"larger\.lr_test\(smaller, bootstrap=999, seed=1\)"):
        rp.anova(larger, smaller)
    found = larger.lr_test(smaller, bootstrap=39, seed=2)
    assert found.df == 2 and found.p_value == 1 / 40
    reml = [rp.glm(f"y ~ x + {one}", data, criterion="reml") for one in ("(x | g)", "(1 | g)")]
    assert reml[0].lr_test(reml[1], bootstrap=39, seed=1).p_value == 1 / 40


@pytest.fixture(scope="module")
def reference_free():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(20), 8)
    x = np.tile(np.linspace(-1, 1, 8), 20)
    y = rng.normal(0, 1, 20)[g] + (1 + rng.normal(0, 1, 20)[g]) * x + rng.normal(0, 0.7, 160)
    return pd.DataFrame({"g": [f"g{k}" for k in g], "x": x, "y": y})


def test_plain_fits_are_compared_alike():
    births = rp.datasets.load("births")
    larger, smaller = (rp.glm(f"low ~ {one}", births, family="binomial") for one in ("lwt + smoke", "lwt"))
    test, exact = larger.lr_test(smaller, bootstrap=199, seed=1), larger.lr_test(smaller)
    assert test.statistic == pytest.approx(exact.statistic)
    assert test.p_value == pytest.approx(exact.p_value, abs=4 * np.sqrt(exact.p_value / 199) + 1 / 200)


def test_what_cannot_be_simulated_is_refused(intercept):
    larger, smaller, data = intercept
    with pytest.raises(ModelError, match="bootstrap: expected a whole number of data sets, at least 19, or 0; got 5"):
        larger.lr_test(smaller, bootstrap=5)
    with pytest.raises(ModelError, match="expected a fit with bootstrap=; got a constraint"):
        larger.lr_test("x = 0", bootstrap=99)
    with pytest.raises(ModelError, match="Call lr_test on the larger fit"):
        smaller.lr_test(larger, bootstrap=99)
    with pytest.raises(ModelError, match="expected fits with finite maxima"), pytest.warns(ConvergenceWarning):
        rp.glm("y ~ x + (1 | g)", data, max_iter=1).lr_test(smaller, bootstrap=99)


def test_copies_are_refused_where_coefficients_vary_in_either_fit(intercept):
    # Each copy would have a response of its own; drawn as one they make ratios too large.
    data = intercept[2].assign(w=2.0)
    fits = [rp.glm(formula, data, weights="w", weights_kind="frequency") for formula in ("y ~ x + (1 | g)", "y ~ x")]
    with pytest.raises(ModelError, match="Repeat the rows that many times"):
        fits[0].lr_test(fits[1], bootstrap=19, seed=1)


def test_too_few_refits_are_no_distribution(monkeypatch):
    x = np.linspace(0, 1, 40)
    data = pd.DataFrame({"x": x, "y": np.random.default_rng(2).poisson(2 + x)})
    fits = [rp.glm(formula, data, family="poisson") for formula in ("y ~ x", "y ~ 1")]
    monkeypatch.setattr("raphson.fit.refitting.Refitting.values", lambda *_: np.full(len(_[1]), np.nan))
    with pytest.raises(ModelError, match="99 of 99 have no maximum"):
        fits[0].lr_test(fits[1], bootstrap=99, seed=1)
