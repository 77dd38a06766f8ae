"""Which parameters a function is linear in is read off its steps; no curved pair is missed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from raphson.autodiff.trace import trace
from raphson.model.curve.linearity import Dependence, curved_pairs, largest_linear_set
from raphson.numeric import x64

X = np.array([0.5, 1.0, 2.0])


@pytest.mark.parametrize(
    ("f", "pairs"),
    [
        (lambda a, b, c: a + b * X - c, []),
        (lambda a, b, c: a * jnp.exp(-b * X) + c, [(0, 1), (1, 1)]),
        (lambda a, b, c: a / b + c, [(0, 1), (1, 1)]),
        (lambda a, b, c: a * b * c, [(0, 1), (0, 2), (1, 2)]),
        (lambda a, b, c: jnp.where(c < X, a, b), [(0, 2), (1, 2), (2, 2)]),
        (lambda a, b, c: (a + b) ** 2 + c, [(0, 0), (0, 1), (1, 1)]),
        (lambda a, b, c: jnp.stack([a, b])[jnp.array([0, 1, 1])] * c, [(0, 2), (1, 2)]),
    ],
)
def test_pairs(f, pairs):
    at = (0.7, 1.3, 1.1)
    with x64():
        found = curved_pairs(trace(f, *at).jaxpr, [Dependence(frozenset([j]), frozenset()) for j in range(3)]).pairs
        second = jax.hessian(lambda theta: jnp.sum(jnp.sin(jnp.arange(1.0, 4.0)) * f(*theta)))(jnp.array(at))
    curved = {(j, k) for j in range(3) for k in range(j, 3) if abs(float(second[j, k])) > 1e-12}
    assert curved <= found, "a pair was missed"
    assert found == frozenset(pairs)


def test_the_largest_set_is_found_among_many_as_among_few():
    # A chain 0-1-2-...: every other one is left.
    for p in (5, 21):
        chain = frozenset((j, j + 1) for j in range(p - 1))
        chosen = largest_linear_set(chain, list(range(p)))
        assert not any(j in chosen and k in chosen for j, k in chain)
        assert len(chosen) == (p + 1) // 2 or p > 14
    assert largest_linear_set(frozenset([(0, 0), (1, 1)]), [0, 1]) == frozenset()
    assert largest_linear_set(frozenset(), [1, 3]) == frozenset([1, 3])
