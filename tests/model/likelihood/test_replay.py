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
from raphson.model.likelihood.build import fingerprint, remembered
from raphson.model.likelihood.replay import accurate, betaln_calls
from raphson.numeric import x64


def rerun(function, *arguments):
    with x64():
        traced = jax.make_jaxpr(function)(*arguments)
        return float(accurate(traced)(*arguments)[0])


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
    assert remembered(function, "key", lambda: 1) == remembered(function, "key", lambda: 2) == 1
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
