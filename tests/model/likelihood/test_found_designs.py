"""The designs of found predictors: of some of many rows they are those of all rows."""

from __future__ import annotations

import numpy as np

from raphson.model.likelihood.found_designs import every_parameter, found_designs, settled, shape_of, supports

rng = np.random.default_rng(0)


def derivative(columns, anchor):
    """η_1 = x'θ[:2], η_2 = z'θ[2:4] + o."""
    x, z, o = columns
    J = np.zeros((len(x), 2, 4))
    J[:, 0, :2], J[:, 1, 2:] = x, z
    return np.column_stack([np.zeros(len(x)), o]), J


def of(columns):
    return found_designs(derivative, columns, 2, 4, every_parameter(2, 4))


def test_pieces_have_the_designs_of_all_rows():
    x = rng.normal(size=(3000, 2))
    x[:2000, 1] = 0.0  # the first rows do not touch it
    columns = (x, x.copy(), np.where(np.arange(3000) < 2500, 0.0, 1.0))
    whole = found_designs(derivative, columns, 2, 4)
    assert whole.supports == [slice(0, 2), slice(2, 4)] and whole.distinct[1] == (0, 0) and whole.shape.shifted
    given = found_designs(derivative, tuple(one[::7] for one in columns), 2, 4).shape
    cuts = [slice(k, k + 256) for k in range(0, 3000, 256)]
    parts = [shape_of(of(tuple(one[cut] for one in columns)), given) for cut in cuts]
    shape = parts[0]
    for part in parts[1:]:
        shape = shape + part
    shape = settled(shape, given)
    pieces = [found_designs(derivative, tuple(one[cut] for one in columns), 2, 4, shape) for cut in cuts]
    assert {one.distinct[1] for one in pieces} == {(0, 0)}
    np.testing.assert_array_equal(np.concatenate([one.parts[0] for one in pieces]), whole.parts[0])
    np.testing.assert_array_equal(np.concatenate([one.shift for one in pieces], axis=1), whole.shift)


def test_designs_that_differ_in_one_row_are_not_shared():
    x = rng.normal(size=(600, 2))
    z = x.copy()
    z[599, 1] += 1.0
    given = found_designs(derivative, (x[:500], z[:500], np.zeros(500)), 2, 4).shape
    assert given.first == [0, 0]
    found = settled(given + shape_of(of((x[500:], z[500:], np.zeros(100))), given), given)
    assert found.first == [0, 1] and not found.shifted


def test_parameters_that_only_late_rows_touch_widen_the_designs():
    x = np.zeros((600, 2))
    x[:, 0], x[599, 1] = 1.0, 1.0
    given = found_designs(derivative, (x[:500], x[:500], np.zeros(500)), 2, 4).shape
    assert given.supports == [slice(0, 1), slice(2, 3)]
    found = settled(given + shape_of(of((x[500:], x[500:], np.zeros(100))), given), given)
    assert found.supports == [slice(0, 2), slice(2, 4)] and found.first == [0, 1]
    assert found_designs(derivative, (x, x, np.zeros(600)), 2, 4, found).parts[0].shape == (600, 2)


def test_overlapping_ranges_are_merged():
    touched = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=bool)
    assert supports(touched) == [slice(0, 3), slice(0, 3), slice(3, 4)]
