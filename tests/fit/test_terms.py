"""Whole terms: which may be left out, what that does, and how collinear they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.fit.terms import _factors, contains


def test_marginality(births):
    fit = rp.glm("low ~ age*smoke + lwt + race:ui", births, family="binomial")
    # age and smoke are in age:smoke; race and ui have no terms of their own.
    assert set(fit.drop1().index) == {"<none>", "lwt", "age:smoke", "race:ui"}


@pytest.mark.parametrize("family", ["binomial", "quasibinomial"])
def test_each_line_is_the_fit_without_it(births, family):
    fit = rp.glm("low ~ age + race + smoke", births, family=family)
    table = fit.drop1()
    for term, right in (("age", "race + smoke"), ("race", "age + smoke"), ("smoke", "age + race")):
        other = rp.glm(f"low ~ {right}", births, family=family)
        assert table.loc[term, "deviance"] == pytest.approx(other.deviance, rel=1e-10)
        assert table.loc[term, "p_value"] == pytest.approx(fit.lr_test(other).p_value, rel=1e-8)
        if family == "binomial":
            assert table.loc[term, "aic"] == pytest.approx(other.aic, rel=1e-10)


def test_least_squares_levels_and_counts(births, sample):
    linear = rp.glm("age ~ lwt + race", births)
    other = rp.glm("age ~ lwt", births)
    assert linear.drop1().loc["race", "aic"] == pytest.approx(other.aic, rel=1e-10)
    levels = rp.glm("race ~ age + lwt", births, family="multinomial")
    assert levels.drop1().loc["age", "df"] == 2
    without = rp.glm("race ~ lwt", births, family="multinomial")
    assert levels.drop1().loc["age", "statistic"] == pytest.approx(2 * (levels.llf - without.llf), rel=1e-8)
    counts = rp.glm(sample.spread, sample.X, family="negative_binomial", names=["one", "x", "z"])
    smaller = rp.glm(sample.spread, sample.X[:, :2], family="negative_binomial")
    assert counts.drop1().index.tolist() == ["<none>", "x", "z"]
    assert counts.drop1().loc["z", "statistic"] == pytest.approx(2 * (counts.llf - smaller.llf), rel=1e-7)
    assert counts.drop1().loc["z", "aic"] == pytest.approx(smaller.aic, rel=1e-9)


def test_a_model_without_terms(births):
    with pytest.raises(rp.ModelError, match="drop1: expected a model with a term"):
        rp.glm("low ~ 1", births, family="binomial").drop1()
    curve = rp.nls("y ~ a*exp(b*x)", {"x": [0.0, 1, 2, 3], "y": [1.0, 2, 4.1, 8]}, start={"a": 1.0, "b": 0.7})
    with pytest.raises(rp.ModelError, match="drop1: expected a model with a term"):
        curve.drop1()


def test_variance_inflation(births):
    fit = rp.glm("age ~ lwt + smoke + race", births)
    table = fit.vif()
    # For one column: 1/(1 − R²) of it on the others.
    X = fit._reading.state.at.asked.data.X
    for name in ("lwt", "smoke"):
        j = fit.names.index(name)
        rest = np.delete(X, j, axis=1)
        missed = X[:, j] - rest @ np.linalg.lstsq(rest, X[:, j], rcond=None)[0]
        assert table.loc[name, "vif"] == pytest.approx(np.var(X[:, j]) * len(X) / (missed @ missed), rel=1e-9)
    assert table.loc["race", "df"] == 2
    assert table.loc["race", "scaled"] == pytest.approx(table.loc["race", "vif"] ** 0.25)
    # Fox and Monette's factor does not depend on the base level.
    turned = births.assign(race=births["race"].astype("category").cat.reorder_categories(["white", "black", "other"]))
    other = rp.glm("age ~ lwt + smoke + race", turned).vif()
    assert other.loc["race", "vif"] == pytest.approx(table.loc["race", "vif"], rel=1e-9)
    with pytest.raises(rp.ModelError, match="at least two terms"):
        rp.glm("age ~ lwt", births).vif()


def test_terms_contain_terms():
    assert _factors("C(a, levels=['x:y']):b") == {"C(a, levels=['x:y'])", "b"}
    assert contains("a:b:c", "c:a") and contains("a:b", "a")
    assert not contains("ab:c", "a") and not contains("a", "a")


@pytest.mark.parametrize(
    ("family", "response"), [("gaussian", "normal"), ("poisson", "count"), ("multinomial", "level")]
)
@pytest.mark.parametrize(
    "terms", [("g", "h"), ("h", "g"), ("x", "z", "x2"), ("x2", "z", "x"), ("h", "k", "g", "x"), ("g", "h", "k", "x")]
)
@pytest.mark.filterwarnings("ignore::raphson.RankWarning")
def test_dropping_a_term_lets_aliased_columns_of_the_others_take_its_place(family, response, terms):
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=80), "z": rng.uniform(size=80), "g": rng.choice(list("abcd"), 80)})
    data["x2"], data["w"] = 2 * data.x, rng.integers(0, 3, 80)
    data["h"], data["k"] = data.g.map({"a": 0, "b": 0, "c": 1, "d": 1}), data.g.map({"a": 0, "b": 1, "c": 0, "d": 1})
    data["normal"], data["count"] = data.x + rng.normal(size=80), rng.poisson(np.exp(0.3 * data.x))
    data["level"] = rng.choice(list("pqr"), 80)

    def fitted(terms):
        return rp.glm(f"{response} ~ {' + '.join(terms)}", data, family=family, weights="w", weights_kind="frequency")

    fit = fitted(terms)
    table = fit.drop1()
    for term in terms:
        smaller = fitted([one for one in terms if one != term])
        expected = [fit.df_model - smaller.df_model, smaller.deviance, smaller.aic]
        np.testing.assert_allclose(table.loc[term, ["df", "deviance", "aic"]].astype(float), expected, rtol=1e-8)
