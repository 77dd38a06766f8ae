from __future__ import annotations

from raphson.checks.pictures import Picture, some


def test_some_rows_hold_the_first_and_the_last() -> None:
    assert some(0).tolist() == [] and some(1).tolist() == [0]
    chosen = some(100_000)
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 99_999, 400)


def test_a_picture_gets_marks_on_top() -> None:
    assert Picture("x", "y", ()).also().marks == ()
