from __future__ import annotations

import warnings

import numpy as np
import pytest

import raphson as rp
import raphson.data.cells
from raphson.data import from_formula
from raphson.execute import serial
from raphson.model.glm.cells import MergedLikelihood
from raphson.model.glm.glm import GeneralisedLinearModel
from raphson.model.objective import Need

N = 20_000
FORMULA = "y ~ a + b"


def columns(family="binomial", seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 25, N), rng.integers(0, 12, N)
    eta = 0.3 + 0.4 * np.sin(a) - 0.5 * np.cos(b)
    name = family if isinstance(family, str) else family.name
    y = {
        "binomial": lambda: (rng.random(N) < 1 / (1 + np.exp(-eta))).astype(float),
        "poisson": lambda: rng.poisson(np.exp(eta)).astype(float),
        "gaussian": lambda: 1e4 + eta + rng.normal(size=N),
        "gamma": lambda: rng.gamma(2.0, np.exp(eta) / 2.0),
    }[name.removeprefix("quasi")]()
    labels = np.array([f"l{k:02d}" for k in range(25)])
    return {
        "y": y,
        "a": labels[a],
        "b": labels[b],
        "w": rng.integers(0, 4, N) / 2.0,
        "t": rng.integers(1, 6, N) * 1.0,
        "o": rng.integers(0, 3, N) / 4.0,
    }


