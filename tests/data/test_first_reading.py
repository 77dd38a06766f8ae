"""What a first reading finds out beside the sum that it is made for."""

from __future__ import annotations

import pytest

from raphson.data.first_reading import Contradicted, FirstReading, LaterTotals
from raphson.data.places import Piece
from raphson.data.same_rows import SameRows
from raphson.errors import DataError


def reading():
    return FirstReading(SameRows(("x",)), (), 5)


def test_totals_are_those_of_the_pieces_in_order_and_known_once_all_are_read():
    first = reading()
    totals = LaterTotals(first)
    first.expect(lambda data: data, lambda sums: None)
    assert (totals.positive, totals.count) == (5, 5.0)
    with pytest.raises(AttributeError):
        totals.real  # noqa: B018 - nothing is known of it yet

    def compute():
        first.add(Piece(1, 0, 2, 3, 2), 2, 20.0)
        first.add(Piece(0, 0, 3, 0, 3), 3, 10.0)
        return "value"

    value, found = first.beside(compute)
    assert value == "value" and not first.settled
    first.settle(found)
    assert first.settled and first.totals == 30.0 and totals.real == 30.0


def test_rows_that_are_not_as_supposed_end_the_reading():
    first = reading()
    assert first.beside(lambda: first.add(Piece(0, 0, 3, 0, 3), 2, None)) == (None, None)
    with pytest.raises(Contradicted):
        first.settle(None)
    assert not first.settled


def test_an_error_of_the_totals_is_one_of_what_was_supposed():
    def refuse(totals):
        raise DataError("response")

    first = reading()
    first.expect(lambda data: data, refuse)
    assert first.beside(lambda: first.add(Piece(0, 0, 3, 0, 3), 3, 1.0)) == (None, None)
