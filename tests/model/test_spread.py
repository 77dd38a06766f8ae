"""Counts that vary more or less than their family says: moments, false alarms, power, and what is told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import raphson as rp
from raphson.model.spread import Spread, binomial_terms, deviates, poisson_terms


@pytest.mark.parametrize("mean", [0.05, 1.0, 7.0])
def test_moments_of_poisson_terms_are_those_of_the_distribution(mean):
    y = np.arange(200.0)
    p = stats.poisson(mean).pmf(y)
    t, second, third = poisson_terms(y, np.full(200, mean))
    np.testing.assert_allclose([p @ t, p @ t**2, p @ t**3], [0.0, second[0], third[0]], rtol=1e-10, atol=1e-12)
    assert t[1] == pytest.approx(mean - 2)  # a single event says no more than none: 1/μ is not in it


@pytest.mark.parametrize(("trials", "p"), [(2, 0.5), (3, 0.2), (40, 0.01), (40, 0.7)])
def test_moments_of_binomial_terms_are_those_of_the_distribution(trials, p):
    k = np.arange(trials + 1)
    mass = stats.binom(trials, p).pmf(k)
    t, second, third = binomial_terms(k / trials, np.full(len(k), p), np.full(len(k), float(trials)))
    np.testing.assert_allclose([mass @ t, mass @ t**2, mass @ t**3], [0.0, second[0], third[0]], rtol=1e-9, atol=1e-12)
    assert not binomial_terms(np.array([0.0, 1.0]), np.full(2, p), np.ones(2)).any()  # one trial has no spread


def test_where_many_events_are_expected_the_p_value_is_that_of_pearsons_statistic():
    y, mean = np.array([1010.0, 930.0, 1100.0, 890.0, 1070.0]), np.full(5, 1000.0)
    pearson = float(np.sum((y - mean) ** 2 / mean))
    phi, p = deviates(Spread(*poisson_terms(y, mean).sum(axis=1)), pearson, 4, 5)
    assert phi == pearson / 4 and p == pytest.approx(stats.chi2(4).sf(pearson), rel=0.05)


def test_well_specified_sparse_counts_raise_no_alarm():
    # Pearson's own χ² would: of 1,000 rows with a thousandth expected in each, one with an event makes it 1,000.
    rng = np.random.default_rng(1)
    alarms = 0
    for mean in (1e-3, 0.02, 0.3, 4.0):
        for _ in range(100):
            y = rng.poisson(mean, 1000).astype(float)
            m = np.full(1000, max(y.mean(), 1e-9))
            spread = Spread(*poisson_terms(y, m).sum(axis=1))
            alarms += deviates(spread, float(np.sum((y - m) ** 2 / m)), 999, 1000)[1] < 1
    assert alarms <= 2


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(3)
    x = rng.normal(size=400)
    mean = np.exp(1.2 + 0.3 * x)
    successes = rng.binomial(20, rng.beta(2, 3, 400))
    return {
        "x": x,
        "right": rng.poisson(mean),
        "more": rng.poisson(mean * rng.gamma(0.5, 2, 400)),
        "less": np.round(mean),
        "k": successes,
        "m": np.full(400, 20),
        "b": (successes > 8).astype(float),
        "one": np.ones(400),
    }


def told(fit):
    return " ".join(fit.remarks)


def test_overdispersion_says_by_how_much_errors_are_too_small_and_what_to_use(counts):
    fit = rp.glm("more ~ x", counts, family="poisson")
    phi = float(np.sum((fit.residuals("pearson")) ** 2)) / fit.df_resid
    text = str(fit.summary())
    assert f"{phi:.3g} times its degrees of freedom" in text.replace("\n    ", " ") and phi > 2
    for words in (
        "overdispersed",
        f"factor of about {np.sqrt(phi):.3g}",
        "quasipoisson",
        "negative_binomial",
        "robust(",
    ):
        assert words in told(fit), words
    quasi = rp.glm("more ~ x", counts, family="quasipoisson")
    np.testing.assert_allclose(quasi.bse / fit.bse, np.sqrt(phi))  # the factor that was told
    assert not told(quasi) and not told(fit.robust("HC1"))
    assert not told(rp.glm("more ~ x", counts, family="negative_binomial"))


def test_binomial_trials_that_go_together(counts):
    fit = rp.glm("k ~ x", counts, family="binomial", trials="m")
    assert "overdispersed" in told(fit) and "quasibinomial" in told(fit) and "negative" not in told(fit)
    share = counts | {"share": counts["k"] / 20}
    same = rp.glm("share ~ x", share, family="binomial", weights="m")
    assert told(same) == told(fit)


def test_no_alarm_where_there_is_nothing_to_tell(counts):
    assert not told(rp.glm("right ~ x", counts, family="poisson"))
    assert not told(rp.glm("b ~ x", counts, family="binomial"))
    assert not told(rp.glm("b ~ x", counts, family="binomial", trials="one"))
    assert not told(rp.glm("more ~ x", counts, family="gaussian"))
    assert not told(rp.glm("more ~ x", counts, family="poisson", weights="m", weights_kind="sampling"))


def test_too_little_spread_is_told_of_in_other_words(counts):
    fit = rp.glm("less ~ x", {name: np.repeat(one, 1) for name, one in counts.items()}, family="poisson")
    assert "underdispersed" not in told(fit)  # means about 3: too few events to say so
    many = {"x": counts["x"], "less": np.round(40 * np.exp(0.3 * counts["x"]))}
    assert "underdispersed" in told(rp.glm("less ~ x", many, family="poisson"))


def test_frequency_weights_are_copies(counts):
    rows = {"x": np.r_[0, 0, 1, 1], "y": np.r_[0, 10, 2, 20], "w": np.full(4, 30)}
    copied = {name: np.repeat(one, 30) for name, one in rows.items()}
    weighted = rp.glm("y ~ x", rows, family="poisson", weights="w", weights_kind="frequency")
    assert "overdispersed" in told(weighted) and told(weighted) == told(rp.glm("y ~ x", copied, family="poisson"))


def test_a_streamed_fit_tells_the_same(counts, tmp_path):
    import pandas as pd

    frame = pd.DataFrame(counts)
    frame.to_parquet(tmp_path / "counts.parquet")
    held = told(rp.glm("more ~ x", frame, family="poisson"))
    streamed = told(rp.glm("more ~ x", rp.stream(tmp_path / "counts.parquet"), family="poisson"))
    assert "overdispersed" in streamed and held == streamed


def test_a_sandwich_of_fewer_clusters_than_parameters_is_told_of():
    births = rp.datasets.load("births").assign(g=lambda one: one.index % 4)
    fit = rp.glm("low ~ age + lwt + race + smoke", births, family="binomial", cov="cluster", groups="g")
    assert "4 clusters for 6 parameters" in told(fit) and "rank 3" in told(fit)
    assert np.linalg.matrix_rank(fit.cov_params().to_numpy(), tol=1e-9) <= 4
    assert not told(rp.glm("low ~ age", births, family="binomial", cov="cluster", groups="g"))
    few = {"x": [0.0, 1.0, 3.0], "y": [1.0, 2.0, 2.0]}
    assert "3 rows for 3 parameters" in told(rp.glm("y ~ x + I(x**2)", few, dispersion=1.0).robust("HC0"))


def test_the_quasi_families_that_are_offered_take_the_same_responses(counts):
    whole = counts | {"k": np.where(counts["k"] > 12, 20, counts["k"])}  # some rows are all successes
    fit = rp.glm("k ~ x", whole, family="binomial", trials="m")
    quasi = rp.glm("k ~ x", whole, family="quasibinomial", trials="m")
    phi = float(np.sum(fit.residuals("pearson") ** 2)) / fit.df_resid
    np.testing.assert_allclose(quasi.bse / fit.bse, np.sqrt(phi))
    assert f"factor of about {np.sqrt(phi):.3g}" in told(fit)
