"""Gradient norms by layer: a table, its ratio and its plot."""

import numpy as np

from raphson.report.gradients import GradientProfile

PROFILE = GradientProfile.of([(1e-6, 0.0, 1.0, 5.0), (2e-6, 1e-3, 4.0, 5.0)], ["hidden1", "hidden2", "output"])


def test_a_column_for_each_layer_and_a_row_for_each_epoch_without_auxiliary_constants():
    assert PROFILE.table.columns.tolist() == ["hidden1", "hidden2", "output"]
    assert PROFILE.table.index.tolist() == [1, 2]
    np.testing.assert_allclose(PROFILE.ratio, [1e-6, 5e-7])


def test_the_plot_has_a_line_for_an_epoch_and_leaves_out_what_has_no_logarithm():
    (axes,) = PROFILE.plot().axes
    first, second = axes.get_lines()
    np.testing.assert_array_equal(first.get_ydata(), [1e-6, np.nan, 1.0])
    np.testing.assert_array_equal(second.get_ydata(), [2e-6, 1e-3, 4.0])
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "layer, the output last"


def test_of_many_epochs_the_plot_shows_a_dozen_the_first_and_the_last_among_them():
    many = GradientProfile.of([(1.0 + i, 1.0) for i in range(100)], ["hidden1", "output"])
    (axes,) = many.plot().axes
    shown = [line.get_label() for line in axes.get_lines()]
    assert len(shown) == 12
    assert shown[0] == "epoch 1"
    assert shown[-1] == "epoch 100"
