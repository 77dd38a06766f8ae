"""The network as a predictor: its derivatives, and the scale of its inputs."""

import numpy as np
import pytest

from raphson.data.blocks import make_blocks
from raphson.errors import ModelError
from raphson.model.network.layers import Network
from raphson.model.network.predictor import NetworkPredictor, Scale

X = np.random.default_rng(0).normal(size=(7, 2))


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
    second_order = predictor.at(block, theta)[1].second_order(u)
    by_differences = -central(lambda t: predictor.at(block, t)[1].transpose_product(u), theta)
    np.testing.assert_allclose(second_order, by_differences, atol=1e-6)
    v = np.random.default_rng(4).normal(size=len(theta))
    np.testing.assert_allclose(predictor.at(block, theta)[1].second_order_product(u, v), second_order @ v, atol=1e-10)


def test_designs_are_formed_for_the_rows_asked_for():
    predictor, theta = made()
    block = block_of(predictor)
    whole = predictor.at(block, theta)[1].parts
    for k, design in enumerate(predictor.designs(X, [block], theta)):
        assert design.shape == (7, len(theta))
        np.testing.assert_allclose(design[slice(2, 5)].toarray(), whole[k][2:5], atol=1e-14)


def test_blocks_hold_standardised_inputs_without_the_intercept():
    design = np.column_stack([np.ones(4), [1.0, 2.0, 3.0, 4.0], np.full(4, 7.0)])
    scale = Scale.of(design, ("Intercept", "x", "constant"), None)
    Z = scale.inputs(design)
    np.testing.assert_allclose(Z.mean(axis=0), 0.0, atol=1e-15)
    np.testing.assert_allclose(Z.std(axis=0), [1.0, 0.0])
    with pytest.raises(ModelError, match="expected at least one input"):
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
