"""A function turns where a gap passes through zero, whatever operation chooses."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from raphson.model.curve.kinks import gaps_of
from raphson.numeric import x64

X = np.array([1.0, 4.0])


@pytest.mark.parametrize(
    ("f", "gaps"),
    [
        (lambda t, x: t[0] * x, []),
        (lambda t, x: jnp.maximum(x - t[0], 0.0), [-1.0, 2.0]),
        (lambda t, x: jnp.abs(x - t[0]), [-1.0, 2.0]),
        (lambda t, x: jnp.where(x < t[0], 0.0, 1.0), [-1.0, 2.0]),
        (lambda t, x: jnp.clip(x, t[0], 3.0), [-1.0, 2.0, -1.0, 1.0]),
    ],
)
def test_gaps(f, gaps):
    with x64():
        found = np.asarray(gaps_of(f)(jnp.array([2.0]), jnp.array(X)))
    assert sorted(np.abs(found).tolist()) == sorted(np.abs(gaps).tolist())
