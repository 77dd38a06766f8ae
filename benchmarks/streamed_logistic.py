"""A logistic regression streamed from Parquet, beside polars reading the same columns once and summing them.

Each runs in a process of its own, whose peak of resident memory is printed. A pass over the data cannot be shorter than
reading them, so the ratio says how many readings a fit is. `python -m benchmarks.streamed_logistic 10_000_000` takes
other numbers of rows than the 50 million of `python -m benchmarks streamed`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS, COLUMNS, GROUP, TURNS = 50_000_000, 10, 2**20, 3
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
fit = rp.glm({formula!r}, rp.stream({path!r}), family="binomial")
answer = [*map(float, fit.params), float(fit.distance), len(fit.path)]
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


def measure(imports: str, work: str) -> dict:
    """Time some lines in a new process, without their imports."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", imports + TIMED.format(work=work)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def run(n: int = ROWS) -> None:
    """Print the table; the ratio is to be at most 6, and the memory under 1 GB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write(path, n)
        contestants = {
            "raphson, the whole fit": ("import raphson as rp; rp.glm", FIT.format(formula=FORMULA, path=str(path))),
            "polars, one reading": ("import polars as pl", READING.format(path=str(path))),
        }
        found: dict[str, list[dict]] = {name: [] for name in contestants}
        for _ in range(TURNS):
            for name, (imports, work) in contestants.items():
                found[name].append(measure(imports, work))
        size = path.stat().st_size / 2**30
    print(
        f"\nlogistic regression of {n:,} × {COLUMNS} streamed from {size:.2f} GB of Parquet: medians of {TURNS} turns"
    )
    unit = {what: statistics.median(one[what] for one in found["polars, one reading"]) for what in ("seconds", "busy")}
    for name, turns in found.items():
        seconds, busy = (statistics.median(one[what] for one in turns) for what in ("seconds", "busy"))
        print(
            f"  {name:24s} {seconds:8.2f} s, {seconds / unit['seconds']:5.2f} readings   processor {busy:8.2f} s, "
            f"{busy / unit['busy']:5.2f} readings   memory {max(one['peak'] for one in turns):5.0f} MB"
        )


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
