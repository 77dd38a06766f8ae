"""The process that runs a command: its exit after Ctrl-C, its warnings, and its garbage collector."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from raphson.cli.output import one_line, print_error
from raphson.cli.spelling import as_options

INTERRUPTED = 130  # 128 + the signal, as shells count

_PATIENCE = 0.7
"""Seconds after Ctrl-C in which the command may end by itself."""


def discard_output() -> None:
    """Send standard output to the null device: otherwise Python reports another error when it flushes it at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_soon_after_interrupt() -> None:
    """Exit within a second of Ctrl-C, whatever the main thread is doing.

    The main thread may be inside a library, which sees no signals until it returns, or waiting for an import that the
    interrupt itself broke off. So the signal is written to a pipe at once, and another thread reads it.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def watch() -> None:
        while os.read(read, 1) != bytes([signal.SIGINT]):
            pass
        time.sleep(_PATIENCE)
        os._exit(print_error("interrupted", INTERRUPTED))

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def one_line_warnings() -> Iterator[None]:
    said: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = as_options(one_line(str(message)))
        if line not in said:
            said.add(line)
            print(f"raphson: warning: {line}", file=sys.stderr)

    with warnings.catch_warnings():
        # Libraries' warnings to programmers are of no use to the user of a command.
        for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = show
        yield


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Pause the garbage collector until the iteration starts.

    Imports and compilation make hundreds of thousands of objects that live as long as the process. Searching them
    for garbage again and again takes a sixth of the time of a small fit.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


def resume_garbage_collection() -> None:
    if not gc.isenabled():
        gc.freeze()  # excludes all present objects from later collections
        gc.enable()
