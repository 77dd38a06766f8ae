"""What the scheduler of a Dask cluster says, and how long a fit waits for it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from raphson.errors import RaphsonError
from raphson.execute import dask_scheduler
from raphson.execute.dask_scheduler import Scheduler


def asked(**scheduler):
    return Scheduler(
        SimpleNamespace(
            status="running",
            scheduler=SimpleNamespace(**scheduler),
            sync=lambda method, callback_timeout, **arguments: method(**arguments),
        )
    )


def silent(**arguments):
    raise TimeoutError


def test_a_scheduler_that_does_not_answer_is_an_error():
    with pytest.raises(
        RaphsonError, match=r"scheduler of the cluster cannot be reached \(TimeoutError\); .*checkpoint="
    ):
        asked(ncores=silent).look()


IDLE = {
    "paused": ({"tcp://a": 1}, {}, {"tcp://a": ["x"]}, r"done anything for 0 seconds, of tcp://a; .* checkpoint="),
    "nothing to do": ({"tcp://a": 1}, {"tcp://a": 1}, {"tcp://a": []}, r"done anything for 0 seconds, of tcp://a; "),
    "none": ({}, {}, {}, "has had no workers for 0 seconds; .* checkpoint="),
    "at work": ({"tcp://a": 1}, {"tcp://a": 1}, {"tcp://a": ["x"]}, None),
}


@pytest.mark.parametrize("threads, running, processing, says", IDLE.values(), ids=IDLE)
def test_workers_that_do_nothing_are_waited_for_within_a_bound(threads, running, processing, says, monkeypatch):
    scheduler = asked(ncores=lambda: threads, ncores_running=lambda: running, processing=lambda: processing)
    scheduler.look()  # there is time yet
    monkeypatch.setattr(dask_scheduler, "WITHOUT_WORKERS", 0.0)
    monkeypatch.setattr(dask_scheduler, "IDLE", 0.0)
    if says is None:
        scheduler.look()
    else:
        with pytest.raises(RaphsonError, match=says):
            scheduler.look()


def test_results_are_fetched_an_error_is_raised_and_what_is_released_is_said(cluster):
    scheduler = Scheduler(cluster)
    numbers = cluster.map(abs, [-1, -2, -3])
    assert scheduler.fetched(numbers) == [1, 2, 3] and set(scheduler.holders([numbers[0].key])) == {numbers[0].key}
    assert scheduler.results([numbers[0].key, "unknown"]) == {numbers[0].key: 1}
    assert scheduler.states(["unknown"]) == {"unknown": None}
    with pytest.raises(ZeroDivisionError):
        scheduler.fetched(cluster.map(divmod, [1], [0]))
    released = cluster.submit(abs, -4)
    cluster.cancel(released)
    with pytest.raises(
        RaphsonError, match=r"the cluster has lost partitions of the data .*; make the data frame again"
    ):
        scheduler.fetched([released])
