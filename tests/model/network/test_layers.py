"""Layers, residual connections, and the structure made of them."""

import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.model.network.layers import ACTIVATIONS, Layer, Network, activate
from raphson.numeric import x64


def test_the_stacked_stream_is_carried_unchanged():
    # μ + (c − μ) = c: the halves of every stacked layer add up to what came into the first
    network = Network.of(3, 1, (3, 3, 3), activation="sigmoid", residual="stacked")
    assert [layer.width for layer in network.layers] == [6, 6, 6, 1]
    params = network.initial(np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(5, 3))
    here = x
    with x64():
        for layer, own in zip(network.layers[:-1], params, strict=False):
            here = np.asarray(layer.apply(own, {}, here)[0])
            np.testing.assert_allclose(here[:, :3] + here[:, 3:], x, atol=1e-14)


def test_the_additive_layer_adds_its_input():
    layer = Layer(2, 2, "relu", residual="additive")
    params = {"weight": np.array([[1.0, -1.0], [0.0, 2.0]]), "bias": np.array([0.5, 0.0])}
    x = np.array([[1.0, 2.0]])
    with x64():
        out, _ = layer.apply(params, {}, x)
    np.testing.assert_allclose(out, [[1.0 + 1.5, 2.0 + 3.0]])


def test_batch_norm_centres_and_scales_while_training_and_is_affine_when_frozen():
    layer = Layer(1, 1, "identity", batch_norm=True)
    params = {"weight": np.ones((1, 1)), "scale": np.array([2.0]), "shift": np.array([-1.0])}
    x = np.array([[1.0], [3.0], [8.0]])
    with x64():
        out, running = layer.apply(params, layer.running(), x, training=True)
        frozen, same = layer.apply(params, {"mean": np.array([4.0]), "variance": np.array([9.0])}, x)
        out, frozen = np.asarray(out), np.asarray(frozen)
        running = {name: np.asarray(value) for name, value in running.items()}
    np.testing.assert_allclose(np.mean(out), -1.0, atol=1e-12)
    np.testing.assert_allclose(np.std(out), 2.0, rtol=1e-5)
    np.testing.assert_allclose(running["mean"], 0.1 * 4.0)
    np.testing.assert_allclose(running["variance"], 0.9 + 0.1 * np.var(x))
    np.testing.assert_allclose(frozen, 2.0 * (x - 4.0) / np.sqrt(9.0 + 1e-5) - 1.0)
    assert same["mean"] == 4.0


def test_dropout_leaves_out_its_share_and_keeps_the_mean():
    import jax

    layer = Layer(1, 1000, "identity", dropout=0.25)
    params = {"weight": np.ones((1, 1000)), "bias": np.zeros(1000)}
    with x64():
        out, _ = layer.apply(params, {}, np.ones((50, 1)), training=True, key=jax.random.key(0))
        still, _ = layer.apply(params, {}, np.ones((50, 1)))
        out, still = np.asarray(out), np.asarray(still)
    assert np.mean(out == 0) == pytest.approx(0.25, abs=0.01)
    assert np.mean(out) == pytest.approx(1.0, abs=0.02)
    np.testing.assert_array_equal(still, 1.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", [0.0, 0.0, 2.0]),
        ("tanh", np.tanh([-1.0, 0.0, 2.0])),
        ("sigmoid", 1 / (1 + np.exp([1.0, 0.0, -2.0]))),
        ("softplus", np.log1p(np.exp([-1.0, 0.0, 2.0]))),
        ("identity", [-1.0, 0.0, 2.0]),
    ],
)
def test_activations(name, expected):
    assert name in ACTIVATIONS
    with x64():
        np.testing.assert_allclose(activate(name, np.array([-1.0, 0.0, 2.0])), expected, atol=1e-15)


def test_parameters_pack_and_unpack_and_have_a_name_each():
    network = Network.of(2, 3, (4,), batch_norm=True, n_auxiliary=1)
    theta = np.arange(float(network.n_params))
    np.testing.assert_array_equal(network.pack(network.unpack(theta)), theta)
    assert len(network.names) == len(theta) == 2 * 4 + 4 + 4 + 4 * 3 + 3 + 1
    assert network.names[0] == "hidden1.weight[0,0]"
    assert network.names[-1] == "auxiliary.constant[0]"
    assert network.decays.sum() == 2 * 4 + 4 * 3
    assert Network.from_dict(network.to_dict()) == network


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "swish"}, "activation: expected one of relu, tanh"),
        ({"residual": "dense"}, "residual: expected one of additive, stacked or None"),
    ],
)
def test_unknown_parts_are_refused(options, message):
    with pytest.raises(ModelError, match=message):
        Network.of(2, 1, (3,), **options)


def test_a_layer_without_units_is_refused():
    with pytest.raises(ModelError, match="hidden: expected layers of one unit or more"):
        Network.of(2, 1, (3, 0))


def test_a_saved_structure_whose_layers_do_not_fit_is_refused():
    saved = Network.of(2, 1, (3, 3)).to_dict()
    saved["layers"][1]["inputs"] = 5
    with pytest.raises(ValueError, match="expected 3 inputs after a layer of that width; got 5"):
        Network.from_dict(saved)
