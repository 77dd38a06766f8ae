"""Maxima at the edge of the domain: relative risks, risk differences and rate differences.

The right values are scipy's: SLSQP under the constraints, non-negative least squares for the multipliers, a scan for
the ends of profile intervals.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize, nnls

import raphson as rp

RISKS = {"x": [0] * 10 + [1] * 10 + [2] * 10, "y": [0] * 9 + [1] + [0] * 5 + [1] * 15}
"""All ten at x = 2 are successes."""

METHODS = ("newton", "fisher-scoring", "irls", "bhhh", "newton-cg", "gradient-descent")


def terms(kind, eta, y):
    """Log densities and their slopes, written out, and the ends of the domain."""
    with np.errstate(all="ignore"):
        if kind == "log":
            failed = np.where(y < 1, (1 - y) * np.log(-np.expm1(eta)), 0.0)
            return y * eta + failed, y - np.where(y < 1, (1 - y) * np.exp(eta) / -np.expm1(eta), 0.0)
        hit, by_hit = np.where(y > 0, y * np.log(eta), 0.0), np.where(y > 0, y / eta, 0.0)
        if kind == "identity":
            miss = np.where(y < 1, (1 - y) * np.log1p(-eta), 0.0)
            return hit + miss, by_hit - np.where(y < 1, (1 - y) / (1 - eta), 0.0)
        return hit - eta, by_hit - 1.0


ENDS = {"log": (-np.inf, 0.0), "identity": (0.0, 1.0), "rate": (0.0, np.inf)}


def family_of(kind):
    return rp.families.Poisson(link="identity") if kind == "rate" else rp.families.Binomial(link=kind)


def drawn(kind, seed):
    """A small data set whose maximum often lies at the edge: design, response, trials."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(15, 45))
    X = np.column_stack([np.ones(n), rng.integers(0, 3, n), rng.normal(size=n)]).astype(float)
    eta = X @ (0.5 * rng.normal(size=3))
    if kind == "rate":
        return X, rng.poisson(np.maximum(1 + 1.5 * eta, 0)).astype(float), None
    trials = rng.integers(1, 4, n)
    mean = np.clip(np.exp(eta - 1) if kind == "log" else 0.5 + 0.4 * eta, 0.0, 1.0)
    return X, rng.binomial(trials, mean).astype(float), trials


def best_by_slsqp(kind, X, y, w, begin):
    low, high = ENDS[kind]

    def loss(theta):
        value = -w @ terms(kind, X @ theta, y)[0]
        return value if np.isfinite(value) else 1e8

    sides = []
    if np.isfinite(high):
        sides.append({"type": "ineq", "fun": lambda t: high - 1e-10 - X @ t, "jac": lambda t: -X})
    if np.isfinite(low):
        sides.append({"type": "ineq", "fun": lambda t: X @ t - low - 1e-10, "jac": lambda t: X})
    found = minimize(loss, begin, constraints=sides, method="SLSQP", options={"maxiter": 300, "ftol": 1e-12})
    return -loss(found.x)


@pytest.mark.parametrize("kind", ["log", "identity", "rate"])
@pytest.mark.parametrize("seed", range(6))
def test_the_constrained_maximum_is_reached_and_satisfies_kuhn_and_tucker(kind, seed):
    X, y, trials = drawn(kind, seed)
    w = np.ones(len(y)) if trials is None else trials.astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rp.SeparationWarning)
        fit = rp.glm(y, X, family=family_of(kind), trials=trials, method=METHODS[seed])
    if fit.status.value == "separated":
        return
    assert fit.converged
    share, theta = y / w, fit.params.to_numpy()
    value, slope = terms(kind, X @ theta, share)
    plain = np.array([{"log": -1.0, "identity": 0.5, "rate": 1.0}[kind], 0.0, 0.0])
    for begin in (plain, 0.9 * theta + 0.1 * plain):
        assert best_by_slsqp(kind, X, share, w, begin) <= w @ value + 1e-7 * max(1.0, abs(w @ value))
    low, high = ENDS[kind]
    eta, score = X @ theta, X.T @ (w * slope)
    walls = np.concatenate([X[high - eta < 1e-9], -X[eta - low < 1e-9]])
    missed = nnls(walls.T, score)[1] if len(walls) else np.linalg.norm(score)
    assert missed < 1e-7 * np.linalg.norm(np.abs(X).T @ np.abs(w * slope))
    assert (fit.status.value == "boundary") == bool(len(walls))


