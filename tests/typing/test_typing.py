"""A user's script passes the type checkers in their strict modes, without a word to either about Raphson."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import raphson

SCRIPT = Path(__file__).with_name("script.py")
SOURCE = Path(raphson.__file__).parents[1]


def checked(*command: str, **options) -> str:
    found = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, **options)
    return found.stdout + found.stderr if found.returncode else ""


@pytest.mark.skipif(find_spec("pyright") is None, reason="pyright is not installed")
def test_pyright_has_nothing_to_say(tmp_path: Path) -> None:
    shutil.copy(SCRIPT, tmp_path)
    settings = f'typeCheckingMode = "strict"\nreportMissingTypeStubs = false\nextraPaths = ["{SOURCE.as_posix()}"]\n'
    (tmp_path / "pyproject.toml").write_text(f"[tool.pyright]\n{settings}")
    command = [sys.executable, "-m", "pyright", "--project", str(tmp_path), "--pythonpath", sys.executable]
    assert checked(*command) == ""


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_has_nothing_to_say() -> None:
    kept = str(Path(__file__).parents[2] / "build" / "mypy")
    options = ["--strict", "--follow-imports", "silent", "--cache-dir", kept]
    if find_spec("pandas-stubs") is None:
        options += ["--disable-error-code", "import-untyped"]
    assert checked(sys.executable, "-m", "mypy", *options, str(SCRIPT), env={"MYPYPATH": str(SOURCE)}) == ""


def test_the_script_runs() -> None:
    assert checked(sys.executable, "-W", "ignore", str(SCRIPT)) == ""
