"""Profile intervals of standard deviations and correlations: the references' ends, the definition, and the edge."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2

import raphson as rp
from raphson.errors import ModelError
from raphson.fit import functions
from raphson.fit.varying.profiles import Profiles, Substituted
from raphson.model.objective import Need


@pytest.mark.parametrize(("name", "fit"), [("sleepstudy_corr", "ml"), ("cbpp", "laplace")])
def test_the_ends_of_the_references(name, fit, at_maximum, reference):
    _, at = at_maximum(name)
    expected = reference(name)[2][fit]["profile_95"]
    low, high = Profiles(at).of(at.reported[0])
    assert low == pytest.approx(expected["lower_sd"], rel=1e-9)
    assert high == pytest.approx(expected["upper_sd"], rel=1e-9)


def test_at_the_ends_of_a_correlation_and_of_the_residual_the_profile_has_fallen_by_the_quantile(at_maximum):
    _, at = at_maximum("sleepstudy_corr")
    profiles = Profiles(at)
    (low, high), (under, over) = profiles.of(at.reported[2]), profiles.residual()
    assert low == pytest.approx(-0.4815, abs=1e-4) and high == pytest.approx(0.6850, abs=1e-4)  # as lme4's
    assert under == pytest.approx(22.8983, abs=1e-3) and over == pytest.approx(28.8580, abs=1e-3)


def test_an_estimate_of_0_has_an_interval_from_0(at_maximum):
    _, at = at_maximum("dyestuff2_boundary")
    low, high = Profiles(at).of(at.reported[0])
    assert low == 0.0 and 1.5 < high < 2.5
    held = at.theta.copy()
    held[at.criterion.own_entries] = high
    # the criterion with the others as they were is below the profile, which has fallen by 1.92
    assert at.criterion.evaluate(held).value < at.spot.value - 1.9207


@pytest.fixture(scope="module")
def at_a_limit():
    """A fit whose correlation is 1, and its likelihood by dense algebra with β and the residual at their best."""
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(20), 8), np.tile(np.linspace(-1, 1, 8), 20)
    own = rng.multivariate_normal([0, 0], [[1, 0.45], [0.45, 0.25]], 20)
    frame = pd.DataFrame({"g": g, "x": x, "y": 1 + own[g, 0] + own[g, 1] * x + rng.normal(0, 1, 160)})
    X, n = np.column_stack([np.ones(160), x]), 160
    same = (g[:, None] == g).astype(float)
    y = frame.y.to_numpy()

    def deviance(sd, other, rho, residual):
        V = same * (sd**2 + rho * sd * other * (x[:, None] + x) + other**2 * np.outer(x, x)) + residual**2 * np.eye(n)
        inverse = np.linalg.inv(V)
        r = y - X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ y)
        return n * math.log(2 * math.pi) + np.linalg.slogdet(V)[1] + float(r @ inverse @ r)

    return rp.glm("y ~ x + (x | g)", frame), deviance


def _least(function, starts):
    return min(
        minimize(function, one, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).fun for one in starts
    )


def test_the_intervals_at_a_correlation_of_1_are_those_of_the_definition(at_a_limit):
    fit, deviance = at_a_limit
    table = fit.variances
    assert fit.status == "boundary" and table.estimate[2] == 1.0 and table.upper[2] == 1.0
    starts = [[-0.2, 0.9, 0.0]]

    def of_second(sd):  # over log of the first, the angle, log of the residual
        return _least(lambda t: deviance(math.exp(t[0]), sd, math.sin(t[1]), math.exp(t[2])), starts)

    def of_correlation(rho):
        return _least(lambda t: deviance(math.exp(t[0]), math.exp(t[1]), rho, math.exp(t[2])), [[-0.2, -0.7, 0.0]])

    for end in (table.lower[1], table.upper[1]):
        assert of_second(end) + 2 * fit.llf == pytest.approx(3.841459, abs=1e-6)
    assert of_correlation(table.lower[2]) + 2 * fit.llf == pytest.approx(3.841459, abs=1e-6)


def test_an_interval_reaches_the_edge_where_the_profile_does():
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(20), 12), np.tile(np.linspace(-1, 1, 12), 20)
    own = rng.multivariate_normal([0, 0], [[1, 0.3], [0.3, 0.25]], 20)
    frame = pd.DataFrame({"g": g, "x": x, "k": rng.poisson(np.exp(0.3 + 0.5 * own[g, 0] + 0.3 * own[g, 1] * x))})
    fit = rp.glm("k ~ x + (x | g)", frame, family="poisson")
    table = fit.variances
    assert table.estimate[1] > 0 and table.lower[1] == 0.0  # it took minutes, and gave NaN
    without = rp.glm("k ~ x + (1 | g)", frame, family="poisson")
    assert fit.llf - without.llf < 1.9207
    assert (table.lower[2], table.upper[2]) == (-1.0, 1.0)  # as the slopes may not vary at all


def test_a_row_of_the_triangle_is_turned_before_its_column_goes():
    rng = np.random.default_rng(0)
    g, x = np.repeat(np.arange(20), 12), np.tile(np.linspace(-1, 1, 12), 20)
    own = rng.multivariate_normal([0, 0], [[1, 0.495], [0.495, 0.25]], 20)
    rng.normal(0, 1, 240)
    frame = pd.DataFrame({"g": g, "x": x, "k": rng.poisson(np.exp(0.3 + 0.5 * own[g, 0] + 0.5 * own[g, 1] * x))})
    fit = rp.glm("k ~ x + (x | g)", frame, family="poisson")
    without = rp.glm("k ~ x + (1 | g)", frame, family="poisson")
    assert fit.variances.estimate[2] == 1.0 and fit.llf - without.llf < 1.9207
    assert fit.variances.lower[1] == 0.0  # with 0 for the slopes' deviation, the intercepts' is what it was


def test_three_coefficients_have_the_intervals_of_any_order():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(25), 10)
    x, z = rng.normal(size=(2, 250))
    own = rng.normal(size=(25, 3)) @ np.array([[1.0, 0.3, 0.2], [0.0, 0.6, 0.2], [0.0, 0.0, 0.5]])
    frame = pd.DataFrame({"g": g, "x": x, "z": z, "one": 1.0})
    frame["y"] = own[g, 0] + own[g, 1] * x + own[g, 2] * z + rng.normal(0, 0.7, 250)
    one = rp.glm("y ~ x + z + (1 + x + z | g)", frame).variances.set_index(["kind", "term"])
    other = rp.glm("y ~ x + z + (0 + z + x + one | g)", frame).variances.set_index(["kind", "term"])
    names = {"Intercept": "one", "x": "x", "z": "z"}
    for kind, term in one.index:
        if not term:
            continue
        renamed = [names[part] for part in term.split(", ")]
        there = [key for key in other.index if key[0] == kind and set(key[1].split(", ")) == set(renamed)]
        assert other.loc[there[0], ["lower", "upper"]].to_numpy(float) == pytest.approx(
            one.loc[(kind, term), ["lower", "upper"]].to_numpy(float), rel=1e-7
        )


def test_what_is_held_at_0_is_let_go_where_the_criterion_rises_as_it_leaves_0():
    rng = np.random.default_rng(0)
    a, b = np.repeat(np.arange(6), 20), np.tile(np.repeat(np.arange(10), 2), 6)
    y = rng.normal(0, 1, 10)[b] * 0.9 + rng.normal(0, 0.8, (6, 10))[a, b] + rng.normal(size=120)
    frame = pd.DataFrame({"a": a, "y": y, "ab": a * 10 + b})
    fit = rp.glm("y ~ 1 + (1 | a) + (1 | ab)", frame)
    table = fit.variances
    assert table.estimate[0] == 0.0
    criterion = fit._reading.maximum.criterion

    def drop(sd):  # over β, the other deviation and the residual
        def value(t):
            return -criterion.evaluate(np.array([t[0], t[1], sd, t[2]])).value

        return 2 * (fit.llf + _least(value, [[0.0, 0.3, 0.2]]))

    for end in (table.lower[1], table.upper[1]):
        assert drop(end) == pytest.approx(3.841459, abs=1e-5)


@pytest.mark.parametrize(("logs", "polar"), [((2, 4), ()), ((), (3, 4)), ((2,), (3, 4))])
def test_derivatives_in_other_coordinates(logs, polar, at_maximum):
    _, at = at_maximum("sleepstudy_corr")
    objective = Substituted(at.criterion, logs, polar)
    theta = objective.inside(at.theta) + 0.01
    assert objective.point(objective.inside(at.theta)) == pytest.approx(at.theta, rel=1e-14)
    here = objective.evaluate(theta, Need(kinds=("observed",)))
    M = here.information["observed"].matrix
    for j in range(len(theta)):
        step = 1e-5 * np.eye(len(theta))[j]
        before, after = objective.evaluate(theta - step), objective.evaluate(theta + step)
        assert (after.value - before.value) / 2e-5 == pytest.approx(here.score[j], abs=1e-5)
        assert -(after.score - before.score) / 2e-5 == pytest.approx(M[j], abs=1e-5 * np.abs(M).max())


# -- coefficients ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_ends_of_coefficients_are_where_the_maximum_has_fallen(family):
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(12), 6)
    data = pd.DataFrame({"g": g.astype(str), "x": np.tile(np.linspace(-1, 1, 6), 12)})
    eta = 1 + 0.5 * data.x + rng.normal(0, 0.6, 12)[g]
    data["y"] = rng.poisson(np.exp(eta)) if family == "poisson" else eta + rng.normal(0, 0.8, 72)
    fit = rp.glm("y ~ x + (1 | g)", data, family=family)
    ends = fit.conf_int(kind="profile").loc["x"]
    for end in ends:
        held = rp.glm("y ~ 1 + (1 | g)", data, family=family, offset=end * data.x)
        assert 2 * (fit.llf - held.llf) == pytest.approx(chi2.ppf(0.95, 1), abs=1e-6)
    assert ends.lower < fit.params["x"] < ends.upper
    assert fit.profile("x").trace.llf_drop.min() >= 0


def test_a_restriction_may_move_a_standard_deviation_off_the_edge(monkeypatch):
    # With the slope fixed far from its estimate the groups, which differ in x, differ in what is left.
    rng = np.random.default_rng(4)
    x = np.repeat(np.arange(10.0), 4)
    data = pd.DataFrame({"g": x.astype(str), "x": x})
    data["y"] = 0.3 * x + np.tile([-1.0, 1.0, 0.4, -0.4], 10) + 0.01 * rng.normal(size=40)
    fit = rp.glm("y ~ x + (1 | g)", data)
    assert fit.variances.estimate[0] == 0
    without = rp.glm("y ~ 1 + (1 | g)", data)
    assert without.variances.estimate[0] > 0.3
    assert fit.lr_test("x = 0").statistic == pytest.approx(2 * (fit.llf - without.llf), abs=1e-6)
    assert fit.lr_test("x = 0").p_value == pytest.approx(fit.lr_test(without).p_value, rel=1e-6)
    for end in fit.profile("x").interval(0.9999):
        held = rp.glm("y ~ 1 + (1 | g)", data, offset=end * data.x)
        assert 2 * (fit.llf - held.llf) == pytest.approx(chi2.ppf(0.9999, 1), abs=1e-5)
    monkeypatch.setattr(functions, "TRACE_LEVEL", 0.9999)
    trace = fit.profile("x").trace
    reach = np.sqrt(chi2.ppf(0.9999, 1))
    assert trace.zeta.iloc[[0, -1]].to_numpy() == pytest.approx([-reach, reach], abs=1e-4)
    first = rp.glm("y ~ 1 + (1 | g)", data, offset=trace.value.iloc[0] * data.x)
    assert trace.llf_drop.iloc[0] == pytest.approx(fit.llf - first.llf, abs=1e-6)


def test_the_score_test_is_of_the_criterions_gradient_and_hessian(reference):
    data, _, _ = reference("sleepstudy_corr")
    data = data.assign(odd=data.Days % 2)
    fit = rp.glm("Reaction ~ Days + odd + (Days | Subject)", data)
    smaller = rp.glm("Reaction ~ Days + (Days | Subject)", data)
    theta = np.insert(smaller._reading.state.theta, 2, 0.0)
    at = fit._reading.maximum.criterion.evaluate(theta, Need(kinds=("observed",)))
    expected = at.score @ np.linalg.solve(at.information["observed"].matrix, at.score)
    assert fit.score_test("odd = 0").statistic == pytest.approx(expected, rel=1e-6)


def test_reml_has_no_profile_of_coefficients(reference):
    data, formula, _ = reference("sleepstudy_corr")
    fit = rp.glm(formula, data, criterion="reml")
    for ask in (lambda: fit.profile("Days"), lambda: fit.lr_test("Days = 0"), lambda: fit.conf_int(kind="profile")):
        with pytest.raises(ModelError, match="criterion: expected 'ml' for likelihood ratios and profiles"):
            ask()
