"""Lanes: every row once in an epoch, the same rows of a step whoever reads them, and from wherever."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data.blocks import Block
from raphson.model.problem import RowsStreamed
from raphson.newton.training import lanes
from raphson.newton.training.lanes import Lanes, Plan, Reader, StepRows

PIECES, STARTS = (256, 256, 40, 256, 200, 7, 256, 256, 100), (0, 3, 5, 6)
EDGES = np.cumsum([0, *PIECES])


@pytest.fixture(autouse=True)
def small_lanes(monkeypatch):
    monkeypatch.setattr(lanes, "LANE_ROWS", 100)


def read(numbers):
    for k in numbers:
        y = np.arange(EDGES[k], EDGES[k + 1], dtype=float)
        yield [Block((y[:, None],), y, np.ones(len(y)), None, len(y), int(EDGES[k]), 0)]


def made():
    return Lanes(read, (*STARTS, len(PIECES)), 1, None, float)


PLAN_OF = RowsStreamed(None, 1, None, PIECES, STARTS)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch_size", [100, 300, 1500, sum(PIECES)])
def test_an_epoch_reads_every_row_once_in_batches_of_about_the_same_size(batch_size):
    plan, held = Plan.of(PLAN_OF, batch_size), made()
    found, sizes = [], []
    for stretches in plan.epoch(np.random.default_rng(0)):
        rows = [held.rows(one, 5) for one in stretches]
        assert all(len(one.y) == stretch.size <= plan.size for one, stretch in zip(rows, stretches, strict=True))
        assert all((one.y == one.design[:, 0]).all() for one in rows)
        found.append(np.concatenate([one.y[one.weight > 0] for one in rows]))
        sizes.append(len(found[-1]))
    assert sorted(np.concatenate(found)) == list(range(sum(PIECES)))
    assert len(sizes) == plan.steps == max(1, sum(PIECES) // batch_size)
    assert max(sizes) - min(sizes) <= len(plan.lanes)
    assert len(plan.lanes) == min(batch_size // 100, len(STARTS))


def test_a_step_has_the_same_rows_whatever_was_read_before():
    plan, along = Plan.of(PLAN_OF, 300), made()
    for drawn in (1, 2):
        for stretches in plan.epoch(np.random.default_rng(drawn)):
            for one in stretches:
                np.testing.assert_array_equal(along.rows(one, drawn).y, made().rows(one, drawn).y)
    one = stretches[0]
    assert (along.rows(one, 1).y != along.rows(one, 2).y).any()


def test_a_run_is_of_one_lane_and_one_part():
    plan = Plan.of(PLAN_OF, sum(PIECES))
    (stretches,) = plan.epoch(np.random.default_rng(0))
    rows = StepRows(Reader(made(), stretches, 0), lambda piece: (piece, None))
    assert len(rows) == len(STARTS) and rows.runs == [0, 1, 2, 3]
    assert {made().part(rows.held(k)[0]) for k in range(4)} == {0, 1, 2, 3}
    assert [one.place for one in rows[1:3]] == [one.place for one in rows][1:3]
    assert rows[3].place == rows[3:][0].place
