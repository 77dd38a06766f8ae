"""The 64-bit scope and the thread limits: the two global things Raphson needs, taken only while it works."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from typing import Any, NamedTuple

from raphson.compat import BRIEF, backends_made, processor
from raphson.errors import ModelError

EPSILON = 2.0**-52
"""Spacing of the doubles at 1: the relative accuracy of every reported digit is measured in it."""


def x64() -> AbstractContextManager[Any]:
    """Make JAX compute in 64 bits inside a ``with`` block, and leave the user's configuration alone.

    The scope belongs to the thread that enters it, so each worker enters its own, and no generator
    may yield inside it: a suspended generator would leave it on in its caller.

    What the user has set for work of their own, such as a guard of transfers or an error at the first NaN (which a
    search steps back from), does not hold inside: see :data:`NEUTRAL`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from raphson.numeric import x64
    >>> with x64():
    ...     print(jnp.ones(1).dtype)
    float64
    """
    _process.check()
    import jax

    config, scope = jax.config, jax.enable_x64(True)
    others = [setting for setting in _settings() if getattr(config, setting.option) not in setting.neutral]
    return _Scopes(scope, *(setting.enter() for setting in others)) if others else scope


NEUTRAL: dict[str, tuple[Any, ...]] = {
    "numpy_rank_promotion": ("allow",),
    "numpy_dtype_promotion": ("standard",),
    "disable_jit": (False,),
    "debug_nans": (False,),
    "debug_infs": (False,),
    "check_tracer_leaks": (False,),
    "default_matmul_precision": (None,),
    "transfer_guard_host_to_device": ("allow", None),
    "transfer_guard_device_to_host": ("allow", None),
    "transfer_guard_device_to_device": ("allow", None),
}
"""Settings of JAX under which Raphson's own code is written, by the name of their scope in ``jax``.

The first value is the one entered; under the others there is nothing to enter.
"""


class _Setting(NamedTuple):
    option: str
    neutral: tuple[Any, ...]
    scope: Any

    def enter(self) -> AbstractContextManager[Any]:
        return self.scope(self.neutral[0])


@cache
def _settings() -> tuple[_Setting, ...]:
    """Those of :data:`NEUTRAL` that the installed JAX knows."""
    import jax

    return tuple(
        _Setting(f"jax_{name}", neutral, getattr(jax, name))
        for name, neutral in NEUTRAL.items()
        if hasattr(jax.config, f"jax_{name}") and hasattr(jax, name)
    )


class _Scopes(ExitStack):
    """Several scopes that are entered together."""

    def __init__(self, *scopes: AbstractContextManager[Any]) -> None:
        super().__init__()
        self.scopes = scopes

    def __enter__(self) -> _Scopes:
        for scope in self.scopes:
            self.enter_context(scope)
        return self


class _Process:
    """The process that computes here, by its number.

    JAX's threads do not survive a fork: a child of a process that has used JAX would wait for them for ever. A child
    of one that has only imported it is as good as new.
    """

    def __init__(self) -> None:
        self.number = os.getpid()

    def check(self) -> None:
        """Refuse to compute in the fork of a process that has used JAX; else take this process for one's own."""
        if self.number == os.getpid():
            return
        if device.cache_info().currsize or backends_made():
            raise ModelError(
                "process: this one was forked from a process that had used JAX, whose threads a fork does not have, "
                'so nothing can be computed here; start processes by multiprocessing.get_context("spawn") or '
                '"forkserver" (in concurrent.futures and joblib\'s loky too), or compute in the parent only'
            )
        self.number = os.getpid()


_process = _Process()


@cache
def device() -> Any:
    """The device that derivatives run on: the processor, computing in the thread that asks.

    JAX's own client for the processor hands each call to another thread, and waking that one up takes longer
    (40 µs) than the derivatives of a small block. A client of our own does not, and as blocks are shared out over
    threads anyway, one thread is all that a block should use. Where jaxlib offers no such client, JAX's own serves.
    """
    _process.check()
    return processor()


@cache
def anchor() -> Any:
    """A number on :func:`device`: a compiled function that takes it runs there, with its other arguments."""
    import jax

    with x64():
        return jax.device_put(0.0, device())


@cache
def brief_compilation() -> dict[str, bool | str]:
    """Options for :func:`jax.jit` by which a long loop compiles in two thirds of the time, and runs as fast.

    XLA's fusion emitters build each fusion through MLIR; without them it goes to LLVM straight away. Empty where the
    installed XLA knows no such option.
    """
    import jax

    try:
        jax.jit(lambda x: x, compiler_options=BRIEF).lower(anchor()).compile()
    except (RuntimeError, ValueError):
        return {}
    return BRIEF


class _Pools(NamedTuple):
    blas: Any
    openmp: Any


@cache
def _thread_pools() -> _Pools:
    # Looking for the loaded BLAS libraries takes milliseconds, using what was found microseconds:
    # so the controllers are made once.
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController()
    return _Pools(found.select(user_api="blas"), found.select(user_api="openmp"))


class _OneThread:
    """One thread for BLAS and OpenMP while anybody holds it.

    BLAS has one number of threads for the whole process, so that the first holder takes it down and the last one
    puts it back; OpenMP has one for each thread, which puts back its own.
    """

    def __init__(self) -> None:
        self.lock, self.holders = threading.Lock(), 0
        self.before: Any = None
        self.mine = threading.local()

    def __enter__(self) -> None:
        pools = _thread_pools()
        with self.lock:
            if not self.holders:
                _any_thread_may_set(pools.blas)
                self.before = pools.blas.limit(limits=1)
            self.holders += 1
        depth = getattr(self.mine, "depth", 0)
        if not depth:
            self.mine.before = pools.openmp.limit(limits=1)
        self.mine.depth = depth + 1

    def __exit__(self, *_: object) -> None:
        self.mine.depth -= 1
        if not self.mine.depth:
            self.mine.before.restore_original_limits()
        with self.lock:
            self.holders -= 1
            if not self.holders:
                pools = _thread_pools()
                _any_thread_may_set(pools.blas)
                self.before.restore_original_limits()
                _any_thread_may_set(pools.blas)


def _any_thread_may_set(pools: Any) -> None:
    """Let this thread set the number of threads, though another one has (threadpoolctl 3.7 and later ask for it).

    Without a word it ignores all threads but the first that has set one, and here the last holder, whichever it is,
    puts the number back.
    """
    for library in pools.lib_controllers:
        release = getattr(library, "clear_controlling_thread", None)
        if release is not None:
            release(force=True)


_one_thread = _OneThread()


def one_blas_thread() -> AbstractContextManager[None]:
    """Limit BLAS and OpenMP to one thread inside a ``with`` block.

    Sums over blocks run in a fixed order; with one thread inside a block the result is the same
    to the last bit however the blocks are shared out. Blocks may be nested, and entered by several threads at once.
    """
    return _one_thread
