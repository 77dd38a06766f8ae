"""Fits on a GPU beside two threads of the processor: `python -m benchmarks.gpu [--platform cpu] [--scale 0.01]`.

10,000,000 × 100 and 1,000,000 × 20 logistic regressions, 100,000 curves and 10,000 bootstrap replicates. Each is done
twice on the device, as the first time compiles and sends the rows, and once or more by two threads; at the end stands
how far apart the results are, in standard errors. With ``--platform cpu`` the same code runs on the processor as JAX's
own device, which is to try it, not to be fast; `--scale` multiplies the numbers of rows, curves and replicates.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import raphson as rp

PART = 100_000
"""Rows that are drawn together, each part by a generator of its own."""


class Work(NamedTuple):
    """Something to time.

    Attributes
    ----------
    name : in the table.
    run : the work by an executor.
    read : of what `run` returns the numbers to be compared, and their standard errors.
    """

    name: str
    run: Callable[[Any], Any]
    read: Callable[[Any], tuple[np.ndarray, np.ndarray]]


def _logistic_data(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    X, y = np.empty((n, p)), np.empty(n)
    slopes = np.linspace(-0.3, 0.3, p)

    def draw(start: int) -> None:
        rng = np.random.default_rng(start)
        part = X[start : start + PART]
        rng.standard_normal(out=part)
        part[:, 0] = 1.0
        y[start : start + PART] = rng.random(len(part)) < 1.0 / (1.0 + np.exp(-part @ slopes))

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, range(0, n, PART)))
    return y, X


def _logistic(n: int, p: int) -> Work:
    y, X = _logistic_data(n, p)
    return Work(
        f"logistic regression, {n:,} × {p}",
        lambda executor: rp.glm(y, X, family="binomial", executor=executor),
        lambda fit: (fit.params.to_numpy(), fit.bse.to_numpy()),
    )


def _curves(count: int) -> Work:
    import jax.numpy as jnp

    from raphson.newton.many import problems

    rng = np.random.default_rng(0)
    x = np.linspace(0, 5, 50)
    top, rate, floor = rng.uniform(1, 5, count), rng.uniform(0.3, 2, count), rng.uniform(0, 1, count)
    y = top[:, None] * np.exp(-rate[:, None] * x) + floor[:, None] + 0.05 * rng.normal(size=(count, 50))

    def decay(theta: Any, data: Any, shared: Any) -> Any:
        return theta[0] * jnp.exp(-theta[1] * shared["x"]) + theta[2]

    problem = problems.least_squares(decay)

    def read(found: Any) -> tuple[np.ndarray, np.ndarray]:
        bse = np.sqrt(np.einsum("bii->bi", found.covariance()))
        good = found.converged & np.isfinite(bse).all(axis=1)
        return np.where(good[:, None], found.theta, 0.0), np.where(good[:, None], bse, 1.0)

    return Work(
        f"{count:,} curves of 50 points",
        lambda executor: problems.solve(problem, np.ones(3), {"y": y}, {"x": x}, executor=executor),
        read,
    )


def _bootstrap(replicates: int) -> Work:
    y, X = _logistic_data(1_000, 5)
    fits: dict[int, Any] = {}

    def run(executor: Any) -> Any:
        if id(executor) not in fits:
            fits[id(executor)] = rp.glm(y, X, family="binomial", executor=executor)
        return fits[id(executor)].bootstrap(replicates, seed=1)

    return Work(
        f"{replicates:,} bootstrap replicates, 1,000 × 5", run, lambda boot: (boot.se.to_numpy(), boot.se.to_numpy())
    )


def _timed(work: Work, executor: Any, times: int) -> tuple[list[float], Any]:
    took, found = [], None
    for _ in range(times):
        begun = perf_counter()
        found = work.run(executor)
        took.append(perf_counter() - begun)
    return took, found


def run(platform: Any = "gpu", scale: float = 1.0) -> None:
    """Print the table."""
    device, threads = rp.execute.gpu(platform=platform), rp.execute.threads(2)

    def number(full: int) -> int:
        return max(int(full * scale), 100)

    making: list[Callable[[], Work]] = [
        lambda: _logistic(number(1_000_000), 20),
        lambda: _logistic(number(10_000_000), 100),
        lambda: _curves(number(100_000)),
        lambda: _bootstrap(number(10_000)),
    ]
    print(f"{'':44}{'first':>9}{'second':>9}{'2 threads':>11}{'ratio':>8}{'apart, s.e.':>13}")
    for make in making:
        work = make()
        (first, second), there = _timed(work, device, 2)
        took, here = _timed(work, threads, 2)
        (one, unit), (other, _) = work.read(there), work.read(here)
        apart = float(np.abs((one - other) / unit).max())
        best = min(took)
        print(f"{work.name:44}{first:9.3f}{second:9.3f}{best:11.3f}{best / second:8.1f}{apart:13.1e}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--platform", choices=("gpu", "cpu"), default="gpu", help="the device")
    parser.add_argument("--scale", type=float, default=1.0, help="a factor of the numbers of rows and the like")
    run(**vars(parser.parse_args()))
