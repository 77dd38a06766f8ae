from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.fit.effects import averages, effects
from raphson.fit.reading import reading_of


def _effects(fit):
    return effects(reading_of(fit))


@pytest.fixture(scope="module")
def births() -> pd.DataFrame:
    return rp.datasets.load("births")


def test_a_number_is_compared_at_its_quartiles_a_level_with_the_reference(births: pd.DataFrame) -> None:
    fit = rp.glm("low ~ age + lwt + race + smoke", births, family="binomial")
    found = _effects(fit)
    b, ends = fit.params, fit.conf_int(kind="profile")
    rows = {row.label: row for row in found.rows}
    low, high = np.quantile(births["lwt"], [0.25, 0.75])
    assert rows["lwt"].compared == f"{high:g} against {low:g}"
    assert rows["lwt"].estimate == pytest.approx(math.exp(b["lwt"] * (high - low)))
    assert rows["lwt"].upper == pytest.approx(math.exp(ends.loc["lwt", "upper"] * (high - low)))
    assert rows["smoke"].estimate == pytest.approx(math.exp(b["smoke"])) and rows["smoke"].compared == "1 against 0"
    assert rows["black"].kind == "reference" and rows["black"].rows == (births["race"] == "black").sum()
    assert rows["white"].estimate == pytest.approx(math.exp(b["race[T.white]"]))
    assert found.by_term["race"][0].p_value == pytest.approx(fit.drop1().loc["race", "p_value"])
    assert (found.scale.name, found.scale.quantity, found.profiled) == ("odds ratio", "odds of low", True)


def test_a_change_of_reference_changes_the_reference_row(births: pd.DataFrame) -> None:
    white = births.assign(race=pd.Categorical(births["race"], ["white", "black", "other"]))
    found = _effects(rp.glm("low ~ race", white, family="binomial"))
    assert [row.label for row in found.rows if row.kind == "reference"] == ["white"]


def test_what_is_part_of_an_interaction_is_not_compared_alone(births: pd.DataFrame) -> None:
    rows = {
        row.label: row
        for row in _effects(rp.glm("bwt ~ age*smoke" if "bwt" in births else "lwt ~ age*smoke", births)).rows
    }
    assert "interacts" in rows["age"].compared and rows["age:smoke"].kind == "coefficient"


def test_scales_by_link(births: pd.DataFrame) -> None:
    names = {
        family: _effects(rp.glm("age ~ smoke", births, family=family)).scale.name for family in ("gaussian", "poisson")
    }
    assert names == {"gaussian": "difference", "poisson": "ratio"}
    probit = _effects(rp.glm("low ~ smoke", births, family=rp.families.Binomial(link="probit"))).scale
    assert probit.name == "change (probit scale)" and not probit.ratio
    with pytest.raises(rp.ModelError, match="one mean a row"):
        _effects(rp.glm("race ~ age", births, family="multinomial"))


def test_averages_are_means_over_the_rows_with_delta_intervals(births: pd.DataFrame) -> None:
    fit = rp.glm("low ~ lwt + smoke", births, family="binomial")
    found = {one.name: one for one in averages(reading_of(fit))}
    one, p = found["smoke"], fit.predict(births.assign(smoke=1)).to_numpy()
    assert one.labels == ("0", "1") and one.mean[1] == pytest.approx(p.mean())
    X = np.column_stack([np.ones(len(births)), births["lwt"], np.ones(len(births))])
    g = (p * (1 - p)) @ X / len(p)
    # On the logit scale the error of the mean is divided by m (1 − m).
    m = p.mean()
    eta, se = math.log(m / (1 - m)), math.sqrt(g @ fit.cov_params().to_numpy() @ g) / (m * (1 - m))
    assert one.upper[1] == pytest.approx(1 / (1 + math.exp(-eta - 1.959964 * se)), rel=1e-6)
    assert (found["lwt"].lower < found["lwt"].mean).all() and (found["lwt"].mean < found["lwt"].upper).all()


def test_an_aliased_coefficient_is_not_estimated(births: pd.DataFrame) -> None:
    with pytest.warns(rp.RankWarning):
        fit = rp.glm("lwt ~ age + I(2*age)", births)
    assert any(math.isnan(row.estimate) for row in _effects(fit).rows)


def test_means_over_a_covariate_have_smooth_functions_and_the_effects_of_levels() -> None:
    # Of one covariate nothing is averaged: it is the prediction. Of several rows, it is the mean of their predictions.
    ozone = rp.datasets.load("ozone")
    for criterion in ("ml", "reml"):
        fit = rp.glm("ozone ~ s(temp)", ozone, criterion=criterion)
        (over,) = averages(reading_of(fit))
        expected = fit.predict({"temp": over.x}, interval="confidence")
        for name, found in (("fit", over.mean), ("lower", over.lower), ("upper", over.upper)):
            assert found == pytest.approx(expected[name].to_numpy(), rel=1e-9)
        rises = np.diff(over.mean)
        assert rises.max() > 2 * abs(rises[:3]).max()  # not a straight line
    teeth = rp.datasets.load("teeth").assign(distance=lambda one: one["distance"] / 20)
    fit = rp.glm("distance ~ age + sex + (1 | child)", teeth, family=rp.families.Gamma(link="log"))
    over = next(one for one in averages(reading_of(fit)) if one.name == "age")
    assert over.mean == pytest.approx([fit.predict(teeth.assign(age=v)).mean() for v in over.x], rel=1e-12)
