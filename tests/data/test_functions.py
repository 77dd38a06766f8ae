"""The list of what a formula may call is what formulas can carry out."""

from __future__ import annotations

import pytest

from raphson.data.functions import (
    CONSTANTS,
    ELEMENTWISE,
    FUNCTIONS,
    STATE_KEYS,
    allowed,
    contrast_class,
    function_name,
    stateful_transform,
)


def test_numpy_may_be_written_before_functions_of_one_number_only():
    assert function_name("np.log") == "log" and function_name("log") == "log"
    assert function_name("np.center") is None and function_name("np.load") is None and function_name("eval") is None


def test_every_contrast_has_a_class_and_every_stateful_function_an_implementation():
    for name, function in FUNCTIONS.items():
        if function.kind == "contrast":
            assert contrast_class(name).__name__.endswith("Contrasts")
        if function.kind == "stateful":
            assert callable(stateful_transform(name)) and name in STATE_KEYS


def test_only_contrasts_and_lists_take_no_data():
    assert {function.kind for function in FUNCTIONS.values() if not function.takes_data} == {"contrast", "list"}


@pytest.mark.parametrize("name", ["log", "bs", "C", "offset"])
def test_what_is_allowed_is_put_into_words(name):
    assert name in allowed()


def test_constants_are_no_functions():
    assert not set(CONSTANTS) & (set(FUNCTIONS) | set(ELEMENTWISE))
