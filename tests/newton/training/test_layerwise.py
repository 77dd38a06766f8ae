"""Training that updates each layer as its gradient arrives."""

import jax
import numpy as np
import pytest

from raphson.model.families import Gaussian, NegativeBinomial
from raphson.model.network.layers import Network
from raphson.newton.training.first_order import Descent, Sample, beginning, train

rng = np.random.default_rng(0)
X = rng.normal(size=(64, 3))
y = np.round(np.exp(0.5 * X[:, 0]) + rng.random(64))


def trained(update, rule="adam", family=None, **options):
    family = Gaussian() if family is None else family
    extra = len(family.auxiliary)
    network = Network.of(3, 1, (5, 5), activation="tanh", n_auxiliary=extra, **options)
    descent = Descent(rule, epochs=2, batch_size=8, learning_rate=0.02, weight_decay=0.01, update=update)
    state = network.state(np.zeros(1 + extra), np.ones(1 + extra))
    begin = beginning(network.initial(np.random.default_rng(1)), state, descent)
    weight, offset = np.linspace(0.5, 1.5, 64), np.full((1 + extra, 64), 0.1)
    return network, train(network, family, begin, Sample((X,), y, weight, offset, float), descent)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("adam", {}),
        ("sgd", {"batch_norm": True, "residual": "stacked"}),
        ("momentum", {"residual": "additive"}),
        ("adam", {"family": NegativeBinomial()}),
    ],
)
def test_the_weights_are_those_of_the_ordinary_step(rule, options):
    network, layerwise = trained("layerwise", rule, **options)
    _, whole = trained("whole", rule, **options)
    np.testing.assert_allclose(network.pack(layerwise.params), network.pack(whole.params), rtol=1e-11, atol=1e-13)
    for one, other in zip(layerwise.history, whole.history, strict=True):
        np.testing.assert_allclose(one.norms, other.norms, rtol=1e-9)
        np.testing.assert_allclose(one.loss, other.loss, rtol=1e-12)
    for one, other in zip(layerwise.state["running"], whole.state["running"], strict=True):
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-11)


def test_the_64_bit_scope_is_left_again():
    trained("layerwise", "sgd")
    assert not jax.config.jax_enable_x64
