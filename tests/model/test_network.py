"""Layers, residual connections and the network as a predictor."""

import numpy as np
import pytest

from raphson.data.blocks import make_blocks
from raphson.errors import ModelError
from raphson.model.families import Gaussian, Multinomial
from raphson.model.network import ACTIVATIONS, Layer, Network, activate
from raphson.model.network_predictor import NetworkPredictor, Scale
from raphson.model.output_scale import output_scale
from raphson.numeric import x64


def made(residual=None, batch_norm=False, outputs=2, activation="tanh", hidden=(3, 3, 3)):
    network = Network.of(2, outputs, hidden, activation=activation, residual=residual, batch_norm=batch_norm)
    rng = np.random.default_rng(1)
    state = network.state(rng.normal(size=outputs), 1.0 + rng.random(outputs))
    for running in state["running"]:
        for name in running:
            running[name] = 0.5 + rng.random(running[name].shape)
    scale = Scale((0, 1), np.array([0.5, -1.0]), np.array([2.0, 3.0]))
    theta = network.pack(network.initial(rng)) + 0.1 * rng.normal(size=network.n_params)
    return NetworkPredictor(network, state, scale), theta


X = np.random.default_rng(0).normal(size=(7, 2))


def block_of(predictor):
    (block,) = predictor.blocks((X,), np.zeros(7), None, None)
    return block


def central(function, theta, step=1e-6):
    columns = []
    for j in range(len(theta)):
        d = np.zeros_like(theta)
        d[j] = step
        columns.append((function(theta + d) - function(theta - d)) / (2 * step))
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize(("residual", "batch_norm"), [(None, False), ("additive", False), ("stacked", True)])
def test_derivatives_are_those_of_finite_differences(residual, batch_norm):
    predictor, theta = made(residual, batch_norm)
    block = block_of(predictor)
    eta, J = predictor.at(block, theta)
    assert eta.shape == (2, 256)
    np.testing.assert_allclose(eta[:, :7], predictor.eta(block, theta)[:, :7])
    expected = central(lambda t: predictor.eta(block, t)[:, :7], theta)
    np.testing.assert_allclose(np.stack(J.parts), expected, atol=1e-7)
    rng = np.random.default_rng(2)
    v, u = rng.normal(size=len(theta)), rng.normal(size=(2, 7))
    np.testing.assert_allclose(J.product(v), expected @ v, atol=1e-6)
    np.testing.assert_allclose(J.transpose_product(u), np.einsum("km,kmp->p", u, expected), atol=1e-6)


def test_the_bend_is_the_derivative_of_the_score_by_the_weights():
    predictor, theta = made("stacked", True)
    block = block_of(predictor)
    u = np.random.default_rng(3).normal(size=(2, 7))
    bend = predictor.at(block, theta)[1].bend(u)
    by_differences = -central(lambda t: predictor.at(block, t)[1].transpose_product(u), theta)
    np.testing.assert_allclose(bend, by_differences, atol=1e-6)
    v = np.random.default_rng(4).normal(size=len(theta))
    np.testing.assert_allclose(predictor.at(block, theta)[1].bend_product(u, v), bend @ v, atol=1e-10)


def test_designs_are_formed_for_the_rows_asked_for():
    predictor, theta = made()
    block = block_of(predictor)
    whole = predictor.at(block, theta)[1].parts
    for k, design in enumerate(predictor.designs(X, [block], theta)):
        assert design.shape == (7, len(theta))
        np.testing.assert_allclose(design[slice(2, 5)].toarray(), whole[k][2:5], atol=1e-14)


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
        ({"residual": "dense"}, "residual: expected None, 'additive' or 'stacked'"),
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
    with pytest.raises(ValueError, match="width 3 before one of 5"):
        Network.from_dict(saved)


def test_the_output_scale_of_a_gaussian_response_is_its_mean_and_spread():
    y = np.array([10.0, 20.0, 60.0])
    centre, spread, divisor = output_scale(Gaussian(), y, np.ones(3))
    assert centre == pytest.approx(30.0)
    assert spread == pytest.approx(np.std(y))
    assert divisor == pytest.approx(np.var(y))


def test_the_output_scale_of_a_multinomial_response_is_its_log_odds():
    y = np.array([0.0, 0.0, 1.0, 2.0])
    centre, spread, divisor = output_scale(Multinomial(levels=("a", "b", "c")), y, np.ones(4))
    np.testing.assert_allclose(centre, np.log(1.5 / 2.5))
    np.testing.assert_array_equal(spread, 1.0)
    assert divisor == 1.0


def test_blocks_hold_standardised_inputs_without_the_intercept():
    design = np.column_stack([np.ones(4), [1.0, 2.0, 3.0, 4.0], np.full(4, 7.0)])
    scale = Scale.of(design, ("Intercept", "x", "constant"), None)
    Z = scale.inputs(design)
    np.testing.assert_allclose(Z.mean(axis=0), 0.0, atol=1e-15)
    np.testing.assert_allclose(Z.std(axis=0), [1.0, 0.0])
    with pytest.raises(ModelError, match="needs one input or more"):
        Scale.of(design[:, :1], ("Intercept",), None)


def test_the_indicator_of_a_rare_level_is_not_blown_up():
    rare = np.zeros(400)
    rare[0] = 1.0
    design = np.column_stack([rare, np.linspace(-1, 1, 400)])
    Z = Scale.of(design, ("rare", "x"), None).inputs(design)
    assert np.abs(Z[:, 0]).max() == pytest.approx(5.0)
    assert Z[:, 1].std() == pytest.approx(1.0)
    weight = np.where(rare > 0, 0.0, 1.0)  # a row that does not count sets no scale
    np.testing.assert_allclose(Scale.of(design, ("rare", "x"), weight).spread[0], 1.0)


def test_blocks_may_be_kept_small():
    assert [block.rows for block in make_blocks((np.zeros((600, 1)),), np.zeros(600), most_rows=256)] == [256, 256, 88]
