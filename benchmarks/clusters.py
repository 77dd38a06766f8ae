"""A logistic regression of 20,000,000 rows of 10 columns in a Parquet file, by two worker processes of Dask, beside one
process that streams it with two threads; what a pass over 1,000 partitions costs; the bits on one thread, two threads,
two processes and four workers; and workers that are killed.

`python -m benchmarks.clusters --rows 2_000_000 --kills 3` takes less time. The workers are processes of this machine,
so that the two sides have the same processors; all fits have to have the same bits.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.streamed_logistic import FORMULA, write
from raphson.data.sources import Source

ROWS, TURNS, KILLS, PARTITIONS, LOOKS = 20_000_000, 3, 10, 1_000, 5


def busy(client: Any) -> float:
    """Processor seconds of this process and of the workers so far."""
    return time.process_time() + sum(client.run(time.process_time).values())


def fitted(path: Path, executor: Any) -> tuple[float, bytes, int]:
    """Seconds, the bits of the estimates, and the number of readings."""
    import raphson as rp

    begin = time.perf_counter()
    fit = rp.glm(FORMULA, rp.stream(path), family="binomial", executor=executor)
    bits = fit.params.to_numpy().tobytes() + fit.bse.to_numpy().tobytes() + np.float64(fit.llf).tobytes()
    return time.perf_counter() - begin, bits, int((fit.path.rows == fit.nobs).sum())


def beside(path: Path, client: Any) -> bytes:
    """Print the two times, in turns; the bits of the fit."""
    import raphson as rp

    one, two = [], []
    work: dict[int, list[float]] = {id(one): [], id(two): []}
    bits = fitted(path, client)[1]  # the workers import what they need
    for _ in range(TURNS):
        for seconds, executor in ((one, rp.execute.threads(2)), (two, client)):
            before = busy(client)
            took, found, readings = fitted(path, executor)
            seconds.append(took)
            work[id(seconds)].append(busy(client) - before)
            assert found == bits, "other bits"
    ratio = statistics.median(two) / statistics.median(one)
    for name, seconds in (("one process, two threads", one), ("two Dask worker processes", two)):
        processors = statistics.median(work[id(seconds)])
        print(f"{name:26s} {statistics.median(seconds):7.2f} s, {processors:7.2f} of processors; {readings} readings")
    print(f"{ratio:.2f} times as long (at most 1.2), the same bits")
    return bits


def each_row(path: Path) -> None:
    """Print what a pass takes of a processor for each row, and how much of it Parquet takes; the least of several."""
    import pyarrow.parquet as pq

    import raphson as rp
    from raphson.model.objective import Need

    fit = rp.glm(FORMULA, rp.stream(path), family="binomial", executor=rp.execute.serial())
    objective, theta = fit._reading.state.at.asked.objective, fit.params.to_numpy()
    whole, reading = [], []
    for _ in range(LOOKS):
        begin = time.process_time()
        objective.evaluate(theta, Need(kinds=("expected",)))
        whole.append(time.process_time() - begin)
        begin, file = time.process_time(), pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            file.read_row_group(group, use_threads=False)
        reading.append(time.process_time() - begin)
    n = file.metadata.num_rows
    least, usual, parquet = (1e9 * one / n for one in (min(whole), statistics.median(whole), min(reading)))
    print(
        f"a pass takes {least:.0f} ns of a processor for each row ({usual:.0f} in the median), {parquet:.0f} of them "
        f"to read Parquet, of {path.stat().st_size / n:.0f} bytes"
    )


def everywhere(path: Path, bits: bytes) -> None:
    """Fit on one thread, on a pool of two processes and by four workers, which have to give the same bits."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from distributed import Client, LocalCluster

    import raphson as rp

    assert fitted(path, rp.execute.serial())[1] == bits, "other bits on one thread"
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert fitted(path, pool)[1] == bits, "other bits by two processes"
    with (
        LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local,
        Client(local) as client,
    ):
        client.wait_for_workers(4)
        assert fitted(path, client)[1] == bits, "other bits by four workers"
    print("one thread, two threads, two processes and four workers: the same bits")


class Frames(Source):
    """Partitions in the memory of one process."""

    names = ("y", "x")

    def __init__(self, frames: list[Any]) -> None:
        self.frames = frames
        self.n_rows = sum(map(len, frames))

    @property
    def parts(self) -> int:
        return len(self.frames)

    def rows(self, part: int, columns: Any) -> Any:
        yield self.frames[part][list(columns)]


def partitions(client: Any) -> None:
    """Print what a pass over many small partitions adds to that over the same blocks in one process."""
    import dask.dataframe as dd
    import pandas as pd

    import raphson as rp
    from raphson.data import from_stream
    from raphson.execute.dask_client import Cluster
    from raphson.model.streamed import summed_pieces

    frame = pd.DataFrame({"y": np.arange(256.0 * PARTITIONS), "x": np.ones(256 * PARTITIONS)})
    nothing: dict[str, Any] = dict.fromkeys(["weights", "offset", "trials", "groups"])
    own = Frames([frame.iloc[256 * k : 256 * (k + 1)] for k in range(PARTITIONS)])
    seconds = []
    for given, executor in (
        (own, rp.execute.serial()),
        (dd.from_pandas(frame, npartitions=PARTITIONS), Cluster(client)),
    ):
        rows = from_stream("y ~ x", rp.stream(given, piece_rows=256), nothing)
        took = []
        for _ in range(5):
            begin = time.perf_counter()
            assert summed_pieces(rows, lambda data: len(data.response.values), executor) == len(frame)
            took.append(time.perf_counter() - begin)
        seconds.append(statistics.median(took))
    added = 1e3 * (seconds[1] - seconds[0]) / PARTITIONS
    print(
        f"a pass over {PARTITIONS} partitions: {seconds[0]:.3f} s in one process, {seconds[1]:.3f} s by the workers: "
        f"{added:.2f} ms more for each (at most 3)"
    )


def killed(path: Path, bits: bytes, kills: int) -> None:
    """Fit again and again, and kill a worker in the middle of each fit: each time one of a new cluster.

    Dask's own nannies do not always start a worker again that was killed several times.
    """
    from distributed import Client, LocalCluster

    rng, times, whole = random.Random(0), [], 0.0
    for number in range(kills + 1):
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local,
            Client(local) as client,
        ):
            fitted(path, client)  # the workers import what they need
            if number == 0:
                whole = fitted(path, client)[0]
                continue
            process = rng.choice(list(client.run(os.getpid).values()))
            killer = threading.Timer(rng.uniform(0.2, 0.7) * whole, os.kill, (process, signal.SIGKILL))
            killer.start()
            took, found, _ = fitted(path, client)
            killer.join()
            times.append(took)
            assert found == bits, "other bits"
    print(
        f"a worker killed in each of {kills} fits: the same bits; {statistics.median(times):.2f} s beside {whole:.2f}"
    )


def main() -> None:
    from distributed import Client, LocalCluster

    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=ROWS)
    asked.add_argument("--kills", type=int, default=KILLS)
    asked.add_argument("--file", type=Path)
    options, _ = asked.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "rows.parquet"
        if not path.exists():
            write(path, options.rows)
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local,
            Client(local) as client,
        ):
            partitions(client)
            bits = beside(path, client)
        each_row(path)
        everywhere(path, bits)
        killed(path, bits, options.kills)


if __name__ == "__main__":
    main()
