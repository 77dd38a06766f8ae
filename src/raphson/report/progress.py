"""The progress of long work: a line that is replaced on a terminal and in a notebook; elsewhere lines of a log."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TextIO

from raphson.report.live_lines import LiveLine, NotebookLine, TerminalLine, in_notebook
from raphson.sheets import numbers

INTERVAL = 10.0
"""Seconds between the lines of a log: a fit of an hour leaves a few hundred."""

TICK = 0.5
"""Seconds between two changes of a line that is replaced."""


@dataclass(frozen=True)
class Part:
    """A part of the line.

    Attributes
    ----------
    text : in full words.
    short : in few; empty for the same.
    needed : parts of a smaller number are left out first where there is too little room.
    """

    text: str
    short: str = ""
    needed: int = 3


def in_width(parts: Sequence[Part], width: float) -> str:
    """The parts in a line of so many characters: in full words, in few, or without those that are needed least.

    Examples
    --------
    >>> parts = [Part("Fitting"), Part("3.0 passes", needed=2), Part("2,000 rows per second", "2,000 rows/s", needed=0)]
    >>> [in_width(parts, width) for width in (80, 34, 20)]
    ['Fitting, 3.0 passes, 2,000 rows per second', 'Fitting, 3.0 passes, 2,000 rows/s', 'Fitting, 3.0 passes']
    """
    lines = [[part.text for part in parts]]
    lines += [[part.short or part.text for part in parts if part.needed >= least] for least in range(4)]
    return next((line for line in map(", ".join, lines) if len(line) <= width), ", ".join(lines[-1]))


class Progress:
    """Show the progress of an iteration that takes longer than ``delay`` seconds.

    It is a context manager around the work, a function to call with every row of the path, and has another to call as
    rows are read. On a terminal the line is erased when the work ends; in a notebook it is a line of the cell's output,
    which is emptied. Elsewhere, as in a file, nothing is written, or with `log` a line of plain text every ``interval``
    seconds.

    Parameters
    ----------
    what : str
        The work, such as "Fitting".
    stream : text stream, optional
        Standard error if not given, or the cell of a notebook.
    delay : float
        Seconds before anything is shown on a terminal or in a notebook.
    log : bool
        Whether lines are written where there is neither.
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
        self._notebook = stream is None and in_notebook()
        self.stream = sys.stderr if stream is None else stream
        self.delay, self.log, self.interval = delay, log, interval
        self._begun = self._logged = self._ticked = time.monotonic()
        self._rows = 0
        """Rows of the readings that have ended."""
        self._here: tuple[int, int | None] | None = None
        """Rows read so far in this reading, and of how many."""
        self._of: int | None = None
        self._told = False
        """Whether readings are told of; otherwise the path says how many rows were read."""
        self._before = math.nan
        self._step: list[Part] = []
        self.workers: Callable[[], str] | None = None
        """Says how many workers there are, and what was sent; None where this process computes."""
        self._left: float | None = None
        """Rows still to be read at most, from the end of this step on."""
        self._live: LiveLine | None = None
        self._timer: threading.Timer | None = None
        # The timer's thread opens the display, and the working thread closes it; rows are read by many threads.
        self._lock = threading.RLock()
        self._ended = False

    def __enter__(self) -> Self:
        if self._notebook or self.stream.isatty():
            self._timer = threading.Timer(self.delay, copy_context().run, (self._open,))  # a cell is in the context
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
        also the passes over the data so far, their speed and the time left. With ``epochs`` in place of ``tol``, the
        number of iterations at most, each of which reads all rows, its ``loss`` and ``validation``.
        """
        step: list[Part] = []
        if "epochs" in row:
            step.append(Part(f"epoch {row['iteration']} of {row['epochs']}"))
            step.append(Part(f"loss {numbers.short(row['loss'])}"))
            if not math.isnan(row["validation"]):
                step.append(Part(f"validation {numbers.short(row['validation'])}", needed=2))
        elif "iteration" in row:
            step.append(Part(f"iteration {row['iteration']}"))
        if row.get("distance") is not None:
            distance = numbers.short(float(row["distance"]))
            step.append(Part(f"{distance} standard errors from the maximum", f"distance {distance}"))
        self._step = step
        if "rows" in row:
            self._of = row["of"]
            if not self._told:
                self._rows += row["rows"]
            self._left = self._left_of_epochs(**row) if "epochs" in row else self._left_of_steps(**row)
        self._show(at_once=True)

    def reading(self, rows: int, of: int | None) -> None:
        """Show that so many rows of all have been read in this pass; when they are equal it has ended."""
        if self._ended:
            return
        with self._lock:
            self._told = True
            self._of = of or self._of
            if rows == of:
                self._rows += rows
                self._here = None
            else:
                self._here = rows, of
        if time.monotonic() - self._ticked >= TICK:
            self._show()

    def _left_of_steps(self, rows: int, distance: float, tol: float, **_: Any) -> float | None:
        """The rows still to be read until the distance is `tol` if it goes on shrinking by the same factor. Where
        Newton's method converges quadratically, they are fewer."""
        before, self._before = self._before, distance
        if tol < distance < before < math.inf and self._rows:
            return rows * math.ceil(math.log(tol / distance) / math.log(distance / before))
        return None

    def _left_of_epochs(self, iteration: int, epochs: int, of: int, **_: Any) -> float:
        """The rows of the epochs that follow at most."""
        return float((epochs - iteration) * of)

    def _text(self, width: float = math.inf) -> str:
        """What is known; where that is too long, in shorter words and without what is needed least."""
        workers = [] if self.workers is None else [Part(self.workers(), needed=1)]
        return in_width([Part(self.what), *self._step, *self._speed, *workers], width)

    @property
    def _speed(self) -> list[Part]:
        """The passes so far, where in this one it is, rows per second, and the time left."""
        here, of = self._here or (0, None)
        read = self._rows + here
        if self._of is None and not read:
            return []
        taken = max(time.monotonic() - self._begun, 1e-9)
        parts: list[Part] = []
        if self._of is not None:
            parts.append(Part(f"{read / self._of:.1f} passes", needed=2))
        if here:
            share = f"{here / of:.0%}" if of else f"{here:,} rows so far"
            parts.append(Part(f"{share} of {of:,} rows" if of else share, share, needed=1))
        speed = numbers.short(read / taken)
        parts.append(Part(f"{speed} rows per second", f"{speed} rows/s", needed=0))
        if self._left is not None and read:
            left = max(self._left - here, 0) * taken / read
            if left < 1e6:
                parts.append(Part(f"at most about {left:.0f} s left", f"≤ {left:.0f} s left"))
        return parts

    def _show(self, at_once: bool = False) -> None:
        """Replace the line, or write the next one if it is time."""
        now = time.monotonic()
        if self.log and not (self._notebook or self.stream.isatty()) and now - self._logged >= self.interval:
            self._logged = now
            print(self._text(), file=self.stream, flush=True)
        with self._lock:
            if self._live is not None and (at_once or now - self._ticked >= TICK):
                self._live.update(self._text(self._live.width))
            self._ticked = now

    def _open(self) -> None:
        with self._lock:
            if self._ended:
                return
            self._live = NotebookLine(self.what) if self._notebook else TerminalLine(self.what, self.stream)
            self._live.update(self._text(self._live.width))  # that of a row that arrived before the display existed
