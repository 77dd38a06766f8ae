"""The progress of long work: a line on the terminal after the first second; elsewhere, if asked for, lines of a log."""

from __future__ import annotations

import math
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self, TextIO

from raphson.report import numbers

INTERVAL = 10.0
"""Seconds between the lines of a log: a fit of an hour leaves a few hundred."""


class Progress:
    """Show the progress of an iteration that takes longer than ``delay`` seconds.

    It is a context manager around the work, and a function to call with every row of the path.
    On a terminal the line is erased when the work ends. Elsewhere, as in a notebook or a file, nothing is written, or
    with `log` a line of plain text every ``interval`` seconds.

    Parameters
    ----------
    what : str
        The work, such as "Fitting".
    stream : text stream, optional
        Standard error if not given.
    delay : float
        Seconds before anything is shown on a terminal.
    log : bool
        Whether lines are written where there is no terminal.
    interval : float
        Seconds before the first of them and from one to the next, at least.

    Examples
    --------
    >>> with Progress("Fitting") as progress:
    ...     for iteration in range(3):
    ...         progress(iteration=iteration, distance=10.0**-iteration)
    """

    def __init__(
        self,
        what: str,
        stream: TextIO | None = None,
        delay: float = 1.0,
        log: bool = False,
        interval: float = INTERVAL,
    ) -> None:
        self.what = what
        self.stream = sys.stderr if stream is None else stream
        self.delay, self.log, self.interval = delay, log, interval
        self._begun = self._logged = time.monotonic()
        self._rows = 0
        self._before = math.nan
        self._text = what
        self._live: Any = None
        self._timer: threading.Timer | None = None
        # The timer's thread opens the display, and the working thread closes it.
        self._lock = threading.Lock()
        self._ended = False

    def __enter__(self) -> Self:
        if self.stream.isatty():
            self._timer = threading.Timer(self.delay, self._open)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._ended = True
            if self._live is not None:
                self._live.stop()
                self._live = None

    def __call__(self, **row: Any) -> None:
        """Show one row of the path: its ``iteration`` and ``distance``, if it has them.

        With ``rows``, the number of rows read for it, ``of``, that of all rows, and ``tol``, at which distance it ends,
        also the passes over the data so far, their speed and the time left.
        """
        text = self.what
        if "iteration" in row:
            text += f", iteration {row['iteration']}"
        if row.get("distance") is not None:
            text += f", {numbers.short(float(row['distance']))} standard errors from the maximum"
        if "rows" in row:
            text += self._speed(**row)
        self._text = text
        if self.log and not self.stream.isatty() and time.monotonic() - self._logged >= self.interval:
            self._logged = time.monotonic()
            print(text, file=self.stream, flush=True)
        live = self._live
        if live is not None:
            live.update(live.tasks[0].id, description=text)

    def _speed(self, rows: int, of: int, distance: float, tol: float, **_: Any) -> str:
        """The passes so far, rows per second, and the time until the distance is `tol` if it goes on shrinking by the
        same factor. Where Newton's method converges quadratically, it takes less."""
        taken = max(time.monotonic() - self._begun, 1e-9)
        self._rows += rows
        before, self._before = self._before, distance
        text = f", {self._rows / of:.1f} passes, {numbers.short(self._rows / taken)} rows per second"
        if tol < distance < before < math.inf and self._rows:
            steps = math.ceil(math.log(tol / distance) / math.log(distance / before))
            left = steps * rows * taken / self._rows
            text += f", at most about {left:.0f} s left" if left < 1e6 else ""
        return text

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import Progress as Display
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with self._lock:
            if self._ended:
                return
            display = Display(*columns, console=Console(file=self.stream), transient=True)
            task = display.add_task(self._text, total=None)
            display.start()
            self._live = display
            # Show the text of a row that arrived before the display existed.
            display.update(task, description=self._text)
