"""The steps of first-order methods: the gradient of a batch, and the update of the parameters."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from raphson.compat import jax, jnp

RATES = {"sgd": 0.05, "momentum": 0.01, "rmsprop": 1e-3, "adam": 1e-3}
"""The methods, with the default learning rate α of each."""

ADAPTIVE = ("rmsprop", "adam")
"""Methods whose M is √ of the running mean of the squared gradient, the diagonal of the outer product; else M is I."""


class Chunk(NamedTuple):
    """The batches of up to S steps, B rows each."""

    designs: tuple[np.ndarray, ...]
    """Each (S, B, d)."""
    y: np.ndarray
    """(S, B)."""
    weight: np.ndarray | None
    """(S, B), of mean 1, or None for ones."""
    offset: np.ndarray | None
    """(S, K, B) or None."""


@cache
def rule_of(name: str) -> Any:
    """The optax gradient transformation that gives the step before multiplication by α."""
    import optax

    return {
        "sgd": optax.identity,
        "momentum": lambda: optax.trace(decay=0.9),
        "rmsprop": lambda: optax.scale_by_rms(decay=0.9),
        "adam": optax.scale_by_adam,
    }[name]()


def layer_squares(gradients: Any) -> Any:
    """Σ g² of each layer's gradient, (L,)."""
    return jnp.stack([sum(jnp.sum(g * g) for g in jax.tree.leaves(layer)) for layer in gradients])


def loss_and_score(family: Any, y: Any, weight: Any, eta: Any, divisor: Any, rows: Any = None) -> tuple[Any, Any]:
    """Loss of a batch, −Σ w log f/(m φ₀), and its derivative by η (K, m), −w × the family's score/(m φ₀).

    Of a part of a batch, m is given: the number of `rows` of the whole batch.
    """
    found = family.rows(y, eta)
    value, score = found.value, found.score
    if weight is not None:
        value, score = weight * value, weight * score
    scale = (y.shape[0] if rows is None else rows) * divisor
    return -value.sum() / scale, (-score / scale).astype(eta.dtype)


def stepped(params: Any, steps: Any, rate: Any, decay: Any) -> Any:
    """Parameters after a step with weight decay."""

    def one(path: Any, parameter: Any, step: Any) -> Any:
        if getattr(path[-1], "key", None) == "weight":
            step = step + decay * parameter
        return parameter - rate * step

    return jax.tree_util.tree_map_with_path(one, params, steps)
