"""A user's function is run with accurate special functions in the place of JAX's."""

from __future__ import annotations

import gc
import weakref

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import jax.scipy.stats as stats
import mpmath as mp
import numpy as np
import pytest

import raphson as rp
from raphson.model.likelihood.build import fingerprint
from raphson.model.memory import cached_for
from raphson.model.replay import replay
from raphson.model.replay.replay import accurate, betaln_calls
from raphson.numeric import x64


def rerun(function, *arguments):
    with x64():
        traced = jax.make_jaxpr(function)(*arguments)
        return float(accurate(traced)(*arguments)[0])


def test_operations_by_which_a_call_of_betaln_is_suspected_are_in_it():
    with x64():
        assert set(replay._betaln_operations()) >= replay._IN_BETALN


def test_betaln_is_replaced():
    exact = float(mp.log(mp.beta(10, mp.mpf("0.5"))))
    with x64():
        assert abs(float(special.betaln(10.0, 0.5)) - exact) > 1e-9  # what JAX says
        traced = jax.make_jaxpr(lambda a, b: special.betaln(a, b) + 2 * special.betaln(b, a) - a)(10.0, 0.5)
        assert len(betaln_calls(traced)) == 2
    assert abs(rerun(special.betaln, 10.0, 0.5) - exact) < 1e-14
    assert (
        abs(rerun(lambda a, b: special.betaln(a, b) + 2 * special.betaln(b, a) - a, 10.0, 0.5) - (3 * exact - 10))
        < 1e-13
    )


def test_it_is_replaced_inside_jax_own_distributions():
    x, a, b = 0.3, 10.0, 0.5
    exact = float((mp.mpf(a) - 1) * mp.log(x) + (mp.mpf(b) - 1) * mp.log(1 - mp.mpf(x)) - mp.log(mp.beta(a, b)))
    assert abs(rerun(stats.beta.logpdf, x, a, b) - exact) < 1e-13


@pytest.mark.parametrize("order", [1, 2])
def test_log_ndtr_at_minus_twenty(order):
    def slope(x):
        function = special.log_ndtr
        with x64():
            again = accurate(jax.make_jaxpr(function)(x))
        derivative = jax.grad(lambda v: again(v)[0])
        return float((derivative if order == 1 else jax.grad(derivative))(x))

    with x64():
        found = slope(-20.0)
    with mp.workdps(40):
        exact = float(mp.diff(lambda v: mp.log(mp.erfc(-v / mp.sqrt(2)) / 2), -20, order))
    assert abs(found - exact) < 1e-13 * abs(exact)


def test_shapes_of_incomplete_functions_have_derivatives():
    # JAX refuses both: betainc in its shapes, a second derivative of gammaincc.
    data = {"x": np.random.default_rng(0).gamma(2.0, size=50), "cut": np.full(50, 2.0)}

    def loglik(params, row):
        shape = jnp.exp(params["log_shape"])
        seen = (shape - 1) * jnp.log(row.x) - row.x - special.gammaln(shape)
        return jnp.where(row.x < row.cut, seen, jnp.log(special.gammaincc(shape, row.cut)))

    fit = rp.mle(loglik, data, start={"log_shape": 0.0})
    assert fit.converged and fit.distance < 1e-8


def test_a_function_is_not_kept_alive():
    def make():
        def loglik(params, row):
            return -0.5 * (row.y - params["a"]) ** 2

        return loglik

    function = make()
    assert cached_for(function, "key", lambda: 1) == cached_for(function, "key", lambda: 2) == 1
    rp.mle(function, {"y": np.arange(5.0)}, start={"a": 0.0})
    gone = weakref.ref(function)
    del function
    gc.collect()
    assert gone() is None


def test_a_changed_closure_is_traced_anew():
    shift = 1.0

    def loglik(params, row):
        return -0.5 * (row.y - params["a"] - shift) ** 2

    first = rp.mle(loglik, {"y": np.arange(5.0)}, start={"a": 0.0}).params["a"]
    shift = 3.0
    assert np.isclose(first - rp.mle(loglik, {"y": np.arange(5.0)}, start={"a": 0.0}).params["a"], 2.0)
    with x64():
        one, other = (jax.make_jaxpr(lambda x, c=c: x * c)(1.0) for c in (2.0, 3.0))
    assert fingerprint(one) != fingerprint(other)


def mp_log_ndtr(x):
    return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)


def mp_softplus(x):
    return mp.log1p(mp.exp(x))


