from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import raphson as rp

CURVE = "y ~ b1*(1-exp(-b2*x))"
X = np.array([0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0])
Y = 3.0 * (1.0 - np.exp(-0.4 * X)) + np.array([0.02, -0.05, 0.04, 0.01, -0.03, 0.05, -0.02, 0.01])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("curve") / "curve.csv"
    frame = pd.DataFrame({"x": X, "y": Y, "w": 1.0 + (X > 3), "plant": np.arange(8) % 2})
    frame.to_csv(place, index=False)
    return str(place)


@pytest.fixture(scope="module")
def fit(data: str) -> rp.Fit:
    return rp.nls(CURVE, data, start={"b2": 0.5})


def test_the_summary_is_that_of_nls(run, data, fit, capsys) -> None:
    assert run("nls", CURVE, data, "--start", "b1=2,b2=0.5") == 0
    out, error = capsys.readouterr()
    assert error == "" and "Residual SD" in out and "Converged" in out
    assert out.splitlines()[0] == CURVE and f"{fit.params['b1']:.4f}" in out


def test_start_is_optional_and_the_document_says_what_was_done(run, data, fit, capsys) -> None:
    assert run("nls", CURVE, data, "--json") == 0
    read = json.loads(capsys.readouterr().out)
    assert "no starting value was given for b2" in read["message"]
    assert read["rss"] == pytest.approx(fit.rss, rel=1e-9) and read["condition_number"] > 1
    assert [row["term"] for row in read["coefficients"]] == ["b1", "b2"]


def test_options_reach_nls(run, data, capsys) -> None:
    options = ["--fixed", "b1=3", "--bounds", "b2=0:1", "--weights", "w", "--information", "observed"]
    assert run("nls", CURVE, data, "--start", "b2=0.5", *options, "--json") == 0
    read = json.loads(capsys.readouterr().out)
    expected = rp.nls(
        CURVE, data, start={"b2": 0.5}, fixed={"b1": 3.0}, bounds={"b2": (0, 1)}, weights="w", information="observed"
    )
    found = {row["term"]: row for row in read["coefficients"]}
    assert found["b1"]["estimate"] == 3.0 and found["b1"]["std_error"] is None
    assert found["b2"]["estimate"] == pytest.approx(expected.params["b2"], rel=1e-10)
    assert found["b2"]["std_error"] == pytest.approx(expected.bse["b2"], rel=1e-8)


def test_sigma_is_weights_and_a_partial_start_is_filled_in(run, data, capsys) -> None:
    assert run("nls", CURVE + " + c*exp(-k*x)", data, "--start", "b2=0.4", "--fixed", "k=3", "--json") == 0
    capsys.readouterr()
    assert run("nls", CURVE, data, "--sigma", "w", "--absolute-sigma", "--json") == 0
    found = {row["term"]: row for row in json.loads(capsys.readouterr().out)["coefficients"]}
    fit = rp.nls(CURVE, {"x": X, "y": Y}, start={"b2": 0.5}, weights=1 / (1.0 + (X > 3)) ** 2, dispersion=1)
    assert found["b2"]["std_error"] == pytest.approx(fit.bse["b2"], rel=1e-6)


def test_at_a_bound_the_summary_says_so(run, data, capsys) -> None:
    assert run("nls", CURVE, data, "--start", "b2=0.2", "--bounds", "b2=0:0.3") == 0
    assert "b2 at its upper bound 0.3" in capsys.readouterr().out


def test_saved_curves_predict(run, data, fit, tmp_path: Path, capsys) -> None:
    place, page = tmp_path / "fit.json", tmp_path / "fit.html"
    assert run("nls", CURVE, data, "--start", "b2=0.5", "--save", str(place), "--report", str(page)) == 0
    assert "<svg" in page.read_text(encoding="utf-8")
    capsys.readouterr()
    out = tmp_path / "out.csv"
    assert run("predict", str(place), data, "--interval", "prediction", "--out", str(out)) == 0
    expected = fit.predict(pd.read_csv(data), interval="prediction")
    np.testing.assert_allclose(pd.read_csv(out), expected, rtol=1e-9)


def test_many_curves(run, data, capsys) -> None:
    assert run("nls", CURVE, data, "--start", "b2=0.5", "--by", "plant") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "group,term,estimate,std_error,statistic,p_value,conf_low,conf_high,status" and len(lines) == 5
    assert run("nls", CURVE, data, "--start", "b2=0.5", "--by", "plant", "--json") == 0
    read = json.loads(capsys.readouterr().out)
    assert [row["group"] for row in read["groups"]] == [0, 1] and len(read["coefficients"]) == 4


def test_many_curves_are_saved_and_predict(run, data, tmp_path: Path, capsys) -> None:
    place, out = tmp_path / "fits.json", tmp_path / "out.csv"
    assert run("nls", CURVE, data, "--start", "b2=0.5", "--by", "plant", "--save", str(place)) == 0
    assert run("predict", str(place), data, "--out", str(out)) == 0
    fits = rp.nls(CURVE, data, start={"b2": 0.5}, by="plant")
    np.testing.assert_allclose(pd.read_csv(out)["fit"], fits.predict(pd.read_csv(data)), rtol=1e-9)


def test_not_converged_is_still_printed(run, data, capsys) -> None:
    code = run("nls", CURVE, data, "--start", "b1=1,b2=1e-9", "--max-iter", "1", "--method", "gauss-newton")
    out, error = capsys.readouterr()
    assert code == 1 and "b2" in out and "not converged" in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["y ~ b1*(1-exp(-b2*x)", "DATA"], "never closed"),
        (["y ~ b1*__import__('os')", "DATA"], "not allowed"),
        ([CURVE, "DATA", "--start", "b2"], "expected a number for each name"),
        ([CURVE, "DATA", "--start", "b2=0.5,b9=1"], "'b9' does not occur in the curve"),
        ([CURVE, "DATA", "--bounds", "b2=1"], "expected two ends for each name"),
        ([CURVE, "DATA", "--bounds", "b2=1:x"], "expected two ends for each name"),
        ([CURVE, "DATA", "--start", "b2=3", "--bounds", "b2=0:1"], "lies outside its bounds"),
        ([CURVE, "DATA", "--by", "plant", "--plot", "fit.png"], "--by: --plot is about one fit"),
        ([CURVE, "nothing.csv"], "nothing.csv"),
        ([CURVE, "DATA", "--loss", "absolute"], "invalid choice"),
        ([CURVE, "DATA", "--method", "gaus-newton"], "method"),
    ],
)
def test_bad_input_is_one_line(run, one_line, data, arguments, said, capsys) -> None:
    assert run("nls", *(data if one == "DATA" else one for one in arguments)) == 2
    assert said in one_line()
