from __future__ import annotations

import io
import threading
import time

import pytest
import rich.progress

from raphson.report.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_silent_where_nobody_watches() -> None:
    stream = io.StringIO()
    with Progress("Fitting", stream=stream, delay=0.0) as progress:
        progress(iteration=1, distance=0.5)
        time.sleep(0.02)
    assert stream.getvalue() == ""


def test_lines_are_logged_where_there_is_no_terminal_if_asked_for() -> None:
    stream = io.StringIO()
    with Progress("Fitting", stream=stream, log=True, interval=0.0) as progress:
        for iteration, distance in enumerate((4.0, 0.4, 0.04)):
            progress(iteration=iteration, distance=distance, rows=500, of=1000, tol=1e-8)
    first, second, third = stream.getvalue().splitlines()
    assert first.startswith("Fitting, iteration 0, 4 standard errors from the maximum, 0.5 passes, ")
    assert "left" not in first and second.endswith(" s left")
    assert " 1.5 passes, " in third and "rows per second" in third


def test_a_log_of_quick_work_is_empty() -> None:
    stream = io.StringIO()
    with Progress("Fitting", stream=stream, log=True) as progress:
        progress(iteration=1, distance=0.5, rows=1, of=1, tol=1e-8)
    assert stream.getvalue() == ""


def test_quick_work_shows_nothing() -> None:
    stream = Terminal()
    with Progress("Fitting", stream=stream, delay=60.0) as progress:
        progress(iteration=1)
    assert stream.getvalue() == ""


def test_long_work_is_shown_and_wiped() -> None:
    before = set(threading.enumerate())
    stream = Terminal()
    with Progress("Fitting", stream=stream, delay=0.0) as progress:
        progress(iteration=7, distance=0.031)
        deadline = time.monotonic() + 20
        while "iteration 7, 0.031 standard errors" not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "iteration 7, 0.031 standard errors" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2K")  # the line is erased
    while not set(threading.enumerate()) <= before and time.monotonic() < deadline:
        time.sleep(0.01)  # the display's thread takes a moment to end
    assert set(threading.enumerate()) <= before  # no thread is left behind


def test_a_row_that_comes_while_the_display_is_made_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    progress = Progress("Fitting", stream=stream, delay=60.0)
    start = rich.progress.Progress.start

    def late(display: rich.progress.Progress) -> None:
        progress(iteration=7, distance=0.031)
        start(display)

    monkeypatch.setattr(rich.progress.Progress, "start", late)
    with progress:
        progress._open()
        assert progress._live.tasks[0].description.startswith("Fitting, iteration 7, 0.031 standard errors")
