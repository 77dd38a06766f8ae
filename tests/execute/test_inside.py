"""Sums inside a pool's work."""

from __future__ import annotations

import pytest

from raphson.execute.inside import inside, is_inside


def test_it_holds_in_the_block_and_ends_with_an_error():
    with pytest.raises(KeyError), inside():
        assert is_inside.get()
        raise KeyError
    assert not is_inside.get()
