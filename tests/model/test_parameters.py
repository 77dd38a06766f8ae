from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raphson.errors import ModelError
from raphson.model.parameters import Parameters

leaf = st.one_of(
    st.floats(-10, 10),
    st.integers(1, 3).map(lambda n: np.arange(1.0, n + 1)),
    st.just(np.array([[1.0, 2.0], [3.0, 4.0]])),
)
trees = st.dictionaries(
    st.text("abc", min_size=1, max_size=2),
    st.one_of(leaf, st.dictionaries(st.text("xyz", min_size=1, max_size=2), leaf, min_size=1, max_size=2)),
    min_size=1,
    max_size=3,
)


@given(trees)
def test_there_and_back(values) -> None:
    parameters, theta = Parameters.of(values, "start")
    assert len(parameters.names) == len(set(parameters.names)) == len(theta) == sum(parameters.sizes)
    again, same = Parameters.of(parameters.unflatten(theta), "start")
    assert again == parameters
    np.testing.assert_array_equal(same, theta)


def test_one_array() -> None:
    parameters, theta = Parameters.of([1.0, 2.0], "start")
    assert parameters.names == ("theta[0]", "theta[1]")
    np.testing.assert_array_equal(parameters.unflatten(theta), [1.0, 2.0])


def test_values_for_parts_and_for_elements() -> None:
    parameters, _ = Parameters.of({"beta": [1.0, 2.0], "rate": 0.5}, "start")
    np.testing.assert_array_equal(parameters.per_element({"beta": 3.0, "rate": 4}, 0.0, "bounds"), [3, 3, 4])
    np.testing.assert_array_equal(parameters.per_element({"beta[1]": 7.0}, 0.0, "bounds"), [0, 7, 0])
    np.testing.assert_array_equal(parameters.per_element({"beta": [5.0, 6.0]}, 1.0, "bounds"), [5, 6, 1])
    np.testing.assert_array_equal(parameters.per_element(None, 2.0, "bounds"), [2, 2, 2])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": "much"}, "start: expected numbers for a; got 'much'"),
        ({"a": {"b": "x"}}, "start: expected numbers for a.b"),
        ({}, "start: expected at least one parameter"),
    ],
)
def test_what_is_no_number_is_refused(values, message) -> None:
    with pytest.raises(ModelError, match=message):
        Parameters.of(values, "start")


def test_unknown_names_are_refused() -> None:
    parameters, _ = Parameters.of({"a": 1.0}, "start")
    with pytest.raises(ModelError, match="bounds: 'b' is not a parameter; the parameters are a"):
        parameters.per_element({"b": 1.0}, 0.0, "bounds")
    with pytest.raises(ModelError, match="bounds: expected a number for 'a'; got 'x'"):
        parameters.per_element({"a": "x"}, 0.0, "bounds")
    with pytest.raises(ModelError, match="penalty: expected 1 numbers, or a dict by name"):
        parameters.per_element([1.0, 2.0], 0.0, "penalty")


def test_one_spelling_of_an_element_for_curves_and_likelihoods() -> None:
    start = {"B": np.ones((2, 1)), "part": {"c": np.zeros(2), "s": 1.0}}
    names = ("B[0,0]", "B[1,0]", "part.c[0]", "part.c[1]", "part.s")
    assert Parameters.of(start, "start")[0].names == Parameters.named(start)[0].names == names
    assert Parameters.of(start, "start")[0].per_element({"B[1, 0]": 3.0}, 0.0, "fixed").tolist() == [0, 3, 0, 0, 0]


def test_values_by_name_come_back_as_plain_numbers() -> None:
    layout, theta = Parameters.named({"a": 1.0, "group": {"b": [2.0, 3.0]}})
    back = layout.plain(theta)
    assert layout.size == 3 and type(back["a"]) is float and back["group"]["b"].tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ({}, "start: expected a dict of parameters with starting values"),
        ([1.0], "start: expected a dict of parameters with starting values, such as .*; got list"),
        ({3: 1.0}, "start: expected names as keys; got 3"),
        ({"a": "x"}, "start: expected numbers for a; got 'x'"),
        ({"a": {"b": [1.0, np.inf]}}, r"start: expected finite numbers; got inf for 'a.b\[1\]'"),
        ({"a": []}, "start: expected at least one parameter"),
    ],
)
def test_what_is_no_start_of_a_likelihood(start: object, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        Parameters.named(start)
