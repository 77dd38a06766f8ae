"""Properties that are computed once."""

from __future__ import annotations

import functools

from raphson.cached import cached_property


class Counted:
    def __init__(self):
        self.times = 0

    @cached_property
    def value(self):
        """The value."""
        self.times += 1
        return self.times


def test_a_property_is_computed_once_and_again_when_deleted():
    one = Counted()
    assert (one.value, one.value, one.times) == (1, 1, 1)
    del one.value
    assert one.value == 2 and Counted().value == 1


def test_it_is_one_of_the_standard_library():
    assert isinstance(Counted.value, functools.cached_property) and Counted.value.__doc__ == "The value."
