"""The ways in which users write a linear predictor: each is found, and gives the fit of the direct way."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import jax.scipy.stats as stats
import numpy as np
import pytest

from raphson.data.columns import Columns
from raphson.model.likelihood import general
from raphson.model.likelihood.general import EvaluationPlan
from raphson.model.parameters import Parameters
from raphson.numeric import x64

rng = np.random.default_rng(11)
N = 12
DATA = {
    "y": rng.poisson(3.0, size=N),
    "k": rng.integers(0, 2, size=N),
    "x": rng.normal(size=(N, 4)),
    "w": rng.normal(size=(N, 2, 2)),
    "z": rng.normal(size=N),
    "t": rng.uniform(0.5, 2.0, size=N),
    "g": rng.integers(0, 3, size=N),
    "h": rng.integers(0, 2, size=N),
    "flag": rng.random(N) < 0.5,
}
B, AB, BG = {"b": 4}, {"a": 0, "b": 4}, {"b": 4, "g": 3}
MATRIX = np.asarray(rng.normal(size=(4, 4)))


def poisson(y, eta):
    return y * eta - jnp.exp(eta)


def normal(y, mu, log_sigma):
    return stats.norm.logpdf(y, mu, jnp.exp(log_sigma))


def loop(p, row):
    eta = p["a"]
    for j in range(4):
        eta = eta + p["b"][j] * row.x[j]
    return poisson(row.y, eta)


def scanned(p, row):
    eta = jax.lax.fori_loop(0, 4, lambda j, s: s + p["b"][j] * row.x[j], 0.0)
    return poisson(row.y, eta)


def in_place(p, row):
    return poisson(row.y, jnp.zeros(4).at[:].set(p["b"]) @ row.x)


# function -> (shapes of the parameters, number of predictors; None where the direct way is right)
IDIOMS = {
    "product": (lambda p, r: poisson(r.y, r.x @ p["b"]), B, 1),
    "product turned round": (lambda p, r: poisson(r.y, p["b"] @ r.x), B, 1),
    "dot": (lambda p, r: poisson(r.y, jnp.dot(r.x, p["b"]) + p["a"]), AB, 1),
    "vdot": (lambda p, r: poisson(r.y, jnp.vdot(r.x, p["b"]) + p["a"]), AB, 1),
    "inner": (lambda p, r: poisson(r.y, jnp.inner(r.x, p["b"])), B, 1),
    "einsum": (lambda p, r: poisson(r.y, jnp.einsum("i,i->", r.x, p["b"])), B, 1),
    "tensordot": (lambda p, r: poisson(r.y, jnp.tensordot(r.x, p["b"], 1)), B, 1),
    "sum of products": (lambda p, r: poisson(r.y, jnp.sum(p["b"] * r.x) + p["a"]), AB, 1),
    "method sum": (lambda p, r: poisson(r.y, (p["b"] * r.x).sum() + p["a"]), AB, 1),
    "python sum": (lambda p, r: poisson(r.y, sum(p["b"][j] * r.x[j] for j in range(4))), B, 1),
    "loop": (loop, AB, 1),
    "index by index": (lambda p, r: poisson(r.y, p["b"][0] + p["b"][1] * r.z + p["b"][2] * r.t + p["b"][3]), B, 1),
    "unpacked": (lambda p, r: (lambda a, b, c, d: poisson(r.y, a + b * r.z + c * r.t + d * r.z**2))(*p["b"]), B, 1),
    "offset": (lambda p, r: poisson(r.y, r.x @ p["b"] + jnp.log(r.t)), B, 1),
    "transformed data": (lambda p, r: poisson(r.y, p["b"] @ jnp.tanh(r.x)), B, 1),
    "interaction": (lambda p, r: poisson(r.y, p["b"] @ r.x + p["a"] * r.z * r.t), AB, 1),
    "group effect": (lambda p, r: poisson(r.y, r.x @ p["b"] + p["g"][r.g]), BG, 1),
    "take": (lambda p, r: poisson(r.y, r.x @ p["b"] + jnp.take(p["g"], r.g)), BG, 1),
    "one hot": (lambda p, r: poisson(r.y, r.x @ p["b"] + jax.nn.one_hot(r.g, 3) @ p["g"]), BG, 1),
    "slope by group": (lambda p, r: poisson(r.y, p["b"] @ r.x + p["g"][r.g] * r.z), BG, 1),
    "table of effects": (lambda p, r: poisson(r.y, p["m"][r.g, r.h] + p["a"] * r.z), {"m": (3, 2), "a": 0}, 1),
    "row of a matrix": (lambda p, r: poisson(r.y, p["m"][r.g] @ r.x), {"m": (3, 4)}, 1),
    "first level held": (
        lambda p, r: poisson(r.y, jnp.where(r.g > 0, p["g"][jnp.maximum(r.g - 1, 0)], 0.0) + r.x @ p["b"]),
        {"g": 2, "b": 4},
        1,
    ),
    "where": (lambda p, r: poisson(r.y, jnp.where(r.flag, p["a"], -p["a"]) + r.x @ p["b"]), AB, 1),
    "times a condition": (lambda p, r: poisson(r.y, (r.z > 0) * p["a"] + r.x @ p["b"]), AB, 1),
    "concatenate": (lambda p, r: poisson(r.y, jnp.concatenate([r.x, r.z[None]]) @ p["c"]), {"c": 5}, 1),
    "concatenated parameters": (
        lambda p, r: poisson(r.y, jnp.concatenate([jnp.zeros(1), p["b"][1:]]) @ r.x + p["b"][0]),
        B,
        1,
    ),
    "stack": (lambda p, r: poisson(r.y, jnp.stack([1.0, r.z, r.t, r.z * r.t]) @ p["b"]), B, 1),
    "polynomial": (lambda p, r: poisson(r.y, jnp.polyval(p["b"], r.z)), B, None),  # a scan
    "powers": (lambda p, r: poisson(r.y, p["b"] @ r.z ** jnp.arange(4)), B, 1),
    "slices": (lambda p, r: poisson(r.y, p["b"][:2] @ r.x[:2] + p["b"][2:] @ r.x[2:]), B, 1),
    "cumulated": (lambda p, r: poisson(r.y, jnp.cumsum(p["b"]) @ r.x), B, 1),
    "differences": (lambda p, r: poisson(r.y, jnp.diff(p["b"]) @ r.x[1:] + p["b"][0]), B, 1),
    "reversed": (lambda p, r: poisson(r.y, p["b"][::-1] @ r.x), B, 1),
    "standardised": (lambda p, r: poisson(r.y, (r.x - 0.5) / 2.0 @ p["b"]), B, 1),
    "constant matrix": (lambda p, r: poisson(r.y, r.x @ (MATRIX @ p["b"])), B, 1),
    "matrix column": (lambda p, r: poisson(r.y, jnp.trace(r.w @ p["m"])), {"m": (2, 2)}, 1),
    "mean of effects": (lambda p, r: poisson(r.y, r.x @ p["b"] - jnp.mean(p["b"])), B, 1),
    "in place": (in_place, B, 1),
    "inner function under jit": (lambda p, r: jax.jit(lambda e: poisson(r.y, e))(r.x @ p["b"] + p["a"]), AB, 1),
    "predictor under jit": (lambda p, r: poisson(r.y, jax.jit(jnp.dot)(r.x, p["b"])), B, 1),
    "partial": (lambda p, r: partial(poisson, r.y)(r.x @ p["b"]), B, 1),
    "twice the same": (lambda p, r: r.y * (r.x @ p["b"]) - jnp.exp(r.x @ p["b"]), B, 1),
    "clipped": (lambda p, r: poisson(r.y, jnp.clip(r.x @ p["b"], -20, 20)), B, 1),
    "logistic": (lambda p, r: r.k * (r.x @ p["b"]) - jax.nn.softplus(r.x @ p["b"]), B, 1),
    "probit": (lambda p, r: special.log_ndtr((2 * r.k - 1) * (r.x @ p["b"])), B, 1),
    "jax's distributions": (lambda p, r: stats.poisson.logpmf(r.y, jnp.exp(r.x @ p["b"])), B, 1),
    "mean and scale": (lambda p, r: normal(r.y, r.x @ p["b"], p["s"][0] + p["s"][1] * r.z), {"b": 4, "s": 2}, 2),
    "common scale": (lambda p, r: normal(r.y, r.x @ p["b"], p["s"]), {"b": 4, "s": 0}, 2),
    "scale not in logs": (lambda p, r: stats.norm.logpdf(r.y, r.x @ p["b"], p["s"]), {"b": 4, "s": 0}, 2),
    "two levels of nesting": (
        lambda p, r: normal(r.y, p["mean"]["b"] @ r.x + p["mean"]["a"], p["scale"]["a"]),
        {"mean": {"a": 0, "b": 4}, "scale": {"a": 0}},
        2,
    ),
    "multinomial": (lambda p, r: jax.nn.log_softmax(jnp.append(0.0, r.x @ p["m"]))[r.g], {"m": (4, 2)}, 2),
    "scan": (scanned, B, None),
    "product of parameters": (lambda p, r: poisson(r.y, p["a"] * p["b"][0] + r.x @ p["b"] ** 2), AB, None),
    "everything nonlinear": (lambda p, r: poisson(r.y, jnp.tanh(p["b"]) @ r.x), B, None),
}


def start_of(shapes):
    return {
        name: start_of(size) if isinstance(size, dict) else np.full(size, 0.1) if size else 0.1
        for name, size in shapes.items()
    }


@pytest.mark.parametrize("name", IDIOMS)
def test_the_predictors_that_an_idiom_has(name):
    function, shapes, K = IDIOMS[name]
    layout, theta = Parameters.named(start_of(shapes))
    traced = general.trace_likelihood(function, name, layout, Columns(DATA))
    plan = EvaluationPlan(traced, layout)
    if K is None:
        assert plan.cut is None
        return
    assert plan.cut is not None and plan.cut.n_predictors == K
    arrays = tuple(DATA[one] * 1 for one in traced.used)
    point = theta + 0.1 * np.random.default_rng(0).normal(size=len(theta))

    def through(theta, row):
        return plan.cut.remainder(plan.cut.predictors(layout.split(theta), row), row)

    def compared(row):
        both = through, plan.whole
        return [(f(point, row), *jax.jvp(lambda t, f=f: jax.grad(f)(t, row), (point,), (theta,))) for f in both]

    with x64():
        for one, other in zip(*jax.jit(jax.vmap(compared))(arrays), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_there_are_enough_of_them():
    assert sum(K is not None for _, _, K in IDIOMS.values()) >= 40