def fits(monkeypatch, data, formula=FORMULA, **options):
    """The fit of merged rows, and that of all rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merged = rp.glm(formula, data, **options)
        assert isinstance(merged._reading.state.at.estimate.model.likelihood, MergedLikelihood)
        monkeypatch.setattr(raphson.data.cells, "FEWEST_ROWS", 10**9)
        whole = rp.glm(formula, data, **options)
        monkeypatch.undo()
    assert not isinstance(whole._reading.state.at.estimate.model.likelihood, MergedLikelihood)
    return merged, whole


def held(merged, whole, distance=1e-8):
    assert merged.status == whole.status and merged.message == whole.message
    np.testing.assert_array_equal(np.isfinite(merged.params), np.isfinite(whole.params))
    finite = np.isfinite(whole.bse.to_numpy()) & np.isfinite(whole.params.to_numpy())
    difference = (merged.params - whole.params).to_numpy()[finite] / whole.bse.to_numpy()[finite]
    assert np.abs(difference).max() < distance
    np.testing.assert_allclose(merged.bse, whole.bse, rtol=1e-7)
    for name in (
        "llf",
        "deviance",
        "null_deviance",
        "dispersion",
        "df_resid",
        "df_model",
        "nobs",
        "aic",
        "pearson_chi2",
    ):
        if hasattr(whole, name):
            np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(merged.path["llf"].iloc[-1], whole.path["llf"].iloc[-1], rtol=1e-9)


FAMILIES = [
    "binomial",
    "quasibinomial",
    "poisson",
    "quasipoisson",
    "gaussian",
    rp.families.Gamma(link="log"),
    rp.families.Binomial(link="probit"),
    rp.families.Binomial(link="cloglog"),
]


@pytest.mark.parametrize(
    "family", FAMILIES, ids=lambda one: one if isinstance(one, str) else f"{one.name}-{one.link.name}"
)
@pytest.mark.parametrize("kind", [None, "precision", "frequency", "sampling"])
def test_the_maximum_and_its_statistics_are_those_of_all_rows(monkeypatch, family, kind):
    data = columns(family)
    weights = {} if kind is None else {"weights": "w", "weights_kind": kind}
    if kind == "frequency":
        data["w"] = np.floor(data["w"] * 2)
    held(*fits(monkeypatch, data, family=family, **weights))


@pytest.mark.parametrize(
    "options",
    [
        {"offset": "o"},
        {"penalty": 2.0},
        {"method": "newton"},
        {"method": "irls"},
        {"method": "newton-cg"},
        {"method": "bhhh"},
        {"information": "observed"},
        {"information": "opg"},
        {"cov": "HC1"},
        {"cov": "cluster", "groups": "b"},
    ],
    ids=lambda one: "-".join(map(str, one.items())),
)
def test_so_they_are_with_other_options(monkeypatch, options):
    held(*fits(monkeypatch, columns("poisson"), family="poisson", **options), distance=1e-7)


def test_so_they_are_of_trials(monkeypatch):
    data = columns("binomial")
    data["y"] = np.floor(data["y"] * data["t"])
    held(*fits(monkeypatch, data, family="binomial", trials="t", weights="w"))


def test_what_belongs_to_rows_stays_with_them(monkeypatch):
    merged, whole = fits(monkeypatch, columns("poisson"), family="poisson", weights="w")
    for kind in ("pearson", "deviance"):
        np.testing.assert_allclose(merged.residuals(kind), whole.residuals(kind), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(merged.fittedvalues, whole.fittedvalues, rtol=1e-8)
    assert len(merged.fittedvalues) == N


def test_the_fit_says_how_many_cells_there_were(monkeypatch, tmp_path):
    merged, whole = fits(monkeypatch, columns("poisson"), family="poisson")
    assert merged.inputs["cells"] == 300 and "300 (equal rows merged)" in str(merged.summary())
    assert set(merged.path["rows"]) == {300}
    assert "cells" not in whole.inputs and "Cells" not in str(whole.summary())
    merged.save(tmp_path / "fit.json")
    assert "300 (equal rows merged)" in str(rp.load(tmp_path / "fit.json").summary())


def test_separated_and_aliased_levels_are_found(monkeypatch):
    data = columns("binomial")
    data["y"][data["a"] == "l03"] = 1.0
    held(*fits(monkeypatch, data, family="binomial"))
    twin = np.where(data["b"] == "l01", "one", "other")
    held(*fits(monkeypatch, data | {"twin": twin}, "y ~ a + b + twin", family="binomial"))
    data["w"][data["a"] == "l05"] = 0.0
    held(*fits(monkeypatch, data, family="binomial", weights="w"))


@pytest.mark.parametrize("family", ["gaussian", rp.families.Gamma(link="log"), "quasipoisson"], ids=str)
def test_an_evaluation_is_that_of_all_rows(family):
    data = columns(family)
    model = GeneralisedLinearModel.of(
        from_formula(FORMULA, data, weights="w", offset="o"), family, "precision", None, serial()
    )
    theta = np.linspace(-0.1, 0.1, model.objective.n_params)
    theta[0] = 1e4 if family == "gaussian" else 0.5
    for kinds in (("expected",), ("observed",), ("opg",)):
        one, other = (
            likelihood.evaluate(theta, Need(kinds)) for likelihood in (model.likelihood, model.likelihood.by_rows)
        )
        assert one.rows < N / 4 or kinds == ("opg",)
        for name in ("value", "score", "dispersion", "pearson"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-11, atol=1e-9, err_msg=name)
        for kind in kinds:
            np.testing.assert_allclose(
                one.information[kind].matrix, other.information[kind].matrix, rtol=1e-11, atol=1e-9
            )


@pytest.mark.parametrize("family", ["negative_binomial", "gamma", rp.families.Gaussian(link="log")], ids=str)
def test_other_families_are_left(family):
    data = columns("poisson")
    data["y"] += 1.0
    model = GeneralisedLinearModel.of(from_formula(FORMULA, data), family, "precision", None, serial())
    assert model.likelihood.by_rows is model.likelihood


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_a_stream_begins_with_some_rows_of_which_the_equal_ones_are_merged(family):
    data = {name: np.concatenate([values] * 8) for name, values in columns(family).items()}
    held_fit = rp.glm(FORMULA, data, family=family)
    fit = rp.glm(FORMULA, rp.stream(lambda: iter([data]), 1024), family=family)
    assert fit.converged and np.abs((fit.params - held_fit.params) / held_fit.bse).max() < 1e-8
    assert (fit.path["rows"] == 300).any()  # cells, each of many rows
    np.testing.assert_allclose(fit.path["llf"][fit.path["rows"] <= 300], fit.llf, rtol=0.2)
