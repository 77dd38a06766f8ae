from __future__ import annotations

import pytest

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
        *("singular", "not finite", "separated", "boundary", "stopped early"),
    ]
