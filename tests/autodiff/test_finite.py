from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special

from raphson.autodiff.finite import differentiate, jacobian, noise_level
from raphson.errors import ModelError

SMOOTH: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], float]] = {
    "exp": (np.exp, np.exp, 1.0),
    "far from zero": (np.sin, np.cos, 1e6),
    "fast": (lambda x: np.sin(1e6 * x), lambda x: 1e6 * np.cos(1e6 * x), 0.0),
    "near zero": (lambda x: np.sin(x + 1.0), lambda x: np.cos(x + 1.0), 1e-12),
    "a tiny parameter": (np.log, lambda x: 1.0 / x, 1e-8),
    "a rate": (lambda x: 500.0 * (1.0 - np.exp(-100.0 * x)), lambda x: 5e4 * np.exp(-100.0 * x), 1e-4),
    "lgamma": (special.gammaln, special.digamma, 3.3),
    "near the edge of the domain": (np.sqrt, lambda x: 0.5 / np.sqrt(x), 1e-3),
    "steep": (lambda x: np.tanh(100.0 * (x - 3.0)), lambda x: 100.0 / np.cosh(100.0 * (x - 3.0)) ** 2, 3.001),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_nine_digits_and_an_honest_error(name: str) -> None:
    f, slope, x = SMOOTH[name]
    J, error = jacobian(lambda v: f(v[0]), [x])
    true = float(slope(x))
    assert abs(J[0] - true) <= 1e-9 * abs(true)
    assert abs(J[0] - true) <= error[0] <= 1e-7 * abs(true)


@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(0.1, 5.0), st.floats(-6, 6))
@example(1e-9, 1.4375, 5.0)
def test_any_scale(x: float, rate: float, power: float) -> None:
    size = 10.0**power
    J, error = jacobian(lambda v: np.exp(-rate * v[0] / size), [x * size])
    true = -rate / size * np.exp(-rate * x)
    known = abs(x) > 0.01  # 0 says nothing of the scale, which is then searched for
    assert abs(J[0] - true) <= (1e-9 if known else 1e-6) * abs(true)
    assert error[0] <= (1e-7 if known else 1e-5) * abs(true)


def test_residuals_of_a_curve() -> None:
    t = np.linspace(0.0, 1.0, 50)
    J, error = jacobian(lambda b: b[0] * (1.0 - np.exp(-b[1] * t)), [2.0, 3.0])
    exact = np.stack([1.0 - np.exp(-3.0 * t), 2.0 * t * np.exp(-3.0 * t)], axis=-1)
    assert J.shape == error.shape == (50, 2)
    np.testing.assert_allclose(J, exact, atol=2e-12)


def test_the_noise_is_measured() -> None:
    def rounded(v: np.ndarray) -> Any:
        return np.float64(np.float32(np.exp(v[0])))

    assert 1e-8 < noise_level(rounded, np.array([1.0])) < 1e-6
    assert noise_level(lambda v: np.exp(v[0]), np.array([1.0])) < 1e-15
    found = differentiate(rounded, [1.0])
    # Coarse steps show from further away.
    assert 0.1 < noise_level(lambda v: np.round(3.0 * v[0]), np.array([1.1])) < 1.0
    # Steps suited to the noise: with those for doubles the error would be about 1e-4.
    assert abs(found.value[0] - np.e) < 1e-5
    assert abs(found.value[0] - np.e) < found.error[0] < 5e-5
    assert found.step[0] > 0.01


def test_the_number_of_calls_is_modest() -> None:
    calls = []
    found = differentiate(lambda v: calls.append(1) or np.exp(v.sum()), np.ones(5))
    assert found.evaluations == len(calls) <= 10 + 12 * 5
    assert differentiate(lambda v: np.exp(v.sum()), np.ones(5), noise=1e-15).evaluations <= found.evaluations - 8


def test_bounds_are_kept_and_reached() -> None:
    seen = []

    def f(v: np.ndarray) -> Any:
        seen.append(v.copy())
        return np.exp(v[0]) * v[1] ** 1.5

    x = np.array([1.0, 2.0])
    J, _ = jacobian(f, x, bounds=([1.0, -np.inf], [np.inf, 2.0]), noise=1e-16)
    np.testing.assert_allclose(J, [np.e * 2.0**1.5, np.e * 1.5 * 2.0**0.5], rtol=1e-8)
    assert min(v[0] for v in seen) >= 1.0 and max(v[1] for v in seen) <= 2.0
    with pytest.raises(ModelError, match=r"x\[0\] = 3 is outside"):
        jacobian(f, [3.0, 1.0], bounds=([0.0, 0.0], [2.0, 2.0]))


def test_bounds_are_kept_while_the_noise_is_measured() -> None:
    seen = []

    def f(v: np.ndarray) -> Any:
        seen.append(v.copy())
        return math.sqrt(v[0]) ** 3 + math.log(v[1]) + v[2]

    found = differentiate(f, [0.0, 2.0, 1.0], bounds=([0.0, 1.0, 1.0], [1.0, 2.0, 1.0]))
    assert found.value[1] == pytest.approx(0.5, rel=1e-6) and abs(found.value[0]) < 1e-3
    low, high = np.min(seen, axis=0), np.max(seen, axis=0)
    assert (low >= [0.0, 1.0, 1.0]).all() and (high <= [1.0, 2.0, 1.0]).all()


