from __future__ import annotations

import numpy as np
import pytest

from raphson.checks.envelopes import SUSPECT, envelope, rank


def test_p_values_of_curves_of_the_model_are_uniform() -> None:
    # Bug that this catches: a verdict by the pointwise shade, which a curve of 20 points leaves two times in three.
    rng = np.random.default_rng(0)
    simulated = rng.normal(size=(499, 20)).cumsum(axis=1)
    p = np.array([envelope(one, simulated).p_value for one in rng.normal(size=(400, 20)).cumsum(axis=1)])
    assert np.mean(p < 0.1) == pytest.approx(0.1, abs=0.05)
    assert np.mean(p < SUSPECT) < 0.03


def test_one_far_point_is_found_and_named() -> None:
    rng = np.random.default_rng(1)
    curve = np.zeros(30)
    curve[17] = -7.0
    found = envelope(curve, rng.normal(size=(999, 30)))
    assert not found.passed and found.worst == 17 and found.outside.nonzero()[0].tolist() == [17]
    assert found.p_value == pytest.approx(0.001)


def test_what_never_varies_does_not_depart_by_rounding() -> None:
    assert envelope(np.full(3, 1e-14), np.zeros((200, 3)), least=0.01).p_value == 1.0
    assert envelope(np.full(3, 0.5), np.zeros((200, 3)), least=0.01).p_value < 0.01


def test_unknown_points_are_left_out() -> None:
    simulated = np.random.default_rng(2).normal(size=(200, 3))
    assert envelope(np.array([0.0, np.nan, 0.0]), simulated).passed
    simulated[3, 1] = np.nan
    assert np.isfinite(envelope(np.zeros(3), simulated).upper).all()


def test_rank_is_two_sided() -> None:
    simulated = np.random.default_rng(3).normal(size=999)
    assert rank(-9.0, simulated) == rank(9.0, simulated) == pytest.approx(0.002)
    assert rank(0.0, simulated) > 0.9
