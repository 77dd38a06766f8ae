"""Fits that are killed (kill -9) at ten random moments and called again, beside one that is not.

For each kind of fit and each kill: whether the estimates, standard errors and log-likelihood have the same bits, and
how many passes over the rows more were read in both runs together. `python -m benchmarks.interrupted 200_000 glm` takes
another number of rows and only some kinds. A kill falls between the beginning of the fit and its end, also into the
first pass and into the writing of the checkpoint.
"""

from __future__ import annotations

import json
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.contest import ENVIRONMENT

ROWS, KILLS = 1_000_000, 10
FIRST = 2 * 1_024
"""Rows that the general form looks at before its first pass, a thousand for each column; they may be read twice too."""

DOORS = {
    "glm": 'fit = rp.glm("y ~ x0 + x1 + g", source, family="poisson", **given)',
    "glm, cluster": 'fit = rp.glm("y ~ x0 + g", source, family="poisson", cov="cluster", groups="g", **given)',
    "mle": 'fit = rp.mle("zip", {"mean": "y ~ x0 + x1", "zero": "~ g"}, source, **given)',
    "mle, general": """
def loglik(params, row):
    eta = params["a"] + params["b"] * row.x0
    return row.y * eta - jnp.exp(eta)
fit = rp.mle(loglik, source, start={"a": 0.0, "b": 0.0}, **given)
""",
    "nls": 'fit = rp.nls("y ~ a * exp(b * x0)", source, start={"a": 1.0, "b": 0.1}, **given)',
    "network": 'fit = rp.network("y ~ x0 + x1", source, family="poisson", hidden=[3], epochs=5, seed=0, **given)',
    "adam": 'fit = rp.glm("y ~ x0 + g", source, family="poisson", method="adam", max_iter=5, **given)',
}

RUN = """
import json, os, struct, sys, threading, warnings
import jax.numpy as jnp
import raphson as rp
from raphson.data.pieces import count
from raphson.data.parquet import Stream
warnings.simplefilter("ignore")
path, kept, log = sys.argv[1:]
counter, lock, read, inner = os.open(log, os.O_CREAT | os.O_RDWR), threading.Lock(), 0, Stream.read
def counted(self, *given, **more):
    global read
    for rows in inner(self, *given, **more):
        with lock:
            read += count(rows)
            os.pwrite(counter, struct.pack("<Q", read), 0)
        yield rows
Stream.read = counted
source, given = rp.stream(path), {"checkpoint": kept}
print("begun", flush=True)
FIT
values = [*fit.params, *fit.bse, fit.llf]
print(json.dumps([float(value).hex() for value in values]), flush=True)
"""


def write(path: Path, n: int) -> None:
    """The rows, in row groups of 100,000."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    x0, x1, g = rng.normal(size=n), rng.normal(size=n), rng.integers(0, 8, n)
    y = rng.poisson(np.exp(0.2 + 0.3 * x0 - 0.1 * x1)) * (rng.random(n) < 0.9)
    table = pa.table({"x0": x0, "x1": x1, "g": np.array(list("abcdefgh"))[g], "y": y.astype(float)})
    pq.write_table(table, path, row_group_size=100_000)


class Run:
    """One process that fits, from its beginning to its end or to its being killed."""

    def __init__(self, door: str, path: Path) -> None:
        self._log = path.with_name("read")
        self._log.unlink(missing_ok=True)
        command = [sys.executable, "-c", RUN.replace("FIT", DOORS[door])]
        arguments = [str(path), str(path.with_name("fit.ckpt")), str(self._log)]
        self._process = subprocess.Popen(
            command + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise SystemExit(self._process.communicate()[1])
        self.begun = time.perf_counter()

    def ended(self) -> list[str]:
        """The bits of the results."""
        out, error = self._process.communicate()
        if self._process.returncode:
            raise SystemExit(error)
        return json.loads(out)

    def killed(self, after: float) -> bool:
        """Kill it after so many seconds; False if it has ended before."""
        time.sleep(after)
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()
        return self._process.returncode == -signal.SIGKILL

    @property
    def read(self) -> int:
        """Rows that were read."""
        content = self._log.read_bytes() if self._log.exists() else b""
        return struct.unpack("<Q", content)[0] if content else 0


def contest(door: str, path: Path, n: int, moments: random.Random) -> tuple[float, bool, int]:
    """The most passes more of all kills, whether all results have the same bits, and the number of kills."""
    kept, most, same, kills = path.with_name("fit.ckpt"), 0.0, True, 0
    kept.unlink(missing_ok=True)
    run = Run(door, path)
    bits = run.ended()
    seconds, unbroken = time.perf_counter() - run.begun, run.read
    while kills < KILLS:
        kept.unlink(missing_ok=True)
        first = Run(door, path)
        if not first.killed(moments.uniform(0.0, seconds)):
            continue
        before, size = first.read, kept.stat().st_size if kept.exists() else 0
        second = Run(door, path)
        same &= second.ended() == bits
        more = (before + second.read - unbroken) / n
        most, kills = max(most, more), kills + 1
        print(
            f"    killed after {before / n:5.2f} of {unbroken / n:.2f} passes, with {size:,} bytes kept; "
            f"then {second.read / n:5.2f} passes, {more:+.2f} in all"
        )
    return most, same, kills


def run(n: int = ROWS, *doors: str) -> None:
    """Print the table: the same bits after each kill, and at most one pass more."""
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write(path, n)
        print(f"\nfits of {n:,} rows, each killed at {KILLS} random moments and called again")
        for door in doors or DOORS:
            print(f"  {door}")
            most, same, kills = contest(door, path, n, moments)
            bits = "the same bits each time" if same else "OTHER BITS"
            many = "" if most <= 1 + FIRST / n else ": TOO MANY"
            print(f"  {door}: {kills} kills, {bits}, at most {most:.2f} passes more{many}")


if __name__ == "__main__":
    run(*map(int, sys.argv[1:2]), *sys.argv[2:])
