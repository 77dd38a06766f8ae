"""A logistic regression streamed from Parquet, beside polars reading the same columns once and summing them.

Each runs in a process of its own, with one thread and with two, whose peak of resident memory is printed. A pass over
the data cannot be shorter than reading them, so the ratio says how many readings a fit is, by polars with as many
threads. `python -m benchmarks.streamed_logistic --rows 10_000_000` takes other numbers of rows than the 50 million of
`python -m benchmarks streamed`; with `--file` the rows are read from a file, which is written if it is not there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS, COLUMNS, GROUP, TURNS, THREADS = 50_000_000, 10, 2**20, 3, (1, 2)
THETA = np.linspace(-0.5, 0.5, COLUMNS)
FORMULA = "y ~ " + " + ".join(f"x{j}" for j in range(COLUMNS))

TIMED = """
import json, resource, sys, time
start, busy = time.perf_counter(), time.process_time()
{work}
seconds, busy = time.perf_counter() - start, time.process_time() - busy
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
print(json.dumps({{"seconds": seconds, "busy": busy, "peak": peak, "answer": answer}}))
"""

FIT = """
executor = rp.execute.threads({threads}) if {threads} > 1 else rp.execute.serial()
fit = rp.glm({formula!r}, rp.stream({path!r}), family="binomial", executor=executor)
answer = [*map(float, fit.params), float(fit.llf), float(fit.distance), fit.path.rows.tolist()]
"""

READING = """
answer = pl.scan_parquet({path!r}).select(pl.all().sum()).collect(engine="streaming").row(0)
"""


def write(path: Path, n: int) -> None:
    """The data, a row group at a time, as pyarrow writes them if nothing is asked for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    names = [f"x{j}" for j in range(COLUMNS)]
    schema = pa.schema([*((name, pa.float64()) for name in names), ("y", pa.int8())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n, GROUP):
            X = rng.normal(size=(min(GROUP, n - start), COLUMNS))
            y = rng.random(len(X)) < 1 / (1 + np.exp(-0.25 - X @ THETA))
            writer.write_table(pa.table([*X.T, y.astype(np.int8)], schema=schema))


def measure(imports: str, work: str, threads: int) -> dict:
    """Time some lines in a new process, without their imports."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", imports + TIMED.format(work=work)],
        capture_output=True,
        text=True,
        env=os.environ | {"POLARS_MAX_THREADS": str(threads)},
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def compare(path: Path, n: int, turns: int = TURNS) -> None:
    """Print the table of a file."""
    found: dict[tuple[str, int], list[dict]] = {}
    for _ in range(turns):
        for threads in THREADS:
            fit = FIT.format(formula=FORMULA, path=str(path), threads=threads)
            reading = READING.format(path=str(path))
            for name, imports, work in (
                ("polars, one reading", "import polars as pl", reading),
                ("raphson, the whole fit", "import raphson as rp; rp.glm", fit),
            ):
                found.setdefault((name, threads), []).append(measure(imports, work, threads))
    size = path.stat().st_size / 2**30
    print(
        f"\nlogistic regression of {n:,} × {COLUMNS} streamed from {size:.2f} GB of Parquet: medians of {turns} turns"
    )
    for (name, threads), each in found.items():
        unit = found["polars, one reading", threads]
        columns = []
        for title, what in (("", "seconds"), ("processor ", "busy")):
            here, one = (statistics.median(turn[what] for turn in those) for those in (each, unit))
            columns.append(f"{title}{here:7.2f} s, {here / one:5.2f} readings")
        peak = max(turn["peak"] for turn in each)
        print(f"  {name:24s} {threads} thread{'s' * (threads > 1):1s} {'   '.join(columns)}   memory {peak:5.0f} MB")


def run(n: int = ROWS) -> None:
    """Print the table; the ratio is to be at most 6, and the memory under 1 GB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write(path, n)
        compare(path, n)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=ROWS)
    arguments.add_argument("--turns", type=int, default=TURNS)
    arguments.add_argument("--file", type=Path)
    asked = arguments.parse_args()
    if asked.file is None:
        run(asked.rows)
    else:
        if not asked.file.exists():
            write(asked.file, asked.rows)
        compare(asked.file, asked.rows, asked.turns)
