"""Predictions for known levels, new levels and the population, with the references' errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import DataError, MissingDataWarning, ModelError, RefusedName


@pytest.mark.parametrize(
    ("name", "family", "fit"),
    [
        ("sleepstudy_corr", "gaussian", "ml"),
        ("sleepstudy_corr", "gaussian", "reml"),
        ("cbpp", "binomial", "laplace"),
        ("machines", "gaussian", "reml"),
    ],
)
def test_for_the_population_and_for_new_levels(name, family, fit, reference):
    data, formula, fits = reference(name)
    expected = fits[fit]["population"]
    made = rp.glm(formula, data, family=family, criterion="reml" if fit == "reml" else "ml")
    rows = np.array(expected["rows_from_1"]) - 1
    groups = {"Subject", "herd", "Worker"} & set(data)
    found = made.predict(data.drop(columns=groups), se=True, kind="link", effects="population").iloc[rows]
    assert found.fit.to_numpy() == pytest.approx(expected["eta"], rel=1e-9)
    assert found.se.to_numpy() == pytest.approx(expected["se_eta"], rel=1e-9)
    new = data.assign(**dict.fromkeys(groups, "another"))
    found = made.predict(new, se=True, kind="link", new_levels="population").iloc[rows]
    assert found.fit.to_numpy() == pytest.approx(expected["eta"], rel=1e-9)
    assert found.se.to_numpy() == pytest.approx(expected["sd_eta_new_levels"], rel=1e-9)
    with pytest.raises(
        DataError, match=r"rows have a level of .* that the fit did not have; predict them with new_lev"
    ):
        made.predict(new)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("mcycle_cr", "gaussian"),
        ("airquality_two", "gaussian"),
        ("discoveries_cr", "poisson"),
        ("ovary_smooth_and_group", "poisson"),
    ],
)
def test_at_new_points_also_beyond_the_knots(name, family, reference):
    data, formula, fits = reference(name)
    expected = fits["reml"]["prediction"]
    made = rp.glm(formula, data, family=family)
    new = pd.DataFrame(expected["new"])
    found = made.predict(new, se=True, kind="link")
    assert found.fit.to_numpy() == pytest.approx(expected["eta"], rel=1e-9)
    assert found.se.to_numpy() == pytest.approx(expected["se_eta"], rel=1e-9)
    assert made.predict(new).to_numpy() == pytest.approx(expected["mean"], rel=1e-9)


@pytest.fixture(scope="module")
def sleep(reference):
    data, formula, _ = reference("sleepstudy_corr")
    return data, rp.glm(formula, data)


def test_the_fits_own_rows_are_its_fitted_values(sleep):
    data, made = sleep
    assert made.predict().tolist() == made.fittedvalues.tolist()
    assert made.predict(data).to_numpy() == pytest.approx(made.fittedvalues.to_numpy(), rel=1e-13)
    shuffled = data.sample(frac=1, random_state=1)
    assert made.predict(shuffled).to_numpy() == pytest.approx(made.fittedvalues[shuffled.index].to_numpy(), rel=1e-13)


def test_errors_of_a_known_level_are_by_the_delta_method(sleep):
    # Of x'β + z'b̂(θ) the derivative by θ is that of the fit along the mode: here by differences of whole modes.
    data, made = sleep
    at = made._reading.maximum
    criterion, theta = at.criterion, at.theta
    rows = [0, 17, 100]

    def eta(one):
        spot = criterion.at(one)
        assert spot is not None
        return spot.mode.eta.reshape(-1)[rows].copy()

    steps = 1e-4 * np.maximum(np.abs(theta), 1.0)
    slopes = np.stack([(eta(theta + d) - eta(theta - d)) / (2 * d.sum()) for d in np.diag(steps)])
    term, G = criterion.terms[0], at.conditional_cov(0)
    own = np.einsum("ia,iab,ib->i", term.columns[rows], G[term.codes[rows]], term.columns[rows])
    expected = np.sqrt(own + np.einsum("ji,jk,ki->i", slopes, at.cov, slopes))
    assert made.predict(data.iloc[rows], se=True).se.to_numpy() == pytest.approx(expected, rel=1e-6)


def test_intervals(sleep):
    data, made = sleep
    found = made.predict(data.head(3), se=True, interval="confidence")
    assert (found.upper - found.fit).to_numpy() == pytest.approx(1.959963984540054 * found.se.to_numpy())
    wide = made.predict(data.head(3), se=True, interval="prediction")
    both = np.sqrt(found.se**2 + made.dispersion)
    assert (wide.upper - wide.fit).to_numpy() == pytest.approx(1.959963984540054 * both.to_numpy())


def test_rows_without_a_group_are_missing_but_not_for_the_population(sleep):
    data, made = sleep
    new = data.head(3).assign(Subject=[308, None, 308])
    assert np.isnan(made.predict(new)).tolist() == [False, True, False]
    assert not np.isnan(made.predict(new, effects="population")).any()
    with pytest.warns(MissingDataWarning, match="1 of 3 rows dropped for missing values in Subject"):
        assert len(made.predict(new, missing="drop")) == 2


def test_options_are_refused_where_nothing_varies(sleep):
    data, made = sleep
    with pytest.raises(RefusedName, match="available where coefficients vary only"):
        rp.glm("Reaction ~ Days", data).predict(data, effects="population")
    with pytest.raises(ModelError, match="effects: expected one of"):
        made.predict(data, effects="fixed")
    for name in ("variances", "random_effects", "smooths", "edf"):
        assert not hasattr(rp.glm("Reaction ~ Days", data), name)


def test_a_fit_tells_what_varies(sleep):
    _, made = sleep
    assert made.variances.estimate.tolist()[0] == pytest.approx(23.780566999193240893)
    assert len(made.random_effects()) == 36 and len(made.smooths) == 0
    assert made.edf == pytest.approx(28.611601223764, rel=1e-10)  # tests of the conditional AIC have its definition


def test_a_level_for_each_row_is_refused_where_there_is_a_dispersion(sleep):
    data, _ = sleep
    rows = data.assign(row=range(len(data)), count=np.arange(len(data)) % 7)
    with pytest.raises(ModelError, match=r"every row has a level of 'row' of its own.*; leave \(1 \| row\) out"):
        rp.glm("Reaction ~ Days + (1 | row)", rows)
    assert rp.glm("count ~ Days + (1 | row)", rows, family="poisson").converged


def test_a_network_refuses_them_too():
    data = {"y": [0.5, 1.0, 0.0, 2.0, 1.5, 0.3], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    fit = rp.network("y ~ x", data, hidden=(2,), seed=1)
    for option in ({"effects": "population"}, {"new_levels": "population"}):
        with pytest.raises(RefusedName, match="available where coefficients vary only"):
            fit.predict(data, **option)


def test_they_are_after_the_file_and_by_name_only(tmp_path, sleep):
    data, _ = sleep
    made, path = rp.glm("Reaction ~ Days", data), tmp_path / "predicted.csv"
    assert made.predict(data, False, None, 0.95, "response", None, "nan", None, path) is None
    assert pd.read_csv(path).fit.to_numpy() == pytest.approx(made.predict(data).to_numpy(), rel=1e-14)
    with pytest.raises(TypeError):
        made.predict(data, False, None, 0.95, "response", None, "nan", None, path, "all")


def test_a_likelihood_refuses_them_too():
    fit = rp.mle("student_t", "y ~ 1", {"y": [1.0, 2.0, 3.0, 5.0, 2.5, 2.2, 2.9]})
    with pytest.raises(RefusedName, match="available where coefficients vary only"):
        fit.predict(new_levels="population")


@pytest.mark.parametrize("criterion", ["ml", "reml"])
def test_robust_errors_are_those_of_the_estimates(criterion):
    """With V = ZGZᵀ + φI dense: η = x'β + z'b̂(β), and the effects given β keep the model's variance."""
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=60), np.repeat(np.arange(12), 5)
    y = 1 + x + rng.normal(size=12)[g] + rng.normal(size=60) * (1 + (g > 5))
    plain = rp.glm("y ~ x + (1 | g)", {"y": y, "x": x, "g": g}, criterion=criterion)
    fit, new = plain.robust("cluster", small_sample=None), {"x": [0.0, 1.0], "g": [0, 7]}
    A, V = np.array([[1.0, 0.0], [1.0, 1.0]]), fit.cov_params().to_numpy()
    people = fit.predict(new, se=True, effects="population")
    np.testing.assert_allclose(people.se, np.sqrt(np.diagonal(A @ V @ A.T)), rtol=1e-9)
    assert (fit.predict(new, se=True).fit == plain.predict(new).to_numpy()).all()
    if criterion == "reml":
        G, phi = plain.variances.estimate[0] ** 2, plain.dispersion
        X, Z = np.column_stack([np.ones(60), x]), np.eye(12)[g]
        B = G * Z.T @ np.linalg.inv(G * Z @ Z.T + phi * np.eye(60))
        z = np.eye(12)[[0, 7]]
        moves = A - z @ B @ X
        variance = moves @ V @ moves.T + z @ (G * np.eye(12) - G * B @ Z) @ z.T
        np.testing.assert_allclose(fit.predict(new, se=True).se, np.sqrt(np.diagonal(variance)), rtol=1e-6)
    interval = fit.predict(new, interval="confidence", effects="marginal")
    assert np.isfinite(interval).all(axis=None)
