"""The last step of an iteration over many rows, which a part of them judges."""

from dataclasses import replace

import numpy as np
import pytest

import raphson as rp
from raphson.data import from_arrays
from raphson.execute import serial
from raphson.model import families
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.objective import DerivedObjective, Need
from raphson.newton.part import Part, final_step
from raphson.newton.solve import direction

ROWS, EVERY = 40_000, 8


def model(family, y, X, **more):
    return GeneralisedLinearModel.of(from_arrays(y, X, **more), family, "precision", None, serial())


def counts():
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(ROWS), rng.normal(size=(ROWS, 3))])
    return rng.poisson(np.exp(X @ [0.1, 0.4, -0.3, 0.2])).astype(float), X


def maximum(objective):
    """By plain Newton, and the standard errors there."""
    theta = np.zeros(objective.n_params)
    for _ in range(20):
        here = objective.evaluate(theta, Need(("expected",)))
        theta = theta + np.linalg.solve(here.information["expected"].matrix, here.score)
    return theta, np.sqrt(np.linalg.inv(here.information["expected"].matrix).diagonal())


def near(distance):
    """A Poisson model, its part, and an evaluation so many standard errors from the maximum."""
    y, X = counts()
    objective, part = model(families.Poisson(), y, X).objective, model(families.Poisson(), y[::EVERY], X[::EVERY])
    theta, se = maximum(objective)
    here = objective.evaluate(theta + 0.5 * distance * se, Need(("expected",)))
    found = direction(here.information["expected"], here.score, np.ones(4, dtype=bool))
    return objective, Part(part.objective, EVERY), here, found, theta, se


def test_the_part_corrects_what_a_newton_step_leaves_and_carries_the_information():
    objective, part, here, found, theta, se = near(1.0)
    carried = final_step(part, objective, here, found.step, found.factor, "expected")
    plain = np.abs((here.theta + found.step - theta) / se).max()
    corrected = np.abs((carried.there.theta - theta) / se).max()
    assert 0.5 * carried.left < plain < carried.left and corrected < 0.1 * plain
    exact = objective.evaluate(theta, Need(("expected",)))
    assert carried.there.value == pytest.approx(exact.value, abs=0.01 * (exact.value - here.value))
    gaps = [
        np.abs(np.diag(one.information["expected"].matrix) / np.diag(exact.information["expected"].matrix) - 1)
        for one in (here, carried.there)
    ]
    assert gaps[1].max() < 0.1 * gaps[0].max()
    assert carried.rows == 2 * part.objective.n_rows


def test_what_is_added_by_a_reading_is_read_for():
    _, part, here, found, _, _ = near(0.1)
    inner = part.objective
    assert final_step(part, DerivedObjective(inner), here, found.step, found.factor, "expected") is None


def test_a_part_that_curves_otherwise_than_the_whole_is_not_believed():
    objective, part, here, found, _, _ = near(0.1)
    assert final_step(part, objective, here, found.step, found.factor, "expected") is not None
    assert final_step(Part(part.objective, 2.0 * EVERY), objective, here, found.step, found.factor, "expected") is None


@pytest.mark.parametrize("other", [{"dispersion": 2.0}, {"pearson": 3.0}], ids=str)
def test_what_changes_by_a_share_of_the_distance_is_evaluated(other):
    objective, part, here, found, _, _ = near(0.1)
    assert final_step(part, objective, replace(here, **other), found.step, found.factor, "expected") is None


@pytest.fixture(scope="module")
def large():
    rng = np.random.default_rng(2)
    n = 100_000
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 4)), rng.exponential(size=n)])
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-X @ [0.3, -0.5, 0.4, 0.2, -0.2, 0.3]))).astype(float)
    return y, X


@pytest.mark.parametrize(
    "more",
    [{}, {"weights": 1.0 + np.arange(100_000) % 3}, {"offset": np.linspace(-1, 1, 100_000)}, {"penalty": 50.0}],
    ids=["plain", "weights", "offset", "penalty"],
)
@pytest.mark.parametrize("link", ["logit", "probit"])
def test_the_last_reading_is_spared_and_the_maximum_is_that_of_all_readings(large, more, link):
    family = rp.families.Binomial(link)
    quick, whole = (
        rp.glm(*large, family=family, tol=tol, rows=rows, **more) for tol, rows in ((1e-8, "part"), (1e-12, "all"))
    )
    assert quick.path["solver"].iloc[-1] == "part" and quick.converged and quick.distance <= 1e-9
    assert (abs(quick.params - whole.params) / whole.bse).max() < 1e-9
    assert (quick.bse / whole.bse - 1).abs().max() < 1e-7
    assert quick.llf == pytest.approx(whole.llf, rel=1e-14)
    assert quick.path["penalty"].iloc[-1] == pytest.approx(whole.path["penalty"].iloc[-1], rel=1e-10)


def test_a_smaller_tolerance_gives_more_digits_of_the_standard_errors(large):
    fit, whole = (
        rp.glm(*large, family="binomial", tol=tol, rows=rows) for tol, rows in ((1e-11, "part"), (1e-12, "all"))
    )
    assert fit.distance <= 1e-12
    assert (fit.bse / whole.bse - 1).abs().max() < 1e-10


def test_a_dispersion_and_a_few_heavy_rows_are_read_for(large):
    y, X = large
    assert "part" not in set(rp.glm(y, X, family="quasibinomial").path["solver"])
    X = X.copy()
    X[3, 4] = 3e3
    fit, whole = (rp.glm(y, X, family="binomial", tol=tol, rows=rows) for tol, rows in ((1e-8, "part"), (1e-12, "all")))
    assert (abs(fit.params - whole.params) / whole.bse).max() < 1e-8
    assert (fit.bse / whole.bse - 1).abs().max() < 1e-6
