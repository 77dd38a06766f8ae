"""Every name of a Fit, asked of every kind of fit, loaded ones too: it answers, or says by its name why it does not."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest

import raphson as rp

KINDS = (
    *("gaussian", "logistic", "multinomial", "negative binomial", "separated", "penalised", "streamed"),
    *("curve", "curve at a bound", "robust curve", "open curve", "curve by hand"),
    *("zero inflated", "no zeros", "ordered", "density by hand", "general form"),
    *("network", "network by newton", "network of levels"),
)
NAMES = [name for name in dir(rp.Fit) if not name.startswith("_")]


def one(fit):
    """The last coefficient, as a matrix that chooses it."""
    return np.eye(len(fit.names))[-1:]


ASKED = {
    "wald_test": lambda fit, folder: fit.wald_test(one(fit)),
    "t_test": lambda fit, folder: fit.t_test(one(fit)),
    "score_test": lambda fit, folder: fit.score_test(one(fit)),
    "lr_test": lambda fit, folder: fit.lr_test(one(fit)),
    "delta": lambda fit, folder: fit.delta(lambda p: p[0] + p[-1]),
    "profile": lambda fit, folder: fit.profile(fit.names[-1]).interval(),
    "bootstrap": lambda fit, folder: fit.bootstrap(20, seed=1),
    "information_matrix_test": lambda fit, folder: fit.information_matrix_test(bootstrap=0),
    "plot_profile": lambda fit, folder: fit.plot_profile(fit.names[-1]),
    "save": lambda fit, folder: fit.save(folder / "fit.json") or "saved",
    "report": lambda fit, folder: fit.report(folder / "fit.html") or "written",
}
"""What is asked of a name that takes arguments; others are read, or called without any."""

NOTHING = {"formula", "bias", "small_sample", "theta", "theta_se", "covariates"}
"""Names that answer None where there is no such thing."""

ARGUMENTS = {"interval", "kind", "name", "constraint", "contrast", "function", "formula"}
"""An error may name the argument instead."""


def answer(fit, name, folder):
    if name in ASKED:
        getattr(fit, name)
        return ASKED[name](fit, folder)
    found = getattr(fit, name)
    return found() if callable(found) else found


def numbers_in(found):
    """The numbers of an answer, in one array."""
    if isinstance(found, pd.DataFrame):
        return found.select_dtypes("number").to_numpy(dtype=float)
    if isinstance(found, pd.Series | np.ndarray | float):
        return np.asarray(found, dtype=float)
    return np.zeros(0)


@pytest.mark.parametrize("loaded", [False, True], ids=["fitted", "loaded"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("few_simulated")
def test_every_name_answers_or_says_why_not(kind, loaded, fit_of, tmp_path, monkeypatch):
    # That the pictures of a page can be drawn is tested in tests/fit/test_reporting.py; it takes most of the time.
    monkeypatch.setattr("raphson.report.drawing.svg", lambda picture, what, **size: what)
    fit = fit_of(kind)
    if loaded:
        fit.save(tmp_path / "saved.json")
        fit = rp.load(tmp_path / "saved.json")
    answered = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in NAMES:
            try:
                answered[name] = answer(fit, name, tmp_path)
            except rp.RaphsonError as error:
                said = str(error).split(":")[0]
                assert said.split("(")[0] == name or said in ARGUMENTS, f"{name} says {error}"
                assert len(str(error)) > len(name) + 20
    assert isinstance(fit, rp.Fit) and {"params", "bse", "llf", "summary", "tidy", "glance", "path"} <= answered.keys()
    assert not {name for name, found in answered.items() if found is None} - NOTHING
    plain = kind in ("gaussian", "logistic", "negative binomial", "curve", "zero inflated", "density by hand")
    if plain:  # NaN only where the name says so of this kind
        unknown = {name for name, found in answered.items() if np.isnan(numbers_in(found)).any()}
        no_mean = {"deviance", "null_deviance", "df_null", "glance"} if not hasattr(fit, "rss") else set()
        assert unknown <= {"path", "drop1", *no_mean}
    likelihood = kind in ("zero inflated", "no zeros", "ordered", "density by hand", "general form")
    assert hasattr(fit, "residuals") == (hasattr(fit, "rss") or likelihood)
    assert hasattr(fit, "history") == hasattr(fit, "gradient_profile") == kind.startswith("network")
    assert hasattr(fit, "formulas") == likelihood


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_answer_or_say_why_not(kind, fit_of, new_rows, tmp_path):
    fit = fit_of(kind)
    fit.save(tmp_path / "saved.json")
    fits = (fit, rp.load(tmp_path / "saved.json"))
    new = new_rows["x"].to_numpy() if kind == "curve by hand" else new_rows
    rows = len(fit._reading.state.at.asked.y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one, given in ((fits[0], None), (fits[0], new), (fits[1], None), (fits[1], new)):
            for options in ({}, {"kind": "link", "se": True}, {"kind": "response", "interval": "prediction"}):
                try:
                    found = one.predict(given, **options)
                except rp.RaphsonError as error:
                    assert str(error).split(":")[0].split("(")[0] in ("predict", "interval", "function"), error
                else:
                    assert len(found) == (rows if given is None else len(new))
                    assert not found.filter(items=["fit"]).isna().any().any()


def test_help_shows_what_each_name_is():
    for name in NAMES:
        assert (inspect.getdoc(getattr(rp.Fit, name)) or "").strip(), name
    assert list(inspect.signature(rp.Fit.wald_test).parameters)[1:] == ["constraint"]


def test_a_refused_name_is_no_attribute(fit_of):
    fit = fit_of("gaussian")
    assert getattr(fit, "history", "none") == "none"
    with pytest.raises(rp.ModelError, match="history: available for networks only"):
        _ = fit.history
    with pytest.raises(AttributeError, match="bse: it follows from the fit"):
        fit.bse = 3.0
