from __future__ import annotations

import copy
import math

import pytest

from raphson.newton.path import LatePath, Path, PathRow


def step(i):
    return PathRow(i, -float(i), 1.0, 0.5, 0.5, math.inf if i == 0 else 1.0, 0.0, 3.0, 10, "qr")


def test_columns_and_back():
    path = Path([step(0), step(1)])
    columns = path.columns()
    assert list(columns) == [
        *(
            "iteration",
            "llf",
            "score_norm",
            "decrement",
            "distance",
            "step",
            "damping",
            "condition",
            "rows",
            "solver",
            "penalty",
        )
    ]
    assert columns["llf"] == [0.0, -1.0] and columns["solver"] == ["qr", "qr"]
    assert Path.from_columns(columns) == path


def test_a_path_goes_on_from_the_end_of_another():
    joined = Path([step(0), step(1)]).then(Path([step(0), step(1), step(2)]))
    # The point where the second began is the one where the first ended.
    assert [s.iteration for s in joined.steps] == [0, 1, 2, 3]
    assert [s.llf for s in joined.steps] == [0.0, -1.0, -1.0, -2.0]


def test_columns_of_different_lengths_are_refused():
    columns = Path([step(0), step(1)]).columns()
    columns["llf"].pop()
    with pytest.raises(ValueError, match="zip"):
        Path.from_columns(columns)


def test_a_path_written_before_steps_had_a_penalty_is_read():
    path = Path()
    path.append(PathRow(0, -3.0, 1.0, 0.5, 0.5, float("nan"), 0.0, 1.0, 10, "qr", penalty=-1.0))
    columns = path.columns()
    assert path.scaled(4.0).steps[0].llf == -9.0  # the penalty is that of all rows already
    del columns["penalty"]
    assert Path.from_columns(columns).steps[0].penalty == 0.0


def test_a_late_path_makes_its_rows_once_and_is_kept_as_any_other():
    made = []

    def rows():
        made.append([step(0), step(1)])
        return made[-1]

    late = LatePath([0.5, 0.1], rows)
    assert len(late) == 2 and not made
    for kept in (copy.copy(late), copy.deepcopy(late), late.then(Path([step(1)]))):
        assert type(kept) is Path and kept.steps[0] == step(0)
    late.append(step(2))
    assert len(late) == 3 == len(late.columns()["llf"]) and len(made) == 1
