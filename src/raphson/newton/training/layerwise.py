"""Training that updates each layer as soon as its gradient is known, and so holds one layer's gradient at a time.

The reverse sweep, :func:`raphson.autodiff.backpropagate`, yields the gradients from the last layer to the first. Each
comes after the adjoint has been passed down, so that the layer can be changed at once. The resulting weights are those
of an ordinary step.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from raphson.autodiff import backpropagate
from raphson.compat import jax, jnp
from raphson.model.network.layers import Layer, Network
from raphson.newton.training.steps import layer_squares, rule_of, stepped
from raphson.numeric import x64


class _Updatable:
    """A layer in the form that `backpropagate` takes."""

    def __init__(self, params: Any, apply: Any, number: int) -> None:
        self.params, self.apply, self.number = params, apply, number


@cache
def _layer(layer: Layer) -> Any:
    """The map x ↦ x⁺ of a layer in training; equal layers share one function, so that it compiles once."""

    def apply(params: Any, x: Any) -> Any:
        return layer.apply(params, layer.running(x.dtype), x, training=True)[0]

    return apply


@cache
def _constants(n_auxiliary: int) -> Any:
    """Appends the constants of the auxiliary predictors to the output of the last layer: (m, K)."""

    def apply(params: Any, x: Any) -> Any:
        return jnp.concatenate([x, jnp.broadcast_to(params["constant"], (len(x), n_auxiliary))], axis=1)

    return apply


def _loss(out: Any, family: Any, y: Any, weight: Any, offset: Any, centre: Any, spread: Any, divisor: Any) -> Any:
    """Loss of a batch, whose derivative by η is minus the family's score."""
    eta = centre[:, None] + spread[:, None] * out.T
    if offset is not None:
        eta = eta + offset
    rows = jax.tree.map(jax.lax.stop_gradient, family.rows(y, eta))
    # The added term is 0, but its derivative is the score, which the family has in a numerically safe form.
    value = rows.value + (rows.score * (eta - jax.lax.stop_gradient(eta))).sum(axis=0)
    if weight is not None:
        value = weight * value
    return -value.sum() / (y.shape[0] * divisor)


@cache
def _updating(rule: str) -> Any:
    """The update of one layer, and the squared norm of its gradient."""
    transformation = rule_of(rule)

    def update(params: Any, gradient: Any, moments: Any, rate: Any, decay: Any) -> Any:
        steps, moments = transformation.update(gradient, moments, params)
        return stepped(params, steps, rate, decay), moments, layer_squares([gradient])[0]

    return jax.jit(update)


@cache
def _running(network: Network) -> Any:
    """The state after a batch, by another forward sweep, as the reverse sweep keeps no statistics."""
    return jax.jit(lambda params, state, x: network.eta(params, state, (x,), training=True)[1])


def layerwise(network: Network, rule: str) -> Any:
    """A function with the arguments and results of the compiled loop over a chunk's steps."""

    def run(here: Any, batches: Any, first: int, last: int, *_: Any) -> tuple[Any, Any, Any, float, np.ndarray]:
        (params, state, moments), (family, chunk, rates, decay, divisor) = here, batches
        applies = [_layer(layer) for layer in network.layers]
        if network.n_auxiliary:
            applies.append(_constants(network.n_auxiliary))
        moments, total, squares = list(moments), 0.0, np.zeros(len(params))
        layers = [_Updatable(p, apply, k) for k, (p, apply) in enumerate(zip(params, applies, strict=True))]
        for i in range(first, last):
            (x,) = (X[i] for X in chunk.designs)
            if network.batch_norm:
                with x64():
                    state = _running(network)([layer.params for layer in layers], state, x)
            target = (
                family,
                chunk.y[i],
                None if chunk.weight is None else chunk.weight[i],
                None if chunk.offset is None else chunk.offset[i],
                state["centre"],
                state["spread"],
                divisor,
            )
            sweep = backpropagate(layers, x, _loss, *target)
            while True:
                try:
                    layer, gradient = next(sweep)
                except StopIteration as end:
                    total += end.value
                    break
                with x64():
                    k = layer.number
                    layer.params, moments[k], square = _updating(rule)(
                        layer.params, gradient, moments[k], rates[i], decay
                    )
                    squares[k] += float(square)
                del gradient
        return [layer.params for layer in layers], state, moments, total, squares

    return run