@pytest.mark.parametrize("link, llf", [("log", -10.5353080), ("identity", -10.2285335)])
def test_every_method_ends_at_the_same_edge(link, llf):
    for method in METHODS:
        fit = rp.glm("y ~ x", RISKS, family=rp.families.Binomial(link=link), method=method)
        assert fit.status.value == "boundary" and fit.converged and fit.distance < 1e-8
        assert fit.llf == pytest.approx(llf, abs=1e-6)
        assert fit.fittedvalues.iloc[-1] == pytest.approx(1.0, abs=1e-12)


def test_what_is_said_of_an_edge():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = rp.glm("y ~ x", RISKS, family=rp.families.Binomial(link="log"))
    assert (
        "is the maximum" in fit.message and "10 rows lie at the boundary, with a fitted mean of 1: x = 2" in fit.message
    )
    assert fit.bse.isna().all() and 'conf_int(kind="profile")' in fit.message
    assert "NaN" in str(fit.summary()) and fit.predict(se=True)["se"].isna().all()


def test_a_level_of_successes_leaves_the_other_levels_their_errors():
    g = np.repeat(["a", "b", "c"], 20)
    y = np.r_[np.tile([0, 1, 1, 1], 5), np.ones(20), np.tile([0, 1], 10)]
    frame = pd.DataFrame({"g": g, "y": y})
    rest = frame[frame.g != "b"]
    family = rp.families.Binomial(link="log")
    fit, without = rp.glm("y ~ g", frame, family=family), rp.glm("y ~ g", rest, family=family)
    assert fit.status.value == "boundary" and np.isnan(fit.bse["g[T.b]"])
    for name in ("Intercept", "g[T.c]"):
        assert fit.params[name] == pytest.approx(without.params[name], abs=1e-9)
        assert fit.bse[name] == pytest.approx(without.bse[name], rel=1e-7)
    robust = fit.robust("HC0").bse
    assert robust["g[T.c]"] == pytest.approx(without.robust("HC0").bse["g[T.c]"], rel=1e-7)
    errors = fit.predict(pd.DataFrame({"g": ["a", "b", "c"]}), se=True)["se"]
    assert np.isnan(errors[1]) and np.isfinite(errors[[0, 2]]).all()


@pytest.mark.parametrize("link", ["log", "identity"])
def test_profile_intervals_hold_at_the_edge(link):
    fit = rp.glm("y ~ x", RISKS, family=rp.families.Binomial(link=link))
    ends = fit.conf_int(kind="profile")
    x, y = np.array([0.0, 1, 2]), np.array([0.1, 0.5, 1.0])
    grids = np.linspace(-8.0, 0.0, 400_001) if link == "log" else np.linspace(0.0, 1.0, 400_001)
    for j, name in enumerate(fit.names):
        for end in ends.loc[name]:
            # With one coefficient at the end of its interval, the best of the other on a fine grid.
            other = grids if j == 1 else np.linspace(-1.0, 4.0, 400_001)
            eta = np.where(j == 0, end, other) + np.where(j == 0, other, end) * x[:, None]
            low, high = ENDS[link]
            inside = ((eta > low) & (eta < high + 1e-12)).all(axis=0)
            values = 10 * sum(terms(link, np.minimum(eta[i], high - 1e-300), y[i])[0] for i in range(3))
            best = np.where(inside, values, -np.inf).max()
            assert 2 * (fit.llf - best) == pytest.approx(3.8414588, abs=2e-3)


@pytest.mark.usefixtures("few_simulated")
def test_tests_and_saving_at_the_edge(tmp_path):
    family = rp.families.Binomial(link="log")
    fit, smaller = rp.glm("y ~ x", RISKS, family=family), rp.glm("y ~ 1", RISKS, family=family)
    chi2 = 2 * (fit.llf - smaller.llf)
    assert fit.lr_test(smaller).statistic == pytest.approx(chi2)
    assert fit.lr_test("x = 0").statistic == pytest.approx(chi2, rel=1e-6)
    with pytest.raises(rp.ModelError, match="expected parameters with a standard error; x has none"):
        fit.wald_test("x = 0")
    fit.save(tmp_path / "edge.json")
    fit.report(tmp_path / "edge.html")
    again = rp.load(tmp_path / "edge.json")
    assert again.converged and again.status.value == "boundary" and again.bse.isna().all()
    assert again.predict({"x": [0, 1]}, se=True)["se"].isna().all()


def test_an_edge_without_a_proof_is_no_maximum():
    with pytest.warns(rp.ConvergenceWarning, match="not converged"):
        fit = rp.glm("y ~ x", RISKS, family=rp.families.Binomial(link="log"), start=[-2.5, 1.2499], max_iter=1)
    assert not fit.converged and "is the maximum" not in fit.message


