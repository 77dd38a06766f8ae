"""Tests by leaving out a term, or an effect that varies: against fits of the smaller models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.errors import ModelError


@pytest.fixture(scope="module")
def sleep(reference):
    data, _, _ = reference("sleepstudy_corr")
    return data.assign(half=data.Days.gt(4).map({True: "b", False: "a"}), third=(data.Days % 3).map(str))


def compared(table, name, larger, smaller):
    test = larger.lr_test(smaller)
    line = table.loc[name]
    assert line.statistic == pytest.approx(test.statistic, abs=1e-6)
    assert line.p_value == pytest.approx(test.p_value, rel=1e-5, abs=1e-12)
    assert (line.llf, line.aic, line.df) == pytest.approx((smaller.llf, smaller.aic, test.df))


def test_each_line_is_the_test_of_the_smaller_fit(sleep):
    start = "Reaction ~ Days + third"
    fit = rp.glm(f"{start} + (Days | Subject)", sleep)
    table = fit.drop1()
    assert list(table.index) == ["<none>", "Days", "third", "Days in (Days | Subject)"]
    assert table.loc["<none>", "llf"] == fit.llf and table.loc["<none>", "aic"] == fit.aic
    compared(table, "Days", fit, rp.glm("Reaction ~ third + (Days | Subject)", sleep))
    compared(table, "third", fit, rp.glm("Reaction ~ Days + (Days | Subject)", sleep))
    compared(table, "Days in (Days | Subject)", fit, rp.glm(f"{start} + (1 | Subject)", sleep))
    assert table.test.to_list() == ["", "chi2(1)", "chi2(2)", "0.5 chi2(1) + 0.5 chi2(2)"]


def test_effects_of_their_own_and_those_that_others_contain(sleep):
    fit = rp.glm("Reaction ~ Days*half + (Days*half || Subject) + (1 | third)", sleep)
    names = list(fit.drop1().index)
    assert "Days" not in names and "Days:half" in names and "(1 | third)" in names
    assert [one for one in names if " in " in one] == ["Days:half in (Days * half || Subject)"] or any(
        one.startswith("Days:half in") for one in names
    )
    wide = rp.glm("Reaction ~ Days + (third | Subject)", sleep).drop1()
    line = wide.loc["third in (third | Subject)"]
    assert line.df == 5 and np.isnan(line.p_value) and "bootstrap=999" in line.test
    plain = rp.glm("Reaction ~ Days + (1 | Subject)", sleep)
    compared(plain.drop1(), "(1 | Subject)", plain, rp.glm("Reaction ~ Days", sleep))


def test_counts_and_reml_of_a_variance(reference, sleep):
    data, formula, _ = reference("cbpp")
    fit = rp.glm(formula, data, family="binomial")
    smaller = rp.glm("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", data, family="binomial")
    compared(fit.drop1(), "factor(period)", fit, smaller)
    large, small = (rp.glm(f"Reaction ~ Days + ({one} | Subject)", sleep, criterion="reml") for one in ("Days", "1"))
    line, test = large.drop1().loc["Days in (Days | Subject)"], large.lr_test(small)
    assert (line.statistic, line.p_value) == pytest.approx((test.statistic, test.p_value), rel=1e-6)


def test_reml_has_the_f_of_a_balanced_split_plot(reference):
    # Machines within workers: F of (3 − 1) and (3 − 1)(6 − 1) degrees of freedom, from the means of the cells.
    data, formula, _ = reference("machines")
    fit = rp.glm(formula, data, criterion="reml")
    cells = data.groupby(["Worker", "Machine"]).score.mean().unstack()
    centred = cells.sub(cells.mean(axis=1), axis=0)
    between = 6 * centred.mean().pow(2).sum() / 2
    within = (centred - centred.mean()).pow(2).sum().sum() / 10
    table = fit.drop1()
    assert table.loc["Machine", "statistic"] == pytest.approx(between / within, rel=1e-6)
    assert table.loc["Machine", "test"] == "F(2, 10)"
    names = list(fit.params.index[1:])
    test = fit.wald_test(" = 0, ".join(names) + " = 0")
    assert test.df_resid == pytest.approx(10.0, abs=1e-6) and test.p_value == pytest.approx(
        table.loc["Machine", "p_value"]
    )


def test_smooth_functions_have_their_test(reference):
    data, formula, _ = reference("ovary_smooth_and_group")
    fit = rp.glm(formula, data, family="poisson")
    line = fit.drop1().loc["s(Time)"]
    assert (line.statistic, line.p_value) == tuple(fit.smooths[["statistic", "p_value"]].iloc[0])
    assert line.test == "Wood's chi2" and np.isnan(line.aic)


def test_an_effect_in_a_model_without_terms(sleep):
    fit = rp.glm("Reaction ~ 1 + (1 + Days | Subject)", sleep)
    assert list(fit.drop1().index) == ["<none>", "Days in (1 + Days | Subject)"]
    with pytest.raises(ModelError, match="got none beside the intercept"):
        rp.glm("Reaction ~ 1", sleep).drop1()


@pytest.fixture(scope="module")
def levels():
    rng = np.random.default_rng(3)
    group, each = np.repeat(np.arange(12), 6), rng.normal(size=12)
    noise, x = 0.7 * rng.normal(size=72), rng.normal(size=72)
    within = noise - 0.99 * np.bincount(group, noise)[group] / 6  # groups differ by less than chance
    first = np.tile(["a", "b", "c"], 24)
    return pd.DataFrame(
        {
            "g": [f"g{k}" for k in group],
            "outer": [f"o{k // 3}" for k in group],
            "x": x,
            "own": each[group],
            "h": first,
            "v": np.where(first == "a", "1", np.where(np.arange(72) % 2, "2", "3")),  # its "1" is the "a" of h
            "y": 1 + x + 2 * each[group] + within,
            "nested": within + np.repeat(np.tile([-1.0, 0.0, 1.0], 4), 6) + 0.5 * np.repeat([1, -1, 1, -1], 18),
        }
    )


def test_a_deviation_at_0_is_free_in_the_smaller_model(levels):
    # What differs between the groups is all in `own`; without it their deviation is far from 0.
    fit, smaller = (rp.glm(f"y ~ x {own} + (1 | g)", levels) for own in ("+ own", ""))
    assert fit.variances.estimate[0] == 0.0 < smaller.variances.estimate[0]
    compared(fit.drop1(), "own", fit, smaller)
    # Of groups in outer ones the inner deviation takes what the outer one would be.
    rest = levels.groupby("outer").nested.transform("mean")
    data = levels.assign(nested=levels.nested - rest + 0.05 * rest)
    fit, smaller = (rp.glm(f"nested ~ x + (1 | outer) {own}", data) for own in ("+ (1 | g)", ""))
    assert fit.variances.estimate[0] == 0.0
    compared(fit.drop1(), "(1 | g)", fit, smaller)


@pytest.mark.parametrize("criterion", ["ml", "reml"])
def test_aliased_columns_take_the_place_of_a_term(levels, criterion):
    tables = [
        rp.glm(f"y ~ x + {terms} + (1 | outer)", levels, criterion=criterion).drop1() for terms in ("h + v", "v + h")
    ]
    for name in ("x", "h", "v"):
        one, other = (table.loc[name, ["df", "statistic", "p_value"]].astype(float) for table in tables)
        assert one.df == 1 and one.to_numpy() == pytest.approx(other.to_numpy(), rel=1e-5, abs=1e-9)
    table = rp.glm("y ~ x + I(2*x) + h + (1 | outer)", levels, criterion=criterion).drop1()
    assert table.df.tolist() == [0, 0, 0, 2, 1] and np.isnan(table.p_value[["x", "I(2 * x)"]]).all()
    plain = rp.glm("y ~ x + h + (1 | outer)", levels, criterion=criterion).drop1()
    assert table.p_value["h"] == pytest.approx(plain.p_value["h"], rel=1e-6)
    if criterion == "ml":
        fit, smaller = (rp.glm(f"y ~ x + h {v} + (1 | outer)", levels) for v in ("+ v", ""))
        compared(fit.drop1(), "v", fit, smaller)
