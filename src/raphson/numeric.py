"""The 64-bit scope and the thread limits: the two global settings that Raphson changes, only while it computes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

from raphson.compat import backends_made, jax, processor, when_used
from raphson.errors import ModelError

P = ParamSpec("P")
T = TypeVar("T")

EPSILON = 2.0**-52
"""Machine epsilon of double precision."""

TINY = 1e-300
"""Added to a size, or its lower limit, where 0 would do harm: in a denominator, a logarithm or a strict comparison. It
is lost in any size above 1e-284, and its inverse is finite."""


def x64() -> AbstractContextManager[Any]:
    """Make JAX compute in 64 bits inside a ``with`` block, without changing the user's configuration.

    The scope holds for the thread that enters it, so each worker enters its own. Never yield inside it: a suspended
    generator would leave it on in its caller.

    Settings of the user that would get in the way, such as an error at the first NaN (from which a line search just
    steps back), are off inside: see :data:`NEUTRAL`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from raphson.numeric import x64
    >>> with x64():
    ...     print(jnp.ones(1).dtype)
    float64
    """
    _process.check()
    when_used()
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
"""JAX settings that Raphson's code relies on, by the name of their context manager in ``jax``.

The first value is set unless the current one is among the others.
"""


class _Setting(NamedTuple):
    option: str
    neutral: tuple[Any, ...]
    scope: Any

    def enter(self) -> AbstractContextManager[Any]:
        return self.scope(self.neutral[0])


@cache
def _settings() -> tuple[_Setting, ...]:
    """Those of :data:`NEUTRAL` that the installed JAX has."""
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
    """The number of the process that may compute.

    JAX's threads do not survive a fork: a child of a process that has used JAX would wait for them for ever. A child
    of a process that has only imported JAX can use it.
    """

    def __init__(self) -> None:
        self.number = os.getpid()

    def check(self) -> None:
        """Raise a ModelError in the fork of a process that has used JAX; otherwise record this process."""
        if self.number == os.getpid():
            return
        if _own_device.cache_info().currsize or backends_made():
            raise ModelError(
                "process: this one was forked from a process that had used JAX, and lacks JAX's threads, so it cannot "
                'compute; start processes by multiprocessing.get_context("spawn") or "forkserver" (in '
                "concurrent.futures and joblib's loky too), or compute in the parent only"
            )
        self.number = os.getpid()


_process = _Process()
_one_at_a_time = threading.RLock()
_processor = cache(processor)


@cache
def _own_device() -> Any:
    _process.check()
    # Threads that ask for it at the same time would each make one, and what is compiled for one runs on no other.
    with _one_at_a_time:
        return _processor()


_chosen: ContextVar[Any] = ContextVar("chosen", default=None)
"""The device that an executor has chosen for what runs in this context; None for Raphson's own."""


def device() -> Any:
    """The device that computes derivatives: the CPU, in the calling thread, unless :func:`computing_on` says another.

    JAX's default CPU client hands each call to another thread, and waking that thread takes longer (40 µs) than the
    derivatives of a small block. The client made here does not. Blocks are spread over threads anyway, so each should
    use one thread only. Where jaxlib offers no such client, JAX's own is used.
    """
    chosen = _chosen.get()
    return _own_device() if chosen is None else chosen


def elsewhere() -> bool:
    """Whether :func:`computing_on` says another device here."""
    return _chosen.get() is not None


@contextmanager
def computing_on(other: Any) -> Iterator[None]:
    """Compute derivatives on another device of JAX inside a ``with`` block; None for the one of before.

    It holds for the calling thread, and for those that compute in a copy of its context. As with :func:`x64`, never
    yield inside it.
    """
    token = _chosen.set(_chosen.get() if other is None else other)
    try:
        yield
    finally:
        _chosen.reset(token)


def anchor() -> Any:
    """A number on :func:`device`: a compiled function that gets it as an argument runs there."""
    return _anchor(device())


@cache
def _anchor(where: Any) -> Any:
    with x64():
        return jax.device_put(0.0, where)


class _Pools(NamedTuple):
    blas: Any
    openmp: Any


@cache
def _thread_pools() -> _Pools:
    # Finding the loaded BLAS libraries takes milliseconds, using the controllers microseconds: so they are made once.
    from threadpoolctl import ThreadpoolController

    from raphson import lapack

    _ = lapack.dpotrf  # LAPACK comes from SciPy with a BLAS of its own, which is found once it is loaded
    found = ThreadpoolController()
    return _Pools(found.select(user_api="blas"), found.select(user_api="openmp"))


class _OneThread:
    """Limits BLAS and OpenMP to one thread while at least one block is inside.

    The number of BLAS threads belongs to the process: the first block to enter lowers it, and the last to leave
    restores it. OpenMP's belongs to each thread, which restores its own.
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
    """Let this thread set the number of threads although another one has set it (for threadpoolctl 3.7 and later).

    From then on threadpoolctl silently ignores all threads but the first that set it, but here the last thread to
    leave, whichever it is, restores the number.
    """
    for library in pools.lib_controllers:
        release = getattr(library, "clear_controlling_thread", None)
        if release is not None:
            release(force=True)


_one_thread = _OneThread()


def one_blas_thread() -> AbstractContextManager[None]:
    """Limit BLAS and OpenMP to one thread inside a ``with`` block.

    Blocks of data are summed in a fixed order. With one thread inside each, the result is the same to the last bit
    however they are spread over threads. The ``with`` blocks may be nested, and entered by several threads at once.
    """
    return _one_thread


def in_one_thread(function: Callable[P, T]) -> Callable[P, T]:
    """A function whose linear algebra has one thread: of small systems, several threads wait for one another."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        with one_blas_thread():
            return function(*args, **kwargs)

    return called
