from __future__ import annotations

import numpy as np
from scipy import optimize

from raphson.data.curves import parse_curve
from raphson.model.curve.nonlinear import NonlinearPredictor
from raphson.model.curve.robust_screening import RobustScreen
from raphson.model.curve.written import curve_derivatives
from raphson.model.families.robust import preliminary_scale

X = np.linspace(0, 4, 40)
NAMES = ("a", "k", "b")
CURVE = parse_curve("a*exp(-k*x) + b", ["x"], "formula")
PREDICTOR = NonlinearPredictor(curve_derivatives(CURVE, ("x",), NAMES), 3, True)


def made(y: np.ndarray, weight: np.ndarray | None = None) -> RobustScreen:
    weight = np.ones(len(y)) if weight is None else weight
    return RobustScreen(PREDICTOR, X[:, None], y, weight, np.array([True, False, True]), seed=0)


def noisy() -> np.ndarray:
    y = 3 * np.exp(-X) + 1 + 0.05 * np.random.default_rng(0).normal(size=len(X))
    y[::4] += 50.0
    return y


def test_the_criterion_is_cauchys_at_its_best_scale() -> None:
    y = noisy()
    (theta,) = made(y).solved(np.array([[0.0, 1.0, 0.0]]))

    def minus(t):
        r = y - t[0] * np.exp(-X) - t[1]
        return np.sum(np.log1p(r**2 / np.exp(2 * t[2]))) + len(y) * t[2]

    best = optimize.minimize(minus, [3, 1, -3], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    np.testing.assert_allclose(theta[[0, 2]], best.x[:2], atol=0.02)
    assert best.fun <= made(y)(theta[None])[0] < best.fun + 0.5


def test_a_quarter_of_outliers_does_not_move_the_linear_parameters() -> None:
    (theta,) = made(noisy()).solved(np.array([[0.0, 1.0, 0.0]]))
    np.testing.assert_allclose(theta, [3, 1, 1], atol=0.15)


def test_rows_without_weight_do_not_count() -> None:
    y, weight = noisy(), np.ones(len(X))
    weight[::4] = 0.0
    with_them = made(np.where(weight > 0, y, 1e9), weight)(np.array([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0]]))
    without = made(np.where(weight > 0, y, 0.0), weight)(np.array([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0]]))
    np.testing.assert_allclose(with_them, without, rtol=1e-9)
    assert with_them[0] < with_them[1]


def test_the_preliminary_scale_is_sigma_for_normal_errors_and_holds_half_of_the_rows() -> None:
    r = 2.0 * np.random.default_rng(1).normal(size=20_000)
    np.testing.assert_allclose(preliminary_scale(r, 0), 2.0, rtol=0.02)
    assert preliminary_scale(np.r_[r[:60], np.full(39, 1e9)], 0) < 20
    assert preliminary_scale(np.r_[np.zeros(6), 1.0, 2.0], 2) == 0.0  # 5 of 8 rows would do: 2 are the parameters'
    size = preliminary_scale(r[:50], 3)
    t = np.minimum((r[:50] / (1.547 * size)) ** 2, 1)
    np.testing.assert_allclose(np.sum(1 - (1 - t) ** 3), 23.5, rtol=1e-9)
