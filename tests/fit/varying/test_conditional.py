"""The conditional AIC: degrees of freedom by their definition, from new fits, and the likelihood by SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import raphson as rp
from raphson.fit.varying.conditional import moves_of_predictors


def normal_data():
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(6), 5), np.tile(np.linspace(0, 1, 5), 6)
    return pd.DataFrame({"g": g, "x": x, "y": 1 + x + rng.normal(0, 1, 6)[g] + rng.normal(0, 0.6, 30)})


def counts():
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(8), 6)
    x = rng.normal(size=48)
    return pd.DataFrame({"g": g, "x": x, "n": rng.poisson(np.exp(0.5 + 0.3 * x + rng.normal(0, 0.5, 8)[g]))})


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x + (1 | g)", {}),
        ("y ~ x + (1 | g)", {"criterion": "reml"}),
        ("y ~ s(x, k=4) + (1 | g)", {}),
        ("y ~ x + (1 | g)", {"weights": "w"}),
    ],
)
def test_of_normal_responses_they_are_the_slopes_of_the_fitted_values(formula, options):
    data = normal_data().assign(w=np.tile([1.0, 2.0, 0.5], 10))
    fit = rp.glm(formula, data, tol=1e-12, **options)
    slopes = 0.0
    for i in range(len(data)):
        ends = []
        for step in (-1e-4, 1e-4):
            moved = data.copy()
            moved.loc[i, "y"] += step
            ends.append(rp.glm(formula, moved, tol=1e-12, **options).fittedvalues[i])
        slopes += (ends[1] - ends[0]) / 2e-4
    assert fit.conditional_df == pytest.approx(slopes + 1.0, abs=1e-5)
    sd = np.sqrt(fit.dispersion / (data.w if options.get("weights") else 1.0))
    assert fit.conditional_llf == pytest.approx(stats.norm.logpdf(data.y, fit.fittedvalues, sd).sum(), rel=1e-10)
    assert fit.conditional_aic == -2 * fit.conditional_llf + 2 * fit.conditional_df
    assert fit.conditional_df > fit.edf  # the estimated variances count


def test_of_counts_they_are_the_weighted_variances_of_the_predictors():
    data = counts()
    fit = rp.glm("n ~ x + (1 | g)", data, family="poisson")
    se = fit.predict(data, se=True, kind="link")["se"]
    assert fit.conditional_df == pytest.approx(float(np.sum(fit.fittedvalues * se**2)), rel=1e-9)
    assert fit.conditional_llf == pytest.approx(stats.poisson.logpmf(data.n, fit.fittedvalues).sum(), rel=1e-10)


def test_moves_of_the_predictors_are_their_derivatives():
    fit = rp.glm("n ~ s(x, k=5) + (1 | g)", counts(), family="poisson")
    at = fit._reading.maximum
    G, own = moves_of_predictors(at)[0], at.criterion
    for j in range(own.n_params):
        ends = [own.at(at.theta + side * 1e-5 * np.eye(own.n_params)[j]).mode.eta[0] for side in (1.0, -1.0)]
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(G[j], abs=1e-8)


def test_at_the_edge_they_are_those_of_the_model_without_the_effect():
    data = normal_data()
    data["y"] = np.random.default_rng(0).normal(size=30) + data.x
    data["y"] -= data.groupby("g").y.transform("mean")
    fit = rp.glm("y ~ x + (1 | g)", data)
    assert fit.status == "boundary"
    assert fit.conditional_df == pytest.approx(3.0) and fit.conditional_aic == pytest.approx(fit.aic)


def test_a_negative_binomials_theta_counts():
    data = counts()
    data["n"] = data.n * 2 + (data.index % 4 == 0) * 3
    fit = rp.glm("n ~ x + (1 | g)", data, family="negative_binomial")
    mean, theta = fit.fittedvalues, fit.theta
    expected = stats.nbinom.logpmf(data.n, theta, theta / (theta + mean)).sum()
    assert fit.conditional_llf == pytest.approx(expected, rel=1e-9)
    known = rp.glm("n ~ x + (1 | g)", data, family=rp.families.NegativeBinomial(theta=theta))
    assert 0.5 < fit.conditional_df - known.conditional_df < 1.5


@pytest.mark.parametrize("criterion", ["ml", "reml"])
def test_effective_degrees_of_freedom_are_the_trace_of_the_hat_matrix(criterion):
    data = normal_data()
    fit = rp.glm("y ~ x + (1 | g)", data, criterion=criterion)
    sd, sigma = fit.variances.estimate
    Z, X = np.eye(6)[data.g], np.column_stack([np.ones(30), data.x])
    A = np.hstack([X, Z])
    hat = A @ np.linalg.solve(A.T @ A + np.diag([0.0, 0.0, *[(sigma / sd) ** 2] * 6]), A.T)
    assert fit.edf == pytest.approx(np.trace(hat), rel=1e-10)
    assert fit.fittedvalues.to_numpy() == pytest.approx(hat @ data.y, rel=1e-10)


def test_degrees_of_freedom_of_ml_count_what_the_other_coefficients_take():
    data = normal_data()
    data["y"] += 1000.0 * np.arange(6)[data.g]  # so far apart that each group has a mean of its own
    fit = rp.glm("y ~ 1 + (1 | g)", data)
    assert fit.edf == pytest.approx(6.0, abs=1e-4)


def test_a_loaded_fit_says_that_it_lacks_the_data(tmp_path):
    fit = rp.glm("y ~ x + (1 | g)", normal_data())
    fit.save(tmp_path / "fit.json")
    with pytest.raises(rp.DataError, match="a loaded fit lacks its data"):
        _ = rp.load(tmp_path / "fit.json").conditional_df
    assert not hasattr(rp.glm("y ~ x", normal_data()), "conditional_aic")
