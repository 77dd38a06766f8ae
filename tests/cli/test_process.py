"""The command line as a process: interrupts, closed streams, its exit codes and what it imports."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import raphson as rp
from raphson import cli, datasets

FORMULA = "low ~ age + lwt + race + smoke"
BIRTHS = str(datasets.path("births"))
BINOMIAL = ["--family", "binomial"]


def python(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=600, **options)


def interrupted(arguments: list[str], after: float | None) -> int:
    """The exit code of a process that gets Ctrl-C so many seconds after its start, or at its first line of output."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        if after is None:
            assert process.stdout is not None
            process.stdout.readline()
        else:
            time.sleep(after)
        process.send_signal(signal.SIGINT)
        return process.wait(600)
    finally:
        process.kill()
        process.wait()


def test_a_mistake_of_ours_shows_no_traceback(run, one_line, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.commands, "_fitted", lambda *_: 1 / 0)
    assert run("fit", FORMULA, BIRTHS) == 2
    assert "ZeroDivisionError" in one_line()


def test_the_garbage_collector_is_left_as_it_was(run, capsys) -> None:
    assert gc.isenabled()
    run("fit", FORMULA, BIRTHS, *BINOMIAL)
    run("fit", "low ~ agee", BIRTHS)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["--version"], ["fit"]])
def test_help_and_usage_errors_import_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
import time
from raphson.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
heavy = {{"jax", "numpy", "pandas", "scipy", "formulaic", "tabmat", "matplotlib", "rich"}} & set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    result = python("-c", code)
    assert result.returncode == 0, result.stderr


def test_a_reader_that_leaves_early_is_no_error(saved: str, tmp_path: Path) -> None:
    # More than a pipe holds, so that the writer meets its closed end.
    big = pd.concat([datasets.load("births")] * 50)
    big.to_csv(tmp_path / "big.csv", index=False)
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [sys.executable, "-m", "raphson", "predict", saved, str(tmp_path / "big.csv")],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
        check=False,
    )
    os.close(write_end)
    assert result.stderr == ""
    assert result.returncode == 141


def test_python_dash_m_is_the_command_line() -> None:
    done = python("-m", "raphson", "--version")
    assert done.stdout.startswith("raphson ")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
@pytest.mark.parametrize("after", [0.1, 0.25, 0.4, 0.6, 0.9])
def test_an_interrupt_ends_the_process_at_any_moment(after: float) -> None:
    # -SIGINT or 1 where Python itself had not begun; 0 where the fit was done before.
    assert interrupted(["-m", "raphson", "fit", FORMULA, BIRTHS, *BINOMIAL], after) in (130, -signal.SIGINT, 1, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
def test_an_interrupt_ends_what_does_not_listen() -> None:
    code = """
import sys, time
from raphson import cli

class Deaf:
    def parse_args(self, arguments):
        print("begun", flush=True)
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass

cli.parser = Deaf
sys.exit(cli.main())
"""
    assert interrupted(["-c", code], None) == 130


@pytest.mark.skipif(os.name != "posix", reason="a shell closes the streams")
@pytest.mark.parametrize(
    ("streams", "said"),
    [(">/dev/full", "No space left"), ("2>&-", "")],
)
def test_a_full_output_is_one_line(streams: str, said: str) -> None:
    asked = f"{sys.executable} -m raphson fit 'low ~ {'lwt' if said else 'nothing'}' {BIRTHS} {streams}"
    ran = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, timeout=600)
    assert ran.returncode == 2
    assert ran.stdout == ""
    if said:
        assert said in ran.stderr and len(ran.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="a shell closes the streams")
def test_a_closed_output_is_nothing_to_speak_of(tmp_path: Path) -> None:
    saved = tmp_path / "fit.json"
    asked = f"{sys.executable} -m raphson fit 'low ~ lwt' {BIRTHS} --save {saved} >&-"
    ran = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, timeout=600)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert rp.load(saved).converged
