"""Raphson's own reverse sweep gives JAX's gradient, over the operations that likelihoods use."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.special as jsp
import numpy as np
import pytest
from jax import lax

from raphson.autodiff import decompose
from raphson.autodiff.sweeps import differentiating

V = np.array([0.7, -1.3, 0.4, 2.1])  # any sign
P = np.array([0.6, 1.7, 0.2, 3.1])  # positive
U = np.array([0.3, 0.8, 0.45, 0.61])  # in (0, 1)
M = np.array([[2.0, 0.3, -0.5], [0.1, 1.5, 0.4], [0.2, -0.7, 3.0]])
S = M @ M.T + np.eye(3)
X = np.array([[1.0, 0.2], [1.0, -1.1], [1.0, 0.7], [1.0, 2.0]])
Y = np.array([0.0, 1.0, 1.0, 3.0])
COUNTS = np.array([2.0, 0.0, 5.0, 1.0])
BAND = np.array([0.0, 0.1, 0.2, 0.3])


@jax.custom_jvp
def safe_sqrt(x: Any) -> Any:
    return jnp.sqrt(jnp.maximum(x, 0.0))


@safe_sqrt.defjvp
def _(primals: Any, tangents: Any) -> Any:
    root = safe_sqrt(primals[0])
    return root, tangents[0] * jnp.where(root > 0, 0.5 / jnp.where(root > 0, root, 1.0), 7.0)


@jax.custom_vjp
def clipped(x: Any) -> Any:
    return x**2


clipped.defvjp(lambda x: (x**2, x), lambda x, adjoint: (jnp.clip(2.0 * x * adjoint, -1.0, 1.0),))


@jax.jit
def jitted(x: Any, shift: Any) -> Any:
    return jnp.sin(x) + shift


def weighted(values: Any) -> Any:
    """One number of an array, which tells its elements apart."""
    return jnp.sum(values * (1.0 + jnp.arange(values.size).reshape(values.shape) / 7.0))


def logistic_regression(theta: Any) -> Any:
    eta = X @ theta
    return -jnp.sum((Y > 0) * eta - jnp.logaddexp(0.0, eta))


def mixture(theta: dict[str, Any]) -> Any:
    share = jax.nn.softmax(theta["logits"])
    z = (V[:, None] - theta["mean"]) / jnp.exp(theta["log_sd"])
    return jnp.sum(jsp.logsumexp(jnp.log(share) - 0.5 * z**2 - theta["log_sd"], axis=1))


def ar1(theta: Any) -> Any:
    def step(last: Any, y: Any) -> Any:
        return y, -0.5 * (y - theta[0] * last) ** 2 * jnp.exp(-theta[1]) - 0.5 * theta[1]

    return jnp.sum(lax.scan(step, 0.0, jnp.asarray(V))[1])


def survival(theta: Any) -> Any:
    z = (jnp.log(P) - X @ theta[:2]) * jnp.exp(-theta[2])
    event = jnp.array([True, False, True, True])
    return jnp.sum(jnp.where(event, z - theta[2], 0.0) - jnp.exp(z))


def gaussian_process(theta: Any) -> Any:
    distance = (V[:3, None] - V[None, :3]) ** 2
    K = jnp.exp(theta[0] - distance * jnp.exp(theta[1])) + 0.5 * jnp.eye(3)
    L = jnp.linalg.cholesky(K)
    a = jax.scipy.linalg.solve_triangular(L, Y[:3], lower=True)
    return 0.5 * a @ a + jnp.sum(jnp.log(jnp.diag(L)))


def kalman(theta: Any) -> Any:
    """Log-likelihood of a local level, by the Kalman filter."""

    def step(state: Any, y: Any) -> Any:
        mean, variance = theta[0] * state[0], theta[0] ** 2 * state[1] + jnp.exp(theta[1])
        total = variance + jnp.exp(theta[2])
        gain = variance / total
        return (mean + gain * (y - mean), (1.0 - gain) * variance), -0.5 * ((y - mean) ** 2 / total + jnp.log(total))

    return jnp.sum(lax.scan(step, (0.0, 1.0), jnp.asarray(V))[1])


def hidden_markov(theta: dict[str, Any]) -> Any:
    A = jnp.log(jax.nn.softmax(theta["A"], axis=1))

    def step(forward: Any, y: Any) -> Any:
        return jsp.logsumexp(forward[:, None] + A, axis=0) - 0.5 * (y - theta["mean"]) ** 2, None

    return jsp.logsumexp(lax.scan(step, jnp.zeros(2), jnp.asarray(V))[0])


def root_of_a_cubic(a: Any) -> Any:
    def solve(g: Any, x: Any) -> Any:
        return lax.fori_loop(0, 30, lambda i, x: x - g(x) / jax.grad(g)(x), x)

    return lax.custom_root(lambda x: x**3 + x - a, 0.5, solve, lambda g, y: y / g(1.0))


def zero_inflated(log_rate: Any, logit: Any) -> Any:
    some = jax.nn.log_sigmoid(-logit) - jnp.exp(log_rate)
    none = jnp.logaddexp(jax.nn.log_sigmoid(logit), some)
    return jnp.sum(jnp.where(COUNTS == 0, none, some + COUNTS * log_rate - jsp.gammaln(COUNTS + 1.0)))


class Named(NamedTuple):
    a: Any
    b: Any


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "add, subtract, multiply, divide": (lambda x, y: (x + y) * (x - 2.0) / (y * y + 3.0), (0.7, -1.2)),
    "powers": (lambda x: x**3 + x**-2 + x**0.5 + 2.0**x + x**x, (1.3,)),
    "square, reciprocal": (lambda x: jnp.square(x) + jnp.reciprocal(x) + jnp.cbrt(x), (1.7,)),
    "exp, log": (lambda x: jnp.exp(x) * jnp.log(x) + jnp.exp2(x) + jnp.log2(x) + jnp.log10(x), (1.3,)),
    "log1p, expm1": (lambda x: jnp.log1p(x) * jnp.expm1(x), (0.4,)),
    "sqrt, rsqrt": (lambda x: jnp.sqrt(x) + lax.rsqrt(x), (2.3,)),
    "trigonometric": (lambda x: jnp.sin(x) * jnp.cos(x) + jnp.tan(x) + jnp.sinc(x), (0.6,)),
    "inverse trigonometric": (lambda x: jnp.arcsin(x) + jnp.arccos(x) * jnp.arctan(x), (0.3,)),
    "arctan2, hypot": (lambda x, y: jnp.arctan2(x, y) + jnp.hypot(x, y), (0.3, -0.8)),
    "hyperbolic": (lambda x: jnp.sinh(x) + jnp.cosh(x) * jnp.tanh(x), (0.3,)),
    "inverse hyperbolic": (lambda x: jnp.arcsinh(x) + jnp.arccosh(1.5 + x) + jnp.arctanh(x), (0.3,)),
    "logaddexp": (lambda x, y: jnp.logaddexp(x, y) + jnp.logaddexp2(x, 3.0), (0.3, 0.9)),
    "logistic, softplus": (lambda x: weighted(jax.nn.sigmoid(x) + jax.nn.softplus(x) + jax.nn.log_sigmoid(x)), (V,)),
    "activations": (lambda x: weighted(jax.nn.relu(x) + jax.nn.gelu(x) + jax.nn.elu(x) + jax.nn.silu(x)), (V,)),
    "softmax": (lambda x: weighted(jax.nn.softmax(x)) + weighted(jax.nn.log_softmax(x)), (V,)),
    "logsumexp": (lambda x: jsp.logsumexp(x) + jsp.logsumexp(x, b=jnp.array([1.0, 2.0, 0.5, 1.0])), (V,)),
    "erf, erfc": (lambda x: weighted(jsp.erf(x) + jsp.erfc(x)), (V,)),
    "erf_inv, ndtri": (lambda x: weighted(jsp.erfinv(x) + jsp.ndtri(x)), (U,)),
    "ndtr, log_ndtr": (lambda x: weighted(jsp.ndtr(x) + jsp.log_ndtr(x)), (V,)),
    "lgamma, digamma": (lambda x: weighted(jsp.gammaln(x) + jsp.digamma(x)), (P,)),
    "betaln": (lambda x, y: jsp.betaln(x, y), (2.4, 1.3)),
    "polygamma": (lambda x: jsp.polygamma(1, x), (2.3,)),
    "igamma": (lambda x: jsp.gammainc(2.4, x), (1.3,)),
    "betainc": (lambda x: jsp.betainc(2.0, 3.0, x), (0.3,)),
    "bessel": (lambda x: jsp.i0e(x) + jsp.i1e(x) + jsp.i0(x), (0.8,)),
    "xlogy, xlog1py, entr": (lambda x: weighted(jsp.xlogy(x, x) + jsp.xlog1py(x, 0.5) + jsp.entr(x)), (U,)),
    "logit, expit": (lambda x: weighted(jsp.logit(x) + jsp.expit(x)), (U,)),
    "abs, sign": (lambda x: weighted(jnp.abs(x) * jnp.sign(x) + jnp.abs(x)), (V,)),
    "max, min": (lambda x: weighted(jnp.maximum(x, 0.5) + jnp.minimum(x, x[::-1])) + jnp.max(x) + jnp.min(x), (V,)),
    "ties": (lambda x: jnp.max(x) + jnp.maximum(x[0], x[1]) + jnp.clip(x[2], 1.0, 2.0), (np.ones(3),)),
    "clip, floor, round": (
        lambda x: weighted(jnp.clip(x, -1.0, 1.0) + jnp.floor(x) * x + jnp.round(x) + x % 0.3),
        (V,),
    ),
    "where": (lambda x: weighted(jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1.0)), x**2)), (V,)),
    "sum, mean, var, std": (lambda x: jnp.mean(x) + jnp.var(x) + jnp.std(x, ddof=1) + jnp.sum(x**2), (V,)),
    "prod": (lambda x: jnp.prod(x) + jnp.prod(x[:2]), (V,)),
    "cumsum, cumprod": (lambda x: weighted(jnp.cumsum(x) * jnp.cumprod(x)), (V,)),
    "cummax, cumlogsumexp": (lambda x: weighted(lax.cummax(x) + lax.cumlogsumexp(x)), (V,)),
    "sort": (lambda x: weighted(jnp.sort(x)) + weighted(x[jnp.argsort(x)]) + jnp.median(x), (V,)),
    "top_k, quantile": (lambda x: weighted(lax.top_k(x, 2)[0]) + jnp.quantile(x, 0.3), (V,)),
    "indexing": (lambda x: x[0] * x[-1] + weighted(x[1:3]) + weighted(x[::2]), (V,)),
    "gather": (lambda x: weighted(x[jnp.array([0, 2, 2, 1])] ** 2), (V,)),
    "scatter": (lambda x: weighted(jnp.zeros(5).at[jnp.array([1, 1, 4, 0])].add(x).at[2].set(x[0]) ** 2), (V,)),
    "dynamic_slice": (lambda x: weighted(lax.dynamic_slice(x, (1,), (2,)) ** 2), (V,)),
    "take_along_axis, segment_sum": (
        lambda x: weighted(jax.ops.segment_sum(x**2, jnp.array([0, 1, 0, 2]), 3)) + jnp.take(x, 2),
        (V,),
    ),
    "concatenate, stack, split": (
        lambda x, y: weighted(jnp.concatenate([x, y])) + weighted(jnp.stack(jnp.split(x * y, 2)) ** 2),
        (V, P),
    ),
    "reshape, transpose, broadcast": (
        lambda x: weighted((x.reshape(2, 2).T * x[:2]) ** 2) + weighted(jnp.broadcast_to(x, (3, 4)) ** 2),
        (V,),
    ),
    "pad, flip, roll, tile, diff": (
        lambda x: weighted(jnp.pad(x, 2) ** 2) + weighted(jnp.flip(x) * jnp.roll(x, 1)) + weighted(jnp.diff(x) ** 2),
        (V,),
    ),
    "matrix product": (lambda A, x: weighted(A @ x) * (x @ A @ x), (M, P[:3])),
    "einsum, tensordot, outer, trace": (
        lambda A, x: jnp.einsum("ij,jk,ik->", A, A, A) + jnp.trace(A @ jnp.outer(x, x)) + jnp.vdot(x, A[0]),
        (M, P[:3]),
    ),
    "norm": (lambda x: jnp.linalg.norm(x) + jnp.sum(jnp.linalg.norm(x.reshape(2, 2), axis=1)), (V,)),
    "solve": (lambda A, x: weighted(jnp.linalg.solve(A, x) ** 2), (M, P[:3])),
    "inverse": (lambda A: weighted(jnp.linalg.inv(A)), (M,)),
    "determinant": (lambda A: jnp.linalg.det(A) + jnp.linalg.slogdet(A)[1], (M,)),
    "cholesky": (lambda A: weighted(jnp.linalg.cholesky(A)), (S,)),
    "triangular solve": (
        lambda A, x: weighted(jax.scipy.linalg.solve_triangular(jnp.linalg.cholesky(A), x, lower=True)),
        (S, P[:3]),
    ),
    "cho_solve": (lambda A, x: x @ jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(A), True), x), (S, P[:3])),
    "eigh": (lambda A: weighted(jnp.log(jnp.linalg.eigvalsh(A + A.T))), (S,)),
    "eigenvectors": (lambda A: weighted(jnp.linalg.eigh((A + A.T) / 2.0)[1] ** 4), (S,)),
    "svd": (lambda A: weighted(jnp.linalg.svd(A, compute_uv=False)), (M,)),
    "qr": (lambda A: weighted(jnp.abs(jnp.linalg.qr(A)[1])), (M,)),
    "lu": (lambda A: weighted(jax.scipy.linalg.lu(A)[2]), (M,)),
    "convolution": (lambda x, k: weighted(jnp.convolve(x, k) ** 2), (V, P[:2])),
    "fft": (lambda x: weighted(jnp.abs(jnp.fft.rfft(x)) ** 2), (V,)),
    "interpolation": (lambda x: jnp.interp(x, jnp.array([0.0, 1.0, 2.0]), jnp.array([0.0, 2.0, 3.0])), (0.4,)),
    "scan": (lambda x: weighted(lax.scan(lambda c, a: (jnp.sin(c) + a, c * a), 0.3, x)[1]), (V,)),
    "scan, reversed": (lambda x: weighted(lax.scan(lambda c, a: (c * 0.5 + a, c**2), 0.3, x, reverse=True)[1]), (V,)),
    "scan over matrices": (
        lambda A, x: jnp.sum(lax.scan(lambda c, row: (jnp.tanh(A @ c) + row, None), x, A)[0]),
        (M, P[:3]),
    ),
    "fori_loop": (lambda x: lax.fori_loop(0, 5, lambda i, c: jnp.cos(c) * x + i, 0.2), (0.7,)),
    "cond": (lambda x: lax.cond(x > 0, jnp.sin, jnp.exp, x) + lax.cond(x < 0, jnp.sin, jnp.exp, x), (0.7,)),
    "switch": (lambda x: lax.switch(2, [jnp.sin, jnp.cos, lambda v: v**3], x), (0.7,)),
    "map": (lambda x: weighted(lax.map(lambda v: jnp.exp(-v) * v, x)), (V,)),
    "vmap": (lambda x: weighted(jax.vmap(lambda v: jnp.where(v > 0, v**2, jnp.exp(v)))(x)), (V,)),
    "vmapped cond": (lambda x: weighted(jax.vmap(lambda v: lax.cond(v > 0, jnp.sin, jnp.exp, v))(x)), (V,)),
    "associative_scan": (lambda x: weighted(lax.associative_scan(jnp.multiply, x)), (V,)),
    "jit": (lambda x: jitted(x, 1.0) * jitted(2.0 * x, x), (0.7,)),
    "checkpoint": (lambda x: jax.checkpoint(lambda v: jnp.sin(jnp.exp(v)))(x), (0.7,)),
    "custom_jvp": (lambda x: weighted(safe_sqrt(x)), (np.array([0.0, 2.0]),)),
    "custom_vjp": (lambda x: weighted(clipped(x)), (V,)),
    "stop_gradient": (lambda x: x * lax.stop_gradient(x) ** 2, (0.7,)),
    "inner gradient": (lambda x: jax.grad(lambda v: jnp.sin(v) ** 3)(x) * x, (0.7,)),
    "polynomial": (lambda x: jnp.polyval(jnp.array([1.0, -2.0, 0.5]), x), (0.7,)),
    "shared steps": (lambda x: sum((jnp.sin(k * x) for k in range(5)), x * x), (0.7,)),
    "an argument not used": (lambda x, y: x**2, (0.7, V)),
    "the argument itself": (lambda x: x, (0.7,)),
    "a constant": (lambda x: 3.0, (0.7,)),
    "a closed-over array": (lambda x: jnp.asarray(P) @ x, (V,)),
    "complex inside": (lambda x: jnp.abs(jnp.exp(1j * x) + x) ** 2, (0.7,)),
    "logistic regression": (logistic_regression, (np.array([0.2, -0.4]),)),
    "poisson": (
        lambda b: jnp.sum(COUNTS * (X @ b) - jnp.exp(X @ b) - jsp.gammaln(COUNTS + 1.0)),
        (np.array([0.3, 0.2]),),
    ),
    "negative binomial": (
        lambda b, log_theta: jnp.sum(
            jsp.gammaln(COUNTS + jnp.exp(log_theta))
            - jsp.gammaln(jnp.exp(log_theta))
            - (COUNTS + jnp.exp(log_theta)) * jnp.log(jnp.exp(X @ b) + jnp.exp(log_theta))
        ),
        (np.array([0.3, 0.2]), 0.5),
    ),
    "mixture": (mixture, ({"logits": V[:2], "mean": V[:2], "log_sd": np.array([0.1, -0.3])},)),
    "autoregression": (ar1, (np.array([0.4, 0.1]),)),
    "censored survival": (survival, (np.array([0.1, 0.4, -0.2]),)),
    "gaussian process": (gaussian_process, (np.array([0.3, -0.5]),)),
    "normal cdf ratio": (lambda x: jax.scipy.stats.norm.logpdf(x) - jax.scipy.stats.norm.logcdf(x), (0.4,)),
    "kalman filter": (kalman, (np.array([0.5, -0.3, 0.1]),)),
    "hidden markov": (hidden_markov, ({"A": M[:2, :2], "mean": np.array([-1.0, 1.0])},)),
    "zero-inflated": (zero_inflated, (0.3, -0.4)),
    "cox": (lambda b: jnp.sum(V * b - lax.cumlogsumexp(V * b, reverse=True)), (0.7,)),
    "custom_root": (root_of_a_cubic, (2.0,)),
    "a named tuple": (lambda t: weighted(t.a * t.b), (Named(V, P),)),
    "lists and dicts": (lambda t: jnp.sum(t[0]["x"] ** 2) * t[1][0], (({"x": V}, [2.0]),)),
    "nested scan": (
        lambda x: lax.scan(lambda c, a: (c + lax.scan(lambda d, b: (d * b + a, None), c, x)[0], None), 0.1, x)[0],
        (V,),
    ),
    "scan in vmap": (
        lambda x: weighted(
            jax.vmap(lambda v: lax.scan(lambda c, a: (jnp.tanh(c * v + a), None), v, jnp.arange(3.0))[0])(x)
        ),
        (V,),
    ),
    "cond in scan": (
        lambda x: lax.scan(lambda c, a: (lax.cond(a > 0, lambda c: c * a, lambda c: c - a, c), None), 1.0, x)[0],
        (V,),
    ),
    "checkpoint in scan": (lambda x: lax.scan(jax.checkpoint(lambda c, a: (jnp.sin(c * a), None)), 0.3, x)[0], (V,)),
    "branch by data": (lambda x: lax.switch(jnp.argmax(x), [jnp.sum, jnp.prod, jnp.max, lambda v: v[3] ** 3], x), (V,)),
    "pooling": (
        lambda x: weighted(lax.reduce_window(x, -jnp.inf, lax.max, (2,), (2,), "VALID"))
        + weighted(lax.reduce_window(x**2, 0.0, lax.add, (3,), (1,), "SAME")),
        (V,),
    ),
    "images": (
        lambda x, k: weighted(lax.conv(x.reshape(1, 1, 4, 4), k.reshape(1, 1, 2, 2), (1, 1), "SAME") ** 2),
        (np.linspace(-1, 1, 16), V),
    ),
    "batched cholesky": (lambda A: weighted(jnp.linalg.cholesky(jnp.stack([A, A + jnp.eye(3)]))), (S,)),
    "tridiagonal solve": (
        lambda d: weighted(lax.linalg.tridiagonal_solve(BAND, d + 4, BAND[::-1], X)),
        (V,),
    ),
    "complex eigenvalues": (lambda A: jnp.sum(jnp.abs(jnp.linalg.eigvals(A)) ** 2), (M,)),
    "there and back by fft": (
        lambda x: jnp.sum(jnp.fft.ifft(jnp.fft.fft(x) ** 2).real * jnp.arange(4.0)),
        (V,),
    ),
    "random numbers": (lambda x: jnp.sum(x * jax.random.normal(jax.random.key(0), (4,))), (V,)),
    "products of matrices": (
        lambda x: weighted(lax.associative_scan(jnp.matmul, jnp.stack([jnp.eye(2) * a + 0.1 for a in x]))),
        (V,),
    ),
    "nothing summed": (lambda x: jnp.sum(x[:0]) + x[0], (V,)),
    "inner hessian": (lambda x: weighted(jax.hessian(lambda v: jnp.sum(v**3 * v[::-1]))(x)), (V,)),
    "dynamic update": (lambda x: weighted(lax.dynamic_update_slice(jnp.zeros(6), x**2, (1,))), (V,)),
    "beyond the end": (lambda x: jnp.sum(x[jnp.array([0, 9])]), (V,)),
    "extreme logits": (lambda x: jnp.sum(jax.nn.log_sigmoid(x)), (np.array([-800.0, 0.0, 800.0]),)),
    "student t": (lambda nu: jnp.sum(jax.scipy.stats.t.logpdf(V, nu, 0.1, 1.3)), (4.5,)),
}  # fmt: skip


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree_util.tree_leaves(tree)])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_equals_jax(name: str) -> None:
    f, arguments = FUNCTIONS[name]
    steps = decompose(f)(*arguments)
    with differentiating():
        asked = jax.tree_util.tree_map(lambda leaf: jnp.asarray(leaf, dtype=float), arguments)
        value, expected = jax.jit(jax.value_and_grad(f, argnums=tuple(range(len(arguments)))))(*asked)
        value, expected = float(value), flat(expected)
    own = flat(steps.gradient())
    assert steps.value == pytest.approx(value, rel=1e-14, abs=1e-300)
    assert np.linalg.norm(own - expected) <= 1e-14 * np.linalg.norm(expected)
    assert np.isfinite(own).all() and steps.first_nonfinite() is None


@pytest.mark.parametrize("name", ["complex eigenvalues", "random numbers", "nothing summed", "cond in scan"])
def test_what_is_found_can_be_shown(name: str) -> None:
    f, arguments = FUNCTIONS[name]
    steps = decompose(f)(*arguments)
    assert str(steps).startswith("f = ") and "<svg" in steps.to_html() and steps.vanishing() is None
    assert json.dumps(steps.to_dict()["arguments"])


def test_truth_values_among_the_arguments_are_constants() -> None:
    steps = decompose(lambda which, x: jnp.sum(jnp.where(which, x, 0.0) ** 2))(V > 0, V)
    mask, slope = steps.gradient()
    np.testing.assert_array_equal(slope, np.where(V > 0, 2.0 * V, 0.0))
    assert not mask.any()


def test_there_are_enough_of_them() -> None:
    assert len(FUNCTIONS) >= 60


@pytest.mark.parametrize("start", [0.3, 4.0])
def test_while_loops_are_differentiated(start: float) -> None:
    # Heron's square root; jax.grad refuses it, its forward mode does not.
    def root(a: Any) -> Any:
        return lax.while_loop(lambda r: jnp.abs(r * r - a) > 1e-12, lambda r: 0.5 * (r + a / r), a)

    steps = decompose(root)(start)
    with differentiating():
        expected = float(jax.jacfwd(root)(jnp.asarray(start)))
    assert steps.gradient() == pytest.approx(expected, rel=1e-14)
    assert steps.gradient() == pytest.approx(0.5 / np.sqrt(start), rel=1e-6)


def test_an_unused_eigenvector_does_not_spoil_a_double_eigenvalue() -> None:
    steps = decompose(lambda A: jnp.sum(jnp.linalg.eigh(A)[0]))(np.eye(3))
    np.testing.assert_allclose(steps.gradient(), np.eye(3), atol=1e-15)
