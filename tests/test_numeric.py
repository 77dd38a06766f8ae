from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import raphson as rp
from raphson import errors, numeric


def test_x64_holds_inside_the_scope_and_nowhere_else():
    with numeric.x64():
        inside = jnp.ones(1)
        assert inside.dtype == np.float64
    assert jnp.ones(1).dtype == np.float32
    assert inside.dtype == np.float64


def test_x64_is_of_the_thread_that_enters_it():
    seen = []
    with numeric.x64():
        thread = threading.Thread(target=lambda: seen.append(jnp.ones(1).dtype))
        thread.start()
        thread.join()
    assert seen == [np.float32]


def test_x64_ends_with_an_error():
    with pytest.raises(KeyError), numeric.x64():
        raise KeyError
    assert jnp.ones(1).dtype == np.float32


def test_epsilon_is_the_spacing_at_one():
    assert np.finfo(float).eps == numeric.EPSILON


@pytest.fixture
def blas():
    """The numbers of threads of the BLAS libraries, which are two at first."""
    import scipy.linalg  # noqa: F401 - it has a library of its own
    from threadpoolctl import threadpool_info, threadpool_limits

    def counts():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        yield counts


def test_one_blas_thread_limits_and_gives_back(blas):
    before = blas()
    assert before == {2}
    with numeric.one_blas_thread():
        assert blas() == {1}
    assert blas() == before


def test_the_device_computes_in_the_thread_that_asks():
    # The same device every time: another one would compile everything anew.
    assert numeric.device() is numeric.device() and numeric.device().platform == "cpu"
    assert numeric.anchor().dtype == np.float64 and numeric.anchor().device == numeric.device()


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.DataError, ValueError),
        (errors.FormulaError, ValueError),
        (errors.ModelError, ValueError),
        (errors.ConvergenceError, RuntimeError),
    ],
)
def test_every_error_is_a_raphson_error_and_a_builtin_one(error, builtin):
    assert issubclass(error, errors.RaphsonError) and issubclass(error, builtin)


def test_separation_is_a_kind_of_convergence_warning():
    assert issubclass(errors.SeparationWarning, errors.ConvergenceWarning)


def test_the_blas_of_scipy_keeps_to_one_thread_although_it_is_loaded_later():
    code = """
from raphson import numeric
with numeric.one_blas_thread():
    pass
import scipy.linalg
from threadpoolctl import threadpool_info
with numeric.one_blas_thread():
    print(*{pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
"""
    two = os.environ | {"OPENBLAS_NUM_THREADS": "2"}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=two).stdout == "1\n"


def test_the_last_of_several_threads_gives_blas_its_threads_back(blas):
    before, first, second = blas(), threading.Event(), threading.Event()
    seen = []

    def enters_first():
        with numeric.one_blas_thread():
            first.set()
            second.wait(300)
        seen.append(blas())

    def leaves_last():
        first.wait(300)
        with numeric.one_blas_thread():
            second.set()
            one.join(300)

    one, other = threading.Thread(target=enters_first), threading.Thread(target=leaves_last)
    one.start()
    other.start()
    one.join(300)
    other.join(300)
    # While the other holds it, the first one's leaving changes nothing; then the other puts back what was there.
    assert seen == [{1}] and blas() == before


FORKED = """
import os, warnings
warnings.simplefilter("ignore")
import numpy as np, raphson as rp
rng = np.random.default_rng(0)
X = np.column_stack([np.ones(2000), rng.normal(size=2000)])
y = (rng.random(2000) < 0.5).astype(float)
from raphson.model.families.structure import structured
own = structured(type("Own", (rp.families.Binomial,), {{"name": "own"}}))("probit")  # left to JAX

def fit(_):
    try:
        return float(rp.glm(y, X, family=own).params.iloc[1])
    except rp.RaphsonError as error:
        return str(error)

{before}
child = os.fork()
if not child:
    print(fit(0), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    ("before", "works"),
    [
        ("fit(0)", False),
        ("import jax.numpy as jnp; jnp.ones(2) + 1", False),
        ("rp.glm(y[:50], X[:50])", True),
    ],
    ids=["a fit", "the user's own JAX", "a fit without JAX"],
)
def test_a_fork_computes_or_says_why_it_cannot(before, works):
    ran = subprocess.run(
        [sys.executable, "-c", FORKED.format(before=before)], capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout.strip().splitlines()[-1]
    assert (abs(float(said)) < 1.0) if works else ("spawn" in said and "forkserver" in said)


RESTRICTIONS = {
    "numpy_rank_promotion": "raise",
    "numpy_dtype_promotion": "strict",
    "disable_jit": True,
    "debug_nans": True,
    "debug_infs": True,
    "transfer_guard": "disallow",
}


@pytest.mark.parametrize(("setting", "value"), RESTRICTIONS.items())
def test_what_the_user_has_set_for_jax_does_not_hold_inside_and_holds_again_after(setting, value):
    option = f"jax_{setting}"
    with getattr(jax, setting)(value):
        with numeric.x64():
            # An outer product, an integer times a float, a division by 0 and a number from the processor.
            found = jnp.asarray(np.ones(2)) * jnp.ones((3, 2)) * jnp.arange(2) / np.zeros(2)
            assert found.dtype == np.float64
            assert np.isnan(np.asarray(found)).sum() == 3
        assert getattr(jax.config, option) == value
        # What a search tries on its way is not finite.
        counts = rp.glm([0.0, 3.0, 1.0, 9.0], [[1, 0], [1, 1], [1, 2], [1, 3]], family="poisson")
        curve = rp.nls(f"y ~ a*exp(-b*x) + 0*{len(setting)}", {"x": [0.0, 1, 2, 3, 4], "y": [2.1, 1.2, 0.8, 0.4, 0.3]})
    assert counts.converged
    assert curve.converged
    assert getattr(jax.config, option) != value


def test_under_the_usual_settings_there_is_nothing_to_enter():
    assert type(numeric.x64()) is type(jax.enable_x64(True))
    with numeric.x64():
        assert type(numeric.x64()) is type(jax.enable_x64(True))


def test_threads_that_ask_for_the_device_at_the_same_time_share_it(monkeypatch):
    def slow():
        time.sleep(0.05)
        return object()

    monkeypatch.setattr(numeric, "_processor", cache(slow))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: numeric._own_device.__wrapped__(), range(4)))
    assert all(one is found[0] for one in found)
