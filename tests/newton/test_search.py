from __future__ import annotations

import numpy as np
import pytest

from raphson.model.objective import Evaluation
from raphson.newton.search import acceptable, backtracking, value_noise, wolfe

ONE = np.array([1.0])


def evaluation(x, value, slope, rows=1):
    return Evaluation(np.array([float(x)]), value, np.array([slope]), {}, 1.0, -1.0, rows)


def along(value, slope):
    """An objective of one parameter, which remembers where it was asked."""
    asked = []

    def evaluate(theta):
        asked.append(float(theta[0]))
        return evaluation(theta[0], value(theta[0]), slope(theta[0]))

    return evaluate, asked


PARABOLA = along(lambda x: -((x - 1) ** 2), lambda x: -2 * (x - 1))[0]


def test_the_full_step_is_tried_first_and_taken():
    evaluate, asked = along(lambda x: -((x - 1) ** 2), lambda x: -2 * (x - 1))
    found = backtracking(evaluate, evaluate(np.zeros(1)), ONE, 2.0)
    assert found.size == 1.0 and asked == [0.0, 1.0]


def test_too_long_a_step_is_halved():
    found = backtracking(PARABOLA, PARABOLA(np.zeros(1)), 8 * ONE, 16.0)
    assert found.size == 0.125 and found.evaluation.theta[0] == 1.0


def test_a_point_outside_the_domain_is_passed_over():
    evaluate, _ = along(lambda x: -((x - 1) ** 2) if x < 3 else -np.inf, lambda x: -2 * (x - 1) if x < 3 else np.nan)
    found = backtracking(evaluate, evaluate(np.zeros(1)), 4 * ONE, 8.0)
    assert found.size <= 0.5 and found.evaluation.finite


def test_no_point_is_good_enough():
    # The slope says up, the value goes down.
    evaluate, asked = along(lambda x: -abs(x), lambda x: 1.0)
    assert backtracking(evaluate, evaluate(np.zeros(1)), ONE, 1.0) is None
    assert len(asked) < 100


def test_a_rise_too_small_for_the_slope_is_refused():
    here = evaluation(0, 0.0, 1.0)
    assert not acceptable(here, evaluation(1, 1e-5, 0.5), 1.0, 1.0, ONE)
    assert acceptable(here, evaluation(1, 1e-3, 0.5), 1.0, 1.0, ONE)


def test_once_the_value_is_only_rounding_the_slope_decides():
    # ℓ = −1e6, of which 1e-9 is rounding: a fall by 1e-10 says nothing, the slope everything.
    here = evaluation(0, -1e6, 1e-3)
    assert value_noise(here) > 1e-10
    assert acceptable(here, evaluation(1, -1e6 - 1e-10, 1e-6), 1.0, 1e-3, ONE)
    assert not acceptable(here, evaluation(1, -1e6 + 1e-10, -2e-3), 1.0, 1e-3, ONE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_accepted(value):
    assert not acceptable(evaluation(0, 0.0, 1.0), evaluation(1, value, 0.0), 1.0, 1.0, ONE)
    assert not acceptable(evaluation(0, 0.0, 1.0), evaluation(1, 1.0, value), 1.0, 1.0, ONE)


@pytest.mark.parametrize("length", [1e-3, 0.3, 1.0, 3.0, 500.0])
def test_wolfe_mends_the_length_of_a_step(length):
    # Whatever the length of the step proposed, the slope at the end is at most half that at the start.
    found = wolfe(PARABOLA, PARABOLA(np.zeros(1)), length * ONE, 2.0 * length)
    assert abs(found.evaluation.score[0]) <= 0.5 * 2.0


def test_wolfe_on_a_curve_that_flattens():
    evaluate, _ = along(lambda x: np.tanh(x) - 0.01 * x * x, lambda x: 1 / np.cosh(x) ** 2 - 0.02 * x)
    found = wolfe(evaluate, evaluate(np.zeros(1)), 0.01 * ONE, 0.01)
    assert abs(found.evaluation.score[0]) <= 0.5


def test_wolfe_stays_in_the_domain():
    evaluate, _ = along(
        lambda x: np.log1p(-x) + 5 * x if x < 1 else -np.inf, lambda x: -1 / (1 - x) + 5 if x < 1 else np.nan
    )
    found = wolfe(evaluate, evaluate(np.zeros(1)), 10 * ONE, 40.0)
    assert 0 < found.evaluation.theta[0] < 1
    assert abs(found.evaluation.score[0]) <= 2.0


def test_wolfe_finds_nothing_downhill():
    evaluate, asked = along(lambda x: -abs(x), lambda x: 1.0)
    assert wolfe(evaluate, evaluate(np.zeros(1)), ONE, 1.0) is None
    assert len(asked) <= 42


def test_a_step_far_out_on_a_plateau_gives_way_to_a_shorter_one():
    # The full step rises to the plateau at 1, by a 384th of what the slope promised; nearer by there is more.
    evaluate, _ = along(lambda x: 1 + (5 * x - 1) * np.exp(-x), lambda x: (6 - 5 * x) * np.exp(-x))
    found = backtracking(evaluate, evaluate(np.zeros(1)), 64 * ONE, 64 * 6.0)
    assert found.size * 64 == 4.0
