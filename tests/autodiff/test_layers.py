from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from raphson.autodiff import backpropagate
from raphson.errors import ModelError
from raphson.numeric import x64


def dense(params: Any, x: Any) -> Any:
    return jnp.tanh(x @ params["W"] + params["b"])


def activation(params: Any, x: Any) -> Any:
    return jax.nn.softplus(x)


def squared(y: Any, target: Any) -> Any:
    return jnp.mean((y - target) ** 2)


class Layer:
    def __init__(self, params: Any) -> None:
        self.params = params

    def apply(self, params: Any, x: Any) -> Any:
        return dense(params, x)


def network(dtype: Any = float) -> tuple[list[Any], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    layers: list[Any] = []
    for k, (a, b) in enumerate([(4, 5), (5, 5), (5, 2)]):
        params = {"W": rng.normal(size=(a, b)).astype(dtype), "b": rng.normal(size=b).astype(dtype)}
        layers.append(Layer(params) if k == 1 else (params, dense))
        layers.append(({}, activation))
    return layers, rng.normal(size=(7, 4)).astype(dtype), rng.normal(size=(7, 2)).astype(dtype)


def params_of(layer: Any) -> Any:
    return layer[0] if isinstance(layer, tuple) else layer.params


def expected(layers: list[Any], x: Any, target: Any) -> tuple[float, Any]:
    def loss(all_params: Any) -> Any:
        y = x
        for params in all_params:
            y = dense(params, y) if params else activation(params, y)
        return squared(y, target)

    with x64():
        value, gradient = jax.jit(jax.value_and_grad(loss))([params_of(layer) for layer in layers])
        return float(value), jax.tree_util.tree_map(np.asarray, gradient)


def test_each_layer_gets_its_gradient_last_first() -> None:
    layers, x, target = network()
    value, gradients = expected(layers, x, target)
    steps = backpropagate(layers, x, squared, target)
    assert inspect.isgenerator(steps)
    got = list(steps)
    assert [id(layer) for layer, _ in got] == [id(layer) for layer in reversed(layers)]
    for (_, gradient), wanted in zip(got, reversed(gradients), strict=True):
        assert gradient.keys() == wanted.keys()
        for name in wanted:
            assert isinstance(gradient[name], np.ndarray)
            np.testing.assert_allclose(gradient[name], wanted[name], rtol=1e-12, atol=1e-14)

    def last() -> Any:
        return (yield from backpropagate(layers, x, squared, target))

    steps = last()
    with pytest.raises(StopIteration) as done:
        while True:
            next(steps)
    assert done.value.value == pytest.approx(value, rel=1e-14)


def test_updating_as_gradients_arrive_changes_nothing() -> None:
    layers, x, target = network()
    _, gradients = expected(layers, x, target)
    layers = [Layer(params_of(layer)) if params_of(layer) else layer for layer in layers]
    old = [params_of(layer) for layer in layers]
    for layer, gradient in backpropagate(layers, x, squared, target):
        if gradient:
            layer.params = {name: layer.params[name] - 10.0 * gradient[name] for name in gradient}
    for layer, before, gradient in zip(layers, old, gradients, strict=True):
        for name in gradient:
            np.testing.assert_allclose(params_of(layer)[name], before[name] - 10.0 * gradient[name], rtol=1e-12)


def test_the_64_bit_scope_is_never_on_at_a_yield() -> None:
    layers, x, target = network()
    for _ in backpropagate(layers, x, squared, target):
        assert jnp.ones(1).dtype == jnp.float32
    steps = backpropagate(layers, x, squared, target)
    next(steps)
    steps.close()
    assert jnp.ones(1).dtype == jnp.float32


def test_single_precision_stays() -> None:
    layers, x, target = network(np.float32)
    assert {leaf.dtype for _, g in backpropagate(layers, x, squared, target) for leaf in g.values()} == {np.dtype("f4")}


def test_compiled_once() -> None:
    traces = []

    def counted(params: Any, x: Any) -> Any:
        traces.append(1)
        return jnp.tanh(x @ params)

    layers = [(np.eye(3) * k, counted) for k in range(1, 6)]
    for _ in range(2):
        list(backpropagate(layers, np.ones((2, 3)), jnp.sum))
    assert len(traces) <= 4  # forward, backward, and backward without an adjoint of the data


def test_a_gradient_is_let_go() -> None:
    import gc
    import weakref

    layers, x, target = network()
    alive: list[Any] = []
    for _, gradient in backpropagate(layers, x, squared, target):
        gc.collect()
        assert all(reference() is None for reference in alive)
        alive += [weakref.ref(leaf) for leaf in gradient.values()]
        del gradient


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: backpropagate([], 1.0, jnp.sum), "at least one layer"),
        (lambda: backpropagate([3], 1.0, jnp.sum), "layer 1: expected a pair"),
        (lambda: backpropagate([(np.ones((3, 2)), jnp.dot)], np.ones((4, 5)), jnp.sum), "layer 1 failed"),
        (lambda: backpropagate([(np.ones(2), jnp.add)], np.ones(2), jnp.exp), "loss: expected one number"),
    ],
)
def test_bad_input_gets_one_line(call: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        list(call())
    assert "\n" not in str(caught.value)
