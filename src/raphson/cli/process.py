"""The process that runs a command: its end after Ctrl-C, its warnings, and its garbage collector."""

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

from raphson.cli.output import complain, one_line

INTERRUPTED = 130  # 128 + the signal, as shells count

_PATIENCE = 0.7
"""Seconds that what runs has to end by itself after Ctrl-C."""


def write_no_more() -> None:
    """Give standard output somewhere to write: Python would complain once more when it flushes it at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def end_soon_after_an_interrupt() -> None:
    """End the process within a second of Ctrl-C, whatever its main thread is doing.

    That may be in a library, which sees nothing of signals until it returns, or be waiting for an import that the
    interrupt itself has broken off. The signal is noted in a pipe the moment that it comes, where a thread reads it.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def watch() -> None:
        while os.read(read, 1) != bytes([signal.SIGINT]):
            pass
        time.sleep(_PATIENCE)
        os._exit(complain("interrupted", INTERRUPTED))

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def one_line_warnings() -> Iterator[None]:
    said: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = one_line(str(message))
        if line not in said:
            said.add(line)
            print(f"raphson: warning: {line}", file=sys.stderr)

    with warnings.catch_warnings():
        # What libraries have to say to programmers is no business of who runs a command.
        for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = show
        yield


@contextmanager
def collector_asleep() -> Iterator[None]:
    """Collect no garbage until the iteration starts.

    Imports and compilation make hundreds of thousands of objects that live as long as the process. Looking
    through them for garbage, again and again, takes a sixth of the time of a small fit.
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


def wake_collector() -> None:
    if not gc.isenabled():
        gc.freeze()  # what is there by now stays, and is not looked through any more
        gc.enable()
