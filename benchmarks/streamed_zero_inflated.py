"""A zero-inflated Poisson regression with 6 covariates in each part: 10,000,000 rows streamed from Parquet, beside
1,000,000 in memory, per row. `python -m benchmarks.streamed_zero_inflated ROWS` takes another number of rows.

Each fit has a process of its own, and is the second one there, so that nothing is compiled or imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from benchmarks.contest import ENVIRONMENT
from benchmarks.zero_inflated import DATA

ROWS, HELD, PART, TURNS = 10_000_000, 1_000_000, 100_000, 3
LIMIT, MEMORY = 2.0, 1_000
"""Times the time per row in memory, and megabytes, that a streamed fit is to take at most."""

WRITE = f"""
import sys
import pyarrow as pa
import pyarrow.parquet as pq
writer = None
for seed in range(int(sys.argv[2])):
{textwrap.indent(DATA.format(n=PART, seed="seed"), "    ")}
    table = pa.table(frame)
    writer = writer or pq.ParquetWriter(sys.argv[1], table.schema)
    writer.write_table(table)
writer.close()
"""

FIT = """
import json, resource, sys, time
import pandas as pd
import raphson as rp
kind, path, small = sys.argv[1:]
terms = "~ x1 + x2 + x3 + x4 + x5 + x6"
def fit(data):
    found = rp.mle("zero_inflated_poisson", {"mean": "y " + terms, "zero": terms}, data)
    assert found.converged
    return [*found.params, *found.bse]
def data(path): return rp.stream(path) if kind == "streamed" else pd.read_parquet(path)
fit(data(small))
given = data(path)
start, busy = time.perf_counter(), time.process_time()
answer = fit(given)
print(json.dumps({
    "seconds": time.perf_counter() - start,
    "busy": time.process_time() - busy,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2),
    "answer": answer,
}))
"""


def write(path: Path, rows: int) -> None:
    """Write rows to Parquet, part after part."""
    command = [sys.executable, "-c", WRITE, str(path), str(rows // PART)]
    subprocess.run(command, check=True, env=ENVIRONMENT)


def fitted(kind: str, path: Path, small: Path) -> dict[str, Any]:
    """One fit, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", FIT, kind, str(path), str(small)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT).stdout)


def run(rows: int = ROWS) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = {name: Path(folder) / f"{name}.parquet" for name in ("small", "held", "all")}
        for path, count in zip(sizes.values(), (PART, HELD, rows), strict=True):
            write(path, count)
        found = {"memory": [], "streamed": []}  # type: ignore[var-annotated]
        for _ in range(TURNS):
            found["memory"].append(fitted("memory", sizes["held"], sizes["small"]))
            found["streamed"].append(fitted("streamed", sizes["all"], sizes["small"]))
    print(f"\nzero-inflated Poisson regression, {rows:,} rows streamed, {HELD:,} in memory: fastest of {TURNS} turns")
    per_row = {}
    for kind, count in (("memory", HELD), ("streamed", rows)):
        best = {what: min(one[what] for one in found[kind]) for what in ("seconds", "busy", "peak")}
        per_row[kind] = best["busy"] / count
        print(
            f"  {kind:10s} {best['seconds']:8.2f} s, processor {best['busy']:8.2f} s, "
            f"{1e6 * per_row[kind]:6.3f} µs a row, {best['peak']:6.0f} MB"
        )
    ratio, peak = per_row["streamed"] / per_row["memory"], max(one["peak"] for one in found["streamed"])
    print(f"  per row {ratio:.2f} × (at most {LIMIT:g}), {peak:.0f} MB (at most {MEMORY})")


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
