"""Sums by the workers of a Dask cluster, which are processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from distributed import Client

import raphson as rp
from raphson.data import parquet
from raphson.errors import ModelError, RaphsonError
from raphson.execute import dask_client, dask_scheduler, remote, serial, sum_blocks
from raphson.execute.dask_client import Cluster

SCHEDULER = "from distributed.cli.dask_scheduler import main; main()"
WORKER = "from distributed.cli.dask_worker import main; main()"
ALONE = ("--no-nanny", "--nthreads", 1)
LACKING = "import sys; sys.modules['raphson'] = None; "
OTHER = """
import importlib.metadata as metadata
found = metadata.version
metadata.version = lambda name: "9.9.9" if name == "raphson" else found(name)
"""


class Read:
    """Blocks that are read by their numbers, each a part of its own."""

    def __init__(self, n):
        self.n, self.runs = n, list(range(n))

    def __len__(self):
        return self.n

    reader = staticmethod(iter)


@pytest.mark.parametrize("n", [1, 2, 13, 37])
def test_sums_have_the_bits_of_one_thread(cluster, n):
    scale = np.random.default_rng(1).normal(size=64) * 10.0 ** np.arange(-8, 8).repeat(4)

    def one(block):
        return float(scale[block])

    assert sum_blocks(Cluster(cluster), one, Read(n)) == sum_blocks(serial(), one, list(range(n)))


def test_an_error_in_a_worker_is_raised_as_it_is(cluster):
    def one(block):
        raise ModelError(f"block {block}: not that one")

    with pytest.raises(ModelError, match=r"^block \d: not that one$"):
        sum_blocks(Cluster(cluster), one, Read(2))
    assert sum_blocks(Cluster(cluster), lambda block: block, Read(3)) == 3


def test_a_worker_killed_in_the_middle_of_a_sum_changes_nothing(cluster, tmp_path):
    died = tmp_path / "died"

    def one(block):
        if block == 20 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0 / (1.0 + block)

    found = sum_blocks(Cluster(cluster), one, Read(37))
    assert died.exists()
    assert found == sum_blocks(serial(), lambda block: 1.0 / (1.0 + block), list(range(37)))


@pytest.fixture
def no_second_worker(cluster, monkeypatch):
    """A task that a worker has died of is not given to another."""
    monkeypatch.setattr(dask_client, "KILLED", 0)

    def allow(n, dask_scheduler):
        before, dask_scheduler.allowed_failures = dask_scheduler.allowed_failures, n
        return before

    before = cluster.run_on_scheduler(allow, 0)
    yield
    cluster.run_on_scheduler(allow, before)


def test_a_block_of_which_every_worker_dies_is_named(cluster, no_second_worker):
    with pytest.raises(
        RaphsonError, match=r"executor: each worker that was given the blocks 0 to 0 died; .*piece_rows"
    ):
        sum_blocks(Cluster(cluster), lambda block: os.kill(os.getpid(), signal.SIGKILL), Read(1))


def fake(**scheduler):
    """A client whose scheduler has these methods, and what it was asked to cancel."""
    cancelled = []
    return SimpleNamespace(
        status="running",
        scheduler=SimpleNamespace(**scheduler),
        sync=lambda method, callback_timeout, **arguments: method(**arguments),
        cancel=cancelled.extend,
        cancelled=cancelled,
    )


def given(key, status, again=0, where=None):
    task = SimpleNamespace(parts={}, ranges=((3, 5), (8, 9)))
    return dask_client._Given(task, where, SimpleNamespace(key=key, status=status), again=again)


@pytest.fixture
def running(monkeypatch):
    """Tasks that have ended: one whose worker died with the answer, one whose answer is lost as it is fetched, one that
    was released and one that is there; what is asked for again; and a future of an earlier call."""
    running, asked = dask_client._Running(), []
    monkeypatch.setattr(Cluster, "_submit", lambda self, tasks, running: asked.extend(tasks))
    for key, status in (("a", "lost"), ("b", "finished"), ("c", "cancelled"), ("d", "finished")):
        running.tasks[key] = given(key, status, 1, "there")
        running.ended.put(running.tasks[key].future)
    running.ended.put(SimpleNamespace(key="old", status="cancelled"))
    return running, asked


def gather(keys):
    lacking = [key for key in keys if key != "d"]
    return {"status": "error", "keys": lacking} if lacking else {"status": "OK", "data": dict.fromkeys(keys, b"1")}


def test_answers_that_are_lost_are_asked_for_again_anywhere(running):
    running, asked = running
    client = fake(gather=gather)
    assert [answer for _, answer in Cluster(client)._answered(running)] == [b"1"]
    assert [(one.future.key, one.again, one.where) for one in asked] == [(k, 2, None) for k in "acb"]
    assert [future.key for future in client.cancelled] == list("acb") and not running.tasks


def test_an_answer_that_is_lost_again_and_again_ends_in_an_error_that_names_the_workers(running, monkeypatch):
    monkeypatch.setattr(dask_client, "ASKED_AGAIN", 1)
    executor = Cluster(fake(gather=gather, ncores=lambda: {f"tcp://{k}": 1 for k in "edcba"}))
    says = r"the blocks 3 to 8 was lost 2 times .*, of tcp://a, tcp://b, tcp://c and 2 more; .* checkpoint="
    with pytest.raises(RaphsonError, match=says):
        list(executor._answered(running[0]))


def test_a_task_that_dask_left_lying_is_found():
    states = {"wish": "no-worker", "any": "no-worker", "runs": "processing", "unknown": None, "told": "memory"}
    running = dask_client._Running({key: given(key, "pending", where="it" * (key == "wish") or None) for key in states})
    executor = Cluster(fake(get_task_status=lambda keys: {key: states[key] for key in keys}))
    first = executor._lying(running, set())
    assert first == (["wish"], {"unknown", "told"})
    assert executor._lying(running, first[1]) == (["wish", "unknown", "told"], set())


def started(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture
def own(tmp_path, monkeypatch):
    """What starts processes of a cluster of one's own: a scheduler, which runs at first, and workers."""
    monkeypatch.setattr(dask_scheduler, "WITHOUT_WORKERS", 0.5)
    monkeypatch.setattr(dask_scheduler, "ASKED_EVERY", 0.2)
    file, running = tmp_path / "scheduler.json", []
    asked = ("--scheduler-file", file, "--no-dashboard")

    def start(code, *more):
        running.append(started(code, *asked, *more))
        return running[-1]

    start(SCHEDULER, "--host", "127.0.0.1", "--port", 0)
    yield SimpleNamespace(file=str(file), running=running, worker=lambda before="": start(before + WORKER, *ALONE))
    for process in running:
        process.kill()
        process.wait()


