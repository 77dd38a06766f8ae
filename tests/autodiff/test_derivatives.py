from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from raphson.autodiff import finite_difference, gradient, hessian, hvp, jacobian
from raphson.errors import DataError, ModelError

X = np.array([0.1, 0.2, 0.3])


def f(x: Any) -> Any:
    return jnp.sum(jnp.exp(x) * x[::-1])


def structured(theta: Any, scale: Any) -> Any:
    return theta["a"] * scale[0] + jnp.sin(theta["b"]) @ jnp.stack(scale)


ARGUMENTS = ({"a": 2, "b": np.array([1.0, 2.0])}, [3.0, 4.0])


def leaves(tree: Any) -> list[Any]:
    return jax.tree_util.tree_leaves(tree)


def same(a: Any, b: Any, tolerance: float) -> None:
    assert jax.tree_util.tree_structure(a) == jax.tree_util.tree_structure(b)
    for one, other in zip(leaves(a), leaves(b), strict=True):
        assert isinstance(one, (np.ndarray, np.float64)) and one.dtype == np.float64
        np.testing.assert_allclose(one, other, atol=tolerance)


def test_exact_values() -> None:
    g = np.exp(X) * X[::-1] + np.exp(X[::-1])
    H = np.diag(np.exp(X) * X[::-1]) + (np.diag(np.exp(X)) + np.diag(np.exp(X[::-1])))[::-1]
    np.testing.assert_allclose(gradient(f)(X), g, rtol=1e-15)
    np.testing.assert_allclose(hessian(f)(X), H, rtol=1e-14)
    np.testing.assert_allclose(hvp(f)(X, X), H @ X, rtol=1e-14)
    J = jacobian(lambda x: jnp.outer(x, x))(X)
    assert J.shape == (3, 3, 3) and J[0, 1, 0] == X[1]


@pytest.mark.parametrize("derivative", [gradient, jacobian, hessian])
def test_finite_differences_agree_in_shape_and_value(derivative: Any) -> None:
    tolerance = 1e-9 if derivative is hessian else 1e-11
    for function, arguments in ((f, (X,)), (structured, ARGUMENTS)):
        same(derivative(function, method="finite")(*arguments), derivative(function)(*arguments), tolerance)


def test_structured_results() -> None:
    def several(x: Any) -> Any:
        return {"p": x[:2] * x[0], "q": jnp.sum(x)}

    exact = jacobian(several)(X)
    assert exact["p"].shape == (2, 3) and exact["q"].shape == (3,)
    same(jacobian(several, method="finite")(X), exact, 1e-12)
    same(hvp(structured, method="finite")(*ARGUMENTS, ARGUMENTS), hvp(structured)(*ARGUMENTS, ARGUMENTS), 1e-9)


def test_a_function_without_jax() -> None:
    assert gradient(math.lgamma, method="finite")(3.0) == pytest.approx(0.9227843350984671, rel=1e-12)
    found = finite_difference(math.exp, 1.0, order=2)
    assert abs(found.value - math.e) < found.error < 1e-7


def test_compiled_once() -> None:
    traces = []

    def counted(x: Any) -> Any:
        traces.append(1)
        return jnp.sum(x**2)

    slope = gradient(counted)
    slope(X)
    first = len(traces)
    slope(2.0 * X)
    assert len(traces) == first


def test_the_users_precision_is_left_alone() -> None:
    assert gradient(jnp.sin)(1.0).dtype == np.float64
    assert jnp.ones(1).dtype == jnp.float32


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: gradient(f, method="forward"), ModelError, "expected one of exact, finite; got 'forward'"),
        (lambda: gradient(lambda x: x)(X), ModelError, r"one number.*\(3,\)"),
        (lambda: gradient(lambda x: x, method="finite")(X), ModelError, r"one number.*\(3,\)"),
        (lambda: hessian(lambda x: (x, x))(1.0), ModelError, "2 results"),
        (lambda: gradient(f)("text"), DataError, "argument x"),
        (lambda: gradient(f)(), ModelError, "at least one argument"),
        (lambda: gradient(np.exp)(1.0), ModelError, "finite"),
        (lambda: gradient(lambda x: 1 / 0, method="finite")(1.0), ModelError, "ZeroDivisionError"),
        (lambda: gradient(lambda x: math.log(x), method="finite")(-1.0), ModelError, "ValueError"),
        (lambda: gradient(jnp.log, method="finite")(-1.0), ModelError, "not finite"),
        (lambda: hvp(f)(X), ModelError, "direction"),
        (lambda: hvp(f)(X, X[:2]), DataError, "direction v"),
        (lambda: gradient(None)(1.0), ModelError, "expected a function"),
    ],
)
def test_bad_input_gets_one_line(call: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
