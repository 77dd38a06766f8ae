from __future__ import annotations

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special as jsp
import numpy as np
import pytest
from jax import lax

from raphson.autodiff import decompose
from raphson.errors import DataError, ModelError


def logistic_loss(y: Any, x: Any) -> Any:
    return jnp.log(1.0 + jnp.exp(-y * x))


def where_trick(x: Any) -> Any:
    good = x > 0
    return jnp.sum(jnp.where(good, jnp.log(x), 0.0))


def line_of(function: Any, offset: int) -> int:
    return function.__code__.co_firstlineno + offset


def test_the_textbook_chain() -> None:
    """log(1 + exp(−yx)) at y = 1, x = 0.3: every number by hand."""
    found = decompose(logistic_loss)(1.0, 0.3)
    y, x = 1.0, 0.3
    u = math.exp(-y * x)
    assert [step.operation for step in found.steps] == ["neg", "mul", "exp", "add", "log"]
    assert [float(step.value) for step in found.steps] == pytest.approx([-1.0, -0.3, u, 1 + u, math.log(1 + u)])
    partials = [[float(one) for one in step.partials if one is not None] for step in found.steps]
    assert partials == [pytest.approx(row) for row in ([-1.0], [x, -y], [u], [1.0], [1 / (1 + u)])]
    share = u / (1 + u)
    assert [float(step.adjoint) for step in found.steps] == pytest.approx(
        [x * share, share, 1 / (1 + u), 1 / (1 + u), 1.0]
    )
    assert found.gradient() == (pytest.approx(-x * share), pytest.approx(-y * share))
    assert found.value == pytest.approx(math.log(1 + u))


def test_each_step_knows_its_line() -> None:
    found = decompose(where_trick)(np.array([1.0, 2.0]))
    lines = {step.operation: step.line for step in found.steps}
    assert lines["gt"] == line_of(where_trick, 1)
    assert lines["log"] == lines["select_n"] == line_of(where_trick, 2)
    (log,) = (step for step in found.steps if step.operation == "log")
    assert log.file == __file__ and log.text == "return jnp.sum(jnp.where(good, jnp.log(x), 0.0))"


def test_a_library_function_seen_before_has_the_line_of_its_call() -> None:
    def first(A: Any) -> Any:
        return jnp.linalg.det(A)

    def second(A: Any) -> Any:
        return 2.0 * jnp.linalg.det(A)

    for function in (first, second):
        steps = decompose(function)(np.eye(2)).steps
        assert {step.line for step in steps} == {line_of(function, 1)}


def test_gradient_is_shaped_like_the_arguments() -> None:
    theta = {"a": np.ones((2, 2)), "b": [1.0, 2]}
    alone = decompose(lambda theta: jnp.sum(theta["a"] ** 2) * theta["b"][0])(theta).gradient()
    np.testing.assert_array_equal(alone["a"], np.full((2, 2), 2.0))
    assert alone["b"] == [4.0, 0.0]
    both = decompose(lambda x, theta: x * jnp.sum(theta["a"]) * theta["b"][1])(3, theta).gradient()
    assert isinstance(both, tuple) and both[0] == 8.0 and both[1]["b"] == [0.0, 12.0]
    assert decompose(lambda x, y: x * y)(2, 3).gradient() == (3.0, 2.0)
    assert all(isinstance(leaf, (np.ndarray, np.float64)) for leaf in jax.tree_util.tree_leaves(both))


def test_truth_values_stay_truth_values() -> None:
    found = decompose(lambda x, event: jnp.sum(jnp.where(~event, x, 2.0 * x)))(np.ones(2), np.array([True, False]))
    np.testing.assert_array_equal(found.gradient()[0], [2.0, 1.0])
    np.testing.assert_array_equal(found.gradient()[1], [0.0, 0.0])


def test_local_jacobians_of_small_array_steps() -> None:
    A = np.array([[2.0, 1.0], [0.5, 3.0]])
    (step, *_) = decompose(lambda x: jnp.sum(jnp.asarray(A) @ x))(np.ones(2)).steps
    np.testing.assert_allclose(step.partials[1], A)
    (step, *_) = decompose(lambda x: jnp.sum(np.ones((30, 2)) @ x))(np.ones(2)).steps
    assert step.operation == "dot_general" and step.partials == (None, None) and step.shape == (30,)
    (step, *_) = decompose(lambda x: jnp.sum(jnp.exp(x)))(np.array([0.0, 1.0])).steps
    np.testing.assert_allclose(step.partials[0], np.exp([0.0, 1.0]))


def test_loops_are_unrolled_and_branches_followed() -> None:
    looped = decompose(lambda x: lax.fori_loop(0, 3, lambda i, c: jnp.sin(c), x))(0.5)
    assert [step.operation for step in looped.steps].count("sin") == 3
    taken = decompose(lambda x: lax.cond(x > 0, jnp.sin, jnp.cos, x))(0.5)
    names = [step.operation for step in taken.steps]
    assert "sin" in names and "cos" not in names


# What breaks a gradient