def test_without_workers_with_others_and_without_a_scheduler(own, cluster, tmp_path, monkeypatch):
    with Client(scheduler_file=own.file, timeout=60) as client:
        executor = Cluster(client)
        for before, says in (
            (LACKING, r"executor: a worker of the cluster lacks a module .*raphson.* install"),
            (OTHER, r"executor: a worker on .* has raphson 9\.9\.9 where the fit has"),
            ("", r"executor: the cluster has had no workers for 0.5 seconds; start workers .* checkpoint="),
        ):
            worker = own.worker(before)
            client.wait_for_workers(1, timeout=60)
            with pytest.raises(RaphsonError, match=says):
                sum_blocks(executor, lambda block: os.kill(os.getpid(), signal.SIGKILL), Read(3))
            worker.kill()
            while client.nthreads():
                time.sleep(0.05)
        # The only worker dies in the middle of a pass: its tasks, which were meant for it, go to the next that comes.
        first, died = own.worker(), tmp_path / "died"
        client.wait_for_workers(1, timeout=60)
        next_one = Thread(target=lambda: first.wait() and own.worker())
        next_one.start()

        def once(block):
            if block == 1 and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return 1.0 / (1.0 + block)

        with monkeypatch.context() as patch:
            patch.setattr(dask_scheduler, "WITHOUT_WORKERS", 60.0)
            patch.setattr(dask_scheduler, "IDLE", 60.0)
            assert sum_blocks(executor, once, Read(9)) == sum_blocks(
                serial(), lambda block: 1.0 / (1.0 + block), list(range(9))
            )
        next_one.join()
        # The whole cluster dies in the middle of a pass, and the same call goes on in another.
        monkeypatch.setattr(parquet, "PART_ROWS", 500)
        path = tmp_path / "rows.parquet"
        rows = pd.DataFrame({"x": np.linspace(-1.0, 1.0, 3_000), "y": np.arange(3_000) % 3 == 0})
        rows.to_parquet(path, row_group_size=500)
        asked = {"formula": "y ~ x", "data": rp.stream(path, 256), "family": "binomial"}
        unbroken, run = rp.glm(**asked), Cluster.run

        def dying(self, tasks):
            for number, answer in enumerate(run(self, tasks)):
                if len(self.passes) == 3 and number == 0:
                    for process in reversed(own.running):
                        process.kill()
                        process.wait()
                yield answer

        with monkeypatch.context() as patch:
            patch.setattr(Cluster, "run", dying)
            patch.setattr(remote, "FEWEST_BLOCKS", 1)  # several tasks, of which the others are still to come
            with pytest.raises(RaphsonError, match=r"executor: the scheduler of the cluster cannot .* checkpoint="):
                rp.glm(**asked, executor=client, checkpoint=tmp_path / "fit.ckpt")
        with pytest.raises(RaphsonError, match=r"executor: the scheduler of the cluster cannot be reached"):
            sum_blocks(executor, abs, Read(3))
    fit = rp.glm(**asked, executor=cluster, checkpoint=tmp_path / "fit.ckpt")
    whole = rp.glm(**asked, executor=cluster)
    assert len(fit.passes) == len(whole.passes) - 2  # two passes were complete
    for other in (fit, whole):
        assert unbroken.params.to_numpy().tobytes() == other.params.to_numpy().tobytes()
        assert (unbroken.llf, unbroken.n_iter) == (other.llf, other.n_iter)
