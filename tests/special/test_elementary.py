"""Safe functions against 60 digits of mpmath: values and derivatives, in the tails and across the joins."""

from __future__ import annotations

import jax
import mpmath as mp
import numpy as np
import pytest

from raphson.numeric import x64
from raphson.special import elementary

TAILS = np.array([-800.0, -745, -400, -100, -40, -37.6, -20, -8.3, -4.1, -3.9, -1, -0.7, -0.69, -1e-3, -1e-9])
EVERYWHERE = np.concatenate([TAILS, [0.0], -TAILS[::-1]])


def derivatives(function, x, order):
    """The function and its derivatives up to an order, as NumPy arrays."""

    def up(f):
        return lambda v: jax.jvp(f, (v,), (jax.numpy.ones_like(v),))[1]

    with x64():
        functions = [function]
        for _ in range(order):
            functions.append(up(functions[-1]))
        return [np.asarray(jax.jit(f)(x)) for f in functions]


def assert_digits(got, exact, x, tolerance=1e-12):
    for value, point in zip(got, x, strict=True):
        with mp.workdps(60 + int(2 * min(abs(point), 800))):
            truth = exact(mp.mpf(float(point)))
            if abs(truth) < mp.mpf("1e-305"):
                assert abs(value) < 1e-304, point
            elif abs(truth) > mp.mpf("1.79e308"):
                assert np.isinf(value) and (value > 0) == (truth > 0), point
            else:
                error = abs(mp.mpf(float(value)) - truth) / abs(truth)
                assert error < tolerance, f"at {point}: {value!r} is off by {float(error):.2e}"


def log_ndtr(x):
    return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2) if x < 3 else mp.log1p(-mp.erfc(x / mp.sqrt(2)) / 2)


def mills(x):
    return 2 * mp.npdf(x) / mp.erfc(-x / mp.sqrt(2))


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def excess(x):
    return mp.exp(x) / -mp.expm1(-mp.exp(x)) - 1


def slope(x):
    return mp.exp(x) / mp.expm1(mp.exp(x))


def mills_variance(x):
    return 1 - mills(x) * (x + mills(x))


# For each function: the points, and its exact value and derivatives. A derivative by autodiff of the
# value's formula fails here: expm1's is 0 at -40, log_ndtr's is off by 2e-6 at -20, cloglog's NaN at -800.
CASES = {
    "sigmoid": (EVERYWHERE, [sigmoid, lambda x: sigmoid(x) * sigmoid(-x)]),
    "softplus": (EVERYWHERE, [lambda x: mp.log1p(mp.exp(x)), sigmoid, lambda x: sigmoid(x) * sigmoid(-x)]),
    "log1m_exp": (
        TAILS,
        [
            lambda x: mp.log(-mp.expm1(x)) if x > -1 else mp.log1p(-mp.exp(x)),
            lambda x: -1 / mp.expm1(-x),
            lambda x: -mp.exp(-x) / mp.expm1(-x) ** 2,
        ],
    ),
    "log_ndtr": (EVERYWHERE, [log_ndtr, mills, lambda x: -mills(x) * (x + mills(x))]),
    "mills_gap": (EVERYWHERE, [lambda x: x + mills(x), mills_variance]),
    "ndtr": (EVERYWHERE, [lambda x: mp.erfc(-x / mp.sqrt(2)) / 2, mp.npdf, lambda x: -x * mp.npdf(x)]),
    "gumbel_distribution": (
        EVERYWHERE,
        [
            lambda x: -mp.expm1(-mp.exp(x)),
            lambda x: mp.exp(x - mp.exp(x)),
            lambda x: mp.exp(x - mp.exp(x)) * (1 - mp.exp(x)),
        ],
    ),
    "log_gumbel": (
        EVERYWHERE,
        [lambda x: mp.log(-mp.expm1(-mp.exp(x))), slope, lambda x: -slope(x) * excess(x)],
    ),
    "gumbel_excess": (EVERYWHERE, [excess, lambda x: mp.exp(x) - slope(x) * excess(x)]),
    "gumbel_reciprocal": (
        EVERYWHERE,
        [
            lambda x: 1 / -mp.expm1(-mp.exp(x)),
            lambda x: slope(x) / mp.expm1(-mp.exp(x)),
            lambda x: slope(x) * (slope(x) + excess(x)) / -mp.expm1(-mp.exp(x)),
        ],
    ),
    "log_cauchy": (
        EVERYWHERE,
        [
            lambda x: mp.log(mp.atan2(1, -x) / mp.pi),
            lambda x: 1 / ((1 + x * x) * mp.atan2(1, -x)),
        ],
    ),
    "cauchy_reciprocal": (
        EVERYWHERE,
        [
            lambda x: mp.pi / mp.atan2(1, -x),
            lambda x: -mp.pi / ((1 + x * x) * mp.atan2(1, -x) ** 2),
            lambda x: 2 * mp.pi * (1 + x * mp.atan2(1, -x)) / ((1 + x * x) ** 2 * mp.atan2(1, -x) ** 3),
        ],
    ),
    "log1m_reciprocal": (
        1 - TAILS,
        [lambda x: mp.log1p(-1 / x), lambda x: 1 / (x * (x - 1)), lambda x: -(2 * x - 1) / (x * (x - 1)) ** 2],
    ),
    "log1m_reciprocal_root": (
        1 - TAILS,
        [lambda x: mp.log1p(-1 / mp.sqrt(x)), lambda x: 1 / (2 * x * (mp.sqrt(x) - 1))],
    ),
    "log1m_square": (
        np.array([1e-9, 1e-3, 0.3, 0.5, 0.51, 0.9, 0.999999]),
        [
            lambda x: mp.log1p(-x * x),
            lambda x: -2 * x / (1 - x * x),
            lambda x: -2 * (1 + x * x) / (1 - x * x) ** 2,
        ],
    ),
    "log1p_unit": (np.array([0.0, 1e-300, 1e-9, 0.1, 0.414, 0.9, 1.0]), [mp.log1p]),
}


