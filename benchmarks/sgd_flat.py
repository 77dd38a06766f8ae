"""What a step of sgd costs, from 10 thousand to 10 million rows streamed from Parquet; and what one of Newton's does.

The file is read in batches of rows, never whole: memory stays flat too.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raphson.model.families import Binomial
from raphson.model.linear_rows import LinearRows
from raphson.newton.first_order import Chunk, Descent, beginning, train

COLUMNS, GROUP, STEPS, SIZE = 5, 65_536, 4_096, 256
THETA = np.array([-0.5, 1.0, -1.0, 0.5, 0.25, 0.0])


def write(path: Path, n: int) -> None:
    """A logistic regression's data, a row group at a time."""
    rng = np.random.default_rng(0)
    names = [*(f"x{j}" for j in range(COLUMNS)), "y"]
    schema = pa.schema([(name, pa.float64()) for name in names])
    with pq.ParquetWriter(path, schema, compression="none") as writer:
        for start in range(0, n, GROUP):
            X = rng.normal(size=(min(GROUP, n - start), COLUMNS))
            y = (rng.random(len(X)) < 1 / (1 + np.exp(-THETA[0] - X @ THETA[1:]))).astype(float)
            writer.write_table(pa.table([*X.T, y], schema=schema))


class Stream:
    """Batches in the file's order, row group after row group, from a random one on; STEPS of them are an epoch."""

    def __init__(self, path: Path) -> None:
        self.file = pq.ParquetFile(path)

    def steps(self, batch_size: int) -> int:
        return STEPS

    def chunks(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Chunk, int]]:
        left = STEPS
        while left > 0:
            group = int(rng.integers(self.file.num_row_groups))
            for batch in self.file.iter_batches(SIZE * batch_size, row_groups=[group]):
                rows = np.column_stack([column.to_numpy() for column in batch.columns])
                count = min(len(rows) // batch_size, left)
                if not count:
                    continue
                rows = np.resize(rows[: count * batch_size], (SIZE * batch_size, rows.shape[1]))
                cut = rows.reshape(SIZE, batch_size, -1)
                X = np.concatenate([np.ones((SIZE, batch_size, 1)), cut[:, :, :-1]], axis=2)
                yield Chunk((X,), np.ascontiguousarray(cut[:, :, -1]), None, None), count
                left -= count
                if left <= 0:
                    return


def sgd(path: Path) -> tuple[float, np.ndarray]:
    """Seconds of a step, reading included, and the estimate."""
    descent = Descent("sgd", 1, 32, learning_rate=0.2, schedule="cosine")
    state = {"spread": np.ones(1)}
    begin = beginning([{"coefficients": np.zeros(COLUMNS + 1)}], state, descent)
    start = time.perf_counter()
    trained = train(LinearRows((0,)), Binomial(), begin, Stream(path), descent)
    return (time.perf_counter() - start) / STEPS, trained.params[0]["coefficients"]


def newton(n: int) -> float:
    """Seconds of a step of Newton's method on rows in memory."""
    import raphson as rp

    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, COLUMNS))])
    y = (rng.random(n) < 1 / (1 + np.exp(-X @ THETA))).astype(float)
    fit: Any = rp.glm(y, X, family="binomial", method="newton")
    start = time.perf_counter()
    fit = rp.glm(y, X, family="binomial", method="newton")
    return (time.perf_counter() - start) / max(fit.n_iter, 1)


def run(largest: int = 10_000_000) -> None:
    """Print the table."""
    print("\na step of sgd (batches of 32, from Parquet) and of Newton's method (in memory)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write(path, 10_000)
        sgd(path)  # compiled once, whatever n
        for n in (10_000, 100_000, 1_000_000, 10_000_000):
            if n > largest:
                break
            write(path, n)
            seconds, theta = min((sgd(path) for _ in range(3)), key=lambda pair: pair[0])
            slow = f"{1e6 * newton(n):12,.0f} µs" if n <= 1_000_000 else "           -"
            error = np.abs(theta - THETA).max()
            print(f"  {n:12,} rows   sgd {1e6 * seconds:7.1f} µs   newton {slow}   error {error:.2f}")
            path.unlink()


if __name__ == "__main__":
    run()