def test_a_start_at_the_edge_that_is_not_the_maximum_leaves_it():
    family = rp.families.Binomial(link="log")
    interior = {"x": [0, 0, 0, 0, 1, 1, 1, 1], "y": [0, 0, 0, 1, 0, 1, 1, 1]}
    fit = rp.glm("y ~ x", interior, family=family, start=[-1.0, 1.0 - 1e-13])
    assert fit.status.value == "converged"
    np.testing.assert_allclose(np.exp([fit.params.iloc[0], fit.params.sum()]), [0.25, 0.75], rtol=1e-9)


def test_offsets_weights_penalties_and_aliased_columns():
    rng = np.random.default_rng(5)
    n = 60
    x = rng.integers(0, 3, n).astype(float)
    exposure = rng.uniform(0.5, 2.0, n)
    y = np.where(x == 0, 0, rng.poisson(2.0 * x * exposure)).astype(float)
    X = np.column_stack([exposure, x * exposure, exposure + x * exposure])
    counts = rng.integers(1, 3, n).astype(float)
    family = rp.families.Poisson(link="identity")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rp.RankWarning)
        fit = rp.glm(y, X, family=family, weights=counts, weights_kind="frequency")
    rows = np.repeat(np.arange(n), counts.astype(int))
    plain = rp.glm(y[rows], X[rows, :2], family=family)
    assert fit.status.value == plain.status.value == "boundary" and np.isnan(fit.params.iloc[2])
    np.testing.assert_allclose(fit.params.iloc[:2], plain.params, atol=1e-9)
    shifted = rp.glm(y, X[:, 1:2], family=family, offset=0.5 * exposure)
    assert shifted.converged
    held = rp.glm(y, X[:, :2], family=family, penalty=np.array([0.0, 5.0]))
    assert held.status.value == "boundary"


def test_many_rows_and_columns():
    rng = np.random.default_rng(2)
    n, p = 40_000, 12
    X = np.column_stack([np.ones(n), rng.integers(0, 2, (n, p))]).astype(float)
    y = rng.binomial(1, np.clip(np.exp(X @ np.r_[-2.4, np.full(p, 0.2)]), 0, 1)).astype(float)
    fit = rp.glm(y, X, family=rp.families.Binomial(link="log"))
    assert fit.converged and fit.n_iter < 40
    eta = X @ fit.params.to_numpy()
    slope = terms("log", np.minimum(eta, -1e-300), y)[1]
    walls = np.unique(X[eta > -1e-9], axis=0)
    missed = nnls(walls.T, X.T @ slope)[1] if len(walls) else np.linalg.norm(X.T @ slope)
    assert missed < 1e-7 * np.linalg.norm(X.T @ np.abs(slope))


def test_where_the_likelihood_is_not_concave_the_maximum_is_called_local():
    # Negative binomial counts bend up towards a mean of 0. Along the edge Newton's steps stay Newton's.
    rng = np.random.default_rng(7)
    g, x = rng.integers(0, 3, 40), rng.normal(size=40)
    y = rng.poisson(np.maximum(1 + 0.6 * x, 0.02) * (g > 0))
    family = rp.families.NegativeBinomial(theta=2.0, link="identity")
    fit = rp.glm("y ~ x + C(g)", {"y": y, "x": x, "g": g}, family=family)
    assert fit.status.value == "boundary" and "a local maximum" in fit.message and fit.n_iter < 30
    eta = fit.fittedvalues.to_numpy()
    X = np.column_stack([np.ones(40), g == 1, g == 2, x])
    slope = np.where(y > 0, y / eta, 0.0) - (y + 2.0) / (eta + 2.0)
    walls = -X[(eta < 1e-9) & (y == 0)]
    assert nnls(walls.T, X.T @ slope)[1] < 1e-7 * np.linalg.norm(X.T @ np.abs(slope))


def test_an_infinite_coefficient_and_an_edge_together():
    # No success at g = a: its coefficient is infinite; only successes at x = 1 elsewhere: those lie at the edge.
    frame = pd.DataFrame({"g": ["a"] * 8 + ["b"] * 16, "x": [0, 1] * 12})
    frame["y"] = np.where(frame.g == "a", 0, np.where(frame.x == 1, 1, np.tile([0, 0, 0, 1, 1, 1], 4)))
    with pytest.warns(rp.SeparationWarning):
        fit = rp.glm("y ~ g + x", frame, family=rp.families.Binomial(link="log"))
    rest = rp.glm("y ~ x", frame[frame.g == "b"], family=rp.families.Binomial(link="log"))
    assert fit.status.value == "separated" and rest.status.value == "boundary"
    assert fit.llf == pytest.approx(rest.llf, abs=1e-7) and fit.params["x"] == pytest.approx(rest.params["x"], abs=1e-6)
