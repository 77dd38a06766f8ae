"""What a step of sgd costs, and how much memory it takes, from 10 thousand to 10 million rows streamed from Parquet.

Beside it what a step of Newton's method costs, on the same stream, one fit's time over its steps. Each number of rows
has a process of its own, whose peak of resident memory is printed above that of the smallest. Processor time is shown
besides, since it does not suffer from what else the machine does.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS, GROUP, STEPS, BATCH, TURNS = 5, 65_536, 32_768, 32, 3
THETA = np.array([-0.5, 1.0, -1.0, 0.5, 0.25, 0.0])
FORMULA = "y ~ " + " + ".join(f"x{j}" for j in range(COLUMNS))


def write(path: Path, n: int) -> None:
    """A logistic regression's data, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    names = [*(f"x{j}" for j in range(COLUMNS)), "y"]
    schema = pa.schema([(name, pa.float64()) for name in names])
    with pq.ParquetWriter(path, schema, compression="none") as writer:
        for start in range(0, n, GROUP):
            X = rng.normal(size=(min(GROUP, n - start), COLUMNS))
            y = (rng.random(len(X)) < 1 / (1 + np.exp(-THETA[0] - X @ THETA[1:]))).astype(float)
            writer.write_table(pa.table([*X.T, y], schema=schema))


class Beginning:
    """The first STEPS batches of an epoch, or the whole of a shorter one."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def steps(self, batch_size: int) -> int:
        return min(STEPS, self.rows.steps(batch_size))

    def chunks(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Any, int]]:
        left = self.steps(batch_size)
        for chunk, count in self.rows.chunks(batch_size, rng):
            yield chunk, min(count, left)
            left -= count
            if left <= 0:
                return


def measure(path: str) -> None:
    """Run in a process of its own: print seconds of a step of each method, the error, and the peak of memory."""
    import resource

    import raphson as rp
    from raphson.data import from_stream
    from raphson.execute import serial
    from raphson.model.glm.streamed import StreamedModel
    from raphson.newton.stochastic import Task
    from raphson.newton.training.first_order import Descent, beginning, train

    data = from_stream(FORMULA, rp.stream(path), dict.fromkeys(("weights", "offset", "trials", "groups")))
    model = StreamedModel.over(data, "binomial", "precision", None, serial(), None)
    task = Task.of(model, "sgd")
    rows = Beginning(task.rows)
    epochs = math.ceil(STEPS / rows.steps(BATCH))
    descent = Descent("sgd", epochs, BATCH, 0.2, "cosine")
    begin = beginning(task.unpack(np.zeros(COLUMNS + 1)), task.state, descent)
    seconds, work = [], []
    for _ in range(TURNS + 1):  # the first compiles
        start, busy = time.perf_counter(), time.process_time()
        trained = train(task.structure, model.family, begin, rows, descent, divisor=task.divisor)
        seconds.append((time.perf_counter() - start) / (epochs * rows.steps(BATCH)))
        work.append((time.process_time() - busy) / (epochs * rows.steps(BATCH)))
    error = float(np.abs(task.pack(trained.params) - THETA).max())
    start = time.perf_counter()
    fit = rp.glm(FORMULA, rp.stream(path), family="binomial", method="newton")
    newton = (time.perf_counter() - start) / max(fit.n_iter, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"sgd": min(seconds[1:]), "cpu": min(work[1:]), "newton": newton, "error": error, "peak": peak}))


def run(largest: int = 10_000_000) -> None:
    """Print the table."""
    print(f"\na step of sgd (batches of {BATCH}) and of Newton's method, both streamed from Parquet")
    first: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        for n in (10_000, 100_000, 1_000_000, 10_000_000):
            if n > largest:
                break
            write(path, n)
            code = f"from benchmarks.sgd_flat import measure; measure({str(path)!r})"
            done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            found = json.loads(done.stdout.splitlines()[-1])
            first = first or found
            print(
                f"  {n:12,} rows   sgd {1e6 * found['sgd']:6.1f} µs, of processor time {1e6 * found['cpu']:5.1f} "
                f"({found['cpu'] / first['cpu']:4.2f} ×)   newton {1e3 * found['newton']:9,.1f} ms "
                f"({found['newton'] / first['newton']:5.1f} ×)   file {path.stat().st_size / 2**20:5.1f} MB, memory "
                f"+{found['peak'] - first['peak']:.0f} MB   sgd's error {found['error']:.3f}",
                flush=True,
            )
            path.unlink()


if __name__ == "__main__":
    run()
