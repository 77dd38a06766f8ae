from __future__ import annotations

import io
import math
import os
import select
import sys
import threading
import time
import types

import pytest
import rich.progress

from raphson.report.live_lines import in_notebook
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


def test_workers_and_what_was_sent_are_told_of_where_there_are_any() -> None:
    stream = io.StringIO()
    with Progress("Fitting", stream=stream, log=True, interval=0.0) as progress:
        progress.workers = lambda: "2 workers, 0.1 MB out, 0.3 MB back"
        progress(iteration=1, distance=0.5)
    assert stream.getvalue().rstrip().endswith("2 workers, 0.1 MB out, 0.3 MB back")


def test_epochs_tell_of_their_losses_and_of_the_time_that_all_of_them_take() -> None:
    stream = io.StringIO()
    with Progress("Fitting", stream=stream, log=True, interval=0.0) as progress:
        for epoch, validation in ((1, 0.5), (2, math.nan), (3, 0.4)):
            progress(iteration=epoch, loss=0.25, validation=validation, epochs=3, rows=1000, of=1000)
    first, second, third = stream.getvalue().splitlines()
    assert first.startswith("Fitting, epoch 1 of 3, loss 0.25, validation 0.5, 1.0 passes, ")
    assert first.endswith(" s left") and "rows per second" in first
    assert second.startswith("Fitting, epoch 2 of 3, loss 0.25, 2.0 passes, ")
    assert third.endswith("at most about 0 s left")


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
        deadline = time.monotonic() + 300
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
        assert progress._live._display.tasks[0].description.startswith("Fitting, iteration 7, 0.031 standard errors")


def test_a_reading_is_shown_as_it_goes_on_with_the_rows_of_those_before() -> None:
    stream = io.StringIO()
    with Progress("Fitting", stream=stream, log=True, interval=0.0) as progress:
        progress._ticked = -1e9
        progress.reading(300, None)  # of a text file nobody knows the rows
        progress.reading(1000, 1000)
        progress(iteration=0, distance=4.0, rows=1000, of=1000, tol=1e-8)
        progress._ticked = -1e9
        progress.reading(250, 1000)
        progress.reading(500, 1000)  # too soon for another line
        progress.reading(1000, 1000)
        progress(iteration=1, distance=0.4, rows=1000, of=1000, tol=1e-8)
    first, start, quarter, last = stream.getvalue().splitlines()
    assert first.startswith("Fitting, 300 rows so far, ")
    assert start.startswith("Fitting, iteration 0, 4 standard errors from the maximum, 1.0 passes, ")
    assert ", 1.2 passes, 25% of 1,000 rows, " in quarter and "iteration 0" in quarter
    assert ", 2.0 passes, " in last and "%" not in last and last.endswith(" s left")


def test_after_the_work_nothing_is_shown() -> None:
    stream = io.StringIO()
    with Progress("Fitting", stream=stream, log=True, interval=0.0) as progress:
        pass
    progress._ticked = -1e9
    progress.reading(10, 20)
    assert stream.getvalue() == ""


class Cell:
    """A notebook's cell: what is displayed in it, by identifier, and how often it was changed."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, data: dict[str, str], raw: bool) -> None:
        assert raw
        self.shown.append(data["text/plain"])


def test_in_a_notebook_one_line_is_replaced_and_emptied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cell, displayed = Cell(), []

    def display(data: dict[str, str], raw: bool, display_id: bool) -> Cell:
        assert raw and display_id
        displayed.append(data["text/plain"])
        return cell

    kernel = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    with Progress("Fitting", log=True, delay=0.0, interval=0.0) as progress:
        deadline = time.monotonic() + 300
        while not cell.shown and time.monotonic() < deadline:
            time.sleep(0.01)
        for iteration in range(50):
            progress(iteration=iteration, distance=0.5)
    assert displayed == ["Fitting"] and len(cell.shown) > 50
    assert cell.shown[-2].startswith("Fitting, iteration 49") and cell.shown[-1] == ""
    assert capsys.readouterr().err == ""


def test_a_shell_without_a_kernel_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace()))
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_a_long_pass_is_one_line_that_moves() -> None:
    import pty

    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal, open(theirs, "w") as stream:  # noqa: PTH123 - they have no path
        assert stream.isatty()
        with Progress("Fitting", stream=stream, delay=0.0) as progress:
            written = b""
            for share in (20, 60):
                progress._ticked = -1e9
                progress.reading(share, 100)
                deadline = time.monotonic() + 300
                while f"{share}% of 100 rows".encode() not in written and time.monotonic() < deadline:
                    progress._ticked = -1e9
                    progress.reading(share, 100)
                    written += os.read(ours, 4096) if select.select([ours], [], [], 0.05)[0] else b""
                assert f"{share}% of 100 rows".encode() in written
        written += terminal.read(4096)
    assert b"20% of" in written and written.rstrip().endswith(b"\x1b[2K")
    assert b"\n" not in written.partition(b"20%")[2].partition(b"60%")[0]


@pytest.mark.parametrize("width", [60, 80, 160])
def test_on_a_narrow_terminal_the_line_has_fewer_words_and_does_not_wrap(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    with Progress("Fitting", stream=stream, delay=60.0) as progress:
        progress._open()
        for distance in (345.0, 0.00123):
            progress(iteration=12, distance=distance, rows=10_000_000, of=10_000_000, tol=1e-8)
        progress.reading(4_500_000, 10_000_000)
        progress._show(at_once=True)
        shown = progress._live._display.tasks[0].description
        lines = stream.getvalue()
    assert len(shown) <= width - 10 and shown.startswith("Fitting, iteration 12, ") and shown.endswith(" s left")
    assert ("standard errors" in shown) == (width == 160) and "0.0012" in shown
    assert "\n" not in lines.strip()
