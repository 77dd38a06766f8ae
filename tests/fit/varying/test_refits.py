"""Draws with new effects of the groups, refits to them, and the bootstrap: against known moments and other fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import ModelError


@pytest.fixture(scope="module")
def sleep(reference):
    data, formula, _ = reference("sleepstudy_corr")
    return data, rp.glm(formula, data)


def grouped_data(rng, levels=40, rows=6):
    g = np.repeat(np.arange(levels), rows)
    x = np.tile(np.linspace(-1, 1, rows), levels)
    return pd.DataFrame({"g": [f"g{k:03d}" for k in g], "x": x, "h": np.tile(list("abc"), levels * rows // 3)}), g


def test_new_effects_have_the_models_covariance_and_conditional_ones_none(sleep):
    _, fit = sleep
    table = fit.variances.set_index(["group", "term"]).estimate
    sd = table.loc["Subject"]
    G = np.outer(sd.iloc[:2], sd.iloc[:2]) * np.array([[1.0, sd.iloc[2]], [sd.iloc[2], 1.0]])
    Z = np.column_stack([np.ones(10), np.arange(10.0)])
    V = Z @ G @ Z.T + fit.dispersion * np.eye(10)
    drawn = fit.simulate(4000, seed=1).to_numpy()
    own, other = drawn[:10], drawn[10:20]
    far = np.cov(own) - V
    assert np.abs(far / np.sqrt(np.outer(V.diagonal(), V.diagonal()))).max() < 4.5 / np.sqrt(4000)
    across = np.corrcoef(np.concatenate([own, other]))[:10, 10:]
    assert np.abs(across).max() < 4.5 / np.sqrt(4000)
    population = fit.predict(effects="population").to_numpy()[:10]
    assert np.abs((own.mean(axis=1) - population) / np.sqrt(V.diagonal() / 4000)).max() < 4.5
    held = fit.simulate(4000, seed=1, effects="conditional").to_numpy()[:10]
    assert np.abs(np.corrcoef(held) - np.eye(10)).max() < 4.5 / np.sqrt(4000)
    assert np.abs(held.mean(axis=1) - fit.fittedvalues[:10]).max() < 4.5 * np.sqrt(fit.dispersion / 4000)
    assert fit.simulate(3, seed=1).equals(fit.simulate(3, seed=1))


@pytest.mark.parametrize("family", ["poisson", "binomial", "gamma", "negative_binomial"])
def test_other_families_have_the_moments_of_the_integral(family):
    rng = np.random.default_rng(2)
    data, g = grouped_data(rng, 60, 8)
    data["off"] = rng.normal(0, 0.3, len(data))
    eta = 0.5 + 0.4 * data.x + data.off + rng.normal(0, 0.7, 60)[g]
    formula = "y ~ x + offset(off) + (1 | g)"
    if family == "binomial":
        data["n"] = rng.integers(4, 9, len(data))
        data["y"] = rng.binomial(data.n, 1 / (1 + np.exp(-eta)))
        formula = formula.replace("y ~", "cbind(y, n - y) ~")
    elif family == "gamma":
        data["y"] = rng.gamma(3.0, np.exp(eta) / 3)
    else:
        mean = np.exp(eta) * (rng.gamma(4.0, 0.25, len(data)) if family == "negative_binomial" else 1.0)
        data["y"] = rng.poisson(mean)
    fit = rp.glm(formula, data, family=rp.families.Gamma("log") if family == "gamma" else family)
    sd = fit.variances.estimate[0]
    x, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    at = (fit.params["Intercept"] + fit.params["x"] * data.x + data.off).to_numpy()[:, None] + sd * x
    mu = 1 / (1 + np.exp(-at)) if family == "binomial" else np.exp(at)
    within = {
        "poisson": lambda: mu,
        "binomial": lambda: mu * (1 - mu) / data.n.to_numpy()[:, None],
        "gamma": lambda: fit.dispersion * mu**2,
        "negative_binomial": lambda: mu + mu**2 / fit.theta,
    }[family]()
    mean = mu @ w
    variance = within @ w + mu**2 @ w - mean**2
    drawn = fit.simulate(3000, seed=5).to_numpy()
    z = (drawn.mean(axis=1) - mean) / np.sqrt(variance / 3000)
    assert np.abs(z).max() < 5
    assert np.mean(drawn.var(axis=1) / variance) == pytest.approx(1.0, abs=0.05)
    covariance = np.mean((mu[:8, None] * mu[None, :8]) @ w - np.outer(mean[:8], mean[:8]))
    assert np.cov(drawn[:8])[~np.eye(8, dtype=bool)].mean() == pytest.approx(covariance, rel=0.25)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sleepstudy_corr", {}),
        ("sleepstudy_corr", {"criterion": "reml"}),
        ("machines", {}),
        ("cbpp", {"family": "binomial"}),
        ("cbpp", {"family": "binomial", "quadrature": 25}),
        ("ovary_smooth_and_group", {"family": "poisson"}),
        ("dyestuff2_boundary", {}),
    ],
)
def test_a_refit_to_the_fits_own_responses_is_the_fit(name, options, reference):
    data, formula, _ = reference(name)
    fit = rp.glm(formula, data, **options)
    own = fit._reading.own_refits
    found = own.refit(own.model.y[None], np.ones(len(data)), 1)
    assert found.finite[0] and found.value[0] == pytest.approx(fit.llf, abs=1e-7)
    names = list(own.replicated.names)
    assert names[: len(fit.params)] == list(fit.params.index)
    errors = np.where(own.replicated.errors > 0, own.replicated.errors, 1.0)
    assert np.nanmax(np.abs(found.theta[0] - own.replicated.estimates) / errors) < 1e-4
    assert len(names) == len(fit.params) + len(fit.variances)


def test_levels_drawn_twice_are_two_levels(reference):
    data, formula, _ = reference("machines")
    fit = rp.glm(formula, data)
    worker = np.unique(data.Worker, return_inverse=True)[1]
    times = np.array([2, 0, 1, 1, 1, 1])
    found = fit._reading.own_refits.refit(fit._reading.own_refits.model.y, times[worker].astype(float), 1)
    parts = [data[worker == k].assign(Worker=f"{k}-{copy}") for k in range(6) for copy in range(times[k])]
    again = rp.glm(formula, pd.concat(parts, ignore_index=True))
    assert found.value[0] == pytest.approx(again.llf, abs=1e-7)
    estimates = [*again.params, *again.variances.estimate]
    assert found.theta[0] == pytest.approx(estimates, rel=1e-4, abs=1e-4)


def test_the_bootstrap_has_the_models_errors_where_these_are_right():
    rng = np.random.default_rng(7)
    data, g = grouped_data(rng, 60, 6)
    u = rng.normal(size=(60, 2)) * [1.0, 0.8]
    data["y"] = 1 + u[g, 0] + (2 + u[g, 1]) * data.x + rng.normal(0, 0.5, len(data))
    fit = rp.glm("y ~ x + (x | g)", data)
    found = fit.bootstrap(200, seed=1)
    assert found.kind == "parametric" and found.n_used == 200
    names = ["Intercept", "x", "sd Intercept | g", "sd x | g", "corr Intercept, x | g", "sd residual"]
    assert list(found.params.index) == names
    errors = np.array([*fit.bse, *fit.variances.std_error])
    assert found.summary()["model_std_error"].to_numpy() == pytest.approx(errors)
    assert (found.se.to_numpy() / errors) == pytest.approx(np.ones(6), abs=4 / np.sqrt(2 * 200))
    assert found.estimates.equals(fit.bootstrap(200, seed=1).estimates)
    percentile = found.conf_int(kind="percentile")
    quantiles = np.quantile(found.estimates, [0.025, 0.975], axis=0, method="weibull").T
    assert percentile.to_numpy() == pytest.approx(quantiles)
    whole = fit.bootstrap(100, seed=1, kind="cluster")
    assert (whole.se[:2] / fit.bse).to_numpy() == pytest.approx(np.ones(2), abs=4 / np.sqrt(2 * 100))


def test_a_replicate_without_a_correlation_counts_for_all_else(reference):
    data, _, _ = reference("sleepstudy_corr")
    data = data[data.Days < 4].assign(Reaction=lambda one: one.Reaction + 100 * np.sin(17.0 * one.index))
    fit = rp.glm("Reaction ~ Days + (Days | Subject)", data)
    found = fit.bootstrap(60, seed=2)
    missing = found.estimates["corr Intercept, Days | Subject"].isna()
    assert missing.any() and found.n_used == 60
    assert found.se["sd residual"] == pytest.approx(found.estimates["sd residual"].std())
    known = found.estimates["corr Intercept, Days | Subject"].dropna()
    assert found.se["corr Intercept, Days | Subject"] == pytest.approx(known.std())


def test_a_replicate_that_varies_no_more_than_poisson_counts_has_an_infinite_theta():
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(10), 8), rng.normal(size=80)
    y = rng.poisson(np.exp(1 + 0.3 * x + 0.4 * rng.normal(size=10)[g]) * rng.gamma(15, 1 / 15, 80))
    fit = rp.glm("y ~ x + (1 | g)", {"y": y, "x": x, "g": g}, family="negative_binomial")
    with pytest.warns(rp.ConvergenceWarning, match="no more than Poisson ones: theta = inf"):
        found = fit.bootstrap(40, seed=1)
    infinite = np.isinf(found.estimates.theta)
    assert 0 < infinite.sum() == found.n_infinite < 40 and found.n_used == 40
    rest = found.estimates.drop(columns="theta")
    assert np.isfinite(rest).all(axis=None) and found.se[rest.columns].to_numpy() == pytest.approx(rest.std())
    assert found.conf_int(kind="percentile").loc["theta"].iloc[1] == np.inf


def test_smooth_functions_are_drawn_by_rows(reference):
    data, formula, _ = reference("mcycle_cr")
    fit = rp.glm(formula, data)
    assert np.isfinite(fit.bootstrap(4, seed=1, kind="nonparametric").estimates).all(axis=None)
    assert fit.simulate(2, seed=1).equals(fit.simulate(2, seed=1, effects="conditional"))


def test_what_is_not_independent_is_not_drawn(sleep):
    data, fit = sleep
    with pytest.raises(ModelError, match=r"kind: expected 'parametric' or 'cluster' where .* rows of a level are not"):
        fit.bootstrap(10, kind="nonparametric")
    with pytest.raises(ModelError, match=r"groups: expected clusters that have every level of 'Subject' as a whole"):
        fit.bootstrap(10, kind="cluster", groups="Days")
    copies = rp.glm("Reaction ~ Days + (1 | Subject)", data.assign(w=2), weights="w", weights_kind="frequency")
    with pytest.raises(ModelError, match="weights: expected rows that stand for one observation each"):
        copies.bootstrap(10)
    crossed = rp.glm("Reaction ~ 1 + (1 | Subject) + (1 | Days)", data)
    with pytest.raises(ModelError, match="the model names no outermost group"):
        crossed.bootstrap(10, kind="cluster")


def test_the_acceleration_is_of_levels_left_out():
    # a = Σ l³/(6 (Σ l²)^{3/2}), of the infinitesimal jackknife, by small changes of the weight of a level.
    rng = np.random.default_rng(3)
    data, g = grouped_data(rng, 12, 6)
    data["y"] = 1 + data.x + rng.exponential(1.0, 12)[g] + rng.normal(0, 0.5, len(data))
    fit = rp.glm("y ~ x + (1 | g)", data)
    own = fit._reading.own_refits
    estimates = own.replicated.estimates
    numbers = []
    for level in range(12):
        times = np.where(g == level, 101, 100).astype(float)  # a level of a hundred and one copies
        numbers.append(own.refit(own.model.y, times, 1).theta[0] - estimates)
    influence = np.array(numbers)
    influence -= influence.mean(axis=0)
    expected = np.sum(influence**3, axis=0) / (6 * np.sum(influence**2, axis=0) ** 1.5)
    assert own.replicated.acceleration(None) == pytest.approx(expected, abs=0.005)
    assert abs(expected).max() > 0.03
    restricted = rp.glm("y ~ x + (1 | g)", data, criterion="reml")
    assert not restricted._reading.own_refits.replicated.acceleration(None).any()
