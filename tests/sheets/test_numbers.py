from __future__ import annotations

import pytest

from raphson.sheets import numbers


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.0, 6, "1.00000"),
        (123456.0, 6, "123456"),  # '#g' leaves a bare point here
        (1234567.0, 3, "1.23e+06"),
        (1e-7, 2, "1.0e-07"),
        (0.0, 3, "0.00"),
        (0.5, 0, "0.5"),  # never less than one digit
        (float("nan"), 6, "NaN"),
        (float("inf"), 6, "inf"),
    ],
)
def test_significant_digits(value: float, digits: int, text: str) -> None:
    assert numbers.significant(value, digits) == text


def test_points_stand_below_one_another() -> None:
    lines = numbers.align(["1.5", "-12.25", "3", "NaN", "1.2e-05", "<1e-16"])
    assert len({len(line) for line in lines}) == 1
    assert len({line.index(".") for line in lines if "." in line}) == 1


def test_a_tiny_p_value_is_a_bound() -> None:
    assert numbers.p_value(0.0) == "<1e-16"
    assert numbers.p_value(1.0) == "1.0000"
