"""The tables of what varies have the references' numbers, a row for each, and NaN for errors at the edge."""

from __future__ import annotations

import numpy as np
import pytest

import raphson as rp
from raphson.fit.varying.profiles import Line
from raphson.fit.varying.tables import random_effects, variances


def test_an_end_that_is_not_found_has_its_reason_told(at_maximum, monkeypatch):
    monkeypatch.setattr(Line, "end", lambda self, side, outside=None: np.nan)
    monkeypatch.setattr(Line, "near", lambda self, side: None)
    with pytest.warns(rp.ConvergenceWarning, match=r"upper end of the interval of sd Intercept \| Subject is NaN"):
        assert variances(at_maximum("sleepstudy_corr")[1]).upper.isna()[0]


def test_standard_deviations_and_correlations(at_maximum, reference):
    table = variances(at_maximum("sleepstudy_corr")[1])
    fit = reference("sleepstudy_corr")[2]["ml"]
    random, parameters = fit["random"][0], fit["parameters"]
    assert list(table.columns) == ["group", "term", "kind", "estimate", "std_error", "lower", "upper"]
    assert table.group.tolist() == ["Subject", "Subject", "Subject", "residual"]
    assert table.term.tolist() == ["Intercept", "Days", "Intercept, Days", ""]
    assert table.kind.tolist() == ["sd", "sd", "corr", "sd"]
    expected = np.array([*random["sd"], random["correlation"], fit["sigma"]])
    assert table.estimate.to_numpy() == pytest.approx(expected, rel=1e-9)
    se = np.array(parameters["se"])[2:] * [*random["sd"], 1 - random["correlation"] ** 2, fit["sigma"]]
    assert table.std_error.to_numpy() == pytest.approx(se, rel=1e-8)
    assert table.estimate.between(table.lower, table.upper).all()


def test_walds_intervals_are_those_of_logarithms(at_maximum):
    table = variances(at_maximum("sleepstudy_corr")[1], profiles=False)
    one = table.iloc[0]
    assert np.log(one.upper / one.estimate) == pytest.approx(1.959964 * one.std_error / one.estimate, rel=1e-6)
    assert one.lower * one.upper == pytest.approx(one.estimate**2)


def test_at_the_edge_there_is_no_standard_error(at_maximum):
    table = variances(at_maximum("dyestuff2_boundary")[1])
    first = table.iloc[0]
    assert first.estimate == 0.0 and np.isnan(first.std_error) and first.lower == 0.0
    assert not random_effects(at_maximum("dyestuff2_boundary")[1])["mode"].any()


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("sleepstudy_corr", "ml"),
        ("sleepstudy_corr", "reml"),
        ("machines", "reml"),
        ("cbpp", "laplace"),
        ("ovary_smooth_and_group", "reml"),
    ],
)
def test_effects_of_the_levels(name, fit, at_maximum, reference):
    table = random_effects(at_maximum(name, fit == "reml")[1])
    assert list(table.columns) == ["group", "level", "term", "mode", "conditional_sd", "posterior_sd", "sd"]
    for random in reference(name)[2][fit]["random"]:
        rows = table[table.group == random["group"]]
        order = [f"{level}" for level in random["levels"] for _ in random["coefficients"]]
        assert sorted(rows.level) == sorted(order)
        rows = rows.set_index(["level", "term"])
        keys = [
            (level, one.replace("(Intercept)", "Intercept"))
            for level in random["levels"]
            for one in random["coefficients"]
        ]
        given = {
            "mode": "mode",
            "conditional_sd": "conditional_sd",
            "posterior_sd": "posterior_sd",
            "sd": "sd_with_parameter_uncertainty",
        }
        for column, key in given.items():
            if key in random:
                expected = np.array(random[key]).ravel()
                found = rows.loc[keys, column].to_numpy()
                assert found == pytest.approx(expected, abs=1e-9 * np.abs(expected).max())
    assert (table.sd >= table.conditional_sd * (1 - 1e-12)).all()
    assert (table.posterior_sd >= table.conditional_sd * (1 - 1e-12)).all()


def test_smooth_functions_are_no_groups(at_maximum):
    assert len(random_effects(at_maximum("mcycle_cr", True)[1])) == 0


@pytest.mark.filterwarnings("ignore")
def test_a_standard_deviation_near_0_has_a_wald_interval_without_end():
    # Three rows of each group, and three effects that vary: σ exp(1.96 se/σ) is beyond all numbers.
    rng = np.random.default_rng(1)
    data = {"id": np.repeat(list("abcde"), 3), "t": np.tile([0, 1, 2], 5)}
    data["y"] = 5 + data["t"] + rng.normal(0, 1, 5).repeat(3) + rng.normal(0, 0.5, 15)
    fit = rp.glm("y ~ t + (t + I(t^2) | id)", data)
    assert "what varies" in str(fit.summary())
