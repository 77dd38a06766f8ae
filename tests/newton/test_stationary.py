"""Where an iteration stops with a score of zero and there is no maximum; the right values are by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from raphson.model.problem import Problem
from raphson.newton.estimate import Options, estimate
from raphson.newton.maximize import maximize
from raphson.newton.methods import METHODS
from raphson.newton.stationary import examined, higher
from raphson.status import Status


@dataclass
class Model(Problem):
    """An objective that begins where it is told."""

    objective: Any = None
    begin: Any = None
    concave: bool = False
    free: Any = None

    def start(self, need, plain=False):
        return self.objective.evaluate(self.begin, need)


@pytest.fixture
def inflection(toy):
    """ℓ = 50 (x³ − x⁴) − 50 y²: stationary at x = 0, where it is an inflection, and at its maximum, x = 3/4."""

    def make(sign=1.0):
        made = toy(
            lambda t: 50 * (sign * t[0] ** 3 - t[0] ** 4 - t[1] ** 2),
            lambda t: 50 * np.array([sign * 3 * t[0] ** 2 - 4 * t[0] ** 3, -2 * t[1]]),
            lambda t: 50 * np.diag([12 * t[0] ** 2 - sign * 6 * t[0], 2.0]),
            2,
        )
        made.at_limit = False
        return made

    return make


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_inflection_is_left_on_the_side_that_rises(inflection, sign):
    # From the other side Newton converges to 0, halving what is left.
    found = estimate(Model(inflection(sign), np.array([-0.3 * sign, 0.4])), Options(METHODS["newton"]))
    assert found.status is Status.CONVERGED
    np.testing.assert_allclose(found.result.theta, [0.75 * sign, 0.0], atol=1e-12)
    assert "left a stationary point" in found.note
    plain = maximize(inflection(sign), np.array([-0.3 * sign, 0.4]), METHODS["newton"])
    assert plain.status is Status.CONVERGED and abs(plain.theta[0]) < 1e-3


def test_a_saddle_met_by_symmetry_is_left(toy):
    # ℓ = x²/2 − x⁴/4 − (y − 1)²: with x = 0 exactly the score never tells of x.
    objective = toy(
        lambda t: 0.5 * t[0] ** 2 - 0.25 * t[0] ** 4 - (t[1] - 1) ** 2,
        lambda t: np.array([t[0] - t[0] ** 3, -2.0 * (t[1] - 1)]),
        lambda t: np.diag([3.0 * t[0] ** 2 - 1.0, 2.0]),
        2,
        expected=lambda t: np.diag([1.0, 2.0]),
    )
    objective.at_limit = False
    for method in ("fisher-scoring", "bhhh", "newton"):
        found = estimate(Model(objective, np.array([0.0, 3.0])), Options(METHODS[method]))
        assert found.status is Status.CONVERGED
        np.testing.assert_allclose(np.abs(found.result.theta), [1.0, 1.0], atol=1e-10)


def test_a_flat_maximum_stays(toy):
    # ℓ = −x⁴ − y²: singular there, and yet the maximum.
    objective = toy(
        lambda t: -(t[0] ** 4) - t[1] ** 2,
        lambda t: np.array([-4 * t[0] ** 3, -2 * t[1]]),
        lambda t: np.diag([12 * t[0] ** 2, 2.0]),
        2,
    )
    objective.at_limit = False
    found = estimate(Model(objective, np.array([1.0, 1.0])), Options(METHODS["newton"]))
    assert found.status.converged and found.note == ""
    assert abs(found.result.theta[0]) < 1e-2 and abs(found.result.theta[1]) < 1e-6


def test_nothing_is_read_where_the_information_is_well_conditioned_or_the_objective_concave(poisson, inflection):
    objective = poisson()
    objective.at_limit = False
    found = maximize(objective, np.zeros(3), METHODS["newton"])
    before = len(objective.asked)
    assert not examined(found, objective) and len(objective.asked) == before
    concave = Model(inflection(), np.array([-0.3, 0.4]), concave=True)
    assert abs(estimate(concave, Options(METHODS["newton"])).result.theta[0]) < 1e-3


def test_directions_and_what_they_are_curved_like(inflection):
    objective = inflection()
    end = maximize(objective, np.array([-0.3, 0.4]), METHODS["newton"])
    assert examined(end, objective)
    there, upwards = higher(end, objective)
    assert there is not None and 0.1 < there[0] < 1.0 and not upwards
