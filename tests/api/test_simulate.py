"""Coverage studies: what theory promises holds where it should, and fails where it must."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import raphson as rp
from raphson.errors import ModelError


@pytest.fixture(scope="module")
def linear():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=12)})
    frame["y"] = 1 + frame["x"] + rng.normal(size=12)
    return rp.glm("y ~ x", frame)


def test_a_linear_model_is_exact_in_small_samples(linear):
    study = rp.simulate_coverage(linear, {"Intercept": 1.0, "x": 2.0}, reps=4000, seed=1, dispersion=4.0)
    table = study.table
    assert (np.abs(table["wald"] - 0.95) < 4 * study.error).all()
    # the profile interval of a linear model is Student's, and so covers the same data sets
    np.testing.assert_array_equal(table["wald"], table["profile"])
    assert (np.abs(table["bias"]) < 4 * table["bias_std_error"]).all()
    X = np.column_stack([np.ones(12), linear._reading.state.at.asked.data.X[:, 1]])
    np.testing.assert_allclose(table["sd"], 2 * np.sqrt(np.diag(np.linalg.inv(X.T @ X))), rtol=0.05)
    assert (np.abs(table["score"]) < 4).all()


def test_wald_fails_for_rare_counts_where_the_profile_holds():
    """Poisson, 20 rows of mean 0.1: the total is Poisson(2). Coverages follow from its probabilities."""
    fit = rp.glm("y ~ 1", pd.DataFrame({"y": [1.0, 0.0] * 10}), family="poisson")
    study = rp.simulate_coverage(fit, {"Intercept": np.log(0.1)}, reps=4000, seed=1)
    total = np.arange(60)
    p = stats.poisson(2).pmf(total)
    with np.errstate(divide="ignore", invalid="ignore"):
        wald = np.abs(np.log(total / 2)) <= 1.959964 / np.sqrt(total)
        ratio = 2 * (np.where(total > 0, total * np.log(total / 2), 0) - total + 2)
    np.testing.assert_allclose(study.table.loc["Intercept", "wald"], p[wald & (total > 0)].sum(), atol=4 * study.error)
    exact = p[ratio <= 1.959964**2].sum()
    np.testing.assert_allclose(study.table.loc["Intercept", "profile"], exact, atol=4 * study.error)
    assert study.statuses["separated"] == pytest.approx(4000 * p[0], rel=0.15)


def test_the_wrong_truth_shows_in_the_score(linear):
    study = rp.simulate_coverage(
        linear, {"x": 0.0}, reps=500, seed=1, simulate=lambda rng, eta: eta[0] + 1.0 + rng.normal(size=12)
    )
    assert abs(study.table.loc["Intercept", "score"]) > 8
    assert study.table.loc["Intercept", "wald"] < 0.6


def test_more_rows_are_drawn_from_the_design(linear):
    small = rp.simulate_coverage(linear, reps=100, seed=1)
    large = rp.simulate_coverage(linear, n=480, reps=100, seed=1)
    assert (small.n, large.n) == (12, 480)
    assert 4 < (small.table["sd"] / large.table["sd"]).mean() < 9


def test_the_seed_decides(linear):
    one, two = (rp.simulate_coverage(linear, reps=50, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(one.table, two.table)


def test_a_curve_is_covered_by_both_intervals_batched_or_not():
    x = np.linspace(0, 4, 30)
    frame = pd.DataFrame({"x": x, "y": 3 * np.exp(-x) + 0.1 * np.cos(9 * x)})
    start = {"top": 1.0, "rate": 0.5}
    fit = rp.nls("y ~ top*exp(-rate*x)", frame, start=start)
    truth = {"top": 3.0, "rate": 1.0}
    study = rp.simulate_coverage(fit, truth, reps=2000, seed=1, dispersion=0.01)
    assert (np.abs(study.table[["wald", "profile"]] - 0.95) < 4 * study.error).all().all()
    # bounds that do not bind change nothing but the way: one data set after another
    bounded = rp.nls("y ~ top*exp(-rate*x)", frame, start=start, bounds={"rate": (0, None)})
    assert bounded._reading.state.at.asked.replicates is None and fit._reading.state.at.asked.replicates is not None
    slow, fast = (rp.simulate_coverage(one, truth, reps=16, seed=1, dispersion=0.01) for one in (bounded, fit))
    np.testing.assert_allclose(slow.estimates, fast.estimates, rtol=1e-7)
    columns = ["sd", "mean_std_error", "wald", "profile"]
    np.testing.assert_allclose(slow.table[columns], fast.table[columns], rtol=1e-5)


def test_it_plots_and_prints(linear):
    study = rp.simulate_coverage(linear, reps=50, seed=7)
    assert len(study.plot().axes) == 2
    assert "50 data sets of 12 rows" in repr(study)


def test_bad_requests_are_refused(linear):
    with pytest.raises(ModelError, match="expected a Fit"):
        rp.simulate_coverage("y ~ x")
    with pytest.raises(ModelError, match="no parameter is named 'slope'"):
        rp.simulate_coverage(linear, {"slope": 1.0})
    with pytest.raises(ModelError, match="expected 2 numbers"):
        rp.simulate_coverage(linear, [1.0])
    with pytest.raises(ModelError, match="finite"):
        rp.simulate_coverage(linear, [1.0, np.nan])
    with pytest.raises(ModelError, match="reps"):
        rp.simulate_coverage(linear, reps=0)
    with pytest.raises(ModelError, match="wald, profile"):
        rp.simulate_coverage(linear, intervals=("score",))
