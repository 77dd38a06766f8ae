"""What the command line understands, and what it says of the rest in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raphson import datasets

FORMULA = "low ~ age + lwt + race + smoke"
BIRTHS = str(datasets.path("births"))
BINOMIAL = ["--family", "binomial"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fitt"], "did you mean fit?"),
        (["fit", FORMULA], "DATA"),
        (["fit", FORMULA, BIRTHS, "--weights-kind", "freqency"], "did you mean frequency?"),
        (["fit", FORMULA, BIRTHS, "--level", "95"], "between 0 and 1"),
        (["fit", FORMULA, BIRTHS, "--nonsense"], "--nonsense"),
        (["fit", FORMULA, BIRTHS, "--family", "binomal"], "binomial"),
        (["fit", FORMULA, BIRTHS, "--method", "irsl"], "irls"),
        (["fit", FORMULA, BIRTHS, "--link", "logti"], "logit"),
        (["fit", "low ~ agee", BIRTHS], "age"),
        (["fit", "low ~ age +", BIRTHS], ""),
        (["fit", "low ~ __import__('os').system('true')", BIRTHS], ""),
        (["fit", FORMULA, "nowhere.csv"], "nowhere.csv"),
        (["fit", FORMULA, BIRTHS, "--save", "no/such/folder/fit.json"], "folder"),
        (["fit", FORMULA, BIRTHS, "--familly", "x"], "--familly x; did you mean --family? (see `raphson fit --help`)"),
        (["explain", "log(x"], "--at"),
        (["explain", "log(x", "--at", "x=1"], "never closed"),
        (["explain", "log(x)", "--at", "x"], "y=1,x=0.3"),
        (["explain", "log(x)", "--at", "x=1,x=2"], "each name once; got x twice"),
        (["explain", "log(x) + z", "--at", "x=1"], "no value for z"),
        (["explain", "1 + 1", "--at", "x=1"], "'1 + 1' has no names"),
        (["explain", " ", "--at", "x=1"], "expression: it is empty"),
        (["explain", "__import__('os').system('ls')", "--at", "x=1"], "cannot read"),
        (["explain", "x.__class__", "--at", "x=1"], "not allowed"),
        (["explain", "log(x)", "--at", "x=1,z=2"], "z does not occur"),
        (["explain", "x.__class__", "--at", "x=1"], "not allowed"),
        (["explain", "open(x)", "--at", "x=1"], "not allowed"),
        (["explain", "x", "--at", "x=1", "--html", "page.txt"], ".html"),
        (["predict", "nowhere.json", BIRTHS], "nowhere.json"),
        (["predict", BIRTHS, BIRTHS], ""),
    ],
)
def test_bad_input_gets_one_line_and_exit_2(run, one_line, capsys, arguments: list[str], says: str) -> None:
    assert run(*arguments) == 2
    assert says in one_line()


def test_no_command_gets_the_help_and_exit_2(run, capsys) -> None:
    assert run() == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("usage: raphson")
    assert all(f"\n    {command}" in error for command in ("fit", "nls", "mle", "predict", "demo"))


def test_start_and_damping_reach_the_iteration(run, capsys) -> None:
    import raphson as rp

    fit = rp.glm("low ~ lwt", rp.datasets.load("births"), family="binomial")
    options = ("--method", "newton", "--json")
    begun = ("--start=" + ",".join(map(repr, fit.params)), "--damping", "1e-9")
    assert run("fit", "low ~ lwt", BIRTHS, *BINOMIAL, *options, *begun) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["estimate"] for row in document["coefficients"]] == pytest.approx(list(fit.params), rel=1e-10)
    steps = document["path"]
    assert len(steps) <= 2 and steps[0]["damping"] == 1e-9
    assert run("fit", "low ~ lwt", BIRTHS, *BINOMIAL, "--start=1") == 2
    assert "start: expected 2 finite numbers, one for each coefficient" in capsys.readouterr().err
    assert run("fit", "low ~ lwt", BIRTHS, *BINOMIAL, "--start", "low=1") == 2
    assert "expected a number for each coefficient, such as --start=-1,0.5; got low=1" in capsys.readouterr().err


def test_tabs_have_a_name(run, tmp_path: Path, capsys) -> None:
    (tmp_path / "t.txt").write_text("x\ty\n" + "".join(f"{k}\t{k * k}\n" for k in range(9)))
    for tab in ("tab", "\\t", "\t"):
        assert run("fit", "y ~ x", str(tmp_path / "t.txt"), "--sep", tab) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("t.csv", [], '--sep ";" --decimal ","'),
        ("t.csv", ["--sep", ";"], "--decimal"),
        ("t.csv", ["--sep", ";;"], "sep: expected one character"),
        ("t.csv", ["--sep", ";", "--decimal", "x"], "decimal: expected"),
        ("t.dat", [], "--sep"),
        ("t.parquet", ["--decimal", ","], "leave them out"),
    ],
)
def test_how_to_read_text_is_told(
    run, one_line, name: str, options: list[str], says: str, tmp_path: Path, capsys
) -> None:
    path = tmp_path / name
    path.write_text("x;y\n" + "".join(f"{k},5;{k * k},25\n" for k in range(30)))
    assert run("fit", "y ~ x", str(path), *options) == 2
    assert says in one_line()


def test_a_formula_without_quotes_is_told_to_have_some(run, one_line) -> None:
    assert run("fit", "low", "age", BIRTHS) == 2
    assert 'write the formula in quotes, as in raphson fit "y ~ x" data.csv' in one_line()
