"""A nested dict of parameters is one vector, and comes back."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.model.likelihood.parameters import Parameters

START = {"beta": [0.0, 1.0], "group": {"shift": np.ones((2, 2)), "log_sigma": 2.0}}


def test_names_and_places():
    layout, theta = Parameters.of(START)
    assert layout.size == len(theta) == 7
    assert layout.names[:3] == ("beta[0]", "beta[1]", "group.shift[0,0]") and layout.names[-1] == "group.log_sigma"
    assert theta[layout.leaves[1].part].tolist() == [1.0] * 4


def test_there_and_back():
    layout, theta = Parameters.of(START)
    back = layout.nested(theta)
    assert back["group"]["log_sigma"] == 2.0 and isinstance(back["group"]["log_sigma"], float)
    np.testing.assert_array_equal(layout.like(back), theta)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([1.0], "start: expected a dict of parameters"),
        ({}, "start: expected a dict of parameters"),
        ({1: 2.0}, "expected names as keys; got 1"),
        ({"a": {"b": "x"}}, r"start\['a.b'\]: expected numbers; got 'x'"),
        ({"a": np.nan}, r"start\['a'\]: expected finite numbers"),
        ({"a": []}, "there is no parameter in it"),
    ],
)
def test_what_is_no_start(start, message):
    with pytest.raises(ModelError, match=message):
        Parameters.of(start)


def test_another_layout_is_named():
    layout, _ = Parameters.of({"a": 0.0, "b": 0.0})
    with pytest.raises(ModelError, match="expected the parameters a, b; got a, c"):
        layout.like({"a": 1.0, "c": 1.0})
