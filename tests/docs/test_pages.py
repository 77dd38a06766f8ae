"""Every example on every page runs, and gives what the page shows.

A ``python`` block with ``>>>`` is a doctest; without, it must run. A ``console`` block holds commands such as
``$ raphson fit ...``, each followed by what it prints. The blocks of a page share their names and an empty
folder that holds the shipped data sets. A ``{plot}`` block draws a picture of the site, and is by itself. Numbers may
differ in their last digits, from one machine to another.
"""

from __future__ import annotations

import contextlib
import doctest
import math
import re
import shlex
import shutil
import warnings
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from raphson import cli, datasets
from raphson.registry import Registry

mpl.use("Agg")
ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|console|\{plot\})\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]?\d+)?")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix().removeprefix("docs/")


class Checker(doctest.OutputChecker):
    """Doctest's own check, but numbers need only agree to six digits, or be rounding noise both."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        wanted, found = NUMBER.findall(want), NUMBER.findall(got)
        alike = len(wanted) == len(found) and all(
            math.isclose(float(a), float(b), rel_tol=1e-6, abs_tol=1e-9) for a, b in zip(wanted, found, strict=True)
        )
        if alike:
            want, got = NUMBER.sub("#", want), NUMBER.sub("#", got)
        return super().check_output(want, got, optionflags)


def run_python(page: Path, line: int, code: str, names: dict) -> None:
    if ">>>" not in code:
        exec(compile("\n" * line + code, str(page), "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(code, names, page.name, str(page), line)
    runner = doctest.DocTestRunner(Checker(), optionflags=FLAGS, verbose=False)
    report: list[str] = []
    runner.run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    assert runner.failures == 0, "".join(report)


def run_console(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", code, re.MULTILINE):
        program, *arguments = shlex.split(command, comments=True)
        if program != "raphson":  # make, pip, head: not run here
            continue
        capsys.readouterr()
        with contextlib.suppress(SystemExit):
            cli.main(arguments)
        got = "".join(capsys.readouterr())
        assert not expected.strip() or Checker().check_output(expected, got, FLAGS), (
            f"$ {command}\nexpected\n{expected}\ngot\n{got}"
        )


def run_plot(page: Path, line: int, code: str) -> None:
    assert code.startswith(":alt: "), f"{page.name}: a plot without words for those who do not see it"
    names: dict = {}
    run_python(page, line, code.partition("\n")[2], names)
    assert {"figure", "axes", "shown"} & set(names), f"{page.name}: a plot that leaves no figure, axes or shown"
    plt.close("all")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name in datasets.names():
        shutil.copy(datasets.path(name), tmp_path)
    text = page.read_text(encoding="utf-8")
    names: dict = {"__name__": "__main__"}
    register, registered = Registry.register, []

    def noted(registry: Registry, name: str, part: object) -> object:
        registered.append((registry, name))
        return register(registry, name, part)

    monkeypatch.setattr(Registry, "register", noted)
    with warnings.catch_warnings():
        for block in BLOCK.finditer(text):
            kind, code = block.groups()
            line = text[: block.start(2)].count("\n")
            if kind == "python":
                run_python(page, line, code, names)
            elif kind == "console":
                run_console(code, capsys)
            else:
                run_plot(page, line, code)
    for registry, name in registered:  # a page leaves nothing to those after it
        registry._parts.pop(name, None)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"
