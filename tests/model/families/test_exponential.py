"""Every family and link against mpmath: value, score, observed and expected information, eta from -800 to 800.

The reference multiplies and divides exact means, so that nothing overflows; it shares no formula with
the code. Errors are relative to the two terms of each number, the one with y and the one without: a score
may be nearly 0 because they cancel.
"""

from __future__ import annotations

import jax
import mpmath as mp
import numpy as np
import pytest

from raphson.model import families
from raphson.model.families import links
from raphson.numeric import x64

LOWER = (-800, -709.5, -40, -37.6, -8, -0.41, -1e-3)
MIDDLE = (0, 1e-3, 0.7, 0.99999, 1, 1.3)
ETA = np.array([*LOWER, *MIDDLE, 3.9, 36.5, 40, 355, 709, 745, 800])
HUGE, TINY = mp.mpf("1.797e308"), mp.mpf("1e-303")

CASES = {
    "gaussian": (families.Gaussian, (-3.0, 0.0, 1e4)),
    "binomial": (families.Binomial, (0.0, 1.0, 0.25)),
    "poisson": (families.Poisson, (0.0, 7.0, 0.3)),
    "gamma": (families.Gamma, (0.3, 1e4)),
    "inverse_gaussian": (families.InverseGaussian, (1.0, 1e4)),
    "negative_binomial": (lambda link: families.NegativeBinomial(theta=1.5, link=link), (0.0, 7.0, 1e4)),
    "tweedie": (lambda link: families.Tweedie(power=1.5, link=link), (0.0, 1e4)),
}


def mean_of(link, x):
    """The mean, its complement, and two derivatives of the mean; None outside the domain."""
    if link == "identity":
        return x, 1 - x, mp.mpf(1), mp.mpf(0)
    if link == "log":
        m = mp.exp(x)
        return m, 1 - m, m, m
    if link == "logit":
        m, c = 1 / (1 + mp.exp(-x)), 1 / (1 + mp.exp(x))
        return m, c, m * c, m * c * (c - m)
    if link == "probit":
        root = mp.sqrt(2)
        return mp.erfc(-x / root) / 2, mp.erfc(x / root) / 2, mp.npdf(x), -x * mp.npdf(x)
    if link == "cloglog":
        v = mp.exp(x)
        return -mp.expm1(-v), mp.exp(-v), v * mp.exp(-v), v * mp.exp(-v) * (1 - v)
    if link == "cauchit":
        d = 1 / (mp.pi * (1 + x * x))
        return mp.atan2(1, -x) / mp.pi, mp.atan2(1, x) / mp.pi, d, -2 * x * mp.pi * d * d
    if link == "inverse":
        return (1 / x, 1 - 1 / x, -1 / x**2, 2 / x**3) if x != 0 else None
    if x <= 0:
        return None
    if link == "inverse_squared":
        m = 1 / mp.sqrt(x)
        return m, 1 - m, -m / (2 * x), 3 * m / (4 * x * x)
    assert link == "sqrt"
    return x * x, 1 - x * x, 2 * x, mp.mpf(2)


def exact(name, family, y, parts):
    """(number, size of its terms) of value, score, observed and expected; None outside the space of means."""
    m, c, d, d2 = parts
    if name != "gaussian" and m <= 0:
        return None
    log_m = mp.log(m) if 0 < m < 0.5 else mp.log1p(-c) if m > 0 else None
    if name == "binomial":
        if c <= 0:
            return None
        log_c, q = (mp.log(c) if c < 0.5 else mp.log1p(-m)), 1 - y
        value = (y * log_m, q * log_c)
        score = (y * d / m, -q * d / c)
        observed = (y * ((d / m) ** 2 - d2 / m), q * (d2 / c + (d / c) ** 2))
        return *(sized(*terms) for terms in (value, score, observed)), sized(d * d / (m * c))
    if name == "gaussian":
        variance, slope, value = mp.mpf(1), mp.mpf(0), sized(-((y - m) ** 2) / 2, near=abs(y - m) * (abs(y) + abs(m)))
    elif name == "poisson":
        variance, slope, value = m, mp.mpf(1), sized(y * log_m, -m)
    elif name == "gamma":
        variance, slope, value = m * m, 2 * m, sized(-y / m, 1 + mp.log(y), -log_m)
    elif name == "inverse_gaussian":
        near = abs(y / m - 1) * (1 + y / m) / y
        variance, slope, value = m**3, 3 * m * m, sized(-((y / m - 1) ** 2) / (2 * y), near=near)
    elif name == "negative_binomial":
        theta = mp.mpf(float(family.theta))
        variance, slope = m + m * m / theta, 1 + 2 * m / theta
        value = sized(y * log_m, -y * mp.log1p(m / theta), -theta * mp.log1p(m / theta))
    else:
        p = mp.mpf(float(family.power))
        variance, slope = m**p, p * m ** (p - 1)
        saturated = y ** (2 - p) / ((1 - p) * (2 - p)) if y > 0 else mp.mpf(0)
        value = sized(y * m ** (1 - p) / (1 - p), -(m ** (2 - p)) / (2 - p), -saturated)
    a = d / variance
    a_slope = (d2 * variance - d * d * slope) / variance**2
    # the last: where the exact number is 0 the reference has its own rounding
    observed = sized(-y * a_slope, d * a + m * a_slope, near=abs(d * a) * mp.mpf("1e-40"))
    if name == "tweedie":
        # its derivatives come through log mu, whose parts cancel where the mean is a power of eta
        observed = observed[0], observed[1] + (abs(y) + m) * abs(a) * (abs(d2 / d) + abs(d / m)) / 1000
    return value, sized(y * a, -m * a), observed, sized(d * d / variance)


