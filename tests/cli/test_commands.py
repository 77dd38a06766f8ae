"""The commands do what the front doors do."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson import datasets

FORMULA = "low ~ age + lwt + race + smoke"
BIRTHS = str(datasets.path("births"))
BINOMIAL = ["--family", "binomial"]


def test_standard_input_is_csv(run, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_options_reach_the_fit(run, capsys, options: list[str], key: str, value: str) -> None:
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL, "--json", *options) == 0
    assert json.loads(capsys.readouterr().out)[key] == value


def test_text_that_is_written_otherwise_is_read_by_options(run, tmp_path: Path, capsys, monkeypatch) -> None:
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


def test_standard_input_that_is_closed(run, one_line, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run("fit", FORMULA, "-") == 2
    assert "standard input, which is closed" in one_line()


def test_not_converged_is_printed_and_exits_1(run, capsys) -> None:
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL, "--max-iter", "1") == 1
    out, error = capsys.readouterr()
    assert "Step limit" in out and "race[T.other]" in out
    assert error.startswith("raphson: warning: ") and error.count("\n") == 1


def test_demo_shows_the_iterations_and_writes_its_results(run, tmp_path: Path, capsys) -> None:
    assert run("demo", "--out", str(tmp_path / "demo")) == 0
    out = capsys.readouterr().out
    assert "iteration" in out and "log-likelihood" in out and FORMULA in out
    assert sorted(file.name for file in (tmp_path / "demo").iterdir()) == [
        "births.csv",
        "fit.json",
        "path.png",
        "report.html",
    ]


def test_explain_shows_the_steps(run, tmp_path: Path, capsys) -> None:
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


def test_a_column_missing_at_prediction_is_named(run, one_line, saved: str, tmp_path: Path, capsys) -> None:
    datasets.load("births").drop(columns="lwt").to_csv(tmp_path / "new.csv", index=False)
    assert run("predict", saved, str(tmp_path / "new.csv"), "--out", str(tmp_path / "p.csv")) == 2
    assert "lwt" in one_line()
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("text", ["", "low,age\n", "\x00\x01\x02", "low,age\n1,2\n0,3,4,5\n"])
def test_broken_files_get_one_line(run, one_line, tmp_path: Path, capsys, text: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    assert run("fit", "low ~ age", str(tmp_path / "bad.csv")) == 2
    one_line()


def test_a_formula_in_the_place_of_the_file_is_told(run, one_line, capsys) -> None:
    assert run("fit", BIRTHS, "low ~ age") == 2
    assert "The formula comes first, then the file" in one_line()


def test_a_file_that_is_no_parquet_gets_one_line(run, one_line, tmp_path: Path, capsys) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    assert run("fit", "low ~ age", str(tmp_path / "bad.parquet")) == 2
    one_line()


def test_json_and_summary_say_what_the_model_was_given(run, tmp_path, capsys) -> None:
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


def test_groups_are_printed_saved_reported_and_predict(run, tmp_path: Path, capsys) -> None:
    place, out = str(tmp_path / "fits.json"), tmp_path / "out.csv"
    asked = ("fit", "low ~ age + lwt", BIRTHS, *BINOMIAL, "--by", "race")
    assert run(*asked, "--save", place) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("group,term,estimate,std_error,") and len(lines) == 10
    assert run(*asked, "--json") == 0
    assert [row["group"] for row in json.loads(capsys.readouterr().out)["groups"]] == ["black", "other", "white"]
    assert run("predict", place, BIRTHS, "--out", str(out)) == 0
    assert pd.read_csv(out)["fit"].between(0, 1).all()
    assert run(*asked, "--report", str(tmp_path / "page.html")) == 0
    assert "<h1>All 3 fits converged" in (tmp_path / "page.html").read_text()


def test_large_files_are_predicted_piece_by_piece(run, saved: str, tmp_path: Path, monkeypatch) -> None:
    from raphson.data import sources
    from raphson.fit import by_pieces

    births = pd.read_csv(BIRTHS)
    births.to_parquet(tmp_path / "new.parquet")
    expected = tmp_path / "at_once.csv"
    assert run("predict", saved, str(tmp_path / "new.parquet"), "--out", str(expected), "--se") == 0
    monkeypatch.setattr(sources, "STREAM_BYTES", 0)
    monkeypatch.setattr(by_pieces, "together", lambda rows, columns: 50)
    out = tmp_path / "p.csv"
    assert run("predict", saved, str(tmp_path / "new.parquet"), "--out", str(out), "--se") == 0
    found, whole = pd.read_csv(out), pd.read_csv(expected)
    assert len(found) == len(births)
    pd.testing.assert_frame_equal(found, whole, rtol=1e-12)
    births.assign(race="unheard of").to_parquet(tmp_path / "new.parquet")
    out.unlink()
    assert run("predict", saved, str(tmp_path / "new.parquet"), "--out", str(out)) == 2
    assert not out.exists()


def test_nested_models_are_compared(run, capsys) -> None:
    import raphson as rp

    formulas = ("low ~ age", "low ~ age + lwt + smoke", "low ~ age + lwt")
    assert run("anova", *formulas, BIRTHS, *BINOMIAL, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    births = rp.datasets.load("births")
    expected = rp.anova(*(rp.glm(formula, births, family="binomial") for formula in formulas))
    assert [row["formula"] for row in rows] == list(expected.index)
    assert [row["p_value"] for row in rows[1:]] == pytest.approx(expected["p_value"].to_list()[1:])
    assert run("anova", *formulas, BIRTHS, *BINOMIAL) == 0
    assert "low ~ age + lwt + smoke" in capsys.readouterr().out


def test_methods_are_compared(run, tmp_path: Path, capsys) -> None:
    options = ("--methods", "newton,bhhh", "--plot", str(tmp_path / "race.svg"), "--json")
    assert run("compare", "low ~ age", BIRTHS, *BINOMIAL, *options) == 0
    methods = json.loads(capsys.readouterr().out)["methods"]
    assert [(row["method"], row["status"]) for row in methods] == [("newton", "converged"), ("bhhh", "converged")]
    assert (tmp_path / "race.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("anova", "low ~ age", BIRTHS), "two or more fits"),
        (("anova", "low ~ age", "low ~ lwt", BIRTHS), "fewer parameters"),
        (("anova", "low ~ age", "low ~ 1", BIRTHS, "--by", "race"), "--by"),
        (("compare", "low ~ age", BIRTHS, "--methods", "newton,nothing"), "nothing"),
        (("compare", "low ~ age", BIRTHS, "--by", "race"), "--by"),
        (("compare", "low ~ age", BIRTHS, "--plot", "race.bmp"), ".png"),
    ],
)
def test_comparisons_that_cannot_be_made(run, one_line, arguments: tuple[str, ...], says: str) -> None:
    assert run(*arguments) == 2
    assert says in one_line()


def test_predictions_stand_after_the_columns_of_the_data(run, saved: str, tmp_path: Path, capsys) -> None:
    assert run("predict", saved, BIRTHS, "--keep", "--se", "--out", str(tmp_path / "p.parquet")) == 0
    table, births = pd.read_parquet(tmp_path / "p.parquet"), datasets.load("births")
    assert list(table.columns) == [*births.columns, "fit", "se"]
    assert (table["lwt"] == births["lwt"]).all()
    births.assign(se=1.0).to_csv(tmp_path / "more.csv", index=False)
    assert run("predict", saved, str(tmp_path / "more.csv"), "--keep", "--se") == 2
    assert "a column 'se'" in capsys.readouterr().err


def test_models_are_compared_on_the_rows_that_all_of_them_use(run, capsys, tmp_path: Path) -> None:
    place = tmp_path / "some.csv"
    births = rp.datasets.load("births").astype({"age": float})
    births.loc[[3, 50, 100], "age"] = float("nan")
    births.to_csv(place, index=False)
    assert run("anova", "low ~ lwt + age", "low ~ lwt", str(place), "--family", "binomial", "--json") == 0
    out, error = capsys.readouterr()
    assert "3 of 189 rows are left out of all models" in error
    small, large = json.loads(out)["models"]
    kept = births.dropna()
    expected = rp.anova(*(rp.glm(f, kept, family="binomial") for f in ("low ~ lwt", "low ~ lwt + age")))
    assert small["deviance"] == pytest.approx(expected["deviance"].iloc[0], rel=1e-12)
    assert large["statistic"] == pytest.approx(expected["statistic"].iloc[1], rel=1e-9)


def test_the_nodes_of_quadrature_are_a_whole_number(run, capsys) -> None:
    assert run("fit", "low ~ age + (1 | race)", BIRTHS, *BINOMIAL, "--quadrature", "15", "--json") == 0
    found = json.loads(capsys.readouterr().out)["llf"]
    births = rp.datasets.load("births")
    assert found == pytest.approx(rp.glm("low ~ age + (1 | race)", births, family="binomial", quadrature=15).llf)


def test_predictions_are_of_the_population_or_of_new_groups_where_asked(run, capsys, tmp_path: Path) -> None:
    teeth, saved, new = datasets.path("teeth"), tmp_path / "fit.json", tmp_path / "new.csv"
    assert run("fit", "distance ~ age + (1 | child)", str(teeth), "--save", str(saved)) == 0
    new.write_text("child,age\nb01,9\nsomebody,9\n")
    capsys.readouterr()
    assert run("predict", str(saved), str(new)) == 2
    assert "--new-levels population" in capsys.readouterr().err
    fit, rows = rp.load(saved), pd.read_csv(new)
    for options, asked in (
        (("--effects", "population"), {"effects": "population"}),
        (("--new-levels", "population"), {"new_levels": "population"}),
    ):
        assert run("predict", str(saved), str(new), *options) == 0
        found = pd.read_csv(io.StringIO(capsys.readouterr().out))
        assert found["fit"].to_list() == pytest.approx(fit.predict(rows, **asked).to_list())
