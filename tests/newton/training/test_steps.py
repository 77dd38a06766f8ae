"""First-order steps: their rules, the decay of weights alone, and the gradient of a batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from raphson.model.families import Poisson
from raphson.newton.training.steps import ADAPTIVE, RATES, layer_squares, loss_and_score, rule_of, stepped
from raphson.numeric import x64

G = np.array([2.0, -0.5])


def test_rules_by_their_definitions():
    with x64():
        for name in RATES:
            rule = rule_of(name)
            state = rule.init(jnp.zeros(2))
            first, state = rule.update(jnp.array(G), state)
            second, _ = rule.update(jnp.array(G), state)
            if name in ("sgd", "momentum"):
                np.testing.assert_allclose(first, G)
                np.testing.assert_allclose(second, G if name == "sgd" else 1.9 * G)
            elif name == "adam":  # of a constant gradient each step is its sign
                np.testing.assert_allclose(first, np.sign(G), rtol=1e-6)
                np.testing.assert_allclose(second, np.sign(G), rtol=1e-6)
            else:
                np.testing.assert_allclose(first, np.sign(G) / np.sqrt(0.1), rtol=1e-6)
    assert set(ADAPTIVE) < set(RATES)


def test_only_weights_decay():
    params = [{"weight": np.array([10.0]), "bias": np.array([10.0])}]
    steps = [{"weight": np.array([1.0]), "bias": np.array([1.0])}]
    with x64():
        moved = stepped(params, steps, 0.1, 0.5)
    assert float(moved[0]["weight"][0]) == pytest.approx(10.0 - 0.1 * (1.0 + 5.0))
    assert float(moved[0]["bias"][0]) == pytest.approx(9.9)


def test_the_score_is_the_losss_derivative():
    y, weight, eta = np.array([1.0, 0.0, 3.0]), np.array([1.0, 2.0, 0.5]), np.array([[0.2, -1.0, 0.7]])
    with x64():
        loss, score = loss_and_score(Poisson(), y, weight, jnp.array(eta), 2.0)
        slope = jax.grad(lambda e: loss_and_score(Poisson(), y, weight, e, 2.0)[0])(jnp.array(eta))
    np.testing.assert_allclose(score, slope, rtol=1e-12)
    assert np.isfinite(float(loss))


def test_squares_by_layer():
    with x64():
        found = layer_squares([{"weight": jnp.array([3.0]), "bias": jnp.array([4.0])}, {"weight": jnp.array([2.0])}])
    assert found.tolist() == [25.0, 4.0]
