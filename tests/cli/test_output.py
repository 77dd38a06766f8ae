"""What the command line prints and writes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raphson import datasets

FORMULA = "low ~ age + lwt + race + smoke"
BIRTHS = str(datasets.path("births"))
BINOMIAL = ["--family", "binomial"]


def test_fit_prints_the_summary(run, capsys) -> None:
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL) == 0
    out, error = capsys.readouterr()
    assert FORMULA in out and "race[T.other]" in out and "Converged" in out
    assert error == ""


def test_json_is_one_valid_document(run, capsys) -> None:
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL, "--json", "--level", "0.9") == 0
    read = json.loads(capsys.readouterr().out)
    assert read["converged"] is True and read["level"] == 0.9
    by_name = {row["term"]: row for row in read["coefficients"]}
    # Hosmer and Lemeshow's model without an interaction; R's glm gives the same.
    assert by_name["lwt"]["estimate"] == pytest.approx(-0.0125, abs=5e-4)
    assert by_name["lwt"]["conf_low"] < by_name["lwt"]["estimate"] < by_name["lwt"]["conf_high"]


def test_report_and_save_are_written(run, tmp_path: Path) -> None:
    page, model = tmp_path / "fit.html", tmp_path / "fit.json"
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL, "--report", str(page), "--save", str(model)) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(model.read_text(encoding="utf-8"))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "read"), [("p.csv", pd.read_csv), ("p.parquet", pd.read_parquet), ("p.arrow", pd.read_feather)]
)
def test_predictions_are_written(run, saved: str, tmp_path: Path, name: str, read) -> None:
    out = str(tmp_path / name)
    assert run("predict", saved, BIRTHS, "--interval", "confidence", "--out", out) == 0
    table = read(out)
    assert len(table) == 189
    assert {"lower", "upper"} <= set(table.columns)
    middle = table[table.columns[0]]
    assert ((table["lower"] < middle) & (middle < table["upper"])).all()
    # With an intercept and the canonical link the fitted probabilities add up to the cases.
    assert middle.sum() == pytest.approx(59, abs=1e-9)


def test_predictions_are_printed_as_csv(run, saved: str, capsys) -> None:
    assert run("predict", saved, BIRTHS) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert table.shape == (189, 1)
    assert table.iloc[:, 0].between(0, 1).all()


def test_predictions_stay_beside_their_rows(run, saved: str, tmp_path: Path, capsys) -> None:
    births = datasets.load("births").head(4)
    births["lwt"] = births["lwt"].astype(float)
    births.loc[1, "lwt"] = np.nan
    births.to_csv(tmp_path / "new.csv", index=False)
    assert run("predict", saved, str(tmp_path / "new.csv"), "--json") == 0
    rows = json.loads(capsys.readouterr().out)["predictions"]
    assert [next(iter(row.values())) is None for row in rows] == [False, True, False, False]


def test_predictions_need_a_known_ending(run, one_line, saved: str, tmp_path: Path, capsys) -> None:
    assert run("predict", saved, BIRTHS, "--out", str(tmp_path / "p.xlsx")) == 2
    assert ".parquet" in one_line()
    assert not list(tmp_path.iterdir())


def test_an_input_is_never_overwritten(run, tmp_path: Path, capsys) -> None:
    table = tmp_path / "births.csv"
    table.write_bytes(datasets.path("births").read_bytes())
    before = table.read_bytes()
    for option in ("--report", "--save"):
        assert run("fit", "low ~ age", str(table), "--family", "binomial", option, str(table)) == 2
        assert "to end in" in capsys.readouterr().err
    assert run("fit", "low ~ age", str(table), "--family", "binomial", "--save", str(tmp_path / "fit.json")) == 0
    assert run("predict", str(tmp_path / "fit.json"), str(table), "--out", str(table)) == 2
    assert "would overwrite the file that is read" in capsys.readouterr().err
    assert table.read_bytes() == before


def test_what_would_steer_the_terminal_is_written_as_escapes(run, tmp_path: Path, capsys) -> None:
    table = tmp_path / "steer.csv"
    table.write_text("y,x\x1b[31m,k\n1,2,a\n3,1,b\x1b[2J\n2,2,a\n5,4,b\x1b[2J\n4,3,a\n")
    assert run("fit", "y ~ .", str(table)) == 0
    told = capsys.readouterr().out
    assert run("fit", "y ~ q", str(table)) == 2
    told += capsys.readouterr().err
    assert "\x1b" not in told
    assert "x\\x1b[31m" in told and "k[T.b\\x1b[2J]" in told


def test_ratios_are_printed_in_place_of_coefficients(run, tmp_path: Path, capsys) -> None:
    page = tmp_path / "fit.html"
    assert run("fit", FORMULA, BIRTHS, *BINOMIAL, "--exponentiate", "--report", str(page)) == 0
    assert "odds ratio" in capsys.readouterr().out and "Coefficients as ratios" in page.read_text(encoding="utf-8")
    run("fit", "low ~ age", BIRTHS, *BINOMIAL, "--exponentiate", "--json", "--by", "race")
    by_group = json.loads(capsys.readouterr().out)["coefficients"]
    assert all(row["estimate"] > 0 and row["conf_low"] < row["estimate"] < row["conf_high"] for row in by_group)
    assert run("fit", "lwt ~ age", BIRTHS, "--exponentiate") == 2
    assert "exponentiate: expected" in capsys.readouterr().err