def sized(*terms, near=0):
    return sum(terms), sum(map(abs, terms)) + near


@pytest.mark.parametrize("link", sorted(links.LINKS))
def test_tails(link):
    asked = {name: (make(link=link), *map(np.ravel, np.meshgrid(ys, ETA))) for name, (make, ys) in CASES.items()}
    with x64():
        found = jax.jit(lambda asked: {name: f.rows(y, eta[None]) for name, (f, y, eta) in asked.items()})(asked)
    for name, (family, y, eta) in asked.items():
        rows = jax.tree.map(np.asarray, found[name])
        got = [rows.value, rows.score[0], rows.observed[0, 0], rows.expected[0, 0]]
        for i in range(y.size):
            digits = 70 + (int(0.9 * abs(eta[i])) if link in ("cloglog", "logit", "log") else 0)
            with mp.workdps(digits):
                parts = mean_of(link, mp.mpf(eta[i]))
                truth = None if parts is None else exact(name, family, mp.mpf(y[i]), parts)
                for k, what in enumerate(("value", "score", "observed", "expected")):
                    where = f"{name} {link} {what} at y={y[i]}, eta={eta[i]}: {got[k][i]!r}"
                    if truth is None:
                        assert k or got[0][i] == -np.inf, where
                        continue
                    number, size = truth[k]
                    if abs(number) > HUGE:
                        assert np.isinf(got[k][i]) and (got[k][i] > 0) == (number > 0), where
                    else:
                        error = abs(mp.mpf(float(got[k][i])) - number)
                        assert error <= 1e-12 * size + TINY, f"{where}, exactly {mp.nstr(number, 17)}"


@pytest.mark.parametrize("quasi", [families.QuasiPoisson, families.QuasiBinomial])
def test_a_quasi_family_has_the_rows_of_its_own(quasi):
    for name in ("rows", "log_density", "mean", "expected", "inside"):
        assert getattr(quasi, name) is getattr(quasi.__base__, name)


def test_all_families_are_here():
    assert set(CASES) | {"multinomial", "quasipoisson", "quasibinomial"} == set(families.FAMILIES)


@pytest.mark.parametrize("power", [1.0, 1.01, 1.99, 2.0, 2.5, 3.0])
def test_tweedie_powers(power):
    # the limits at 1 and 2 are where a formula with 1/(1 - p) or 1/(2 - p) breaks
    family, y, eta = families.Tweedie(power=power), np.array([0.3, 7.0, 1e4] * 9), np.repeat(ETA[::2][:9], 3)
    with x64():
        rows = jax.tree.map(np.asarray, jax.jit(lambda f, y, e: f.rows(y, e))(family, y, eta[None]))
    for i in range(y.size):
        with mp.workdps(60):
            m, p, t = mp.exp(mp.mpf(eta[i])), mp.mpf(power), mp.mpf(y[i])
            first = mp.log(m / t) if p == 1 else (m ** (1 - p) - t ** (1 - p)) / (1 - p)
            second = mp.log(m / t) if p == 2 else (m ** (2 - p) - t ** (2 - p)) / (2 - p)
            for got, terms in (
                (rows.value[i], (t * first, -second)),
                (rows.score[0, i], (t * m ** (1 - p), -(m ** (2 - p)))),
                (rows.observed[0, 0, i], (-t * (1 - p) * m ** (1 - p), (2 - p) * m ** (2 - p))),
                (rows.expected[0, 0, i], (m ** (2 - p),)),
            ):
                number, size = sized(*terms)
                if abs(number) < HUGE:
                    assert abs(mp.mpf(float(got)) - number) <= 1e-12 * size + TINY, (power, y[i], eta[i])
                else:
                    assert np.isinf(got)


def test_multinomial():
    # all three predictors apart, so that the largest probability is 1 to the last digit
    eta = np.array([[0.0, 40.0, -800.0, 3.0, 800.0, -1.0], [1.0, -20.0, -790.0, 3.0, 780.0, 37.0]])
    family = families.Multinomial(levels=("a", "b", "c"))
    for code in range(3):
        with x64():
            rows = jax.tree.map(np.asarray, family.rows(np.full(6, float(code)), eta))
        for i in range(6):
            with mp.workdps(900):
                power = [mp.mpf(1), mp.exp(mp.mpf(eta[0, i])), mp.exp(mp.mpf(eta[1, i]))]
                p = [v / sum(power) for v in power]
                pairs = [(rows.value[i], mp.log(p[code]))]
                pairs += [(rows.mean[c, i], p[c]) for c in range(3)]
                pairs += [(rows.score[k, i], (k + 1 == code) - p[k + 1]) for k in range(2)]
                for j in range(2):
                    for k in range(2):
                        weight = p[j + 1] * ((j == k) - p[k + 1])
                        pairs += [(rows.observed[j, k, i], weight), (rows.expected[j, k, i], weight)]
                        pairs += [(rows.slope[j + 1, k, i], weight)]
                for got, number in pairs:
                    assert abs(mp.mpf(float(got)) - number) <= 1e-12 * abs(number) + TINY
