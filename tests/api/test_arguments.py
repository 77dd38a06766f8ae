"""What the doors share takes what they were given, and refuses it in the same words."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

import raphson as rp
from raphson.api.arguments import dispersion_rule, inference_of, inputs_of, model_data, start_vector
from raphson.errors import ModelError
from raphson.model.families import Binomial, Gamma
from raphson.report.progress import Progress

GIVEN = {
    "weights_kind": "frequency",
    "weights": None,
    "offset": None,
    "trials": None,
    "groups": None,
    "missing": "drop",
}


def test_starting_values_are_checked():
    assert start_vector(None, 2) is None and start_vector([1, 2], 2).tolist() == [1.0, 2.0]
    with pytest.raises(ModelError, match=r"start: expected 2 finite numbers.*got shape \(3,\)"):
        start_vector([1.0, 2.0, 3.0], 2)
    with pytest.raises(ModelError, match="start: expected 2 finite numbers"):
        start_vector([1.0, np.nan], 2)
    with pytest.raises(ModelError, match=r"start: expected 2 numbers; got \{'a': 1\}"):
        start_vector({"a": 1}, 2)


def test_a_dispersion_that_is_one_by_definition_is_not_another():
    assert dispersion_rule(None, Gamma()) == "pearson" and dispersion_rule(2.0, Gamma()) == 2.0
    assert dispersion_rule(1.0, Binomial()) == 1.0
    with pytest.raises(ModelError, match="dispersion: it is 1 by definition in the binomial family; got 2"):
        dispersion_rule(2.0, Binomial())


def test_a_formula_names_its_columns():
    with pytest.raises(ModelError, match="names: a formula names its own columns"):
        model_data("y ~ x", {"y": [1, 2], "x": [1, 2]}, {**GIVEN, "names": ["a"]})
    read = model_data([1.0, 2.0], np.eye(2), {**GIVEN, "names": ["a", "b"]})
    assert read.names == ("a", "b")


def test_only_inputs_are_told_and_weights_with_their_kind():
    told = inputs_of({"weights": np.ones(3), "weights_kind": "sampling", "penalty": True, "groups": "g", "tol": 1.0})
    assert told == {"weights": "array", "weights_kind": "sampling", "penalty": 1.0, "groups": "g"}
    assert "weights_kind" not in inputs_of({"weights_kind": "frequency"})


@pytest.mark.parametrize(("kind", "cov"), [("sampling", "HC0"), ("frequency", "model")])
def test_weights_of_a_sample_have_robust_errors(kind, cov):
    given = {**GIVEN, "weights_kind": kind, "information": None, "cov": None, "small_sample": "full"}
    assert inference_of(given).cov == cov


def test_a_misspelt_keyword_gets_the_nearest():
    data = {"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 2.0]}
    fit = rp.glm("y ~ x", data)
    for call in (lambda: rp.glm("y ~ x", data, familly="poisson"), lambda: fit.update(familly="poisson")):
        with pytest.raises(rp.ModelError, match=r"glm: there is no argument 'familly'. Did you mean 'family'"):
            call()
    with pytest.raises(TypeError, match="nls: missing a required argument: 'data'"):
        rp.nls("y ~ a*x")


def test_a_fit_that_is_asked_to_logs_its_passes(monkeypatch, capsys):
    monkeypatch.setattr("raphson.report.progress.Progress.__init__.__defaults__", (None, 1.0, True, 0.0))
    births = rp.datasets.load("births")
    rp.glm("low ~ lwt", births, family="binomial", progress=True)
    out, error = capsys.readouterr()
    assert out == ""
    assert "Fitting, iteration 1, " in error and " passes, " in error and "rows per second" in error
    rows = []
    rp.glm("low ~ lwt", births, family="binomial", progress=lambda **row: rows.append(row))
    assert set(rows[0]) == {"iteration", "distance"}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("door", ["glm", "mle"])
def test_how_far_each_pass_is_shows_from_the_first_on(door, ending, tmp_path, monkeypatch):
    monkeypatch.setattr("raphson.report.progress.TICK", 0.0)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=6000), "y": rng.poisson(1.0, 6000)})
    (frame.to_parquet if ending == "parquet" else frame.to_csv)(tmp_path / f"rows.{ending}", index=False)
    source, stream = rp.stream(tmp_path / f"rows.{ending}", 256), io.StringIO()
    with Progress("Fitting", stream=stream, log=True, interval=0.0) as progress:
        given = {"progress": progress, "checkpoint": tmp_path / "kept"}
        if door == "glm":
            fit = rp.glm("y ~ x", source, family="poisson", **given)
        else:
            fit = rp.mle("zip", {"mean": "y ~ x", "zero": "~ 1"}, source, **given)
    lines = stream.getvalue().splitlines()
    assert "rows so far" in lines[0] if ending == "csv" else "% of 6,000 rows" in lines[0], lines[0]
    steps = [line for line in lines if "% of 6,000 rows" in line and ", iteration " in line]
    assert len(steps) >= 6 and all(" passes, " in line and "rows per second" in line for line in steps)
    fit.summary()
    assert stream.getvalue().splitlines() == lines  # the fit has ended
