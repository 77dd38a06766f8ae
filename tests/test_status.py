from __future__ import annotations

import ast
import inspect
import json
from itertools import pairwise
from pathlib import Path

import pytest

import raphson as rp
from raphson import status as module
from raphson.status import Status


@pytest.mark.parametrize("status", Status)
def test_every_status_has_advice(status):
    assert len(status.advice) > 20


def test_only_a_maximum_counts_as_converged():
    # Running out of steps, or a limit at infinity, is never success.
    assert {status for status in Status if status.converged} == {
        Status.CONVERGED,
        Status.ROUNDING_FLOOR,
        Status.BOUNDARY,
    }


def test_values_are_the_documented_words():
    assert [status.value for status in Status] == [
        *("converged", "rounding floor", "step limit", "search failed"),
        *("singular", "not finite", "separated", "boundary", "stopped early", "refused"),
    ]


def test_a_status_is_its_word():
    assert rp.Status is Status
    assert Status.STEP_LIMIT == "step limit" and f"{Status.STEP_LIMIT}" == "step limit"
    assert json.dumps(Status.CONVERGED) == '"converged"'


def test_every_status_is_documented():
    # By a text below it, which editors show, and in the table of the page on trust.
    body = next(one for one in ast.parse(inspect.getsource(module)).body if isinstance(one, ast.ClassDef)).body
    told = {
        one.targets[0].id
        for one, after in pairwise(body)
        if isinstance(one, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }
    assert told == set(Status.__members__)
    page = (Path(__file__).parents[1] / "docs" / "trust.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith('| "')]
    assert {row.split('"')[1]: "| yes |" in row for row in rows} == {one.value: one.converged for one in Status}
