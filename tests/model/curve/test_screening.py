from __future__ import annotations

import numpy as np
import pytest

from raphson.data.curves import parse_curve
from raphson.model.curve.nonlinear import NonlinearPredictor
from raphson.model.curve.screening import ROWS, Screen
from raphson.model.curve.written import curve_derivatives

CURVE = parse_curve("a*exp(-k*x) + b + c*log(m + x)", ["x"], "formula")
NAMES = ("a", "k", "b", "c", "m")


def screen(n: int, linear: list[bool]) -> tuple[Screen, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    x, y, weight = np.linspace(0, 4, n), random.normal(size=n), random.integers(0, 3, n).astype(float)
    predictor = NonlinearPredictor(curve_derivatives(CURVE, ("x",), NAMES), 5, True)
    return Screen(predictor, x[:, None], y, weight, np.array(linear)), x, y, weight


POINTS = np.array([[1.0, 0.5, 0.2, 0.3, 1.0], [2.0, 3.0, -1.0, 0.1, 0.5], [1.0, 1.0, 1.0, 1.0, -1.0]])


def test_sums_of_squares_after_projection() -> None:
    made, x, y, weight = screen(50, [True, False, True, True, False])
    root = np.sqrt(weight)
    found = made(POINTS)
    for theta, value in zip(POINTS[:2], found[:2], strict=True):
        design = np.column_stack([np.exp(-theta[1] * x), np.ones_like(x), np.log(theta[4] + x)])
        beta = np.linalg.lstsq(root[:, None] * design, root * y)[0]
        np.testing.assert_allclose(value, np.sum((root * (y - design @ beta)) ** 2), rtol=1e-10)
    assert not np.isfinite(found[2])  # log of a negative number


def test_sums_of_squares_without_projection() -> None:
    made, x, y, weight = screen(50, [False] * 5)
    a, k, b, c, m = POINTS[0]
    expected = np.sum(weight * (y - a * np.exp(-k * x) - b - c * np.log(m + x)) ** 2)
    np.testing.assert_allclose(made(POINTS[:1]), [expected], rtol=1e-12)


@pytest.mark.parametrize("n", [1000, 5000])
def test_of_many_rows_some_are_read(n) -> None:
    made, *_ = screen(n, [True, False, True, True, False])
    assert len(made.y) == ROWS[-1] and np.isfinite(made(POINTS)[:2]).all()


def test_a_staircase_of_rounding_is_no_candidate() -> None:
    curve = parse_curve("a*(1 - exp(-exp(c)*x))", ["x"], "formula")
    predictor = NonlinearPredictor(curve_derivatives(curve, ("x",), ("a", "c")), 2, True)
    x, y = np.array([3.0, 5, 10, 15, 20, 25]), np.array([3.93, 9.34, 26.08, 37.79, 48.31, 56.43])
    made = Screen(predictor, x[:, None], y, np.ones(6), np.array([True, False]))
    found = made(np.array([[1.0, -4.8], [1.0, -15.0], [1.0, -37.5]]))
    assert np.isfinite(found[:2]).all() and not np.isfinite(found[2])


def test_data_on_the_curve_are_not_rounding() -> None:
    x = np.linspace(0, 4, 50)
    y = 2 * np.exp(-0.5 * x) + 1 - 0.3 * np.log(1 + x)
    predictor = NonlinearPredictor(curve_derivatives(CURVE, ("x",), NAMES), 5, True)
    made = Screen(predictor, x[:, None], y, np.ones(50), np.array([True, False, True, True, False]))
    assert made(POINTS[:1])[0] < 1e-24
