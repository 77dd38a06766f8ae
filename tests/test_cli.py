from __future__ import annotations

import gc
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raphson import cli, datasets

FORMULA = "low ~ age + lwt + race + smoke"
BIRTHS = str(datasets.path("births"))
BINOMIAL = ["--family", "binomial"]


def run(*arguments: str) -> int:
    try:
        return cli.main(list(arguments))
    except SystemExit as leaving:  # argparse leaves by itself
        assert isinstance(leaving.code, int)
        return leaving.code


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error; nothing may stand on standard output."""
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("raphson: error: ") and error.count("\n") == 1 and error.endswith("\n")
    return error


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("model") / "fit.json"
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL, "--save", str(place)) == 0
    return str(place)


# What comes out


def test_fit_prints_the_summary(capsys) -> None:
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL) == 0
    out, error = capsys.readouterr()
    assert FORMULA in out and "race[T.other]" in out and "Converged" in out
    assert error == ""


def test_json_is_one_valid_document(capsys) -> None:
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL, "--json", "--level", "0.9") == 0
    read = json.loads(capsys.readouterr().out)
    assert read["converged"] is True and read["level"] == 0.9
    by_name = {row["name"]: row for row in read["coefficients"]}
    # Hosmer and Lemeshow's model without an interaction; R's glm gives the same.
    assert by_name["lwt"]["estimate"] == pytest.approx(-0.0125, abs=5e-4)
    assert by_name["lwt"]["lower"] < by_name["lwt"]["estimate"] < by_name["lwt"]["upper"]


def test_standard_input_is_csv(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    run("fit", FORMULA, BIRTHS, *BINOMIAL, "--json")
    expected = json.loads(capsys.readouterr().out)["coefficients"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(Path(BIRTHS).read_text()))
    assert run("fit", FORMULA, "-", *BINOMIAL, "--json") == 0
    assert json.loads(capsys.readouterr().out)["coefficients"] == expected


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        (["--link", "probit"], "link", "probit"),
        (["--method", "newton"], "method", "newton"),
        (["--information", "observed"], "information", "observed"),
        (["--cov", "HC1"], "cov", "HC1"),
        (["--bias", "firth"], "bias", "firth"),
    ],
)
def test_options_reach_the_fit(capsys, options: list[str], key: str, value: str) -> None:
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL, "--json", *options) == 0
    assert json.loads(capsys.readouterr().out)[key] == value


def test_text_that_is_written_otherwise_is_read_by_options(tmp_path: Path, capsys, monkeypatch) -> None:
    rows = [(0.5, 1.25, "grün"), (1.5, 2.0, "rot"), (-0.25, 0.5, "grün"), (2.0, 3.5, "rot"), (3.0, 3.75, "grün")]
    expected = np.polyfit([x for x, _, _ in rows], [y for _, y, _ in rows], 1)[::-1]
    text = "x;y;größe\n" + "".join(f"{x};{y};{g}\n".replace(".", ",") for x, y, g in rows) + "k.A.;1,0;rot\n"
    options = ["--sep", ";", "--decimal", ",", "--na", "n.d.,k.A.", "--encoding", "latin-1"]
    (tmp_path / "t.dat").write_bytes(text.encode("latin-1"))
    model = str(tmp_path / "fit.json")
    stdin = io.TextIOWrapper(io.BytesIO(text.encode("latin-1")), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    for arguments in (
        ["fit", "y ~ x", str(tmp_path / "t.dat"), "--save", model],
        ["fit", "y ~ x", "-"],
        ["nls", "y ~ a + b*x", str(tmp_path / "t.dat")],
    ):
        assert run(*arguments, *options, "--json") == 0
        out, error = capsys.readouterr()
        assert "1 of 6" in error or "1 row" in error
        found = [row["estimate"] for row in json.loads(out)["coefficients"]]
        assert found == pytest.approx(list(expected), rel=1e-9)
    assert run("predict", model, str(tmp_path / "t.dat"), *options) == 0
    predicted = pd.read_csv(io.StringIO(capsys.readouterr().out))["fit"]
    assert predicted[0] == pytest.approx(expected[0] + 0.5 * expected[1]) and np.isnan(predicted[5])


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
def test_how_to_read_text_is_told(name: str, options: list[str], says: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / name
    path.write_text("x;y\n" + "".join(f"{k},5;{k * k},25\n" for k in range(30)))
    assert run("fit", "y ~ x", str(path), *options) == 2
    assert says in one_line(capsys)


def test_tabs_have_a_name(tmp_path: Path, capsys) -> None:
    (tmp_path / "t.txt").write_text("x\ty\n" + "".join(f"{k}\t{k * k}\n" for k in range(9)))
    for tab in ("tab", "\\t", "\t"):
        assert run("fit", "y ~ x", str(tmp_path / "t.txt"), "--sep", tab) == 0
    capsys.readouterr()


def test_standard_input_that_is_closed(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run("fit", FORMULA, "-") == 2
    assert "standard input is closed" in one_line(capsys)


def test_not_converged_is_printed_and_exits_1(capsys) -> None:
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL, "--max-iter", "1") == 1
    out, error = capsys.readouterr()
    assert "Step limit" in out and "race[T.other]" in out
    assert error.startswith("raphson: warning: ") and error.count("\n") == 1


def test_report_and_save_are_written(tmp_path: Path) -> None:
    page, model = tmp_path / "fit.html", tmp_path / "fit.json"
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL, "--report", str(page), "--save", str(model)) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(model.read_text(encoding="utf-8"))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "read"), [("p.csv", pd.read_csv), ("p.parquet", pd.read_parquet), ("p.arrow", pd.read_feather)]
)
def test_predictions_are_written(saved: str, tmp_path: Path, name: str, read) -> None:
    out = str(tmp_path / name)
    assert run("predict", saved, BIRTHS, "--interval", "confidence", "--out", out) == 0
    table = read(out)
    assert len(table) == 189
    assert {"lower", "upper"} <= set(table.columns)
    middle = table[table.columns[0]]
    assert ((table["lower"] < middle) & (middle < table["upper"])).all()
    # With an intercept and the canonical link the fitted probabilities add up to the cases.
    assert middle.sum() == pytest.approx(59, abs=1e-9)


def test_predictions_are_printed_as_csv(saved: str, capsys) -> None:
    assert run("predict", saved, BIRTHS) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert table.shape == (189, 1)
    assert table.iloc[:, 0].between(0, 1).all()


def test_predictions_stay_beside_their_rows(saved: str, tmp_path: Path, capsys) -> None:
    births = datasets.load("births").head(4)
    births["lwt"] = births["lwt"].astype(float)
    births.loc[1, "lwt"] = np.nan
    births.to_csv(tmp_path / "new.csv", index=False)
    assert run("predict", saved, str(tmp_path / "new.csv"), "--json") == 0
    rows = json.loads(capsys.readouterr().out)["predictions"]
    assert [next(iter(row.values())) is None for row in rows] == [False, True, False, False]


def test_demo_shows_the_iterations_and_writes_its_results(tmp_path: Path, capsys) -> None:
    assert run("demo", "--out", str(tmp_path / "demo")) == 0
    out = capsys.readouterr().out
    assert "iteration" in out and "log-likelihood" in out and FORMULA in out
    assert sorted(file.name for file in (tmp_path / "demo").iterdir()) == [
        "births.csv",
        "fit.json",
        "path.png",
        "report.html",
    ]


def test_explain_shows_the_steps(tmp_path: Path, capsys) -> None:
    page = tmp_path / "steps.html"
    assert run("explain", "log(1 + exp(-y*x))", "--at", "y=1,x=0.3", "--html", str(page)) == 0
    out, error = capsys.readouterr()
    assert error == "" and "5 elementary steps" in out and "-0.425557" in out and "exp(z2)" in out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run("explain", "log(x)/x", "--at", "x=0", "--json") == 0
    read = json.loads(capsys.readouterr().out)
    assert [step["operation"] for step in read["steps"]] == ["log", "div"] and read["value"] == "-inf"
    assert run("explain", "log(x)/x", "--at", "x=0") == 0
    assert "Step 1, z1 = log(x): its value is -inf" in capsys.readouterr().out


# Bad input


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "COMMAND"),
        (["fitt"], "fitt"),
        (["fit", FORMULA], "DATA"),
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
        (["explain", "log(x"], "--at"),
        (["explain", "log(x", "--at", "x=1"], "never closed"),
        (["explain", "log(x)", "--at", "x"], "y=1,x=0.3"),
        (["explain", "log(x)", "--at", "x=1,x=2"], "each name once; x has two numbers"),
        (["explain", "log(x) + z", "--at", "x=1"], "no value for z"),
        (["explain", "1 + 1", "--at", "x=1"], "there is no name in '1 + 1'"),
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
def test_bad_input_gets_one_line_and_exit_2(capsys, arguments: list[str], says: str) -> None:
    assert run(*arguments) == 2
    assert says in one_line(capsys)


def test_predictions_need_a_known_ending(saved: str, tmp_path: Path, capsys) -> None:
    assert run("predict", saved, BIRTHS, "--out", str(tmp_path / "p.xlsx")) == 2
    assert ".parquet" in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_a_column_missing_at_prediction_is_named(saved: str, tmp_path: Path, capsys) -> None:
    datasets.load("births").drop(columns="lwt").to_csv(tmp_path / "new.csv", index=False)
    assert run("predict", saved, str(tmp_path / "new.csv"), "--out", str(tmp_path / "p.csv")) == 2
    assert "lwt" in one_line(capsys)
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("text", ["", "low,age\n", "\x00\x01\x02", "low,age\n1,2\n0,3,4,5\n"])
def test_broken_files_get_one_line(tmp_path: Path, capsys, text: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    assert run("fit", "low ~ age", str(tmp_path / "bad.csv")) == 2
    one_line(capsys)


def test_a_file_that_is_no_parquet_gets_one_line(tmp_path: Path, capsys) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    assert run("fit", "low ~ age", str(tmp_path / "bad.parquet")) == 2
    one_line(capsys)


def test_a_mistake_of_ours_shows_no_traceback(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.commands, "_fitted", lambda *_: 1 / 0)
    assert run("fit", FORMULA, BIRTHS) == 2
    assert "ZeroDivisionError" in one_line(capsys)


def test_the_garbage_collector_is_left_as_it_was(capsys) -> None:
    assert gc.isenabled()
    run("fit", FORMULA, BIRTHS, *BINOMIAL)
    run("fit", "low ~ agee", BIRTHS)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


# The process


def python(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, **options)


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
        timeout=120,
        check=False,
    )
    os.close(write_end)
    assert result.stderr == ""
    assert result.returncode == 141


def test_an_input_is_never_overwritten(tmp_path: Path, capsys) -> None:
    table = tmp_path / "births.csv"
    table.write_bytes(datasets.path("births").read_bytes())
    before = table.read_bytes()
    for option in ("--report", "--save"):
        assert run("fit", "low ~ age", str(table), "--family", "binomial", option, str(table)) == 2
        assert "ends in" in capsys.readouterr().err
    assert run("fit", "low ~ age", str(table), "--family", "binomial", "--save", str(tmp_path / "fit.json")) == 0
    assert run("predict", str(tmp_path / "fit.json"), str(table), "--out", str(table)) == 2
    assert "would overwrite what is read" in capsys.readouterr().err
    assert table.read_bytes() == before


def test_python_dash_m_is_the_command_line() -> None:
    done = python("-m", "raphson", "--version")
    assert done.stdout.startswith("raphson ")


def test_json_and_summary_say_what_the_model_was_given(tmp_path, capsys) -> None:
    frame = pd.read_csv(BIRTHS).assign(w=lambda one: 1 + one["smoke"])
    frame.to_csv(tmp_path / "births.csv")
    options = ["--weights", "w", "--weights-kind", "frequency", "--offset", "log(lwt)", "--penalty", "2"]
    clusters = ["--cov", "cluster", "--groups", "ftv", "--small-sample", "clusters"]
    arguments = ("fit", "low ~ age", str(tmp_path / "births.csv"), *BINOMIAL, *options, *clusters)
    assert run(*arguments, "--json", "--save", str(tmp_path / "fit.json")) == 0
    read = json.loads(capsys.readouterr().out)
    expected = {
        "weights": "w",
        "weights_kind": "frequency",
        "offset": "log(lwt)",
        "penalty": 2.0,
        "groups": "ftv",
        "small_sample": "clusters",
    }
    assert {name: read[name] for name in expected} == expected
    assert run(*arguments) == 0
    text = capsys.readouterr().out
    assert "w (frequency)" in text and "Penalty" in text and "cluster (ftv; G/(G-1))" in text
    from raphson import load

    assert str(load(tmp_path / "fit.json").summary()) == text.rstrip("\n")


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
        return process.wait(30)
    finally:
        process.kill()
        process.wait()


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


def test_start_and_damping_reach_the_iteration(capsys) -> None:
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
    assert "expected numbers, one for each coefficient, such as --start=-1,0.5; got low=1" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="a shell closes the streams")
@pytest.mark.parametrize(
    ("streams", "said"),
    [(">&-", "standard output is closed; redirect it"), (">/dev/full", "No space left"), ("2>&-", "")],
)
def test_a_closed_or_full_output_is_one_line(streams: str, said: str) -> None:
    asked = f"{sys.executable} -m raphson fit 'low ~ {'lwt' if said else 'nothing'}' {BIRTHS} {streams}"
    ran = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, timeout=100)
    assert ran.returncode == 2
    assert ran.stdout == ""
    if said:
        assert said in ran.stderr and len(ran.stderr.splitlines()) == 1


def test_what_would_steer_the_terminal_is_written_as_escapes(tmp_path: Path, capsys) -> None:
    table = tmp_path / "steer.csv"
    table.write_text("y,x\x1b[31m,k\n1,2,a\n3,1,b\x1b[2J\n2,2,a\n5,4,b\x1b[2J\n4,3,a\n")
    assert run("fit", "y ~ .", str(table)) == 0
    told = capsys.readouterr().out
    assert run("fit", "y ~ q", str(table)) == 2
    told += capsys.readouterr().err
    assert "\x1b" not in told
    assert "x\\x1b[31m" in told and "k[T.b\\x1b[2J]" in told
