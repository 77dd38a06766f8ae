"""A curve's formula over a table: which names are columns, which parameters, and what goes with the rows."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data.curve_data import from_curve, from_points
from raphson.errors import DataError, FormulaError, MissingDataWarning

TABLE = {"x": [1.0, 2.0, 3.0, 4.0], "y": [1.0, 4.0, 9.0, 16.0], "g": ["b", "a", "a", "b"], "s": [1.0, 0.5, 0.5, 0.1]}


def test_names_that_are_no_columns_are_parameters():
    read = from_curve("log(y) ~ a + b*log(x)", TABLE, {})
    assert read.columns == ("x",) and read.parameters == ("a", "b")
    np.testing.assert_allclose(read.data.response.values, np.log(TABLE["y"]))
    assert read.data.response.name == "log(y)" and read.data.X.tolist() == [[1.0], [2.0], [3.0], [4.0]]


def test_standard_deviations_are_weights():
    read = from_curve("y ~ a*x", TABLE, {}, sigma="s")
    np.testing.assert_allclose(read.data.weights, [1.0, 4.0, 4.0, 100.0])


def test_curves_are_numbered_by_their_labels():
    read = from_curve("y ~ a*x", TABLE, {}, by="g")
    assert read.by is not None and read.by.tolist() == [1, 0, 0, 1] and read.labels == ("a", "b")


def test_rows_with_something_missing_go_with_all_that_is_theirs():
    table = {**TABLE, "x": [1.0, np.nan, 3.0, 4.0]}
    with pytest.warns(MissingDataWarning, match="1 of 4 rows dropped for missing values in x"):
        read = from_curve("y ~ a*x", table, {}, weights=[1.0, 2.0, 3.0, 4.0], by="g")
    assert read.data.weights.tolist() == [1.0, 3.0, 4.0] and read.by.tolist() == [1, 0, 1]
    assert read.data.index.tolist() == [0, 2, 3] and read.data.n_dropped == 1


@pytest.mark.parametrize(
    ("formula", "parameters", "error", "message"),
    [
        ("y ~ a*x", {"x": "start"}, FormulaError, "x"),  # both a column and a parameter
        ("y ~ a*g", {}, DataError, "'g'"),  # text
        ("y ~ a*x", {"b": "start"}, (DataError, FormulaError), "b"),  # no such parameter
    ],
)
def test_what_does_not_fit_together_is_named(formula, parameters, error, message):
    with pytest.raises(error, match=message):
        from_curve(formula, TABLE, parameters)


def test_points_of_several_responses_are_weighted_by_row():
    x, data = from_points(np.arange(3.0), np.arange(6.0).reshape(3, 2), weights=[1.0, 2.0, 3.0])
    assert x.tolist() == [0.0, 1.0, 2.0] and data.response.values.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert data.weights.tolist() == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]


def test_one_standard_deviation_stands_for_all():
    _, data = from_points(np.arange(3.0), [1.0, 2.0, 3.0], sigma=0.5)
    assert data.weights.tolist() == [4.0, 4.0, 4.0]
