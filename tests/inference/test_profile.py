"""The profiler: Newton's ends and Brent's meet, infinite ends, better maxima, functions."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special

import raphson as rp
from raphson.fit.functions import Profile
from raphson.fit.reference import reference_of
from raphson.inference.functions import Combinations, ParameterFunction
from raphson.inference.profile import Padded, Profiler
from raphson.model.objective import VALUE, Evaluation, Gram, Need, Objective

REACH = float(special.ndtri(0.975))


def profiler(fit, function, n_params=None, scale=1.0):
    ground = reference_of(fit._reading)
    wrapped = Padded(function, len(fit.names), len(ground.theta))
    linear = isinstance(function, Combinations)
    estimate = float(function.value(ground.theta[: len(fit.names)])[0])
    return Profiler(
        ground.objective, ground.theta, ground.top, ground.free, wrapped, linear, estimate, scale, fit.dispersion
    )


def single(p, j):
    row = np.zeros((1, p))
    row[0, j] = 1.0
    return Combinations(row, np.zeros(1), ["one"])


@pytest.fixture(scope="module")
def poisson(sample):
    return rp.glm(sample.count, sample.X, family="poisson", names=["one", "x", "z"])


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("j", [0, 1, 2])
def test_newton_and_brent_meet(poisson, side, j):
    found = profiler(poisson, single(3, j), scale=poisson.bse.iloc[j])
    newton, brent = found._newton(side, REACH), found._bracket(side, REACH)
    assert newton[0] == pytest.approx(brent[0], abs=1e-9 * poisson.bse.iloc[j])
    # At the end the other parameters are at their maximum, and the likelihood has fallen by half the quantile.
    here = found.objective.evaluate(newton[1])
    assert 2 * (found.top - here.value) == pytest.approx(REACH**2, rel=1e-10)
    assert np.abs(np.delete(here.score, j)).max() < 1e-6
    assert found.better is None


def test_two_parameters_by_brute_force(sample):
    fit = rp.glm(sample.binary, sample.X[:, :2], family="binomial", names=["one", "x"])

    def loss(one, x):
        eta = one + x * sample.x
        return float(np.sum(np.logaddexp(0, eta) - sample.binary * eta))

    best = loss(*fit.params)

    def drop(x):
        return 2 * (optimize.minimize_scalar(lambda one: loss(one, x), tol=1e-12).fun - best) - REACH**2

    estimate, se = fit.params["x"], fit.bse["x"]
    lower, upper = fit.profile("x").interval()
    assert lower == pytest.approx(optimize.brentq(drop, estimate - 5 * se, estimate, xtol=1e-13), rel=1e-7)
    assert upper == pytest.approx(optimize.brentq(drop, estimate, estimate + 5 * se, xtol=1e-13), rel=1e-7)


def test_a_transformation_transforms_the_ends(poisson):
    plain = poisson.profile("x").interval(0.9)
    np.testing.assert_allclose(poisson.profile(lambda p: jnp.exp(p["x"])).interval(0.9), np.exp(plain), rtol=1e-9)
    np.testing.assert_allclose(poisson.profile(lambda p: -(p["x"] ** 3)).interval(0.9), -(plain[::-1] ** 3), rtol=1e-9)
    np.testing.assert_allclose(poisson.profile("2*x - 1").interval(0.9), 2 * plain - 1, rtol=1e-9)


def test_a_ratio_is_where_the_linear_test_accepts(poisson):
    profile = poisson.profile(lambda p: p["z"] / p["x"])
    for end in profile.interval(0.9):
        assert poisson.lr_test({"z": 1.0, "x": -end}).p_value == pytest.approx(0.1, rel=1e-8)


def test_a_ratio_whose_denominator_may_be_zero_has_no_ends():
    births = rp.datasets.load("births")
    fit = rp.glm("low ~ age + lwt", births, family="binomial")
    # lwt = 0 is accepted at 0.99 and refused at 0.9: by Fieller's argument the ratio's interval is unbounded.
    assert 0.01 < fit.lr_test("lwt = 0").p_value < 0.1
    profile = fit.profile(lambda p: p["age"] / p["lwt"])
    assert np.isfinite(profile.interval(0.9)).all()
    assert np.isinf(profile.interval(0.999)).all()


def test_brent_takes_over_where_newton_fails(poisson):
    found = profiler(poisson, single(3, 1), scale=poisson.bse.iloc[1])
    expected = found.end(1, REACH)[0]
    found._newton = lambda side, reach: None  # type: ignore[method-assign]
    assert found.end(1, REACH)[0] == pytest.approx(expected, rel=1e-9)


def test_an_unknown_quantile_gives_no_end(poisson):
    found = profiler(poisson, single(3, 1))
    assert math.isnan(found.end(1, math.nan)[0])


def test_a_likelihood_that_levels_off_has_an_infinite_end():
    # y = a (1 − exp(−b x)) beyond its bend: as b grows the curve becomes the constant a.
    x = np.array([1.0, 2.0, 3.0, 4.0])
    y = np.array([2.0, 2.1, 1.9, 2.05])
    fit = rp.nls("y ~ a*(1 - exp(-b*x))", {"x": x, "y": y}, start={"a": 2.0, "b": 4.0})
    lower, upper = fit.profile("b").interval(0.9)
    assert upper == math.inf and 0 < lower < 4.0


class TwoHills(Objective):
    """ℓ = log(e^{−½|θ − m|²} + 2 e^{−½|θ + m|²}): the lower hill at m, the higher one at −m."""

    n_params, n_rows, linear = 2, 10, True
    top = np.array([2.5, 2.5])

    def evaluate(self, theta, need=VALUE):
        logs = np.array([-0.5 * np.sum((theta - self.top) ** 2), np.log(2) - 0.5 * np.sum((theta + self.top) ** 2)])
        value = np.logaddexp(*logs)
        share = np.exp(logs - value)
        pull = (share[0] - share[1]) * self.top
        M = np.eye(2) - 4 * share[0] * share[1] * np.outer(self.top, self.top)
        parts = {kind: Gram(M) for kind in need.kinds}
        return Evaluation(theta, float(value), pull - theta, parts, 1.0, 0.0, 10)


def test_a_better_maximum_is_told_and_offered():
    objective = TwoHills()
    theta = objective.top
    for _ in range(20):
        here = objective.evaluate(theta, Need(kinds=("observed",)))
        theta = theta + np.linalg.solve(here.information["observed"].matrix, here.score)
    function = Padded(single(2, 0), 2, 2)
    free = np.ones(2, dtype=bool)
    profiler = Profiler(objective, theta, here.value, free, function, True, float(theta[0]), 1.0)
    profile = Profile("a", 1.0, profiler, ("a", "b"), None)
    assert profile.better is None
    with pytest.warns(rp.ConvergenceWarning, match=r"better maximum .*start=profile\.better"):
        profile.interval(1 - 7e-6)
    assert profile.better is not None and (profile.better < 0).all()
    assert objective.evaluate(profile.better.to_numpy()).value > here.value


def test_functions_of_all_parameters_stay_on_their_curve(poisson):
    found = profiler(poisson, ParameterFunction(lambda p: p["x"] * p["z"], poisson.names))
    point = found.at(found.estimate * 1.5)
    assert point.theta[1] * point.theta[2] == pytest.approx(found.estimate * 1.5, rel=1e-9)
    assert found.root(point, found.estimate * 1.5) < 0 or found.estimate > 0


def test_an_end_where_the_likelihood_falls_at_once_is_told_of():
    class Cut(Objective):
        """−x² up to x = 1, and −∞ beyond."""

        n_params = n_rows = 1

        def evaluate(self, theta, need=None):
            value = -float(theta[0] ** 2) if theta[0] < 1.0 else -np.inf
            return Evaluation(theta, value, -2.0 * theta, {"observed": Gram(2.0 * np.eye(1))}, 1.0, 0.0, 1)

    function = Combinations(np.ones((1, 1)), np.zeros(1), ("x",))
    profiler = Profiler(Cut(), np.zeros(1), 0.0, np.ones(1, bool), function, True, 0.0, 1.0)
    upper, _ = profiler.end(1, 1.96)
    lower, _ = profiler.end(-1, 1.96)
    assert lower == pytest.approx(-1.96 / np.sqrt(2)) and upper == pytest.approx(1.0, abs=1e-9)
    assert len(profiler.warnings) == 1 and profiler.warnings[0].startswith(
        "the upper end: the log-likelihood jumps there"
    )
