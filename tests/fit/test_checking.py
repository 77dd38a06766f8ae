from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    x, g = rng.normal(size=250), rng.choice(["a", "b"], 250)
    return pd.DataFrame({"x": x, "g": g, "y": rng.poisson(np.exp(0.5 * x + 1)), "z": x**2 + 0.3 * rng.normal(size=250)})


def test_a_right_model_passes_and_a_wrong_one_does_not(counts: pd.DataFrame) -> None:
    right = rp.glm("y ~ x + g", counts, family="poisson").check(200, seed=1)
    assert right.passed and not right.flagged
    assert {"residuals", "counts", "dispersion", "straight: x", "even: g", "influence"} <= set(right.table.index)
    wrong = rp.glm("z ~ x", counts).check(200)
    assert not wrong["straight: x"].passed
    assert not wrong.passed and "Not straight in x" in repr(wrong)


def test_the_same_seed_gives_the_same_checks(counts: pd.DataFrame) -> None:
    fits = [rp.glm("y ~ x", counts, family="poisson") for _ in range(2)]
    pd.testing.assert_frame_equal(fits[0].check(100, seed=3).table, fits[1].check(100, seed=3).table)


def test_a_report_and_plots_do_not_simulate_anew(counts: pd.DataFrame, monkeypatch, tmp_path) -> None:
    from raphson.fit import checking

    made = []
    own = checking.simulated
    monkeypatch.setattr(checking, "simulated", lambda *given: made.append(given[1:]) or own(*given))
    fit = rp.glm("y ~ x", counts, family="poisson")
    assert fit.check() is fit.check(seed=0)
    fit.plot_residuals()
    fit.report(tmp_path / "page.html")
    assert made == [(None, 0)]
    assert fit.check(n=100) is not fit.check() and len(made) == 3  # the last ones are kept


def test_grouped_and_binary_responses_are_calibrated() -> None:
    births = rp.datasets.load("births")
    fit = rp.glm("low ~ lwt + smoke", births, family="binomial")
    found, mean, low = fit.check(200), fit.fittedvalues.to_numpy(), births["low"].to_numpy()
    pairs = mean[low == 1][:, None] - mean[low == 0]
    area = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert found["calibration: low"].passed and found["discrimination"].value == pytest.approx(area)
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, 60)
    data = pd.DataFrame({"x": x, "k": rng.binomial(20, 1 / (1 + np.exp(-x))), "n": 20})
    grouped = rp.glm("cbind(k, n - k) ~ x", data, family="binomial")
    names = set(grouped.check(200).table.index)
    assert "dispersion" in names and "discrimination" not in names


def test_a_curve_and_a_gamma_are_checked(counts: pd.DataFrame) -> None:
    t = np.linspace(0.1, 4, 50)
    data = pd.DataFrame({"t": t, "y": 3 * np.exp(-t) + 0.05 * np.random.default_rng(2).normal(size=50)})
    fit = rp.nls("y ~ a*exp(-b*t)", data, start={"a": 2, "b": 1})
    assert fit.check(200)["straight: t"].passed
    assert not rp.nls("y ~ a/(1 + b*t)", data, start={"a": 2, "b": 1}).check(200)["straight: t"].passed


def test_what_cannot_be_checked_says_why(counts: pd.DataFrame) -> None:
    with pytest.raises(rp.ModelError, match="finite maximum"):
        rp.glm("s ~ x", counts.assign(s=(counts.x > 0).astype(int)), family="binomial").check()
    with pytest.raises(rp.ModelError, match="at least 100"):
        rp.glm("y ~ x", counts, family="poisson").check(20)
    with pytest.raises(rp.ModelError, match="draws its own responses"):
        rp.glm("y ~ x", counts, family="poisson").check(simulate=lambda rng, eta: eta[0])
    with pytest.raises(rp.ModelError, match="which column is the response"):
        rp.mle(lambda p, row: -0.5 * (row.x - p["m"]) ** 2, counts, start={"m": 0.0}).check()
    with pytest.raises(KeyError, match="residuals"):
        rp.glm("y ~ x", counts, family="poisson").check(100)["nothing"]


def test_the_figure_has_a_panel_for_each_check(counts: pd.DataFrame) -> None:
    found = rp.glm("y ~ x", counts, family="poisson").check(100)
    assert len([one for one in found.plot().axes if one.get_visible()]) == len(found)
    assert "<table" in found._repr_html_()


def test_shrunken_effects_are_no_curve_over_the_fitted_values() -> None:
    # Residuals given the effects rise with fitted values that have these, in simulated data over their own: p-values
    # over the data's own fitted values for both were 0.01 and less than 0.03 here.
    found = []
    for seed in (3, 8, 9):
        rng = np.random.default_rng(seed)
        data = pd.DataFrame({"g": np.repeat(np.arange(30), 4), "t": np.tile(np.arange(4), 30)})
        data["y"] = 0.3 * data["t"] + rng.normal(size=30).repeat(4) + rng.normal(size=120)
        data["f"] = np.where(data["g"] % 2, "a", "b")
        checks = rp.glm("y ~ t + f + (1 | g)", data).check(n=100, seed=1)
        assert checks["even: f"].value == 0.0  # and not 1e-16: the coefficient of f holds it there
        found.append(checks["straight: the fitted value"].p_value)
    assert min(found) > 0.05 and np.median(found) > 0.2


def test_a_link_that_bends_shows_over_the_fitted_values_of_a_mixed_model() -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"g": np.repeat(np.arange(30), 6), "x": rng.uniform(-2, 2, 180)})
    data["y"] = np.exp(data["x"]) + rng.normal(0, 0.3, 30).repeat(6) + rng.normal(0, 0.3, 180)
    assert not rp.glm("y ~ x + (1 | g)", data).check(n=100, seed=1)["straight: the fitted value"].passed