def test_an_error_of_arithmetic_is_the_edge_of_the_domain() -> None:
    found = differentiate(lambda v: math.log(v[0]), [1e-3])
    assert abs(found.value.item() - 1e3) < found.error.item() < 1e-3
    found = differentiate(lambda v: 1.0 / max(v[0], 0.0) if v[0] > 0 else 1 / 0, [0.5])
    assert found.value.item() == pytest.approx(-4.0, rel=1e-9)
    with pytest.raises(ValueError, match="math domain"):
        differentiate(lambda v: math.log(v[0]), [-1.0])
    with pytest.raises(ValueError, match="another"):
        differentiate(lambda v: (_ for _ in ()).throw(ValueError("another")) if v[0] != 1.0 else v[0], [1.0])


def test_one_side_where_the_other_is_no_number() -> None:
    J, _ = jacobian(lambda v: np.sqrt(v[0]) ** 3 + v[0], [0.0])
    assert J[0] == pytest.approx(1.0, abs=1e-5)


def test_not_finite_is_nan_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    J, error = jacobian(lambda v: np.log(v), [-1.0, 2.0])
    assert J.shape == (2, 2) and np.isnan(J).all() and np.isnan(error).all() and not recwarn.list


def test_a_direction_without_effect() -> None:
    J, error = jacobian(lambda v: np.sin(v[0]), [1.0, 2.0])
    assert J[1] == 0.0 and error[1] < 1e-10


def test_higher_orders() -> None:
    def f(v: np.ndarray) -> Any:
        return np.exp(v[0] * v[1]) + v[0] ** 4

    x, y = 0.5, 1.2
    e = np.exp(x * y)
    H = [[y * y * e + 12 * x * x, e * (1 + x * y)], [e * (1 + x * y), x * x * e]]
    found = differentiate(f, [x, y], order=2)
    np.testing.assert_allclose(found.value, H, rtol=1e-9)
    assert (np.abs(found.value - H) <= found.error).all()
    third = differentiate(f, [x, y], order=3).value
    assert third.shape == (2, 2, 2) and third[0, 0, 0] == pytest.approx(y**3 * e + 24 * x, rel=1e-7)
    np.testing.assert_allclose(third, third.transpose(2, 0, 1))


ANY: list[tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any]]] = [
    (np.exp, np.exp, np.exp),
    (np.sin, np.cos, lambda x: -np.sin(x)),
    (np.log, lambda x: 1 / x, lambda x: -1 / x**2),
    (np.sqrt, lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    (special.gammaln, special.digamma, lambda x: special.polygamma(1, x)),
    (lambda x: x**3 - 2 * x, lambda x: 3 * x**2 - 2, lambda x: 6 * x),
    (lambda x: np.logaddexp(0, x), special.expit, lambda x: special.expit(x) * special.expit(-x)),
    (
        lambda x: np.sin(30 * x) * x,
        lambda x: np.sin(30 * x) + 30 * x * np.cos(30 * x),
        lambda x: 60 * np.cos(30 * x) - 900 * x * np.sin(30 * x),
    ),
    (
        lambda x: np.tanh(5 * (x - 1)),
        lambda x: 5 / np.cosh(5 * (x - 1)) ** 2,
        lambda x: -50 * np.tanh(5 * (x - 1)) / np.cosh(5 * (x - 1)) ** 2,
    ),
    (special.j0, lambda x: -special.j1(x), lambda x: special.j1(x) / x - special.j0(x)),
]


def noisy(f: Callable[[Any], Any], noise: float) -> Callable[[Any], Any]:
    """Multiply by 1 + a normal number that is the same at the same x; rounded to single precision for noise 0."""

    def g(x: float) -> Any:
        if noise == 0.0:
            return np.float64(np.float32(f(x)))
        return f(x) * (1.0 + noise * np.random.default_rng(np.float64(x).view(np.uint64)).standard_normal())

    return g


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("noise", [None, 0.0, 1e-8, 1e-4])
def test_the_true_error_is_within_the_estimate(order: int, noise: float | None) -> None:
    points = np.random.default_rng(3).uniform(0.1, 3.0, 12)
    ratios = []
    for f, first, second in ANY:
        true = (first, second)[order - 1]
        g = f if noise is None else noisy(f, noise)
        for x in points:
            found = differentiate(lambda v, g=g: g(v[0]), [x], order=order)
            assert np.isfinite(found.value).all()
            ratios.append(abs(found.value.item() - true(x)) / found.error.item())
    assert np.mean(np.array(ratios) <= 1.0) >= 0.95
    # An estimate that is much too large would be no help.
    assert np.median(ratios) > 0.01


def test_few_digits_far_from_the_steps_between_them() -> None:
    # In single precision sin does not change at all over steps of 1e-7; the noise must not pass for none.
    f = noisy(np.sin, 0.0)
    found = differentiate(lambda v: f(v[0]), [0.182])
    assert found.noise > 1e-10 and abs(found.value[0] - np.cos(0.182)) < found.error[0] < 1e-4


def test_second_derivatives_keep_inside_the_domain() -> None:
    f = noisy(np.log, 1e-4)
    found = differentiate(lambda v: f(v[0]), [0.5], order=2)
    assert abs(found.value.item() + 4.0) < found.error.item()


def test_the_same_every_time() -> None:
    f = SMOOTH["lgamma"][0]
    assert jacobian(lambda v: f(v[0]), [1.3])[0] == jacobian(lambda v: f(v[0]), [1.3])[0]
