"""The 64-bit scope and the thread limits: the two global things Raphson needs, taken only while it works."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

EPSILON = 2.0**-52
"""Spacing of the doubles at 1: the relative accuracy of every reported digit is measured in it."""


def x64() -> AbstractContextManager[Any]:
    """Make JAX compute in 64 bits inside a ``with`` block, and leave the user's configuration alone.

    The scope belongs to the thread that enters it, so each worker enters its own, and no generator
    may yield inside it: a suspended generator would leave it on in its caller.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from raphson.numeric import x64
    >>> with x64():
    ...     print(jnp.ones(1).dtype)
    float64
    """
    import jax

    return jax.enable_x64(True)


@cache
def device() -> Any:
    """The device that derivatives run on: the processor, computing in the thread that asks.

    JAX's own client for the processor hands each call to another thread, and waking that one up takes longer
    (40 µs) than the derivatives of a small block. A client of our own does not, and as blocks are shared out over
    threads anyway, one thread is all that a block should use. Where jaxlib offers no such client, JAX's own serves.
    """
    import jax

    try:
        from jaxlib.xla_client import make_cpu_client

        return make_cpu_client(asynchronous=False).devices()[0]
    except (ImportError, AttributeError, TypeError):
        return jax.devices("cpu")[0]


@cache
def anchor() -> Any:
    """A number on :func:`device`: a compiled function that takes it runs there, with its other arguments."""
    import jax

    with x64():
        return jax.device_put(0.0, device())


@cache
def brief_compilation() -> dict[str, bool]:
    """Options for :func:`jax.jit` by which a long loop compiles in two thirds of the time, and runs as fast.

    XLA's fusion emitters build each fusion through MLIR; without them it goes to LLVM straight away. Empty where the
    installed XLA knows no such option.
    """
    import jax

    options = {"xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(anchor()).compile()
    except (RuntimeError, ValueError):
        return {}
    return options


@cache
def _thread_pools() -> Any:
    # Looking for the loaded BLAS libraries takes milliseconds, using what was found microseconds:
    # so the controller is made once.
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """Limit BLAS and OpenMP to one thread inside a ``with`` block.

    Sums over blocks run in a fixed order; with one thread inside a block the result is the same
    to the last bit however the blocks are shared out.
    """
    return _thread_pools().limit(limits=1)
