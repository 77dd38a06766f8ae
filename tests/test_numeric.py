from __future__ import annotations

import threading

import numpy as np
import pytest

from raphson import errors, numeric


def test_x64_holds_inside_the_scope_and_nowhere_else():
    import jax.numpy as jnp

    with numeric.x64():
        inside = jnp.ones(1)
        assert inside.dtype == np.float64
    assert jnp.ones(1).dtype == np.float32
    assert inside.dtype == np.float64


def test_x64_is_of_the_thread_that_enters_it():
    import jax.numpy as jnp

    seen = []
    with numeric.x64():
        thread = threading.Thread(target=lambda: seen.append(jnp.ones(1).dtype))
        thread.start()
        thread.join()
    assert seen == [np.float32]


def test_x64_ends_with_an_error():
    import jax.numpy as jnp

    with pytest.raises(KeyError), numeric.x64():
        raise KeyError
    assert jnp.ones(1).dtype == np.float32


def test_epsilon_is_the_spacing_at_one():
    assert np.finfo(float).eps == numeric.EPSILON


def test_one_blas_thread_limits_and_gives_back():
    from threadpoolctl import threadpool_info

    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    before = blas()
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
