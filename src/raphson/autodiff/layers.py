"""Backpropagation through a chain of layers, which yields each layer's gradient as soon as it is computed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np

from raphson.autodiff.sweeps import differentiating
from raphson.autodiff.trace import readable_errors
from raphson.compat import jax
from raphson.errors import ModelError


def backpropagate(
    layers: Sequence[Any], x: Any, loss: Callable[..., Any], *target: Any
) -> Generator[tuple[Any, Any], None, float]:
    r"""Yield (layer, gradient) from the last layer to the first.

    With layers y_k = f_k(θ_k, y_{k−1}), y₀ = x and the loss L(y_K), the adjoint is passed back from
    ȳ_K = ∇L(y_K) by

        θ̄_k = (∂f_k/∂θ_k)ᵀ ȳ_k,   ȳ_{k−1} = (∂f_k/∂y_{k−1})ᵀ ȳ_k.

    The forward sweep keeps only the inputs of the layers; the values inside a layer are computed again in the reverse
    sweep, and an input is released as soon as its layer is done. So the memory holds the gradient and the inside of one
    layer at a time. The adjoint is passed back before the gradient is yielded: a caller may update a layer when its
    gradient arrives, with the same result as updating all layers at the end.

    Parameters
    ----------
    layers : sequence
        In forward order. Each is a pair ``(params, apply)``, or an object with ``params`` (arrays, or a dict, list
        or tuple of them) and ``apply(params, x) -> y``, a pure function written with ``jax.numpy``. Layers with the
        same ``apply`` and equal shapes are compiled once.
    x : array, or a structure of arrays
        Input of the first layer. Its precision is kept.
    loss : callable
        ``loss(y, *target)`` -> one number.
    *target
        Further arguments of the loss.

    Yields
    ------
    layer : object
        The object that was passed.
    gradient : structure of ndarray
        ∂L/∂params, shaped like ``params``.

    Returns
    -------
    float
        The loss (the generator's return value, as ``yield from`` gives it).

    Raises
    ------
    ModelError
        If there are no layers, an object is not a layer, or a layer or the loss fails; the message gives the layer's
        number.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), Nature 323, 533-536.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> dense = lambda params, x: jnp.tanh(x @ params["W"] + params["b"])
    >>> layers = [({"W": np.full((2, 2), 0.1 * k), "b": np.zeros(2)}, dense) for k in (1, 2)]
    >>> for layer, gradient in backpropagate(layers, np.array([[1.0, -2.0]]), jnp.sum):
    ...     print(layer is layers[1], gradient["b"].round(4))
    True [0.9984 0.9984]
    False [0.3954 0.3954]
    """
    layers = list(layers)
    parts = [_parts(layer, number) for number, layer in enumerate(layers, 1)]
    if not parts:
        raise ModelError("layers: expected at least one layer; got none")
    inputs: list[Any] = [x]
    for number, (params, apply) in enumerate(parts, 1):
        with differentiating(), readable_errors(f"layer {number}"):
            inputs.append(_forward(apply)(params, inputs[-1]))
    with differentiating(), readable_errors("loss"):
        value, adjoint = _loss(loss)(inputs.pop(), *target)
        value = float(value)
    for number in range(len(layers), 0, -1):
        params, apply = parts.pop()
        with differentiating(), readable_errors(f"layer {number}"):
            # The adjoint of the data is not needed.
            pull = _backward(apply, number > 1)
            gradient, adjoint = pull(params, inputs.pop(), adjoint)
            gradient = _host(gradient)
        del params, apply
        yield layers.pop(), gradient
        del gradient
    return value


def _parts(layer: Any, number: int) -> tuple[Any, Callable[..., Any]]:
    if isinstance(layer, tuple) and len(layer) == 2 and callable(layer[1]):
        return layer
    params, apply = getattr(layer, "params", None), getattr(layer, "apply", None)
    if not callable(apply):
        raise ModelError(
            f"layer {number}: expected a pair (params, apply), or an object with params and apply(params, x); got "
            f"{type(layer).__name__}"
        )
    return params, apply


_COMPILED: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


def _kept(function: Callable[..., Any], kind: Any, make: Callable[[Callable[..., Any]], Any]) -> Any:
    """The compiled code of a function, kept as long as the function; that of a method, as long as its object."""
    owner = getattr(function, "__self__", function)
    try:
        kept = _COMPILED.setdefault(owner, {})
    except TypeError:  # the function cannot be a weak key
        return make(function)
    key = (getattr(function, "__name__", ""), kind)
    if key not in kept:
        kept[key] = make(_weakly(function))
    return kept[key]


def _weakly(function: Callable[..., Any]) -> Callable[..., Any]:
    """A wrapper that calls the function without keeping it alive."""
    if hasattr(function, "__self__"):
        reference: Any = weakref.WeakMethod(function)
    else:
        reference = weakref.ref(function)
    return lambda *arguments: reference()(*arguments)


def _forward(apply: Callable[..., Any]) -> Any:
    return _kept(apply, "forward", jax.jit)


def _backward(apply: Callable[..., Any], passes_on: bool) -> Any:
    def make(apply: Callable[..., Any]) -> Any:
        def pull(params: Any, x: Any, adjoint: Any) -> tuple[Any, Any]:
            if passes_on:
                _, transpose = jax.vjp(apply, params, x)
                return transpose(adjoint)
            _, transpose = jax.vjp(lambda params: apply(params, x), params)
            return transpose(adjoint)[0], None

        return jax.jit(pull)

    return _kept(apply, ("backward", passes_on), make)


def _loss(loss: Callable[..., Any]) -> Any:
    def make(loss: Callable[..., Any]) -> Any:
        def checked(y: Any, *target: Any) -> Any:
            value = loss(y, *target)
            if np.shape(value) != ():
                raise ModelError(
                    f"loss: expected one number as its result; got an array of shape {np.shape(value)}. Return its mean"
                )
            return value

        return jax.jit(jax.value_and_grad(checked))

    return _kept(loss, "loss", make)


def _host(gradient: Any) -> Any:
    return jax.tree_util.tree_map(np.asarray, gradient)
