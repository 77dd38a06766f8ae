"""What several test modules share: reference cases, a measure of agreement, small data sets and their fits."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

HERE = Path(__file__).parent
REFERENCE = HERE / "reference"

# Half of the tests' time is XLA's. What one process compiles, the others and the next run load: JAX keeps it under a
# key of the code, the versions and the processor, and reads these variables when it is first imported. Code that runs
# once need not be optimised, and compiles in a third of the time without; `make wheel-test` takes it as users do.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(HERE.parent / "build" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ["RAPHSON_CACHE"] = "off"  # the user's folder of compiled code is not the tests' affair
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")  # compiled code need not know the lines it comes from

# The tests' matrices are small, and several processes run at once: with more threads each waits for the others, which
# takes a tenth of all processor time. OpenBLAS reads the variable when it is loaded; a plugin may have loaded NumPy's.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
threadpool_limits(1, user_api="blas")

# No test asserts on time: a busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out the tests that tests/slow.txt names")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("quick", False):
        lines = (HERE / "slow.txt").read_text(encoding="utf-8").splitlines()
        slow = {line for line in lines if not line.startswith("#")}
        config.hook.pytest_deselected(items=[item for item in items if item.name.partition("[")[0] in slow])
        items[:] = [item for item in items if item.name.partition("[")[0] not in slow]


def pytest_collection_finish() -> None:
    # What is imported by now stays. JAX makes many small objects when it traces, and the collector need not look
    # through gigabytes of compiled functions each time that they are 700.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope="session")
def correct_digits() -> Callable[[Any, Any], float]:
    """The number of significant digits in which the worst element agrees with the truth (17 if all are equal)."""

    def measure(values: Any, truth: Any) -> float:
        values, truth = np.asarray(values, dtype=float), np.asarray(truth, dtype=float)
        assert values.shape == truth.shape, (values.shape, truth.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            digits = np.where(values == truth, 17.0, -np.log10(np.abs(values - truth) / np.abs(truth)))
        return float(np.min(np.nan_to_num(digits, nan=0.0)))

    return measure


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """The client of a Dask cluster of two worker processes on this machine."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local,
        Client(local) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def pool() -> Iterator[Any]:
    """A pool of two processes, which live as long as the tests: each imports JAX once."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="session")
def glm_case() -> Callable[[str], SimpleNamespace]:
    """A reference case by name: its raw data as R has them, its formula, its family and the reference numbers."""

    from raphson.model import families  # JAX comes with it, which is to find the variables above

    def load(name: str) -> SimpleNamespace:
        reference = json.loads((REFERENCE / "glm" / f"{name}.json").read_text())
        frame = pd.read_csv(REFERENCE / "glm" / f"{name}.csv")
        for column, levels in reference.get("factor_levels", {}).items():
            frame[column] = pd.Categorical(frame[column].astype(str), levels)
        kind = {
            "gaussian": families.Gaussian,
            "binomial": families.Binomial,
            "quasibinomial": families.QuasiBinomial,
            "poisson": families.Poisson,
            "Gamma": families.Gamma,
            "inverse.gaussian": families.InverseGaussian,
            "nb": families.NegativeBinomial,
        }[reference["family"]]
        return SimpleNamespace(
            name=name,
            frame=frame,
            formula=reference["formula"],
            family=kind(link=reference["link"]),
            reference=reference,
            truth=reference["mp"],
        )

    return load


@pytest.fixture(scope="session")
def sample() -> SimpleNamespace:
    """Sixty rows with an intercept, two covariates and a response for every family."""
    rng = np.random.default_rng(20240229)
    n = 60
    x, z = rng.normal(size=n), rng.normal(size=n)
    eta = 0.3 + 0.8 * x - 0.5 * z
    mean = np.exp(eta)
    return SimpleNamespace(
        n=n,
        X=np.column_stack([np.ones(n), x, z]),
        x=x,
        z=z,
        eta=eta,
        offset=0.2 * rng.normal(size=n),
        weights=rng.integers(1, 4, n).astype(float),
        binary=(rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(float),
        count=rng.poisson(mean).astype(float),
        spread=rng.negative_binomial(1.5, 1.5 / (1.5 + mean)).astype(float),
        positive=rng.gamma(3.0, mean / 3.0),
        normal=eta + rng.normal(size=n),
        category=rng.integers(0, 3, n).astype(float),
        group=np.arange(n) % 7,
    )


@pytest.fixture
def caught() -> Callable[[Callable[[], Any]], tuple[Any, list[warnings.WarningMessage]]]:
    """Call something and give back what it returned together with its warnings."""

    def call(function: Callable[[], Any]) -> tuple[Any, list[warnings.WarningMessage]]:
        with warnings.catch_warnings(record=True) as messages:
            warnings.simplefilter("always")
            result = function()
        return result, messages

    return call


@pytest.fixture
def few_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks of a fit draw as few data sets as they may: for tests of what is shown, not of what it says."""
    from raphson.fit import simulating

    monkeypatch.setattr(simulating, "MOST", simulating.LEAST)


@pytest.fixture
def without_jax_store() -> Iterator[None]:
    """Switch off the store of compiled code in which JAX keeps what the tests compile."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    folder = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_compilation_cache_dir", folder)
    compilation_cache.reset_cache()
