"""Completion of commands in a shell."""

from __future__ import annotations

import builtins
import shutil
import subprocess
from pathlib import Path

import pytest

from raphson.cli.completion import SHELLS


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_knows_commands_options_and_families(run, capsys, shell: str) -> None:
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    assert "predict" in script and "weights" in script and "inverse_gaussian" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_and_choices(run, capsys, tmp_path: Path) -> None:
    assert run("completion", "bash") == 0
    (tmp_path / "raphson.sh").write_text(capsys.readouterr().out)

    def completed(*words: str) -> list[str]:
        line = f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}"
        function = '$(complete -p raphson | sed "s/.*-F \\([^ ]*\\).*/\\1/")'
        asked = f'source raphson.sh; {line}; {function}; echo "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True).stdout.split()

    assert {"fit", "nls", "mle", "network", "predict", "anova", "compare"} <= set(completed("raphson", ""))
    assert completed("raphson", "fit", "--fam") == ["--family"]
    assert "inverse_gaussian" in completed("raphson", "fit", "y ~ x", "rows.csv", "--family", "inv")


def test_without_shtab_the_extra_is_named(run, one_line, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "shtab":
            raise ImportError("No module named 'shtab'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run("completion", "bash") == 2
    assert 'pip install "raphson[shell]"' in one_line()
