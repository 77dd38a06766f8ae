"""A progress line on the terminal, shown after the first second and only on a terminal."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any, Self, TextIO

from raphson.report import numbers


class Progress:
    """Show the progress of an iteration that takes longer than ``delay`` seconds.

    It is a context manager around the work, and a function to call with every row of the path.
    Nothing is written unless the stream is a terminal, and the line is erased when the work ends.

    Parameters
    ----------
    what : str
        The work, such as "Fitting".
    stream : text stream, optional
        Standard error if not given.
    delay : float
        Seconds before anything is shown.

    Examples
    --------
    >>> with Progress("Fitting") as progress:
    ...     for iteration in range(3):
    ...         progress(iteration=iteration, distance=10.0**-iteration)
    """

    def __init__(self, what: str, stream: TextIO | None = None, delay: float = 1.0) -> None:
        self.what = what
        self.stream = sys.stderr if stream is None else stream
        self.delay = delay
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
        """Show one row of the path: its ``iteration`` and ``distance``, if it has them."""
        text = self.what
        if "iteration" in row:
            text += f", iteration {row['iteration']}"
        if row.get("distance") is not None:
            text += f", {numbers.short(float(row['distance']))} standard errors from the maximum"
        self._text = text
        live = self._live
        if live is not None:
            live.update(live.tasks[0].id, description=text)

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