@pytest.mark.parametrize(
    ("f", "x", "operation", "says"),
    [
        (lambda x: jnp.sum(jnp.log(x)), np.array([1.0, 0.0, 2.0, -1.0]), "log", r"-inf in \[1\], nan in \[3\]"),
        (where_trick, np.array([1.0, 0.0]), "log", "inputs are finite"),
        (lambda x: x / x, 0.0, "div", "nan"),
        (lambda x: jnp.sin(x) / x, 0.0, "div", "nan"),
        (lambda x: jnp.exp(x) * 0.0, 1000.0, "exp", "inf"),
        (lambda x: jnp.sqrt(x * x), 0.0, "sqrt", "passes on .* partials are inf"),
        (lambda x: jnp.linalg.norm(x), np.zeros(3), "sqrt", "passes on"),
        (lambda x: jnp.abs(x) ** 0.5, 0.0, "pow", "passes on"),
        (lambda x: jnp.log(x) + x, np.nan, "log", "as an input is"),
        (lambda x: jnp.sum(jnp.linalg.cholesky(x)), -np.eye(2), "cholesky", "nan"),
    ],
)
def test_first_nonfinite(f: Any, x: Any, operation: str, says: str) -> None:
    found = decompose(f)(x).first_nonfinite()
    assert found is not None and found.operation == operation
    assert re.search(says, str(found)) and "test_decomposition.py:" in str(found) and found.line
    assert "\n" not in str(found)


def test_constants_that_are_not_finite_do_no_harm() -> None:
    found = decompose(lambda x: jsp.logsumexp(jnp.where(jnp.array([True, False]), x, -jnp.inf)))(np.ones(2))
    assert found.first_nonfinite() is None and found.value == 1.0
    # Of data with a zero the logarithm does, though no argument is in it.
    data = np.array([1.0, 0.0])
    found = decompose(lambda x: jnp.sum(x * data * jnp.log(jnp.asarray(data))))(1.0).first_nonfinite()
    assert found is not None and found.operation == "log"


# What starves it


@pytest.mark.parametrize(
    ("f", "x", "operation"),
    [
        (lambda x: jax.nn.sigmoid(40.0 * jnp.sin(x)), 1.5, "logistic"),
        (lambda x: jnp.exp(-x) * jnp.cos(x), 800.0, "exp"),
        (lambda x: jnp.tanh(x) ** 2 + 1.0, 30.0, "tanh"),
        (lambda x: jnp.floor(3.0 * x), 0.4, "floor"),
        (lambda x: jax.nn.relu(x - 3.0), 1.0, "relu"),
        (lambda x: jnp.where(x > 1.0, 1.0, 0.0), 2.0, "select_n"),
        (lambda x: jnp.clip(2.0 * x, 0.0, 1.0), 3.0, None),
    ],
)
def test_vanishing(f: Any, x: float, operation: str | None) -> None:
    found = decompose(f)(x).vanishing()
    assert found is not None and (operation is None or found.operation == operation)
    assert found.line and "\n" not in str(found)


def test_a_deep_sigmoid_network_starves_and_relu_does_not() -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(30, 4, 4)) / 2.0

    def network(first: Any, activation: Any) -> Any:
        z = jnp.ones(4)
        for k, W in enumerate(weights):
            z = activation((first if k == 0 else W) @ z)
        return jnp.sum(z)

    starved = decompose(lambda W: network(W, jax.nn.sigmoid))(weights[0])
    found = starved.vanishing()
    assert found is not None and found.operation == "logistic"
    assert np.linalg.norm(starved.gradient()) < 1e-12
    assert decompose(lambda W: network(W, lambda z: z + 0.1 * jax.nn.sigmoid(z)))(weights[0]).vanishing() is None


def test_an_optimum_is_no_starvation() -> None:
    # The contributions of the rows cancel; none is small.
    y = np.array([1.0, 2.0, 6.0])
    found = decompose(lambda mean: jnp.sum((y - mean) ** 2))(3.0)
    assert found.gradient() == 0.0 and found.vanishing() is None


# Bad input


def with_callback(x: Any) -> Any:
    return jax.pure_callback(lambda v: v, jax.ShapeDtypeStruct((), np.float64), x) * 2.0


@pytest.mark.parametrize(
    ("f", "arguments", "kind", "says"),
    [
        (with_callback, (1.0,), ModelError, "'pure_callback' at test_decomposition.py:"),
        (lambda a: jsp.betainc(a, 2.0, 0.5), (1.0,), ModelError, "'regularized_incomplete_beta' at test_decomp"),
        (lambda x: np.sin(x), (1.0,), ModelError, "NumPy.*finite"),
        (lambda x: x if x > 0 else -x, (1.0,), ModelError, "jnp.where"),
        (lambda x: x @ jnp.ones((3, 2)), (np.ones(4),), ModelError, "test_decomposition.py"),
        (lambda x: x, (np.ones(3),), ModelError, r"one number.*shape \(3,\)"),
        (lambda x: (x, x), (1.0,), ModelError, "2 results"),
        (lambda x: 1j * x, (1.0,), ModelError, "complex"),
        (lambda x: x, ("text",), DataError, "argument x.*'text'"),
        (lambda theta: theta["a"], ({"a": None, "b": "text"},), DataError, r"theta\['b'\]"),
        (lambda x: x, (), ModelError, "f failed"),
        (3.0, (1.0,), ModelError, "expected a function"),
        (lambda x: lax.while_loop(lambda c: c < 1.0, lambda c: c * 1.0, x), (0.5,), ModelError, "times|steps"),
    ],
)
def test_bad_input_gets_one_line(f: Any, arguments: tuple[Any, ...], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        decompose(f, max_steps=300)(*arguments)
    assert "\n" not in str(caught.value)


def test_a_single_precision_array_gets_a_warning() -> None:
    weights = jnp.ones(3, dtype=jnp.float32)
    with pytest.warns(UserWarning, match=r"f uses 32-bit arrays of shape \(3,\)") as caught:
        decompose(lambda x: jnp.sum(weights * x))(1.0)
    assert caught[0].filename == __file__


def test_the_users_precision_is_left_alone() -> None:
    decompose(lambda x: x * x)(1.0)
    assert jnp.ones(1).dtype == jnp.float32