@pytest.mark.parametrize("name", CASES)
def test_tails(name):
    points, exact = CASES[name]
    for got, truth in zip(derivatives(getattr(elementary, name), points, len(exact) - 1), exact, strict=True):
        assert_digits(got, truth, points)


def test_third_derivatives_are_finite_and_close_in_the_middle():
    x = np.linspace(-6, 3, 19)
    for name in ("softplus", "log_ndtr", "log_gumbel", "log_cauchy"):
        _, _, second, third = derivatives(getattr(elementary, name), np.concatenate([x, x + 1e-5, x - 1e-5]), 3)
        third, ahead, behind = third[:19], second[19:38], second[38:]
        np.testing.assert_allclose(third, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-8)


def test_the_chebyshev_series_of_the_mills_ratio():
    # A wrong coefficient shows here; the tails above show a series that is too short.
    def gap(x):
        return 1 / (mp.sqrt(mp.pi / 2) * mp.erfc(x / mp.sqrt(2)) * mp.exp(x * x / 2)) - x

    with mp.workdps(60):
        n = 60
        angles = [mp.pi * (j + mp.mpf(1) / 2) / n for j in range(n)]
        points = [4 * (1 + mp.cos(a)) / (1 - mp.cos(a)) for a in angles]
        # beyond x = 40 by Laplace's continued fraction: the definition would need thousands of digits
        values = []
        for x in points:
            if x < 40:
                with mp.workdps(60 + int(x * x)):
                    values.append(gap(x) * (x + 4))
                continue
            tail = mp.mpf(0)
            for k in range(300, 0, -1):
                tail = k / (x + tail)
            values.append(tail * (x + 4))
        for i, coefficient in enumerate(elementary._GAP_SERIES):
            exact = (2 if i else 1) * sum(v * mp.cos(i * a) for v, a in zip(values, angles, strict=True)) / n
            assert abs(coefficient - exact) < 1e-17 + 2e-16 * abs(exact)


@pytest.mark.parametrize("xp", [np, jax.numpy])
def test_log1p_gap(xp):
    t = np.array([-0.999, -0.5, -0.2001, -0.1999, -1e-3, -1e-9, 0.0, 1e-12, 1e-3, 0.1999, 0.2001, 3.0, 1e9])
    with x64():
        got = np.asarray(elementary.log1p_gap(t, xp))
    assert got[6] == 0
    keep = t != 0
    assert_digits(got[keep], lambda x: x - mp.log1p(x), t[keep], 1e-14)


def test_times_leaves_out_a_term_of_factor_zero():
    with x64():
        products = jax.jit(elementary.times)(np.array([0.0, 2.0]), np.array([-np.inf, 3.0]))
        assert np.asarray(products).tolist() == [0.0, 6.0]


def test_an_argument_that_does_not_vary_contributes_nothing():
    @elementary.with_derivatives(lambda x, a: a * x, lambda x, a: np.inf * x)
    def half_square(x, a):
        return 0.5 * a * x * x

    with x64():
        x = np.array([3.0])
        _, tangent = jax.jvp(lambda v: half_square(v, np.array([2.0])), (x,), (np.ones(1),))
        assert np.asarray(tangent).tolist() == [6.0]


@pytest.mark.parametrize("ratio", [1e-300, 1e-17, 1e-8, 0.3, 0.5, 0.9, 1.0 - 1e-9, 1.0, 1.1, 3.0, 1e17])
def test_ratio_gap_against_many_digits(ratio):
    for b in (1e-7, 3.0):
        a = ratio * b
        with mp.workdps(60):
            t = mp.mpf(a) / mp.mpf(b)
            expected = float(t - 1 - mp.log(t))
        np.testing.assert_allclose(
            float(elementary.ratio_gap(np.float64(a), np.float64(b))), expected, rtol=1e-9, atol=1e-22
        )