# name: JAX's function as users call it, the exact one, places, and how many digits value and two derivatives keep
TABLE = {
    "log_ndtr": (special.log_ndtr, mp_log_ndtr, [-100.0, -20.0, -1.0, 0.0, 5.0], 13),
    "norm.logcdf": (stats.norm.logcdf, mp_log_ndtr, [-20.0, 1.0], 13),
    "norm.logsf": (stats.norm.logsf, lambda x: mp_log_ndtr(-x), [20.0, -1.0], 13),
    "softplus": (jax.nn.softplus, mp_softplus, [-300.0, -30.0, 0.5, 30.0], 13),
    "log_sigmoid": (jax.nn.log_sigmoid, lambda x: -mp_softplus(-x), [-30.0, 0.5, 30.0], 13),
    "logaddexp": (lambda x: jnp.logaddexp(x, 1.0), lambda x: mp.log(mp.exp(x) + mp.e), [-40.0, 0.0, 40.0], 13),
    "expit": (special.expit, lambda x: 1 / (1 + mp.exp(-x)), [-300.0, -30.0, 1.0, 30.0], 13),
    # JAX 0.8 has no erfcx.
    "erfcx": (getattr(special, "erfcx", None), lambda x: mp.exp(x * x) * mp.erfc(x), [-2.0, 0.1, 5.0, 100.0], 12),
    "erfc": (special.erfc, mp.erfc, [-2.0, 0.1, 5.0, 20.0], 12),
    "ndtri": (special.ndtri, lambda p: mp.sqrt(2) * mp.erfinv(2 * p - 1), [1e-20, 1e-8, 0.02, 0.4], 12),
    "gammaln": (special.gammaln, mp.loggamma, [1e-5, 0.9, 1.5, 10.0, 1e8], 12),
    "digamma": (special.digamma, mp.digamma, [1e-5, 0.5, 2.0, 1e4], 12),
    "betaln": (lambda a: special.betaln(a, 0.5), lambda a: mp.log(mp.beta(a, 0.5)), [0.1, 1.0, 10.0, 1e6], 12),
    "gammaincc": (
        lambda a: special.gammaincc(a, 2.5),
        lambda a: mp.gammainc(a, 2.5, mp.inf, regularized=True),
        [0.5, 2.5, 5.0],
        11,
    ),
    "betainc": (
        lambda a: special.betainc(a, 3.5, 0.4),
        lambda a: mp.betainc(a, 3.5, 0, mp.mpf(0.4), regularized=True),
        [0.5, 2.0, 8.0],
        11,
    ),
    "i0e": (special.i0e, lambda x: mp.besseli(0, x) * mp.exp(-x), [0.1, 8.1, 200.0], 10),
    "xlogy": (lambda x: special.xlogy(2.5, x), lambda x: 2.5 * mp.log(x), [1e-5, 2.0], 14),
    "xlog1py": (lambda x: special.xlog1py(2.5, x), lambda x: 2.5 * mp.log1p(x), [1e-10, 2.0], 14),
    "expi": (special.expi, mp.ei, [-1.0, 0.5, 10.0], 12),
    "zeta": (lambda q: special.zeta(3.0, q), lambda q: mp.zeta(3, q), [0.1, 2.0, 100.0], 12),
}


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[0] is not None])
def test_special_functions_and_two_derivatives(name):
    function, exact, places, digits = TABLE[name]
    with x64(), mp.workdps(30):
        again = accurate(jax.make_jaxpr(function)(0.5))
        both = jax.value_and_grad(lambda x: again(x)[0])
        slope = jax.value_and_grad(lambda x: both(x)[::-1], has_aux=True)  # ((f', f), f'')
        (first, value), second = jax.jit(jax.vmap(slope))(np.array(places))
        for order, values in enumerate((value, first, second)):
            for x, value in zip(places, values, strict=True):
                truth = mp.diff(exact, mp.mpf(x), order) if order else exact(mp.mpf(x))
                assert abs(mp.mpf(float(value)) - truth) <= mp.mpf(10) ** -digits * abs(truth), (order, x)


def test_sums_of_infinite_logarithms():
    for x, y, out in ((-np.inf, -np.inf, -np.inf), (-np.inf, 3.0, 3.0), (np.inf, 1.0, np.inf)):
        assert rerun(jnp.logaddexp, x, y) == out
    with x64():
        again = accurate(jax.make_jaxpr(jnp.logaddexp)(1.0, 2.0))
        assert float(jax.grad(lambda x: again(x, -np.inf)[0])(1.0)) == 1.0
