"""The ready densities: against mpmath, their derivatives against differences of mpmath's, their sums, their tails."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from raphson.errors import DataError, ModelError
from raphson.model.likelihood import densities
from raphson.numeric import x64

M = mp.mpf


def logistic(x):
    return 1 / (1 + mp.exp(-x))


def poisson(y, m):
    return mp.exp(-mp.exp(m) + y * m) / mp.factorial(y)


def negative_binomial(y, m, a):
    mu, k = mp.exp(m), mp.exp(a)
    return mp.gamma(y + k) / (mp.gamma(k) * mp.factorial(y)) * (k / (k + mu)) ** k * (mu / (k + mu)) ** y


def zero_inflated(f):
    return lambda y, m, z, *a: (logistic(z) if y == 0 else 0) + (1 - logistic(z)) * f(y, m, *a)


def hurdle(f):
    return lambda y, m, p, *a: 1 - logistic(p) if y == 0 else logistic(p) * f(y, m, *a) / (1 - f(0, m, *a))


def student(y, location, log_scale, log_df):
    s, v = mp.exp(log_scale), mp.exp(log_df)
    z = (y - location) / s
    return mp.gamma((v + 1) / 2) / mp.gamma(v / 2) / mp.sqrt(v * mp.pi) / s * (1 + z**2 / v) ** (-(v + 1) / 2)


def beta(y, m, p):
    mu, phi = logistic(m), mp.exp(p)
    return y ** (mu * phi - 1) * (1 - y) ** ((1 - mu) * phi - 1) / mp.beta(mu * phi, (1 - mu) * phi)


def beta_binomial(y, m, p, trials):
    mu, phi = logistic(m), mp.exp(p)
    a, b = mu * phi, (1 - mu) * phi
    return mp.binomial(trials, y) * mp.beta(a + y, b + trials - y) / mp.beta(a, b)


def tobit(y, mean, log_sigma, lower=0):
    s = mp.exp(log_sigma)
    return mp.ncdf((lower - mean) / s) if y <= lower else mp.npdf(y, mean, s)


def weibull(y, m, log_sigma, event):
    s = mp.exp(log_sigma)
    w = (mp.log(y) - m) / s
    return mp.exp(w - mp.exp(w)) / (s * y) if event else mp.exp(-mp.exp(w))


def lognormal(y, m, log_sigma, event):
    s = mp.exp(log_sigma)
    z = (mp.log(y) - m) / s
    return mp.npdf(z) / (s * y) if event else mp.ncdf(-z)


def gamma(y, m, log_shape, event):
    k = mp.exp(log_shape)
    x = k * y / mp.exp(m)
    return x**k * mp.exp(-x) / mp.gamma(k) / y if event else mp.gammainc(k, x, regularized=True)


CASES = {
    "zero_inflated_poisson": (
        zero_inflated(poisson),
        [((0, 0.5, -1.0), {}), ((3, 0.5, -1.0), {}), ((0, 4.0, -30.0), {})],
    ),
    "hurdle_poisson": (hurdle(poisson), [((0, 0.5, 1.0), {}), ((1, -9.0, 1.0), {}), ((4, 1.2, 2.0), {})]),
    "zero_inflated_negative_binomial": (
        zero_inflated(negative_binomial),
        [((0, 0.5, -1.0, 0.3), {}), ((5, 1.0, -2.0, 0.7), {})],
    ),
    "hurdle_negative_binomial": (hurdle(negative_binomial), [((0, 0.5, 1.0, 0.3), {}), ((5, 1.0, -2.0, 0.7), {})]),
    "student_t": (student, [((0.3, 0.1, 0.2, 1.0), {}), ((40.0, 0.1, 0.2, 1.0), {}), ((0.5, 0.0, 0.0, 12.0), {})]),
    "beta": (beta, [((0.3, 0.1, 1.2), {}), ((1e-8, -3.0, 2.0), {}), ((0.4, 0.0, 9.0), {})]),
    "beta_binomial": (
        beta_binomial,
        [((3, -1.0, 2.0), {"trials": 14}), ((0, -4.0, 0.5), {"trials": 9}), ((9, 0.0, 10.0), {"trials": 9})],
    ),
    "tobit": (
        tobit,
        [((1.5, 0.4, 0.3), {}), ((0.0, 0.4, 0.3), {}), ((0.0, 30.0, 0.0), {}), ((2.0, 1.0, 0.1), {"lower": 2.0})],
    ),
    "weibull": (weibull, [((3.0, 1.0, -0.3), {"event": 1}), ((3.0, 1.0, -0.3), {"event": 0})]),
    "lognormal": (lognormal, [((3.0, 1.0, -0.3), {"event": 1}), ((900.0, 1.0, -1.0), {"event": 0})]),
    "gamma": (
        gamma,
        [((3.0, 1.0, -0.3), {"event": 1}), ((3.0, 1.0, 0.9), {"event": 0}), ((80.0, 1.0, 2.0), {"event": 0})],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_values_and_derivatives_against_mpmath(name):
    truth, rows = CASES[name]
    function = densities.DENSITIES[name].function
    keys = sorted({key for _, extra in rows for key in extra})

    @jax.jit
    def everything(y, eta, extra):
        def at(e):
            return function(y, *e, **extra)

        return at(eta), jax.jacfwd(at)(eta), jax.jacfwd(jax.jacfwd(at))(eta)

    for (y, *eta), extra in rows:
        n = len(eta)
        with x64():
            extras = {key: float(extra.get(key, 0.0)) for key in keys}
            found = everything(float(y), jnp.asarray(eta, float), extras)
            value, score, second = float(found[0]), np.asarray(found[1]), np.asarray(found[2])
        with mp.workdps(60):

            def exact(*e, y=y, extra=extra):
                return mp.log(truth(M(y), *e, **{key: M(one) for key, one in extra.items()}))

            point = [M(one) for one in eta]
            assert abs(value - float(exact(*point))) < 1e-12 * max(1.0, abs(value)), (name, y, eta)
            for k in range(n):
                orders = tuple(int(j == k) for j in range(n))
                first = float(mp.diff(exact, point, orders))
                assert abs(score[k] - first) < 1e-10 * max(1.0, abs(first)), (name, y, eta, k)
                for j in range(k + 1):
                    orders = tuple(int(i == k) + int(i == j) for i in range(n))
                    mixed = float(mp.diff(exact, point, orders))
                    assert abs(second[k, j] - mixed) < 1e-8 * max(1.0, abs(mixed)), (name, y, eta, k, j)


@pytest.mark.parametrize("name", ["ordered_logit", "ordered_probit"])
def test_ordered_probabilities(name):
    function = densities.DENSITIES[name].function
    distribution = logistic if name == "ordered_logit" else mp.ncdf
    cuts, location = [-1.0, 0.2, 2.0], 0.3
    with x64():
        values = [float(function(level, location, jnp.asarray(cuts))) for level in range(4)]
        far = float(function(1, -40.0 if name == "ordered_logit" else -20.0, jnp.asarray(cuts)))
        wrong = float(function(1, 0.0, jnp.asarray([1.0, 0.0, 2.0])))
        slopes = np.asarray(jax.jacfwd(lambda c: function(1, 0.3, c))(jnp.asarray(cuts)))
    ends = [M(0), *(distribution(M(c) - M(location)) for c in cuts), M(1)]
    np.testing.assert_allclose(values, [float(mp.log(b - a)) for a, b in pairwise(ends)], rtol=1e-13)
    assert np.isclose(np.exp(values).sum(), 1.0, rtol=1e-14)
    with mp.workdps(400):
        x = M(40) if name == "ordered_logit" else M(20)
        upper, lower = distribution(-(M("0.2") + x)), distribution(-(x - 1))
        exact = float(mp.log(lower - upper))
    assert abs(far - exact) < 1e-10 * abs(exact)
    assert wrong == -np.inf
    assert np.isfinite(slopes).all() and slopes[2] == 0.0


def test_probabilities_add_up():
    y = np.arange(0, 400)
    with x64():
        for name in ("zero_inflated_poisson", "hurdle_poisson"):
            total = np.exp(jax.vmap(lambda v, f=densities.DENSITIES[name].function: f(v, 1.5, -0.5))(y)).sum()
            assert abs(float(total) - 1) < 1e-12
        trials = np.arange(0, 13)
        total = np.exp(jax.vmap(lambda v: densities.beta_binomial(v, 0.3, 0.1, trials=12.0))(trials)).sum()
        assert abs(float(total) - 1) < 1e-12


def test_names():
    assert densities.resolve("Zero-Inflated Poisson").name == "zero_inflated_poisson"
    assert densities.resolve(densities.weibull).name == "weibull"
    assert densities.resolve(lambda y, mu: mu) is None
    ready = densities.DENSITIES["zero_inflated_poisson"]
    assert [ready.full_name(one) for one in ("log_mean", "mean", "mu", "zero", "sigma")] == [
        "log_mean", "log_mean", "log_mean", "logit_zero", None]  # fmt: skip
    with pytest.raises(ModelError, match="Did you mean 'tobit'"):
        densities.resolve("tobitt")
    with pytest.raises(DataError, match="no more successes than trials"):
        ready = densities.DENSITIES["beta_binomial"]
        ready.refuse("y", ready.faults(np.array([3.0]), {"trials": np.array([2.0])}))


def test_faults_of_parts_are_those_of_all_rows():
    ready = densities.DENSITIES["weibull"]
    y, event = np.array([1.0, 2.0, np.inf, -1.0, 3.0, -2.0]), np.array([0.0, 1.0, 1.0, 2.0, 0.0, 3.0])
    parts = [ready.faults(y[cut], {"event": event[cut]}) for cut in (slice(0, 2), slice(2, 5), slice(5, 6))]
    assert parts[0] + parts[1] + parts[2] == parts[0] + (parts[1] + parts[2]) == ready.faults(y, {"event": event})


@pytest.mark.parametrize("name", [name for name, ready in densities.DENSITIES.items() if ready.rows is not None])
def test_rows_in_closed_form_are_what_autodiff_gives(name):
    ready = densities.DENSITIES[name]
    rng = np.random.default_rng(0)
    y = rng.poisson(1.0, size=300).astype(float)
    eta = rng.normal(size=(len(ready.parameters), 300)) * 3.0

    def one(eta, y):
        return ready.function(y, *eta)

    with x64():
        value, score, entries = (np.asarray(part) for part in ready.rows(y, *eta))
        np.testing.assert_allclose(value + ready.constant(y), jax.vmap(one, (1, 0))(eta, y), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(
            score, np.asarray(jax.vmap(jax.grad(one), (1, 0), 1)(eta, y)), rtol=1e-12, atol=1e-13
        )
        H = -np.asarray(jax.vmap(jax.hessian(one), (1, 0), 2)(eta, y))
        lower = np.stack([H[k, j] for k in range(len(eta)) for j in range(k + 1)])
        np.testing.assert_allclose(entries, lower, atol=1e-12 * np.abs(H).max())
