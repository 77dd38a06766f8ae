from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.fit.simulating import Moves, Plan, simulated


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    x = rng.normal(size=120)
    return pd.DataFrame(
        {"x": x, "y": rng.negative_binomial(2, 2 / (2 + np.exp(1 + 0.4 * x))), "z": x + rng.normal(size=120)}
    )


def test_a_linear_fit_moves_as_deletion_says(data: pd.DataFrame) -> None:
    fit = rp.glm("z ~ x", data)
    plan = Plan.of(fit._reading, 100)
    moves = Moves.of(fit._reading, plan)
    assert moves is not None
    found = moves.of_scores(fit._reading.rows.score)
    without = np.stack([rp.glm("z ~ x", data.drop(index=i)).params.to_numpy() for i in range(5)])
    expected = np.abs((fit.params.to_numpy() - without) / fit.bse.to_numpy()).max(axis=1)
    np.testing.assert_allclose(found[:5], expected, rtol=1e-8)


def test_a_dispersion_parameter_is_refitted(data: pd.DataFrame) -> None:
    # Refitting θ holds Pearson's statistic near its degrees of freedom: with θ fixed it would vary twice as much.
    fit = rp.glm("y ~ x", data, family="negative_binomial")
    rows = simulated(fit._reading, 200)
    assert rows.refitted and len(np.unique(rows.drawn.mean[:, 0])) > 150
    fixed = rp.glm("y ~ x", data, family=rp.families.NegativeBinomial(theta=fit.theta))
    assert np.std(rows.drawn_pearson) < 0.8 * np.std(simulated(fixed._reading, 200).drawn_pearson)


def test_rows_of_weight_0_are_left_out_and_many_rows_thinned(data: pd.DataFrame) -> None:
    weights = (np.arange(120) % 4 > 0).astype(float)
    fit = rp.glm("z ~ x", data, weights=weights)
    plan = Plan.of(fit._reading, None)
    assert len(plan.rows) == 90 and plan.refits and plan.every == 1
    thinned = plan.thinned(40)
    assert len(thinned.rows) <= 40 and thinned.every == 3
    assert simulated(fit._reading, 100).n == 90


# -- where coefficients vary -----------------------------------------------------------------------------------------


def test_a_right_mixed_model_passes_and_a_wrong_one_does_not():
    rng = np.random.default_rng(21)
    g = np.repeat(np.arange(30), 8)
    x = rng.normal(size=240)
    eta = 0.4 + 0.5 * x + rng.normal(0, 0.6, 30)[g]
    data = pd.DataFrame({"g": g, "x": x, "y": rng.poisson(np.exp(eta))})
    right = rp.glm("y ~ x + (1 | g)", data, family="poisson").check(n=100, seed=1)
    assert right.passed and right.n == 100
    assert {"even: g", "straight: x", "effects: g: Intercept", "residuals"} <= set(right.table.index)
    # Overdispersed rows, and effects of two kinds of groups.
    data["y"] = rng.poisson(np.exp(eta) * rng.gamma(1.0, 1.0, 240))
    wrong = rp.glm("y ~ x + (1 | g)", data, family="poisson").check(n=100, seed=1)
    assert {"residuals", "spread"} <= {one.name for one in wrong.flagged}
    data["z"] = np.where(g < 26, -0.5, 4.0) + 0.2 * rng.normal(size=240)
    found = rp.glm("z ~ x + (1 | g)", data).check(n=100, seed=1)
    assert "effects: g: Intercept" in [one.name for one in found.flagged]


def test_a_large_mixed_model_is_checked_given_its_effects(monkeypatch):
    from raphson.fit import simulating

    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(20), 10)
    data = pd.DataFrame({"g": g.astype(str), "y": rng.normal(size=200) + rng.normal(size=20)[g]})
    fit = rp.glm("y ~ 1 + (1 | g)", data)
    monkeypatch.setattr(simulating, "MOST_WORK", 1.0)
    found = fit.check(n=100)
    assert found.passed and not any(name.startswith("effects") for name in found.table.index)
