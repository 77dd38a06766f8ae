"""Rows that cannot be used are counted once, and their reasons are named."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data.rows import MissingRows
from raphson.errors import DataError, MissingDataWarning


@pytest.fixture
def rows():
    rows = MissingRows(4)
    rows.note_numbers(np.array([1.0, np.nan, 3.0, 4.0]), "Ozone")
    rows.note_numbers(np.array([1.0, np.nan, np.inf, 4.0]), "Solar.R")
    return rows


def test_a_row_is_dropped_once_for_all_its_reasons(rows):
    with pytest.warns(MissingDataWarning, match="2 of 4 rows dropped for missing values in Ozone, Solar.R; infinite"):
        kept = rows.usable("drop")
    assert kept is not None and kept.tolist() == [0, 3]


def test_rows_may_be_refused(rows):
    with pytest.raises(DataError, match="in 2 of 4 rows; fill them in"):
        rows.usable("raise")


def test_reasons_of_other_rows_are_taken_over(rows):
    other = MissingRows(4)
    other.absorb(rows)
    assert other.reasons() == rows.reasons() and other.usable("drop") is None


def test_a_row_is_left():
    rows = MissingRows(2)
    rows.note(np.array([True, True]), "missing values", "x")
    with pytest.raises(DataError, match="all 2 rows have missing values in x, so none is left"):
        rows.usable("drop")


def test_whole_rows_are_all_used():
    rows = MissingRows(3)
    rows.note_numbers(np.arange(3.0), "x")
    assert rows.bad is None and rows.usable("raise") is None
