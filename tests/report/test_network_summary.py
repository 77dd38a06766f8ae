"""The summary of a network: its layers."""

from raphson.model.network.layers import Network
from raphson.report.network_summary import _layers


def layers(*hidden, **options):
    network = Network.of(4, 1, hidden, **options)
    return [list(row) for row in _layers(network).rows]


def test_each_layer_has_a_line_with_its_weights():
    assert layers(8, 3, activation="tanh") == [
        ["hidden1", "4", "8", "tanh", "-", "-", "40"],
        ["hidden2", "8", "3", "tanh", "-", "-", "27"],
        ["output", "3", "1", "identity", "-", "-", "4"],
    ]


def test_neighbours_that_are_alike_share_a_line():
    assert layers(*(8,) * 30, batch_norm=True) == [
        ["hidden1", "4", "8", "relu", "batch", "-", "48"],
        ["hidden2 to hidden30", "8", "8", "relu", "batch", "-", "80 each"],
        ["output", "8", "1", "identity", "-", "-", "9"],
    ]
